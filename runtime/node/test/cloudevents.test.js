'use strict';
// Functions registered through `@google-cloud/functions-framework`.

const assert = require('node:assert/strict');
const test = require('node:test');
const { start } = require('./harness');

const PAID = { specversion: '1.0', id: 'e1', source: '/shop', type: 'orders.paid', time: '2026-01-01T00:00:00Z', datacontenttype: 'application/json', data: { order: 7 } };
const FRAMEWORK = "const functions = require('@google-cloud/functions-framework');";

test('http: express-like, with the raw body', async (t) => {
  const { worker, loaded } = await start(t, `${FRAMEWORK} functions.http('hello', (req, res) => { res.status(201).send([req.body, req.rawBody.toString(), req.query.a]); });`);
  assert.deepEqual([loaded.style, loaded.exports, loaded.missing], ['cloudevents', ['hello'], []]);
  const answer = await worker.get('/?a=1', { method: 'POST', headers: [['content-type', 'application/json']], body: '{"n":1}' });
  assert.deepEqual([answer.status, answer.text], [201, '[{"n":1},"{\\"n\\":1}","1"]']);
  assert.match((await worker.result(PAID)).fail.message, /registered with functions\.http\(\)/);
});

test('http: a body that comes in pieces is whole', async (t) => {
  const { worker } = await start(t, `${FRAMEWORK} functions.http('hello', (req, res) => res.send(req.rawBody.toString()));`, { bodyLimit: 10 });
  const stream = worker.http('/', { method: 'POST', open: true, headers: [['content-type', 'application/octet-stream']], body: 'ab' });
  worker.data(stream, 'cd');
  worker.end(stream);
  assert.equal((await worker.answer(stream)).text, 'abcd');
  const large = worker.http('/', { method: 'POST', open: true, body: 'x'.repeat(11) });
  worker.end(large);
  assert.equal((await worker.answer(large)).status, 413);
});

test('cloudEvent: async, and by callback', async (t) => {
  const { worker } = await start(t, `${FRAMEWORK}
    functions.cloudEvent('a', async (event) => ({ id: event.id, data: event.data }));
    functions.cloudEvent('b', (event, callback) => { setImmediate(() => callback(null, event.type)); });
    functions.cloudEvent('c', (event, callback) => callback(new Error('no')));
    functions.cloudEvent('d', async (event, callback) => { throw new Error('early'); });`, { handlers: ['a', 'b', 'c', 'd'] });
  assert.deepEqual(await worker.result(PAID, { handler: 0 }), { id: 'e1', data: { order: 7 } });
  assert.equal(await worker.result(PAID, { handler: 1 }), 'orders.paid');
  assert.equal((await worker.result(PAID, { handler: 2 })).fail.message, 'no');
  assert.equal((await worker.result(PAID, { handler: 3 })).fail.message, 'early');
});

test('cloudEvent: batches, one by one', async (t) => {
  const { worker } = await start(t, `${FRAMEWORK} functions.cloudEvent('a', async (event) => { if (event.id === 'e2') throw new Error('no'); });`);
  const answer = await worker.answer(worker.batch([{ run: 1n, event: PAID }, { run: 2n, event: { ...PAID, id: 'e2' } }]));
  assert.deepEqual(JSON.parse(answer.text).batchItemFailures.map(({ itemIdentifier, error }) => [itemIdentifier, error.message]), [['e2', 'no']]);
});

test('cloudEvent: over HTTP, binary and structured', async (t) => {
  const { worker } = await start(t, `${FRAMEWORK} functions.cloudEvent('a', (event) => event.quiet ? undefined : event.number ? 7 : ({ ...event, data: Buffer.isBuffer(event.data) ? [...event.data] : event.data }));`);
  const binary = (headers, body) => worker.get('/', { method: 'POST', headers: [['ce-id', 'e1'], ['ce-source', '/shop'], ['ce-type', 'orders%20paid'], ['ce-specversion', '1.0'], ...headers], body });
  const event = { id: 'e1', source: '/shop', type: 'orders paid', specversion: '1.0' };
  assert.deepEqual(JSON.parse((await binary([['content-type', 'application/json'], ['traceparent', '00-a']], '{"n":1}')).text), { ...event, datacontenttype: 'application/json', data: { n: 1 }, traceparent: '00-a' });
  assert.deepEqual(JSON.parse((await binary([['content-type', 'text/plain']], 'x')).text), { ...event, datacontenttype: 'text/plain', data: 'x' });
  assert.deepEqual(JSON.parse((await binary([['content-type', 'image/png']], Buffer.from([1, 2]))).text), { ...event, datacontenttype: 'image/png', data: [1, 2] });
  const structured = (body, type = 'application/cloudevents+json; charset=utf-8') => worker.get('/', { method: 'POST', headers: [['content-type', type]], body: JSON.stringify(body) });
  assert.deepEqual(JSON.parse((await structured(PAID)).text), PAID);
  assert.deepEqual(JSON.parse((await structured({ ...PAID, data: undefined, data_base64: 'AQI=' })).text).data, [1, 2]);
  assert.equal((await structured({ ...PAID, quiet: true })).status, 204);
  assert.equal((await structured({ ...PAID, number: true })).text, '7');
  for (const answer of [await structured(PAID, 'application/json'), await structured(7), await worker.get('/')]) {
    assert.equal(answer.status, 400);
    assert.match(answer.text, /carries no CloudEvent/);
  }
});

test('typed: JSON in and out, or in a format of its own', async (t) => {
  const { worker } = await start(t, `${FRAMEWORK}
    functions.typed('sum', ({ a, b }) => a + b);
    functions.typed('shout', { handler: async (text) => text.toUpperCase(), format: {
      deserializeRequest: (request) => request.header('X-Prefix') + request.body(),
      serializeResponse: (response, value) => { response.setHeader('content-type', 'text/plain'); response.write(value); response.end('!'); } } });`, { handlers: ['sum', 'shout'] });
  const sum = await worker.get('/', { method: 'POST', body: '{"a":1,"b":2}' });
  assert.deepEqual([sum.headers['content-type'], sum.text], ['application/json', '3']);
  const bad = await worker.get('/', { method: 'POST', body: '{' });
  assert.equal(bad.status, 400);
  assert.equal((await worker.get('/', { handler: 1, method: 'POST', headers: [['x-prefix', 'a']], body: 'b' })).text, 'AB!');
  assert.equal(await worker.result({ ...PAID, data: { a: 3, b: 4 } }), 7);
});

test('which one: by name, the only one, or the one called like the function', async (t) => {
  const two = `${FRAMEWORK} functions.http('books', () => 'books'); functions.http('other', () => 'other'); exports.plain = () => 'plain';`;
  const { worker, loaded } = await start(t, two, { handlers: ['other', null, 'plain', 'nothing'] });
  assert.deepEqual([loaded.exports, loaded.missing], [['books', 'other', 'plain'], ['nothing']]);
  assert.equal((await worker.get('/')).text, 'other');
  assert.equal((await worker.get('/', { handler: 1 })).text, 'books');
  assert.equal((await worker.get('/', { handler: 2 })).text, 'plain');
  const none = await start(t, two, { function: 'third' });
  assert.deepEqual(none.loaded.missing, [null]);
});

test('imports, in modules of every kind', async (t) => {
  const cases = {
    'index.mjs': "import * as functions from '@google-cloud/functions-framework'; functions.http('a', () => 'ok');",
    'named.mjs': "import { http } from '@google-cloud/functions-framework'; http('a', () => 'ok');",
    'default.mjs': "import functions from '@google-cloud/functions-framework'; functions.http('a', () => 'ok');",
    'index.js': "import { http } from '@google-cloud/functions-framework';\nhttp('a', () => 'ok');",
  };
  for (const [file, code] of Object.entries(cases)) {
    const { worker } = await start(t, code, { file });
    assert.equal((await worker.get('/')).text, 'ok', file);
  }
});

test('the package itself is not loaded, also where it is installed', async (t) => {
  const { worker, loaded } = await start(t, {
    'index.js': `${FRAMEWORK} functions.http('a', () => 'ok');`,
    'node_modules/@google-cloud/functions-framework/package.json': '{"main":"index.js"}',
    'node_modules/@google-cloud/functions-framework/index.js': "throw new Error('loaded');",
  });
  assert.equal(loaded.ok, true);
  assert.equal((await worker.get('/')).text, 'ok');
});

test('what cannot be registered', async (t) => {
  const bad = async (code) => (await start(t, `${FRAMEWORK} ${code}`)).loaded.error;
  assert.match((await bad("functions.http('a b', () => 1);")).message, /Invalid function name: a b/);
  const error = await bad("\nfunctions.cloudEvent('a', 7);");
  assert.match(error.message, /functions\.cloudEvent\('a', …\) takes a function, not number/);
  assert.deepEqual([error.file, error.line], ['functions/books/index.js', 2]);
});
