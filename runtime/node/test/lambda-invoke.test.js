'use strict';
// Invocations through Lambda's own API: the client context, and answers in pieces.

const assert = require('node:assert/strict');
const test = require('node:test');
const { start, frames } = require('./harness');

const EVENT = { specversion: '1.0', id: 'e1', source: '/p/dev/function/books', type: 'wakeful.function.invoke', time: '2026-01-01T00:00:00Z', data: { a: 1 } };

const lambda = async (t, code) => (await start(t, code, { style: 'lambda' })).worker;
const streaming = (t, code) => lambda(t, `exports.handler = awslambda.streamifyResponse(async (event, stream, context) => { ${code} });`);

test('the client context is what the caller sent', async (t) => {
  const worker = await lambda(t, 'exports.handler = async (event, context) => [event, context.clientContext ?? null];');
  const context = '{"custom":{"k":"v"}}';
  assert.deepEqual(await worker.result({ ...EVENT, lambdacontext: context, lambdastream: true }), [{ a: 1 }, { custom: { k: 'v' } }]);
  assert.deepEqual(await worker.result(EVENT), [{ a: 1 }, null]);
  // Only invocations have callers.
  const [, none] = await worker.result({ ...EVENT, type: 'made.up', lambdacontext: context });
  assert.equal(none, null);
});

test('what a streaming handler writes leaves as it is written', async (t) => {
  const worker = await streaming(t, "stream.write(Buffer.from([0, 255])); await new Promise((go) => setTimeout(go, 20)); stream.end('\"x');");
  const answer = await worker.answer(worker.event({ ...EVENT, lambdastream: true }));
  assert.equal(answer.status, 0);
  assert.deepEqual([...answer.body], [0, 255, 34, 120]);
  assert.deepEqual(answer.frames.map((one) => one.kind), [frames.RESPONSE, frames.DATA, frames.DATA, frames.END]);
});

test('… and is collected for everybody else', async (t) => {
  const worker = await streaming(t, "stream.end('plain');");
  assert.equal(await worker.result(EVENT), 'plain');
});

test('an empty answer is whole', async (t) => {
  const worker = await streaming(t, 'stream.end();');
  const answer = await worker.answer(worker.event({ ...EVENT, lambdastream: true }));
  assert.deepEqual([answer.fail, answer.text], [undefined, '']);
});

test('the head of an HTTP answer goes before the body', async (t) => {
  for (const [rest, body] of [["out.end('body');", 'body'], ['out.end();', '']]) {
    const worker = await streaming(t, `const out = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: 'b' } }); ${rest}`);
    const { text } = await worker.answer(worker.event({ ...EVENT, lambdastream: true }));
    assert.equal(text, `{"statusCode":201,"headers":{"a":"b"}}${'\0'.repeat(8)}${body}`);
  }
});

test('an error in mid-stream breaks it off', async (t) => {
  const worker = await streaming(t, "stream.write('begun'); await new Promise((go) => setTimeout(go, 20)); throw new TypeError('no more');");
  const answer = await worker.answer(worker.event({ ...EVENT, lambdastream: true }));
  assert.equal(answer.text, 'begun');
  assert.deepEqual([answer.fail.name, answer.fail.message], ['TypeError', 'no more']);
});

test('a stream that is destroyed has failed', async (t) => {
  const worker = await streaming(t, "stream.on('error', () => {}); stream.destroy(new RangeError('too far')); await new Promise(() => {});");
  const answer = await worker.answer(worker.event({ ...EVENT, lambdastream: true }));
  assert.deepEqual([answer.fail.name, answer.fail.message], ['RangeError', 'too far']);
});

test('a caller that leaves ends the attempt', async (t) => {
  const worker = await streaming(t, "stream.write('begun'); await new Promise((_, no) => context.signal.addEventListener('abort', () => no(context.signal.reason)));");
  const stream = worker.event({ ...EVENT, lambdastream: true });
  await worker.frame(frames.DATA, stream);
  worker.cancel(stream, 1);
  const { fail } = await worker.answer(stream);
  assert.match(fail.message, /caller went away/);
});

test('the environment names the attempt, while it is alone', async (t) => {
  const worker = await lambda(t, `exports.handler = async ({ wait }) => {
    if (wait) await new Promise((go) => setTimeout(go, 100));
    return process.env._X_AMZN_TRACE_ID ?? null;
  };`);
  const trace = await worker.result(EVENT, { run: 0x0653706be8800001n, attempt: 2 });
  assert.match(trace, /^Root=1-[0-9a-f]{8}-0653706be880000100000002;Parent=0653706be8800001;Sampled=0$/);
  const first = worker.result({ ...EVENT, data: { wait: true } });
  assert.equal(await worker.result(EVENT), null);
  assert.equal(await first, null);
});
