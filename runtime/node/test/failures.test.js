'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start, frames } = require('./harness');

const EVENT = { specversion: '1.0', id: '1', source: '/s', type: 'x.y', data: {} };

/** What goes wrong in a handler, how it is called, and what is said about it. */
function check(name, code, expected, { http = false } = {}) {
  test(name, async (t) => {
    const { worker } = await start(t, `module.exports = ${code};`);
    const answer = await worker.answer(http ? worker.http('/') : worker.event(EVENT));
    const { kind = 'user_error', name: errorName = 'Error', message, exits } = expected;
    assert.equal(answer.fail.kind, kind);
    assert.equal(answer.fail.name, errorName);
    assert.match(answer.fail.message, message);
    assert.ok(!answer.fail.stack.includes('/runtime/node/'), answer.fail.stack);
    if (exits === undefined) {
      // The worker goes on.
      const again = await worker.answer(http ? worker.http('/') : worker.event(EVENT));
      assert.equal(again.fail.kind, kind);
    } else {
      assert.deepEqual(await worker.exited, { code: exits, signal: null });
    }
  });
}

check('a synchronous throw', "() => { throw new TypeError('bad'); }", { name: 'TypeError', message: /^bad$/ });
check('a rejection', "async () => { throw new RangeError('bad'); }", { name: 'RangeError', message: /^bad$/ });
check('a throw that is no error', "async () => { throw { a: 1 }; }", { message: /^\{ a: 1 \}$/ });
check('a throw of undefined', 'async () => { throw undefined; }', { message: /^undefined$/ });
check('an error that cannot be looked at', "async () => { const e = new Error('x'); Object.defineProperty(e, 'message', { get() { throw 1; } }); throw e; }", { message: /^undefined$/ });
check('an error that is its own cause', "async () => { const e = new Error('me'); e.cause = e; throw e; }", { message: /^me$/ });
check('a proxy that refuses everything', "async () => { throw new Proxy({}, { getPrototypeOf() { throw 1; }, get() { throw 2; } }); }", { message: /./ });
check('a throw before the answer', "(req, res) => { throw new Error('bad'); }", { message: /^bad$/ }, { http: true });
check('a rejection before the answer', "async (req, res) => { throw new Error('bad'); }", { message: /^bad$/ }, { http: true });
check('a circular result', 'async () => { const a = {}; a.a = a; return a; }', { name: 'TypeError', message: /cannot be written as JSON: Converting circular/ });
check('a BigInt result', 'async () => ({ a: 1n })', { name: 'TypeError', message: /cannot be written as JSON: Do not know how to serialize a BigInt/ });
check('a result that is too large', "async () => 'x'.repeat(7 * 1024 * 1024)", { name: 'RangeError', message: /larger than 6291456 bytes/ });
check('a circular answer', 'async () => { const a = {}; a.a = a; return a; }', { name: 'TypeError', message: /circular/ }, { http: true });
check('process.exit', '() => process.exit(3)', { kind: 'crash', message: /^process\.exit\(3\) was called$/, exits: 3 });
check('process.exit later', '() => new Promise(() => setTimeout(() => process.exit(), 1))', { kind: 'crash', message: /^process\.exit\(\) was called$/, exits: 0 });
check('an uncaught exception', "() => new Promise(() => setTimeout(() => { throw new Error('boom'); }, 1))", { kind: 'crash', message: /^boom$/, exits: 1 });
check('an error event that nobody hears', "() => new Promise(() => setTimeout(() => new (require('node:events'))().emit('error', new Error('deaf')), 1))", { kind: 'crash', message: /^deaf$/, exits: 1 });
check('an unhandled rejection', "() => new Promise(() => { Promise.reject(new Error('lost')); })", { message: /^lost$/ });
check('an unhandled rejection after a wait', "() => new Promise(() => { setTimeout(async () => { throw new Error('lost'); }, 1); })", { message: /^lost$/ });

test('the stack shows the user\'s path and the cause, and nothing of ours', async (t) => {
  const { worker, root } = await start(t, "module.exports = async () => {\n  throw new Error('outer', { cause: new Error('inner') });\n};");
  const { fail } = await worker.answer(worker.event(EVENT));
  assert.match(fail.stack, /^Error: outer\n {4}at module\.exports \(functions\/books\/index\.js:2:9\)/);
  assert.match(fail.stack, /\nCaused by: Error: inner\n {4}at .*functions\/books\/index\.js:2:/);
  assert.ok(!fail.stack.includes(root));
  assert.ok(!fail.stack.includes('runtime/node'));
});

test('after the start of the answer an error breaks it off', async (t) => {
  const { worker } = await start(t, "module.exports = async (req, res) => { res.write('a'); await 1; throw new Error('late'); };");
  const answer = await worker.answer(worker.http('/'));
  assert.equal(answer.status, 200);
  assert.equal(answer.text, 'a');
  assert.equal(answer.fail.message, 'late');
});

test('only the culprit is charged when the process ends', async (t) => {
  const { worker } = await start(t, `module.exports = (req) => new Promise(() => {
    if (req.url === '/bad') setTimeout(() => { throw new Error('boom'); }, 5);
    else setTimeout(() => {}, 60_000);
  });`);
  worker.http('/good');
  worker.http('/good');
  const bad = worker.http('/bad');
  assert.deepEqual(await worker.exited, { code: 1, signal: null });
  const failed = worker.frames.filter((one) => one.kind === frames.FAIL).map((one) => one.stream);
  assert.deepEqual(failed, [bad]);
});

test('a rejection fails its own attempt only', async (t) => {
  const { worker } = await start(t, `module.exports = async (req) => {
    if (req.url === '/bad') { Promise.reject(new Error('lost')); await new Promise(() => {}); }
    await new Promise((resolve) => setTimeout(resolve, 50));
    return 'fine';
  };`);
  const good = worker.http('/good');
  const bad = worker.http('/bad');
  assert.equal((await worker.answer(bad)).fail.message, 'lost');
  assert.equal((await worker.answer(good)).text, 'fine');
});

test('what fails after the answer is logged with the run, and charged to nobody', async (t) => {
  const { worker } = await start(t, "module.exports = (req, res) => { res.end('x'); setTimeout(() => Promise.reject(new Error('afterwards')), 1); };");
  assert.equal((await worker.get('/')).text, 'x');
  const line = await worker.until(() => worker.logs(0).find((one) => one.level === 3), 'a line');
  assert.match(line.text, /afterwards/);
  assert.deepEqual(line.fields, { run: 'run_128ggyhyyk08n' });
  assert.equal((await worker.get('/')).text, 'x');
});

test('last words get through although much is pending', async (t) => {
  const { worker } = await start(t, `module.exports = (req, res) => {
    if (req.url === '/fill') { res.end(Buffer.alloc(1_000_000, 'f')); return; }
    process.exit(9);
  };`);
  // The socket is not read: frames pile up in the worker before it exits.
  worker.socket.pause();
  const streams = Array.from({ length: 8 }, () => worker.http('/fill'));
  const last = worker.http('/exit');
  setTimeout(() => worker.socket.resume(), 100);
  const answer = await worker.answer(last);
  assert.equal(answer.fail.message, 'process.exit(9) was called');
  for (const stream of streams) assert.equal((await worker.answer(stream)).body.length, 1_000_000);
  assert.equal((await worker.exited).code, 9);
});

for (const [name, code, http] of [
  ['a promise that nothing can resolve', 'async () => { await new Promise(() => {}); }', false],
  ['a request that nobody answers', '(req, res) => {}', true],
  ['an async handler that answers nothing', 'async (req, res) => {}', true],
]) {
  test(`missing response: ${name}`, async (t) => {
    const { worker } = await start(t, `module.exports = ${code};`);
    const answer = await worker.answer(http ? worker.http('/') : worker.event(EVENT));
    assert.equal(answer.fail.kind, 'missing_response');
    assert.match(answer.fail.message, /gave no answer, and nothing is left running/);
    const again = await worker.answer(http ? worker.http('/') : worker.event(EVENT));
    assert.equal(again.fail.kind, 'missing_response');
  });
}

test('missing response: an answer that is not ended, but no lambda callback that is never called', async (t) => {
  // On Lambda it has succeeded.
  const { worker } = await start(t, 'exports.handler = (event, context, callback) => {};', { style: 'lambda' });
  assert.equal((await worker.answer(worker.event(EVENT))).text, '');
  const second = await start(t, 'module.exports = (req, res) => { res.write("a"); };');
  const answer = await second.worker.answer(second.worker.http('/'));
  assert.equal(answer.fail.kind, 'missing_response');
  assert.match(answer.fail.message, /began an answer and did not end it/);
});

test('no attempt that something can still finish is given up', async (t) => {
  const { worker } = await start(t, `const { promisify } = require('node:util');
    const waits = {
      timer: () => new Promise((resolve) => setTimeout(resolve, 3000)),
      scrypt: () => promisify(require('node:crypto').scrypt)('a', 'b', 64, { N: 2 ** 17, p: 7, maxmem: 2 ** 30 }),
      child: () => promisify(require('node:child_process').execFile)(process.execPath, ['-e', 'setTimeout(() => {}, 2500)']),
      server: () => require('wakeful').db.shop.query('select 1'),
      body: (req) => req.buffer(),
    };
    module.exports = async (req, res) => { await waits[req.url.slice(1)](req); return 'done'; };`);
  const one = async (name, options) => (await worker.answer(worker.http(`/${name}`, options))).text;
  const results = [];
  for (const name of ['timer', 'scrypt', 'child']) results.push(await one(name));
  const server = one('server');
  const call = await worker.call(0);
  await new Promise((resolve) => setTimeout(resolve, 2500));
  worker.reply(call.stream, { columns: [], rows: [], changes: 0, lastInsertRowid: 0 });
  results.push(await server);
  const upload = worker.http('/body', { method: 'PUT', open: true });
  await new Promise((resolve) => setTimeout(resolve, 2500));
  worker.end(upload);
  results.push((await worker.answer(upload)).text);
  assert.deepEqual(results, ['done', 'done', 'done', 'done', 'done']);
});

test('a missing handler, and an attempt before loading', async (t) => {
  const { worker, loaded } = await start(t, 'exports.a = () => 1;', { handlers: ['a', 'nope'] });
  assert.deepEqual(loaded.missing, ['nope']);
  const answer = await worker.answer(worker.http('/', { handler: 1 }));
  assert.equal(answer.fail.kind, 'load');
  assert.match(answer.fail.message, /functions\/books\/index\.js has no function as an export `nope`/);
});

test('RETIRE waits for what runs, and then exits with 0', async (t) => {
  const { worker } = await start(t, "module.exports = async () => { await new Promise((resolve) => setTimeout(resolve, 100)); return 'late'; };");
  const stream = worker.http('/');
  worker.send(frames.RETIRE, 0);
  assert.equal((await worker.answer(stream)).text, 'late');
  assert.deepEqual(await worker.exited, { code: 0, signal: null });
});

test('the process ends with its socket, whatever user code does', async (t) => {
  const { worker } = await start(t, "process.on('exit', () => { for (;;); }); setInterval(() => {}, 1000); module.exports = () => 1;");
  worker.socket.destroy();
  assert.deepEqual(await worker.exited, { code: 0, signal: null });
});

test('a frame that the protocol does not allow ends the worker', async (t) => {
  const { worker } = await start(t, 'module.exports = () => 1;');
  worker.socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 1]));
  assert.equal((await worker.exited).code, 1);
  assert.match(worker.logs(0).at(-1).text, /a frame of 4294967295 bytes/);
});

for (const [name, code] of [
  ['process.exit', 'process.exit(4)'],
  ['an exception', "throw new Error('4')"],
]) {
  test(`${name} after the answer still names its attempt`, async (t) => {
    const { worker } = await start(t, `module.exports = (req, res) => { if (req.url === '/wait') return; res.end('x'); setTimeout(() => { ${code}; }, 20); };`);
    worker.http('/wait');
    const culprit = worker.http('/');
    assert.equal((await worker.answer(culprit)).text, 'x');
    await worker.exited;
    const fails = worker.frames.filter((one) => one.kind === frames.FAIL);
    assert.deepEqual(fails.map((one) => [one.stream, JSON.parse(one.payload).kind]), [[culprit, 'crash']]);
    assert.match(worker.logs(0).at(-1).text, /^The worker ends: Error: /);
  });
}

test('a crash that belongs to no attempt is named by stream 0', async (t) => {
  const { worker } = await start(t, "setTimeout(() => { throw new Error('stray'); }, 100); module.exports = (req, res) => {};");
  worker.http('/');
  await worker.exited;
  const fails = worker.frames.filter((one) => one.kind === frames.FAIL);
  assert.deepEqual(fails.map((one) => [one.stream, JSON.parse(one.payload).message]), [[0, 'stray']]);
});

test('a debugger can ask whose code runs', async (t) => {
  const { worker } = await start(t, `const current = globalThis[Symbol.for('wakeful.current')]; const outside = current();
    module.exports = async (req, res) => { await new Promise((resolve) => setTimeout(resolve, 5)); return [outside, current()].join(); };`);
  const first = worker.http('/');
  const second = worker.http('/');
  assert.equal((await worker.answer(second)).text, `0,${second}`);
  assert.equal((await worker.answer(first)).text, `0,${first}`);
});

test('a body that is not read to its end when the answer ends harms nobody', async (t) => {
  const { worker } = await start(t, `const fs = require('node:fs');
    module.exports = (req, res) => {
      if (req.url === '/ping') return 'pong';
      req.pipe(new (require('node:stream').PassThrough)()).resume();
      req.on('close', () => console.log('closed'));
      setTimeout(() => res.end('early'), 5);
    };`);
  const stream = worker.http('/', { method: 'POST', open: true, body: 'a' });
  assert.equal((await worker.answer(stream)).text, 'early');
  await worker.until(() => worker.logs().some((line) => line.text === 'closed'), 'the request to close');
  assert.equal((await worker.get('/ping')).text, 'pong');
});

test('children of user code do not inherit the socket', async (t) => {
  const { worker } = await start(t, `const { execFileSync } = require('node:child_process');
    module.exports = () => [require('node:fs').readlinkSync('/proc/self/fd/3'), execFileSync('/bin/sh', ['-c', 'ls -l /proc/self/fd']).toString()];`);
  const [socket, children] = JSON.parse((await worker.get('/')).text);
  assert.match(socket, /^socket:\[\d+\]$/);
  assert.ok(!children.includes(socket), children);
});

for (const [name, code] of [
  ['at once', "res.setHeader('x-a', 'a'.repeat(17 * 1024 * 1024)); res.end('x');"],
  ['in a callback', "setTimeout(() => { res.setHeader('x-a', 'a'.repeat(17 * 1024 * 1024)); res.end('x'); }, 1);"],
  ['of a streamed answer', "setTimeout(() => { res.setHeader('x-a', 'a'.repeat(17 * 1024 * 1024)); res.write('x'); res.end('y'); }, 1);"],
  ['of a large answer', "res.setHeader('x-a', 'a'.repeat(17 * 1024 * 1024)); res.end(Buffer.alloc(2_000_000));"],
]) {
  test(`headers that no frame can hold fail their attempt only: ${name}`, async (t) => {
    const { worker } = await start(t, `module.exports = (req, res) => { if (req.url === '/ping') return 'pong'; ${code} };`);
    const { fail, status } = await worker.get('/');
    assert.deepEqual([fail.kind, fail.name, status], ['user_error', 'RangeError', undefined]);
    assert.match(fail.message, /headers of the answer take 1782\d+ bytes/);
    assert.equal((await worker.get('/ping')).text, 'pong');
  });
}

test('bodyLimit is for bodies of requests, not for results', async (t) => {
  const { worker } = await start(t, "module.exports = () => 'x'.repeat(1000);", { bodyLimit: 100 });
  assert.equal((await worker.result(EVENT)).length, 1000);
  const lambda = await start(t, "exports.handler = async () => 'x'.repeat(1000);", { bodyLimit: 100 });
  assert.equal((await lambda.worker.result(EVENT)).length, 1000);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`${signal} ends a worker only once the server lets it go`, async (t) => {
    const { worker } = await start(t, `module.exports = async (req, res) => {
      if (req.url === '/ping') return 'pong';
      console.log('started'); res.write('a'); await new Promise((resolve) => setTimeout(resolve, 60_000));
    };`);
    const stream = worker.http('/');
    await worker.frame(frames.RESPONSE, stream);
    worker.child.kill(signal);
    assert.equal((await worker.get('/ping')).text, 'pong');
    assert.equal((await worker.get('/ping')).text, 'pong');
    worker.send(frames.RETIRE, 0);
    worker.send(frames.PING, 0, Buffer.alloc(4));
    await worker.frame(frames.PONG);
    worker.child.kill(signal);
    assert.deepEqual(await worker.exited, { code: null, signal });
  });
}

test('the server stops: a signal ends what was told so', async (t) => {
  const { worker } = await start(t, "module.exports = (req, res) => { console.log('started'); setInterval(() => {}, 1000); };");
  worker.cancel(worker.http('/'), 2);
  worker.send(frames.PING, 0, Buffer.alloc(4));
  await worker.frame(frames.PONG);
  worker.child.kill('SIGTERM');
  assert.deepEqual(await worker.exited, { code: null, signal: 'SIGTERM' });
});

test('user code keeps its own handlers of signals', async (t) => {
  const { worker } = await start(t, "process.on('SIGTERM', () => console.log('mine')); module.exports = () => 'x';");
  worker.child.kill('SIGTERM');
  await worker.until(() => worker.logs().some((line) => line.text === 'mine'), 'the line');
  worker.send(frames.RETIRE, 0);
  assert.deepEqual(await worker.exited, { code: 0, signal: null });
});

test('the error of a call leads to the line that made it', async (t) => {
  const { worker } = await start(t, "const { db } = require('wakeful');\nmodule.exports = async () => {\n  await db.shop.query('x');\n};");
  const stream = worker.event(EVENT);
  const call = await worker.call(0);
  worker.reply(call.stream, { code: 'invalid', message: 'no such table' }, { flags: frames.FLAG_END | frames.FLAG_ERROR });
  const { fail } = await worker.answer(stream);
  assert.match(fail.stack, /^WakefulError: no such table\n {4}at module\.exports \(functions\/books\/index\.js:3:17\)/);
});
