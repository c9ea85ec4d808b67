'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start, frames } = require('./harness');

const CREDIT = 262_144;

function dataBytes(worker, stream) {
  return worker.frames.filter((one) => one.kind === frames.DATA && one.stream === stream).reduce((sum, one) => sum + one.payload.length, 0);
}

function granted(worker, stream) {
  return worker.frames.filter((one) => one.kind === frames.CREDIT && one.stream === stream).reduce((sum, one) => sum + one.payload.readUInt32LE(0), 0);
}

/** Waits until nothing more comes on a stream that is out of credit: a round trip shows it. */
async function roundTrip(worker, number) {
  const before = worker.frames.length;
  worker.send(frames.PING, 0, Buffer.from([number, 0, 0, 0]));
  const pong = await worker.frame(frames.PONG, 0, before);
  assert.equal(pong.payload.readUInt32LE(0), number);
}

test('an answer stops at its credit and goes on with more', async (t) => {
  const { worker } = await start(t, `module.exports = async (req, res) => {
    let waits = 0;
    for (let i = 0; i < 30; i++) if (!res.write(Buffer.alloc(50_000, i))) { waits++; await require('node:events').once(res, 'drain'); }
    res.end(String(waits));
  };`);
  const stream = worker.http('/');
  await worker.until(() => dataBytes(worker, stream) === CREDIT, 'all of the credit to be used');
  await roundTrip(worker, 7);
  await roundTrip(worker, 8);
  assert.equal(dataBytes(worker, stream), CREDIT);
  worker.credit(stream, 100_000);
  await worker.until(() => dataBytes(worker, stream) === CREDIT + 100_000, 'the further credit to be used');
  worker.credit(stream, 10_000_000);
  const answer = await worker.answer(stream);
  assert.equal(answer.body.length, 1_500_000 + String(answer.body.subarray(1_500_000)).length);
  assert.ok(Number(answer.body.subarray(1_500_000)) > 0, 'write() said that it waits');
  for (let i = 0; i < 30; i++) assert.equal(answer.body[i * 50_000 + 49_999], i);
});

test('a large answer given at once is streamed with its length', async (t) => {
  const { worker } = await start(t, "module.exports = (req, res) => res.send('ä'.repeat(1_500_000));");
  const stream = worker.http('/');
  await worker.until(() => dataBytes(worker, stream) === CREDIT, 'the credit to be used');
  worker.credit(stream, 10_000_000);
  const answer = await worker.answer(stream);
  assert.equal(answer.headers['content-length'], '3000000');
  assert.equal(answer.text, 'ä'.repeat(1_500_000));
});

test('an answer of some hundred KiB leaves as one frame', async (t) => {
  const { worker } = await start(t, "module.exports = (req, res) => res.end(Buffer.alloc(900_000, 'x'));");
  const answer = await worker.get('/');
  assert.equal(answer.frames.length, 1);
  assert.equal(answer.body.length, 900_000);
});

test('a body that is read is granted again; one that is not, is not', async (t) => {
  const { worker } = await start(t, `const events = require('node:events');
    const gate = new events.EventEmitter();
    module.exports = async (req, res) => {
      if (req.url === '/open') { gate.emit('open'); return 'opened'; }
      if (req.url === '/wait') await events.once(gate, 'open');
      let n = 0; for await (const chunk of req) n += chunk.length;
      return String(n);
    };`);
  const stream = worker.http('/', { method: 'PUT', open: true, body: 'start' });
  for (let i = 0; i < 4; i++) worker.data(stream, Buffer.alloc(65_536));
  await worker.until(() => granted(worker, stream) >= CREDIT - 65_536, 'credit to be granted');
  worker.data(stream, Buffer.alloc(65_536));
  worker.end(stream);
  assert.equal((await worker.answer(stream)).text, String(5 + 5 * 65_536));
  assert.ok(granted(worker, stream) <= 5 * 65_536, 'the opening frame uses no credit');

  const idle = worker.http('/wait', { method: 'PUT', open: true });
  for (let i = 0; i < 4; i++) worker.data(idle, Buffer.alloc(65_536));
  await roundTrip(worker, 1);
  assert.equal(granted(worker, idle), 0);
  await worker.get('/open');
  await worker.until(() => granted(worker, idle) > 0, 'credit once it is read');
  worker.end(idle);
  assert.equal((await worker.answer(idle)).text, String(CREDIT));
});

test('a body goes through the handler as it comes', async (t) => {
  const { worker } = await start(t, 'module.exports = (req, res) => { req.pipe(res); };');
  const stream = worker.http('/', { method: 'POST', open: true, body: 'a' });
  const read = () => worker.frames.filter((one) => one.stream === stream && one.kind === frames.DATA).map((one) => one.payload.toString()).join('');
  await worker.until(() => read() === 'a', 'the first piece');
  worker.data(stream, 'b');
  await worker.until(() => read() === 'ab', 'the second piece');
  worker.end(stream);
  assert.equal((await worker.answer(stream)).text, 'ab');
});

test('a streamed JSON body is there before the handler starts; a larger one is read by it', async (t) => {
  const { worker } = await start(t, 'module.exports = (req, res) => res.json([req.body ?? null]);', { bodyLimit: 100 });
  const type = ['content-type', 'application/json'];
  const small = worker.http('/', { method: 'POST', open: true, headers: [type, ['content-length', '7']], body: '{"a"' });
  worker.data(small, ':1}');
  worker.end(small);
  assert.equal((await worker.answer(small)).text, '[{"a":1}]');
  const large = worker.http('/', { method: 'POST', open: true, headers: [type, ['content-length', '101']] });
  assert.equal((await worker.answer(large)).text, '[null]');
  const lying = worker.http('/', { method: 'POST', open: true, headers: [type, ['content-length', '1']] });
  worker.data(lying, 'x'.repeat(101));
  const refused = await worker.answer(lying);
  assert.equal(refused.status, 413);
  assert.match(refused.text, /larger than 100 bytes/);
});

test('frames that arrive byte by byte, many at once, and large ones', async (t) => {
  const { worker } = await start(t, 'module.exports = async (req, res) => String((await req.buffer()).length) + req.url;', { bodyLimit: 16_000_000 });
  const { stream, bytes } = worker.httpFrame('/slow', { method: 'POST', body: 'abc' });
  for (const byte of bytes) {
    worker.socket.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await worker.answer(stream)).text, '3/slow');
  const many = Array.from({ length: 2000 }, (_, i) => worker.httpFrame(`/${i}`, { method: 'POST', body: 'x'.repeat(i % 300) }));
  worker.socket.write(Buffer.concat(many.map((one) => one.bytes)));
  for (const [i, one] of many.entries()) assert.equal((await worker.answer(one.stream)).text, `${i % 300}/${i}`);
  assert.equal((await worker.get('/large', { method: 'POST', body: Buffer.alloc(12_000_000) })).text, '12000000/large');
});

test('a caller that goes away: signal, request and answer all end', async (t) => {
  const { worker } = await start(t, `module.exports = (req, res) => {
    req.signal.addEventListener('abort', () => console.log('signal ' + req.signal.reason.name));
    res.on('close', () => { console.log('close ' + res.writableEnded); });
    req.on('error', (error) => console.log('request ' + error.name));
    req.resume();
    res.write('begun');
  };`);
  const stream = worker.http('/', { method: 'POST', open: true });
  await worker.frame(frames.RESPONSE, stream);
  worker.cancel(stream, 1);
  const lines = await worker.until(() => worker.logs().length >= 3 && worker.logs().map((line) => line.text).sort(), 'three lines');
  assert.deepEqual(lines, ['close false', 'request AbortError', 'signal AbortError']);
});

test('a cancelled answer that waits for credit does not hang, and its stream ends', async (t) => {
  const { worker } = await start(t, `const { pipeline } = require('node:stream/promises');
    module.exports = async (req, res) => {
      if (req.url === '/ping') return 'pong';
      await pipeline(async function* () { for (;;) yield Buffer.alloc(60_000); }, res);
    };`);
  const stream = worker.http('/');
  await worker.until(() => dataBytes(worker, stream) === CREDIT, 'the credit to be used');
  worker.cancel(stream, 0);
  const answer = await worker.answer(stream);
  assert.equal(answer.fail.kind, 'user_error');
  assert.equal((await worker.get('/ping')).text, 'pong');
});

test('a timeout aborts an event handler\'s signal with a TimeoutError', async (t) => {
  const { worker } = await start(t, `module.exports = (event, context) => new Promise((resolve) => {
    context.signal.addEventListener('abort', () => resolve(context.signal.reason.name));
  });`);
  const stream = worker.event({ specversion: '1.0', id: '1', type: 't', data: 1 });
  await roundTrip(worker, 3);
  worker.cancel(stream, 0);
  assert.equal((await worker.answer(stream)).text, '"TimeoutError"');
});

test('a failing source breaks the answer off', async (t) => {
  const { worker } = await start(t, `module.exports = () => (async function* () { yield 'a'; throw new Error('no more'); })();`);
  const answer = await worker.answer(worker.http('/'));
  assert.equal(answer.status, 200);
  assert.equal(answer.fail.kind, 'user_error');
  assert.equal(answer.fail.message, 'no more');
});

test('several may ask for the whole body at once', async (t) => {
  const { worker } = await start(t, `module.exports = async (req) => {
    const [text, bytes] = await Promise.all([req.text(), req.buffer()]);
    return text + bytes.length + (await req.text());
  };`);
  const stream = worker.http('/', { method: 'POST', open: true, body: 'a' });
  await roundTrip(worker, 1);
  worker.data(stream, 'b');
  worker.end(stream);
  assert.equal((await worker.answer(stream)).text, 'ab2ab');
});

test('answers of all sizes that pile up come whole and in order', async (t) => {
  const { worker } = await start(t, `module.exports = (req, res) => {
    const size = Number(req.url.slice(1));
    res.end(size % 2 ? 'x'.repeat(size) : Buffer.alloc(size, 'x'));
  };`);
  const sizes = Array.from({ length: 400 }, (_, i) => [1, 20_000, 40_001, 300, 200_000, 131_072, 32_768, 10_923][i % 8] + (i % 3));
  for (const paused of [true, false]) {
    if (paused) worker.socket.pause();
    const streams = [];
    for (const size of sizes) {
      streams.push(worker.http(`/${size}`));
      if (!paused) await worker.answer(streams.at(-1));
    }
    // Nothing is read until much waits: the system takes only a part of what is written.
    if (paused) setTimeout(() => worker.socket.resume(), 200);
    for (const [i, stream] of streams.entries()) assert.equal((await worker.answer(stream)).text, 'x'.repeat(sizes[i]));
  }
  assert.ok(worker.child.exitCode === null);
});
