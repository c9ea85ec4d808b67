'use strict';
// When and how Lambda handlers answer: the event loop, the ways to call back, streams, formats.

const assert = require('node:assert/strict');
const test = require('node:test');
const { start, frames } = require('./harness');

const INVOKE = (data) => ({ specversion: '1.0', id: 'e1', source: '/p/dev/function/books', type: 'wakeful.function.invoke', time: '2026-01-01T00:00:00Z', data });

/** What a handler makes of an invocation: its result, or how it failed. */
function invoked(name, handler, expected, settings) {
  test(name, async (t) => {
    const { worker } = await start(t, `exports.handler = ${handler};`, { style: 'lambda', ...settings });
    const result = await worker.result(INVOKE({}));
    if (expected?.fail === undefined) assert.deepEqual(result, expected);
    else assert.match(result.fail.message, expected.fail);
  });
}

const LATER = "let done = 'early'; setTimeout(() => { done = 'late'; }, 30);";
invoked('a callback waits for the event loop', `(event, context, callback) => { const result = {}; setTimeout(() => { result.done = true; }, 30); callback(null, result); }`, { done: true });
invoked('… unless told not to', `(event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; const result = {}; setTimeout(() => { result.done = true; }, 30); callback(null, result); }`, {});
invoked('… not for timers that do not count', "(event, context, callback) => { setInterval(() => {}, 10).unref(); callback(null, 'now'); }", 'now');
invoked('… and for work in the thread pool', "(event, context, callback) => { const result = {}; require('fs').readFile(__filename, () => { result.read = true; }); callback(null, result); }", { read: true });
invoked('an error does not wait', "(event, context, callback) => { setInterval(() => {}, 10); callback(new Error('no')); }", { fail: /^no$/ });
invoked('context.succeed does not wait', "(event, context) => { setInterval(() => {}, 10); context.succeed('now'); }", 'now');
invoked('a promise does not wait', "async () => { setInterval(() => {}, 10); return 'now'; }", 'now');
invoked('the first of several answers counts', "(event, context, callback) => { callback(null, 'first'); context.succeed('second'); callback(new Error('third')); }", 'first');
invoked('a function without an answer succeeds when nothing is left', `() => { ${LATER} return 'not looked at'; }`, undefined);
invoked('a promise that nothing can resolve is an error', 'async () => { await new Promise(() => {}); }', { fail: /gave no answer/ });
invoked('context.fail without an error', '(event, context) => context.fail()', { fail: /context\.fail\(\) was called/ });
invoked('a circular result', 'async () => { const a = {}; a.a = a; return a; }', { fail: /result of the handler cannot be written as JSON: Converting circular/ });
invoked('a result that is too large', "async () => 'x'.repeat(6 * 1024 * 1024)", { fail: /larger than 6291456 bytes/ });

test('a callback waits for what the server owes, and then counts', async (t) => {
  const { worker } = await start(t, `const { db } = require('wakeful');
    exports.handler = (event, context, callback) => { const result = {}; db.shop.query('select 1').then((rows) => { result.rows = rows; }); callback(null, result); };`);
  const stream = worker.event(INVOKE({}));
  const call = await worker.call(0);
  assert.equal(call.op, 'db.query');
  // Long enough for several looks at the loop, were it taken for empty.
  worker.send(frames.PING, 0, Buffer.from([1, 0, 0, 0]));
  await worker.frame(frames.PONG);
  assert.equal(worker.frames.some((one) => one.stream === stream), false);
  worker.reply(call.stream, { columns: ['a'], rows: [[1]], changes: 0, lastInsertRowid: 0 });
  assert.deepEqual(JSON.parse((await worker.answer(stream)).text), { rows: [{ a: 1 }] });
});

test('an answer that waits until the time is up says for what', async (t) => {
  const { worker } = await start(t, 'exports.handler = (event, context, callback) => { setInterval(() => {}, 1000); callback(null, 1); };');
  const stream = worker.event(INVOKE({}));
  worker.cancel(stream, 0);
  const { fail } = await worker.answer(stream);
  assert.equal(fail.kind, 'user_error');
  assert.match(fail.message, /callbackWaitsForEmptyEventLoop = false/);
});

test('an answer that waits leaves at once when the server stops', async (t) => {
  const { worker } = await start(t, 'exports.handler = (event, context, callback) => { setInterval(() => {}, 1000); callback(null, 1); };');
  const stream = worker.event(INVOKE({}));
  worker.cancel(stream, 2);
  assert.equal((await worker.answer(stream)).text, '1');
});

test('with several attempts in a process a callback does not wait', async (t) => {
  const { worker } = await start(t, `exports.handler = (event, context, callback) => {
    if (event.stays) { setInterval(() => {}, 1000); if (event.calls) callback(null, 'other'); return; }
    callback(null, 'now');
  };`);
  const open = worker.event(INVOKE({ stays: true }));
  assert.equal(await worker.result(INVOKE({})), 'now');
  assert.equal(worker.frames.some((one) => one.stream === open), false);
});

test('an answer that waits alone leaves when another attempt comes beside it', async (t) => {
  const { worker } = await start(t, `exports.handler = (event, context, callback) => {
    if (event.stays) setInterval(() => {}, 1000);
    callback(null, event.stays ? 'first' : 'second');
  };`);
  const first = worker.event(INVOKE({ stays: true }));
  const second = worker.event(INVOKE({}));
  assert.equal((await worker.answer(first)).text, '"first"');
  assert.equal((await worker.answer(second)).text, '"second"');
});

/** What an HTTP answer becomes. */
function answers(name, payload, result, expected) {
  test(`${payload ?? '2.0'}: ${name}`, async (t) => {
    const { worker } = await start(t, `exports.handler = async () => (${result});`, { lambda: { payload } });
    const answer = await worker.get('/');
    if (expected.fail) assert.match(answer.fail.message, expected.fail);
    else assert.deepEqual([answer.status, answer.headers, answer.text], [expected.status ?? 200, expected.headers ?? {}, expected.body ?? '']);
  });
}
const JSON_TYPE = { 'content-type': 'application/json' };
answers('several values of a header', '1.0', "{ statusCode: 200, headers: { 'X-A': '1', 'X-B': '9' }, multiValueHeaders: { 'X-A': ['1', '2'], 'Set-Cookie': ['a=1', 'b=2'] } }", { headers: { 'x-a': ['1', '2'], 'x-b': '9', 'set-cookie': ['a=1', 'b=2'] } });
answers('a value of its own beside several', '1.0', "{ headers: { 'X-A': '0' }, multiValueHeaders: { 'X-A': ['1', '2'] } }", { headers: { 'x-a': ['1', '2', '0'] } });
answers('everything may be missing', '1.0', '{}', {});
answers('JSON by default', '1.0', "{ statusCode: 201, body: '{}' }", { status: 201, headers: JSON_TYPE, body: '{}' });
answers('base64', '1.0', "{ body: 'aGk=', isBase64Encoded: true, headers: { 'content-type': 'text/plain' } }", { headers: { 'content-type': 'text/plain' }, body: 'hi' });
for (const value of ["'text'", 'undefined', 'null', '[1]', '7']) answers(`${value} is no answer`, '1.0', value, { fail: /payload format 1\.0 the handler must return an object/ });
answers('several values in headers', undefined, "{ statusCode: 200, headers: { 'x-a': ['1', '2'], 'x-n': null, 'x-b': true } }", { headers: { 'x-a': ['1', '2'], 'x-b': 'true' } });
answers('a number', undefined, '7', { headers: JSON_TYPE, body: '7' });
answers('a list', undefined, '[1]', { headers: JSON_TYPE, body: '[1]' });
answers('null', undefined, 'null', { headers: JSON_TYPE, body: 'null' });
answers('an object as body', undefined, '{ statusCode: 200, body: { a: 1 } }', { headers: { 'content-type': 'text/plain; charset=utf-8' }, body: '{"a":1}' });
answers('a function URL answers likewise', 'url', "{ statusCode: 200, cookies: ['a=1'], body: 'b' }", { headers: { 'content-type': 'text/plain; charset=utf-8', 'set-cookie': 'a=1' }, body: 'b' });
answers('an invalid status', undefined, "{ statusCode: 'abc' }", { fail: /abc is not a valid status/ });
answers('cookies that are no list', undefined, "{ statusCode: 200, cookies: 'a=1' }", { fail: /`cookies` of the answer must be a list/ });
answers('headers that are no object', undefined, "{ statusCode: 200, headers: 'a: b' }", { fail: /`headers` of the answer must be an object/ });
answers('a line break in a header', undefined, "{ statusCode: 200, headers: { 'x-a': 'a\\nb' } }", { fail: /header x-a holds a character that no header may hold/ });
answers('base64 that is none', undefined, '{ statusCode: 200, body: {}, isBase64Encoded: true }', { fail: /must be a text in base64/ });
answers('a circular body', undefined, '(() => { const body = {}; body.a = body; return { statusCode: 200, body }; })()', { fail: /answer of the handler cannot be written as JSON: Converting circular/ });
answers('a symbol', undefined, 'Symbol()', { fail: /cannot be written as JSON: it is symbol/ });

test('bodies of requests are text or base64 as in the format', async (t) => {
  const types = [['text/csv', false], ['application/json; charset=utf-8', false], ['application/xml', false], ['application/javascript', false],
    ['application/x-www-form-urlencoded', true], ['application/vnd.api+json', true], ['multipart/form-data; boundary=x', true], [null, true]];
  const { worker } = await start(t, 'exports.handler = async (event) => [event.body, event.isBase64Encoded];');
  for (const [type, encoded] of types) {
    const { text } = await worker.get('/', { method: 'POST', headers: type === null ? [] : [['content-type', type]], body: 'a=1' });
    assert.deepEqual(JSON.parse(text), encoded ? ['YT0x', true] : ['a=1', false], String(type));
  }
  const rest = await start(t, 'exports.handler = async (event) => ({ body: JSON.stringify([event.body, event.isBase64Encoded]) });', { lambda: { payload: '1.0' } });
  for (const [type] of types) {
    const { text } = await rest.worker.get('/', { method: 'POST', headers: type === null ? [] : [['content-type', type]], body: 'a=1' });
    assert.deepEqual(JSON.parse(text), ['a=1', false], String(type));
  }
  assert.deepEqual(JSON.parse((await rest.worker.get('/', { method: 'POST', body: Buffer.from([0xff]) })).text), ['/w==', true]);
});

const stream = (code) => `const { pipeline } = require('node:stream/promises'); const { Readable } = require('node:stream');
  exports.handler = awslambda.streamifyResponse(async (event, stream, context) => { ${code} });`;

test('a stream that is piped into the answer may outlast the handler', async (t) => {
  const { worker } = await start(t, stream("Readable.from((async function* () { yield 'a'; await new Promise((r) => setTimeout(r, 20)); yield 'b'; })()).pipe(stream);"));
  assert.equal((await worker.get('/')).text, 'ab');
});

test('pipeline, and a content type', async (t) => {
  const { worker } = await start(t, stream("stream.setContentType('text/event-stream'); await pipeline(Readable.from(['a', 'b']), stream);"));
  const answer = await worker.get('/');
  assert.deepEqual([answer.headers, answer.text], [{ 'content-type': 'text/event-stream' }, 'ab']);
});

test('an error in mid-stream breaks the answer off', async (t) => {
  for (const end of ["throw new Error('late')", "stream.destroy(new Error('late'))", "await pipeline(Readable.from((async function* () { yield 'b'; throw new Error('late'); })()), stream)"]) {
    const { worker } = await start(t, stream(`stream.write('a'); await new Promise((r) => setTimeout(r, 5)); ${end};`));
    const answer = await worker.get('/');
    assert.equal(answer.status, 200, end);
    assert.match(answer.fail.message, /late/, end);
    assert.equal(answer.frames.at(-1).kind, frames.FAIL, end);
  }
});

test('an error before the first piece is a failure as a whole', async (t) => {
  const { worker } = await start(t, stream("throw new Error('early');"));
  const answer = await worker.get('/');
  assert.deepEqual([answer.status, answer.fail.message], [undefined, 'early']);
});

test('a streaming handler that never ends its answer is told so', async (t) => {
  const { worker } = await start(t, stream("stream.write('a');"));
  assert.match((await worker.get('/')).fail.message, /began an answer and did not end it/);
});

test('streamifyResponse: what cannot be', async (t) => {
  const plain = await start(t, "exports.handler = awslambda.streamifyResponse((event, stream) => { stream.end('x'); });");
  assert.match((await plain.worker.result(INVOKE({}))).fail?.message ?? '', /must be async/);
  const head = await start(t, stream("awslambda.HttpResponseStream.from(stream, { statusCode: 99 }).end('x');"));
  assert.match((await head.worker.get('/')).fail.message, /99 is not a valid status/);
  const none = await start(t, 'exports.handler = awslambda.streamifyResponse({});');
  assert.match(none.loaded.error.message, /streamifyResponse\(\) takes a function/);
});

test('a function that carries the mark of Lambda streams', async (t) => {
  const { worker } = await start(t, "const fn = async (event, stream) => { stream.end('x'); }; fn[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'response'; exports.handler = fn;");
  assert.equal((await worker.get('/')).text, 'x');
});

test('the variables are those of the file and the export; the settings win; other styles see none', async (t) => {
  const code = "const seen = { ...process.env }; exports.{name} = async () => ({ handler: process.env._HANDLER, tz: process.env.TZ, region: process.env.AWS_REGION });";
  const files = { 'src/app.js': code.replace('{name}', 'photo') };
  const { worker } = await start(t, files, { file: 'src/app.js', style: 'lambda', handlers: ['photo'], env: { AWS_REGION: 'eu-central-1', TZ: 'Europe/Berlin' } });
  assert.deepEqual(await worker.result(INVOKE({})), { handler: 'src/app.photo', tz: 'Europe/Berlin', region: 'eu-central-1' });
  const native = await start(t, 'exports.a = () => [process.env.TZ ?? null, process.env._HANDLER ?? null, process.env.AWS_REGION ?? null]; exports.handler = 1;', { handlers: ['a'], env: { AWS_REGION: 'x' } });
  assert.deepEqual(await native.worker.result(INVOKE({})), [null, null, 'x']);
});

test('code that only looked like Lambda gets the variables of before', async (t) => {
  const code = "/* exports.handler awslambda */ module.exports = (req, res) => res.json([process.env.TZ ?? null, process.env._HANDLER ?? null]);";
  const { worker, loaded } = await start(t, code, { spawn: { env: { TZ: 'Asia/Tokyo' } } });
  assert.equal(loaded.style, 'native');
  assert.equal((await worker.get('/')).text, '["Asia/Tokyo",null]');
});
