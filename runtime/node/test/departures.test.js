'use strict';
// Callers that go away, and what has to end with them.

const assert = require('node:assert/strict');
const test = require('node:test');
const { start, frames } = require('./harness');

const CALLER_LEFT = 1;

/** Resolves once a line with this text was logged. */
function logged(worker, text) {
  return worker.until(() => worker.logs().some((line) => line.text === text), `the line ${text}`);
}

/** A handler that has returned while its answer goes on: its caller leaves, and its stream ends. */
function ends(name, code, { lines = [], begun = true, files = {}, settings = {}, ...request } = {}) {
  test(`ends with its caller: ${name}`, async (t) => {
    const { worker } = await start(t, { [settings.file ?? 'index.js']: code, ...files }, settings);
    const stream = worker.http('/', request);
    if (begun) await worker.frame(frames.RESPONSE, stream);
    else await logged(worker, 'started');
    worker.cancel(stream, CALLER_LEFT);
    const { fail } = await worker.answer(stream);
    assert.equal(fail.name, 'AbortError');
    assert.equal(fail.kind, 'user_error');
    for (const line of lines) await logged(worker, line);
    worker.send(frames.RETIRE, 0);
    assert.deepEqual(await worker.exited, { code: 0, signal: null });
  });
}

// The interval shows that it is not the quiet loop that ends them.
const BUSY = 'setInterval(() => {}, 100);';
ends('a written answer', `${BUSY} module.exports = (req, res) => { res.write('a'); };`);
ends('flushed headers', `${BUSY} module.exports = (req, res) => { res.flushHeaders(); };`);
ends('a handler that settles later', `${BUSY} module.exports = async (req, res) => { res.write('a'); await new Promise((r) => req.signal.addEventListener('abort', r)); };`);
ends('events as Express code sends them', `module.exports = (req, res) => {
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  const timer = setInterval(() => res.write('data: 1\\n\\n'), 5);
  req.on('aborted', () => console.log('aborted'));
  req.on('close', () => { clearInterval(timer); console.log('closed ' + req.destroyed + req.aborted); });
};`, { lines: ['aborted', 'closed truetrue'] });
ends('a wait that is told by the request', `${BUSY} module.exports = (req, res) => { req.on('close', () => console.log('closed')); console.log('started'); };`, { begun: false, lines: ['closed'] });
ends('a wait that is told by the answer', `${BUSY} module.exports = (req, res) => { res.on('close', () => console.log('closed')); console.log('started'); };`, { begun: false, lines: ['closed'] });
ends('a body of the web that waits', `${BUSY} export default { fetch: () => new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array(10)); }, cancel() { console.log('cancelled'); } })) };`, {
  settings: { file: 'index.mjs' }, lines: ['cancelled'],
});
ends('a body of the web that never began', `${BUSY} export default { fetch: () => new Response(new ReadableStream({ start() { console.log('started'); }, cancel() { console.log('cancelled'); } })) };`, {
  settings: { file: 'index.mjs' }, begun: false, lines: ['cancelled'],
});
ends('a returned stream of the web', `${BUSY} module.exports = () => new ReadableStream({ start(c) { c.enqueue(new Uint8Array(10)); }, cancel() { console.log('cancelled'); } });`, { lines: ['cancelled'] });
ends('a lambda stream', `${BUSY} exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  stream.write('a'); await new Promise((r) => context.signal.addEventListener('abort', r));
});`);

test('a returned file is closed when its caller leaves', async (t) => {
  const { worker } = await start(t, {
    'large.bin': Buffer.alloc(2_000_000),
    'index.js': `const fs = require('node:fs');
      module.exports = (req) => {
        if (req.url === '/fds') return String(fs.readdirSync('/proc/self/fd').map((fd) => { try { return fs.readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } }).filter((file) => file.endsWith('large.bin')).length);
        return fs.createReadStream('large.bin');
      };`,
  });
  for (let i = 0; i < 5; i++) {
    const stream = worker.http('/');
    await worker.frame(frames.DATA, stream);
    worker.cancel(stream, CALLER_LEFT);
    await worker.answer(stream);
  }
  let open;
  for (let i = 0; i < 50 && open !== '0'; i++) open = (await worker.get('/fds')).text;
  assert.equal(open, '0');
});

test('what an attempt leaves open does not hold its bodies', async (t) => {
  const { worker } = await start(t, `const held = [];
    module.exports = (req, res) => {
      if (req.url === '/size') { global.gc(); return String(process.memoryUsage().arrayBuffers); }
      // As a client with a pool does: it keeps the context that it was opened in.
      held.push(require('node:async_hooks').AsyncResource.bind(() => {}), req.signal);
      res.on('finish', () => {});
      res.end('kept');
    };
    require('node:v8').setFlagsFromString('--expose-gc'); global.gc = require('node:vm').runInNewContext('gc');`);
  for (let i = 0; i < 40; i++) assert.equal((await worker.get('/', { method: 'POST', body: Buffer.alloc(1_000_000) })).text, 'kept');
  let left;
  // Memory of buffers is given back some time after they are collected.
  for (let i = 0; i < 50 && !(left < 10_000_000); i++) left = Number((await worker.get('/size')).text);
  assert.ok(left < 10_000_000, `${left} bytes are held`);
});

test('the request closes with its answer', async (t) => {
  const { worker } = await start(t, `module.exports = (req, res) => {
    req.on('close', () => console.log('request closed')); req.on('aborted', () => console.log('aborted')); res.end('x');
  };`);
  assert.equal((await worker.get('/')).text, 'x');
  await logged(worker, 'request closed');
  assert.deepEqual(worker.logs().map((line) => line.text), ['request closed']);
});

test('finish and close are told to listeners that come after end()', async (t) => {
  const { worker } = await start(t, `const { once } = require('node:events');
    module.exports = async (req, res) => { res.end('x'); await once(res, 'finish'); console.log('finished ' + require('wakeful').context().runId); };`);
  assert.equal((await worker.get('/')).text, 'x');
  await logged(worker, 'finished run_128ggyhyyk08n');
});

test('who does not ask is not disturbed when the caller leaves; the connection says so', async (t) => {
  const { worker } = await start(t, `module.exports = (req, res) => {
    res.on('finish', () => {});
    req.socket.on('close', () => console.log('socket ' + req.socket.destroyed));
    req.signal.addEventListener('abort', () => setTimeout(() => res.end('done all the same'), 50));
    console.log('started');
  };`);
  const stream = worker.http('/');
  await logged(worker, 'started');
  worker.cancel(stream, CALLER_LEFT);
  assert.equal((await worker.answer(stream)).text, 'done all the same');
  await logged(worker, 'socket true');
});
