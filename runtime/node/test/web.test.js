'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start, frames } = require('./harness');

async function startWeb(t, fetch) {
  const { worker, loaded } = await start(t, `export default { fetch: ${fetch} };`, { file: 'index.mjs' });
  assert.equal(loaded.style, 'web', JSON.stringify(loaded));
  return worker;
}

test('request, environment and response', async (t) => {
  const worker = await startWeb(t, `async (request, env, ctx) => Response.json({
    url: request.url, method: request.method, a: request.headers.get('x-a'), body: await request.text(), word: env.WORD, id: ctx.runId,
  }, { status: 201, headers: [['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['x-b', '1']] })`);
  const answer = await worker.get('/a?b=c', { method: 'PUT', body: 'text', headers: [['host', 'h.test:8080'], ['x-a', '1'], ['x-a', '2']] });
  assert.equal(answer.status, 201);
  assert.deepEqual(answer.headers, { 'content-type': 'application/json', 'set-cookie': ['a=1', 'b=2'], 'x-b': '1' });
  assert.deepEqual(JSON.parse(answer.text), { url: 'http://h.test:8080/a?b=c', method: 'PUT', a: '1, 2', body: 'text', id: 'run_128ggyhyyk08n' });
  assert.equal(answer.frames.length, 1);
});

test('bodies stream both ways', async (t) => {
  const worker = await startWeb(t, "(request) => new Response(request.body.pipeThrough(new TransformStream({ transform(chunk, to) { to.enqueue(new TextEncoder().encode(new TextDecoder().decode(chunk).toUpperCase())); } })))");
  const stream = worker.http('/', { method: 'POST', open: true, body: 'a' });
  const read = () => worker.frames.filter((one) => one.stream === stream && one.kind === frames.DATA).map((one) => one.payload.toString()).join('');
  await worker.until(() => read() === 'A', 'the first piece');
  worker.data(stream, 'b');
  await worker.until(() => read() === 'AB', 'the second piece');
  worker.end(stream);
  assert.equal((await worker.answer(stream)).text, 'AB');
});

test('HEAD, redirects and no content', async (t) => {
  const worker = await startWeb(t, "(request) => request.method === 'HEAD' ? new Response('x') : request.url.endsWith('/r') ? new Response(null, { status: 302, headers: { location: '/b' } }) : new Response(null, { status: 204 })");
  assert.equal((await worker.get('/', { method: 'HEAD' })).text, '');
  const redirect = await worker.get('/r');
  assert.deepEqual([redirect.status, redirect.headers], [302, { location: '/b' }]);
  assert.equal((await worker.get('/')).status, 204);
});

test('waitUntil keeps the worker until it is done', async (t) => {
  const worker = await startWeb(t, "(request, env, ctx) => { ctx.waitUntil(new Promise((resolve) => setTimeout(() => { console.log('afterwards'); resolve(); }, 100))); return new Response('now'); }");
  assert.equal((await worker.get('/')).text, 'now');
  worker.send(frames.RETIRE, 0);
  await worker.until(() => worker.logs().some((line) => line.text === 'afterwards'), 'the line');
  assert.equal((await worker.exited).code, 0);
});

test('a caller that goes away cancels the body and aborts the signal', async (t) => {
  const worker = await startWeb(t, `(request) => {
    request.signal.addEventListener('abort', () => console.log('aborted'));
    return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(60_000)); }, cancel() { console.log('cancelled'); } }));
  }`);
  const stream = worker.http('/');
  await worker.frame(frames.DATA, stream);
  worker.cancel(stream, 1);
  assert.equal((await worker.answer(stream)).fail.name, 'AbortError');
  await worker.until(() => worker.logs().map((line) => line.text).sort().join() === 'aborted,cancelled', 'both lines');
});

for (const [name, fetch, message] of [
  ['no Response', '() => "text"', /fetch\(\) must return a Response, not string/],
  ['a throw', "() => { throw new Error('bad'); }", /^bad$/],
  ['a failing body', "() => new Response(new ReadableStream({ pull() { throw new Error('torn'); } }))", /^torn$/],
]) {
  test(`fails: ${name}`, async (t) => {
    const worker = await startWeb(t, fetch);
    const answer = await worker.get('/');
    assert.equal(answer.fail.kind, 'user_error');
    assert.match(answer.fail.message, message);
  });
}

test('an event has no fetch; a named export beside it may take it', async (t) => {
  const { worker } = await start(t, "export default { fetch: () => new Response('x') }; export const row = (event) => event.data;", { file: 'index.mjs', handlers: [null, 'row'] });
  assert.match((await worker.answer(worker.event({ id: '1', type: 't', data: 5 }))).fail.message, /has no `queue` in its default export: add one, or name an export/);
  assert.equal(await worker.result({ id: '1', type: 't', data: 5 }, { handler: 1 }), 5);
});

test('a large answer of one piece is streamed with its length', async (t) => {
  const worker = await startWeb(t, "() => new Response(new Uint8Array(20 * 1024 * 1024).fill(97), { headers: { 'x-a': '1' } })");
  const stream = worker.http('/');
  await worker.frame(frames.DATA, stream);
  worker.credit(stream, 20 * 1024 * 1024);
  const answer = await worker.answer(stream);
  assert.equal(answer.fail, undefined);
  assert.equal(answer.body.length, 20 * 1024 * 1024);
  assert.deepEqual(answer.headers, { 'content-length': String(20 * 1024 * 1024), 'x-a': '1' });
});

test('an answer fetched from elsewhere is passed on as it is decoded', async (t) => {
  const worker = await startWeb(t, `async (request) => {
    const zlib = require('node:zlib');
    const text = 'word '.repeat(5000);
    const upstream = require('node:http').createServer((req, res) => {
      if (req.url === '/unknown') { res.writeHead(200, { 'content-encoding': 'secret' }); res.end('raw'); return; }
      const bytes = zlib.gzipSync(text);
      res.writeHead(200, { 'content-encoding': 'gzip', 'content-length': bytes.length, 'x-up': '1' }); res.end(bytes);
    });
    await new Promise((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    upstream.unref();
    return fetch('http://127.0.0.1:' + upstream.address().port + new URL(request.url).pathname);
  } }; import { createRequire } from 'node:module'; const require = createRequire(import.meta.url); export const other = { a: () => 1`);
  const answer = await worker.get('/');
  assert.equal(answer.text, 'word '.repeat(5000));
  assert.equal(answer.headers['x-up'], '1');
  assert.equal(answer.headers['content-encoding'], undefined);
  assert.equal(answer.headers['content-length'], undefined);
  assert.equal((await worker.get('/unknown')).headers['content-encoding'], 'secret');
});
