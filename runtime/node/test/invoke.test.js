'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start } = require('./harness');

const EVENT = { specversion: '1.0', id: '1', type: 't', data: null };

/** The call that `code` makes, answered with `reply`; and the handler's result. */
async function invoked(t, code, reply = () => {}) {
  const { worker } = await start(t, `const { invoke, InvokeError, WakefulError } = require('wakeful'); module.exports = async () => { ${code} };`);
  const stream = worker.event(EVENT);
  const { call: first, fail } = await worker.callOrAnswer(stream);
  if (first === undefined) return { fail, calls: worker.calls().length };
  reply(worker, first.stream);
  const answer = await worker.answer(stream);
  return { call: first, fail: answer.fail, result: answer.text ? JSON.parse(answer.text) : undefined };
}

const answers = (text, head = { run: 'run_0000000000007' }) => (worker, stream) => worker.reply(stream, head, { body: text });

test('waits for the result', async (t) => {
  const { call, result } = await invoked(t, "return [await invoke('resize', { w: 1 })];", answers('{"ok":true}'));
  assert.deepEqual([call.op, call.params, call.body.toString()], ['invoke', { function: 'resize', contentType: 'application/json', wait: true }, '{"w":1}']);
  assert.deepEqual(result, [{ ok: true }]);
});

test('no result, no payload, a handler', async (t) => {
  const { call, result } = await invoked(t, "return [await invoke('resize', undefined, { handler: 'main' }) === undefined];", answers(''));
  assert.deepEqual([call.params, call.body.length], [{ function: 'resize', handler: 'main', wait: true }, 0]);
  assert.deepEqual(result, [true]);
});

test('a large result comes in pieces', async (t) => {
  const { result } = await invoked(t, "return (await invoke('resize')).length;", (worker, stream) => {
    worker.reply(stream, { run: 'run_0000000000007' }, { body: '"', flags: 0 });
    for (let i = 0; i < 4; i++) worker.data(stream, 'x'.repeat(60_000));
    worker.data(stream, '"');
    worker.end(stream);
  });
  assert.equal(result, 240_000);
});

test('what nobody waits for', async (t) => {
  const { call, result } = await invoked(t, "return await invoke('resize', Buffer.from('hi'), { wait: false, delay: '5m', key: 'k', dedup: 'd', contentType: 'image/png' });", (worker, stream) => worker.reply(stream, { id: 'evt_1', duplicates: 1 }));
  assert.deepEqual([call.params, call.body.toString()], [{ function: 'resize', contentType: 'image/png', wait: false, delayMs: 300_000, key: 'k', dedup: 'd' }, 'hi']);
  assert.deepEqual(result, { id: 'evt_1', duplicates: 1 });
});

test('the callee\'s error comes back with its name, message and stack', async (t) => {
  const failure = { kind: 'user_error', name: 'TypeError', message: 'no such file', stack: 'TypeError: no such file\n    at resize (functions/resize/index.js:3:9)' };
  const code = `try { await invoke('resize'); } catch (error) {
    return [error instanceof InvokeError, error instanceof WakefulError, error.code, error.name, error.message, error.functionName, error.kind, error.runId,
      error.cause instanceof Error, error.cause.name, error.cause.message, error.cause.stack, /index\\.js/.test(error.stack)];
  }`;
  const { result } = await invoked(t, code, answers('', { run: 'run_0000000000007', failure }));
  assert.deepEqual(result, [
    true, true, 'failed', 'InvokeError', 'the function `resize` failed: TypeError: no such file', 'resize', 'user_error', 'run_0000000000007', true, 'TypeError', 'no such file', failure.stack, true,
  ]);
});

test('uncaught, both stacks are in the run, and the caller decides about its own retries', async (t) => {
  const failure = { kind: 'timeout', name: 'timeout', message: 'it took longer than 1 s' };
  const { fail } = await invoked(t, "await invoke('resize');", answers('', { run: 'r', failure }));
  assert.deepEqual([fail.kind, fail.name, fail.retry], ['user_error', 'InvokeError', undefined]);
  assert.match(fail.stack, /InvokeError: the function `resize` failed: timeout: it took longer than 1 s[\s\S]*Caused by: timeout: it took longer than 1 s/);
});

for (const [name, code, message] of [
  ['no name', 'invoke()', /invoke\(\) takes the name of a function, not undefined/],
  ['an empty name', "invoke('')", /takes the name of a function, not an empty text/],
  ['a delay while waiting', "invoke('a', 1, { delay: 5 })", /`delay` is for calls that nobody waits for: add wait: false/],
  ['dedup while waiting', "invoke('a', 1, { dedup: 'x', wait: true })", /`dedup` is for calls that nobody waits for/],
  ['a wait that is none', "invoke('a', 1, { wait: 'no' })", /`wait` of invoke\(\) must be true or false/],
  ['an unknown option', "invoke('a', 1, { subject: 'x' })", /invoke\(\) has no option `subject`: there are delay, at, key, dedup, handler, contentType, wait/],
  ['a function', "invoke('a', { f() {} })", /the payload for `a` cannot be written as JSON: `f` is a function/],
  ['null options', "invoke('a', 1, null)", /the options of invoke\(\) must be an object, not null/],
]) {
  test(`refused without asking the server: ${name}`, async (t) => {
    const { fail, calls } = await invoked(t, `return ${code};`);
    assert.match(fail.message, message);
    assert.deepEqual([fail.name, calls], ['TypeError', 0]);
  });
}
