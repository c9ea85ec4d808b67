'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start, frames } = require('./harness');

const EVENT = { specversion: '1.0', id: '1', type: 't', data: null };

/** A handler that uses the module; `serve` plays the server. Returns the handler's result. */
async function run(t, body, serve, settings = {}) {
  const { worker, loaded } = await start(t, `const { db, bucket, log, context, WakefulError } = require('wakeful');\nmodule.exports = async (event, ctx) => {${body}};`, settings);
  assert.equal(loaded.ok, true, JSON.stringify(loaded));
  const stream = worker.event(EVENT);
  await serve(worker, stream);
  const answer = await worker.answer(stream);
  return answer.fail ? answer : answer.text && JSON.parse(answer.text);
}

const ROWS = { columns: ['id', 'name', 'big', 'bytes'], rows: [[1, 'a', { $int: '9007199254740993' }, { $bytes: 'AQI=' }]], changes: 1, lastInsertRowid: 9 };

for (const [name, files, file] of [
  ['require', { 'index.js': "const { db } = require('wakeful'); exports.a = () => db.shop.get('select 1');" }, 'index.js'],
  ['import', { 'index.mjs': "import { db } from 'wakeful'; export const a = () => db.shop.get('select 1');" }, 'index.mjs'],
  ['import of the default', { 'index.mjs': "import wakeful from 'wakeful'; export const a = () => wakeful.db.shop.get('select 1');" }, 'index.mjs'],
  ['import() in CommonJS', { 'index.js': "exports.a = async () => (await import('wakeful')).db.shop.get('select 1');" }, 'index.js'],
  ['import in a file without a type', { 'index.js': "import { db } from 'wakeful'; export const a = () => db.shop.get('select 1');" }, 'index.js'],
  ['require from a dependency', { 'index.js': "exports.a = require('dep');", 'node_modules/dep/index.js': "const { db } = require('wakeful'); module.exports = () => db.shop.get('select 1');" }, 'index.js'],
  ['require and import give one module', { 'index.mjs': "import { createRequire } from 'node:module'; import { db } from 'wakeful'; if (createRequire(import.meta.url)('wakeful').db !== db) throw 1; export const a = () => db.shop.get('select 1');" }, 'index.mjs'],
]) {
  test(`reached by ${name}`, async (t) => {
    const { worker, loaded } = await start(t, files, { file, handlers: ['a'] });
    assert.equal(loaded.ok, true, JSON.stringify(loaded));
    const stream = worker.event(EVENT);
    const call = await worker.call(0);
    assert.deepEqual([call.op, call.params, call.attempt, call.flags], ['db.query', { database: 'shop', sql: 'select 1', params: [] }, stream, frames.FLAG_END]);
    worker.reply(call.stream, { columns: ['a'], rows: [['ok']], changes: 0, lastInsertRowid: 0 });
    assert.deepEqual(JSON.parse((await worker.answer(stream)).text), { a: 'ok' });
  });
}

test('values of SQL cross both ways', async (t) => {
  const result = await run(
    t,
    `const rows = await db('shop').query('select ?', [1, 1.5, 'a', true, null, 2n ** 60n, Buffer.from([1, 2]), new Uint16Array([1]), new Date(0)]);
     return [typeof rows[0].big, String(rows[0].big), rows[0].bytes instanceof Buffer, rows.length, rows[0].name];`,
    async (worker) => {
      const call = await worker.call(0);
      assert.deepEqual(call.params.params, [1, 1.5, 'a', true, null, { $int: '1152921504606846976' }, { $bytes: 'AQI=' }, { $bytes: 'AQA=' }, '1970-01-01T00:00:00.000Z']);
      worker.reply(call.stream, ROWS);
    },
  );
  assert.deepEqual(result, ['bigint', '9007199254740993', true, 1, 'a']);
});

test('get, run, exec, templates and names', async (t) => {
  const result = await run(
    t,
    `const { sql } = db.shop; const id = 7;
     return [await db.shop.get('a'), await db.shop.run('b', { id: 1 }), await db.shop.exec('c; d'), (await sql\`select \${id}, \${'x'} from t\`).length];`,
    async (worker) => {
      const expected = [
        { database: 'shop', sql: 'a', params: [] },
        { database: 'shop', sql: 'b', params: { id: 1 } },
        { database: 'shop', sql: 'c; d', params: [], script: true },
        { database: 'shop', sql: 'select ?, ? from t', params: [7, 'x'] },
      ];
      for (const [i, params] of expected.entries()) {
        const call = await worker.call(i);
        assert.deepEqual(call.params, params);
        worker.reply(call.stream, i === 0 ? { ...ROWS, rows: [] } : ROWS);
      }
    },
  );
  assert.deepEqual(result, [null, { changes: 1, lastInsertRowid: 9 }, null, 1]);
});

for (const [name, code, message] of [
  ['undefined', "db.shop.query('x', [1, undefined])", /the SQL parameter 2 is undefined: expected a string/],
  ['an object', "db.shop.query('x', [{ a: 1 }])", /the SQL parameter 1 is an object of class Object.*JSON\.stringify/],
  ['NaN', "db.shop.query('x', { n: NaN })", /the SQL parameter n is NaN/],
  ['no text', 'db.shop.query(5)', /SQL must be a string, not number/],
  ['no template', "db.shop.sql('select 1')", /sql is for tagged templates/],
  ['no key', "bucket.photos.get('')", /the key of an object must be a string that is not empty/],
  ['no body', "bucket.photos.put('a', 5)", /put\(\) takes a string, bytes, a stream or a Blob, not number/],
  ['a range', "bucket.photos.get('a', { range: [5, 1] })", /a range is \[first, last\]/],
]) {
  test(`refused without asking the server: ${name}`, async (t) => {
    const answer = await run(t, `await ${code};`, () => {});
    assert.equal(answer.fail.name, 'TypeError');
    assert.match(answer.fail.message, message);
  });
}

test('the server\'s refusal is an Error with its code', async (t) => {
  const result = await run(
    t,
    "try { await db.shop.query('x'); } catch (error) { return [error instanceof WakefulError, error instanceof Error, error.code, error.message, error.op, /index.js/.test(error.stack)]; }",
    async (worker) => worker.reply((await worker.call(0)).stream, { code: 'denied', message: 'no access to database.shop' }, { flags: frames.FLAG_END | frames.FLAG_ERROR }),
  );
  assert.deepEqual(result.slice(0, 5), [true, true, 'denied', 'no access to database.shop', 'db.query']);
});

test('a transaction commits, or rolls back and says why', async (t) => {
  const result = await run(
    t,
    `const value = await db.shop.transaction(async (tx) => { await tx.run('a'); return (await tx.query('b')).length; });
     let leaked; let message;
     try { await db.shop.transaction(async (tx) => { leaked = tx; throw new Error('no'); }); } catch (error) { message = error.message; }
     return [value, message, await leaked.run('c').catch((error) => error.message)];`,
    async (worker) => {
      const seen = [];
      for (let i = 0; i < 6; i++) {
        const call = await worker.call(i);
        seen.push([call.op, call.params.sql ?? null, call.params.tx ?? null]);
        worker.reply(call.stream, call.op === 'db.begin' ? { tx: i + 1 } : call.op === 'db.query' ? ROWS : {});
      }
      assert.deepEqual(seen, [
        ['db.begin', null, null], ['db.query', 'a', 1], ['db.query', 'b', 1], ['db.commit', null, 1], ['db.begin', null, null], ['db.rollback', null, 5],
      ]);
    },
  );
  assert.deepEqual(result, [1, 'no', 'the transaction is over: use the database itself, or do it inside of the callback']);
});

const HEAD = { size: 5, contentType: 'text/plain', etag: 'e', modified: '2026-01-01T00:00:00.000Z', metadata: { a: 'b' } };

test('objects: get in every form, head, absent ones', async (t) => {
  const result = await run(
    t,
    `const one = await bucket.photos.get('k');
     const props = [one.key, one.size, one.contentType, one.etag, one.modified.getTime(), one.metadata];
     const text = await one.text();
     const json = await (await bucket('photos').get('j', { range: [0, 3] })).json();
     let streamed = ''; for await (const chunk of (await bucket.photos.get('s', { range: { start: 2 } })).body) streamed += chunk;
     return [props, text, json, streamed, await bucket.photos.head('h'), await bucket.photos.get('no'), await bucket.photos.head('no')];`,
    async (worker) => {
      const notFound = { code: 'not_found', message: 'none' };
      const plan = [
        [{ bucket: 'photos', key: 'k' }, 'hello'],
        [{ bucket: 'photos', key: 'j', range: [0, 3] }, '[1]'],
        [{ bucket: 'photos', key: 's', range: [2, Number.MAX_SAFE_INTEGER] }, 'stream'],
        [{ bucket: 'photos', key: 'h' }, ''],
        [{ bucket: 'photos', key: 'no' }, null],
        [{ bucket: 'photos', key: 'no' }, null],
      ];
      for (const [i, [params, body]] of plan.entries()) {
        const call = await worker.call(i);
        assert.deepEqual(call.params, params);
        if (body === null) worker.reply(call.stream, notFound, { flags: 3 });
        else worker.reply(call.stream, HEAD, { body });
      }
    },
  );
  const properties = { size: 5, contentType: 'text/plain', etag: 'e', modified: HEAD.modified, metadata: { a: 'b' } };
  assert.deepEqual(result, [['k', 5, 'text/plain', 'e', Date.parse(HEAD.modified), { a: 'b' }], 'hello', [1], 'stream', { key: 'h', ...properties }, null, null]);
});

function granted(worker, stream) {
  return worker.frames.filter((one) => one.kind === frames.CREDIT && one.stream === stream).reduce((sum, one) => sum + one.payload.readUInt32LE(0), 0);
}

test('a large object streams through to the caller under both credits', async (t) => {
  const { worker } = await start(t, "const { bucket } = require('wakeful'); module.exports = async (req, res) => { (await bucket.photos.get('big')).body.pipe(res); };");
  const stream = worker.http('/');
  const call = await worker.call(0);
  worker.reply(call.stream, HEAD, { flags: 0 });
  // A server that obeys: it stops when the worker grants no more, because the caller takes none.
  const piece = Buffer.alloc(65_536, 'p');
  let sent = 0;
  while (sent < 40 && sent * piece.length < 262_144 + granted(worker, call.stream)) {
    worker.data(call.stream, piece);
    sent += 1;
    const before = worker.frames.length;
    worker.send(frames.PING, 0, Buffer.alloc(4));
    await worker.frame(frames.PONG, 0, before);
  }
  assert.ok(sent > 4 && sent < 16, `${sent} pieces until it stopped`);
  worker.credit(stream, 10_000_000);
  await worker.until(() => granted(worker, call.stream) >= sent * piece.length - 65_536, 'credit for all that came');
  worker.data(call.stream, 'end');
  worker.end(call.stream);
  assert.equal((await worker.answer(stream)).body.length, sent * piece.length + 3);
});

test('put: texts, bytes, streams under credit, blobs', async (t) => {
  const result = await run(
    t,
    `const { Readable } = require('node:stream');
     return [
       await bucket.photos.put('t', 'text', { contentType: 'text/x', metadata: { a: '1' } }),
       await bucket.photos.put('b', new Uint8Array([1, 2])),
       await bucket.photos.put('blob', new Blob(['blob'], { type: 'image/png' })),
       await bucket.photos.put('s', Readable.from([Buffer.alloc(200_000), Buffer.alloc(200_000)])),
       await bucket.photos.remove('t'),
     ];`,
    async (worker) => {
      const text = await worker.call(0);
      assert.deepEqual([text.params, text.body.toString(), text.flags], [{ bucket: 'photos', key: 't', contentType: 'text/x', metadata: { a: '1' } }, 'text', 1]);
      worker.reply(text.stream, { etag: 'e1', size: 4 });
      const bytes = await worker.call(1);
      assert.deepEqual([...bytes.body], [1, 2]);
      worker.reply(bytes.stream, { etag: 'e2', size: 2 });
      const blob = await worker.call(2);
      assert.deepEqual([blob.params.contentType, blob.flags], ['image/png', 0]);
      await worker.frame(frames.END, blob.stream);
      worker.reply(blob.stream, { etag: 'e3', size: 4 });
      const stream = await worker.call(3);
      const sent = () => worker.frames.filter((one) => one.kind === frames.DATA && one.stream === stream.stream).reduce((sum, one) => sum + one.payload.length, 0);
      await worker.until(() => sent() === 262_144, 'the credit to be used');
      worker.credit(stream.stream, 1_000_000);
      await worker.frame(frames.END, stream.stream);
      assert.equal(sent(), 400_000);
      worker.reply(stream.stream, { etag: 'e4', size: 400_000 });
      worker.reply((await worker.call(4)).stream, { removed: true });
    },
  );
  assert.deepEqual(result, [{ key: 't', etag: 'e1', size: 4 }, { key: 'b', etag: 'e2', size: 2 }, { key: 'blob', etag: 'e3', size: 4 }, { key: 's', etag: 'e4', size: 400_000 }, true]);
});

test('an upload whose source fails is given up, never completed', async (t) => {
  const answer = await run(
    t,
    "await bucket.photos.put('s', (async function* () { yield 'part'; throw new Error('source broke'); })());",
    async (worker) => {
      const call = await worker.call(0);
      await worker.frame(frames.FAIL, call.stream);
      assert.ok(!worker.frames.some((one) => one.kind === frames.END && one.stream === call.stream));
    },
  );
  assert.equal(answer.fail.message, 'source broke');
});

test('an upload that the server refuses stops its source', async (t) => {
  const result = await run(
    t,
    `let stopped = false;
     async function* source() { try { for (;;) yield Buffer.alloc(60_000); } finally { stopped = true; } }
     const code = await bucket.photos.put('s', source()).catch((error) => error.code);
     await new Promise((resolve) => setTimeout(resolve, 20));
     return [code, stopped];`,
    async (worker) => worker.reply((await worker.call(0)).stream, { code: 'too_large', message: 'm' }, { flags: 3 }),
  );
  assert.deepEqual(result, ['too_large', true]);
});

test('objects that are not read, or not to their end, are given up', async (t) => {
  await run(
    t,
    `const one = await bucket.photos.get('a');
     for await (const chunk of one.body) break;
     await bucket.photos.get('b');`,
    async (worker) => {
      const first = await worker.call(0);
      worker.reply(first.stream, HEAD, { body: 'x', flags: 0 });
      await worker.frame(frames.FAIL, first.stream);
      const second = await worker.call(1);
      worker.reply(second.stream, HEAD, { body: 'x', flags: 0 });
      await worker.frame(frames.FAIL, second.stream);
    },
  );
});

test('a reply that breaks off is an error, not an end', async (t) => {
  const answer = await run(t, "await (await bucket.photos.get('a')).text();", async (worker) => {
    const call = await worker.call(0);
    worker.reply(call.stream, HEAD, { body: 'part', flags: 0 });
    worker.cancel(call.stream, 2);
  });
  assert.match(answer.fail.message, /the server broke off bucket\.get/);
});

test('listing goes page by page', async (t) => {
  const result = await run(
    t,
    "const keys = []; for await (const one of bucket.photos.list('p/')) keys.push(one.key + one.modified.getTime()); const page = await bucket.photos.page({ limit: 1 }); return [keys, page.next];",
    async (worker) => {
      const object = (key) => ({ key, size: 1, etag: 'e', modified: '1970-01-01T00:00:00Z' });
      const first = await worker.call(0);
      assert.deepEqual(first.params, { bucket: 'photos', prefix: 'p/' });
      worker.reply(first.stream, { objects: [object('p/a'), object('p/b')], next: 'p/b' });
      const second = await worker.call(1);
      assert.deepEqual(second.params, { bucket: 'photos', prefix: 'p/', after: 'p/b' });
      worker.reply(second.stream, { objects: [object('p/c')] });
      const third = await worker.call(2);
      assert.deepEqual(third.params, { bucket: 'photos', limit: 1 });
      worker.reply(third.stream, { objects: [object('a')], next: 'a' });
    },
  );
  assert.deepEqual(result, [['p/a0', 'p/b0', 'p/c0'], 'a']);
});

test('the context of the attempt, also far from the handler', async (t) => {
  const result = await run(
    t,
    `await new Promise((resolve) => setTimeout(resolve, 1)); const c = context();
     return [c.runId, c.attempt, c.idempotencyKey, c.functionName, ctx.id, ctx.attempt, ctx.deadline instanceof Date, ctx.getRemainingTimeInMillis() > 1000, ctx.signal.aborted, ctx.functionVersion];`,
    () => {},
  );
  assert.deepEqual(result, ['run_128ggyhyyk08n', 1, 'run_128ggyhyyk08n', 'books', '1', 1, true, true, false, 'v1']);
  const outside = await start(t, "const c = require('wakeful').context(); exports.a = () => c;", { handlers: ['a'] });
  assert.equal(await outside.worker.result(EVENT), null);
});

test('events carry their data parsed, or as bytes', async (t) => {
  const { worker } = await start(t, 'module.exports = (event) => [Buffer.isBuffer(event.data) ? event.data.toString() : event.data, event.data_base64 ?? null];');
  assert.deepEqual(await worker.result({ id: '1', type: 't', data: { a: [1] } }), [{ a: [1] }, null]);
  assert.deepEqual(await worker.result({ id: '1', type: 't', data_base64: 'aGk=' }), ['hi', null]);
});

test('calls while the code loads belong to no attempt', async (t) => {
  const { TestWorker, project } = require('./harness');
  const worker = new TestWorker();
  t.after(() => worker.stop());
  await worker.ready();
  const root = project(t, { 'index.mjs': "import { db } from 'wakeful'; const rows = await db.shop.query('x'); export default () => rows.length;" });
  const loading = worker.load(root, { file: 'index.mjs' });
  const call = await worker.call(0);
  assert.equal(call.attempt, 0);
  worker.reply(call.stream, ROWS);
  assert.equal((await loading).ok, true);
});

test('a request goes into a bucket as it comes, with its type', async (t) => {
  const { worker } = await start(t, "const { bucket } = require('wakeful'); module.exports = async (req, res) => res.json(await bucket.photos.put(req.params.name, req));");
  const stream = worker.http('/', { method: 'PUT', open: true, params: { name: 'ä.png' }, headers: [['content-type', 'image/png']], body: 'a' });
  const call = await worker.call(0);
  assert.deepEqual(call.params, { bucket: 'photos', key: 'ä.png', contentType: 'image/png' });
  assert.equal(call.attempt, stream);
  await worker.frame(frames.DATA, call.stream);
  worker.data(stream, 'bc');
  worker.end(stream);
  await worker.frame(frames.END, call.stream);
  const sent = worker.frames.filter((one) => one.kind === frames.DATA && one.stream === call.stream).map((one) => one.payload.toString());
  assert.equal(sent.join(''), 'abc');
  worker.reply(call.stream, { etag: 'e', size: 3 });
  assert.equal((await worker.answer(stream)).text, '{"key":"ä.png","etag":"e","size":3}');
});

test('a request whose caller goes away is no object', async (t) => {
  const { worker } = await start(t, "const { bucket } = require('wakeful'); module.exports = async (req, res) => res.json(await bucket.photos.put('k', req));");
  const stream = worker.http('/', { method: 'PUT', open: true, body: 'a' });
  const call = await worker.call(0);
  await worker.frame(frames.DATA, call.stream);
  worker.cancel(stream, 1);
  await worker.frame(frames.FAIL, call.stream);
  assert.ok(!worker.frames.some((one) => one.kind === frames.END && one.stream === call.stream));
  assert.equal((await worker.answer(stream)).fail.name, 'AbortError');
});

test('parameters that no frame holds are refused', async (t) => {
  const answer = await run(t, "await db.shop.query('x'.repeat(9_000_000));", () => {});
  assert.equal(answer.fail.message, 'the parameters of db.query are larger than 8388608 bytes');
});

test('infinities cross both ways, and what was left out stays so', async (t) => {
  let asked;
  const result = await run(
    t,
    "const row = await db.shop.get('x', [Infinity, -Infinity]); return [row.a === Infinity, row.b === -Infinity, row.c];",
    async (worker) => {
      const call = await worker.call(0);
      asked = call.params.params;
      worker.reply(call.stream, { columns: ['a', 'b', 'c'], rows: [[{ $real: 'Infinity' }, { $real: '-Infinity' }, { $omitted: 7 }]], changes: 0, lastInsertRowid: 0 });
    },
  );
  assert.deepEqual(asked, [{ $real: 'Infinity' }, { $real: '-Infinity' }]);
  assert.deepEqual(result, [true, true, { $omitted: 7 }]);
});

test('the types tell of all that the module has, and of nothing else', async (t) => {
  const fs = require('node:fs');
  const path = require('node:path');
  const types = fs.readFileSync(path.join(__dirname, '..', 'wakeful.d.ts'), 'utf8');
  const told = new Set([...types.matchAll(/^ {2}export (?:const|function|class) (\w+)/gm)].map(([, name]) => name));
  const { worker } = await start(t, "module.exports = () => Object.keys(require('wakeful'));");
  assert.deepEqual([...told].sort(), (await worker.result(EVENT)).sort());
});
