'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start } = require('./harness');
const { parseNestedForm } = require('../styles/nested-form');

const TIME = '2026-01-01T00:00:00Z';
const row = (operation, before, after, more = {}) => ({
  specversion: '1.0', id: 'e1', source: '/p/dev/database/shop', type: `wakeful.database.${operation}`, subject: 'books', time: TIME, datacontenttype: 'application/json',
  data: { database: 'shop', table: 'books', operation, key: { id: 7 }, before, after, ...more },
});
const object = (change, data) => ({ specversion: '1.0', id: 'e1', source: '/p/dev/bucket/photos', type: `wakeful.bucket.${change}`, time: TIME, data: { bucket: 'photos', key: 'a/b.jpg', ...data } });

/** What a handler gets for an event. */
function gets(name, event, expected, settings = {}) {
  test(name, async (t) => {
    const { worker } = await start(t, 'exports.on = (...args) => args;', { style: 'spica', handlers: ['on'], ...settings });
    assert.deepEqual(await worker.result(event), expected);
  });
}

gets('a new row', row('insert', null, { id: 7, title: 'a' }), [{ kind: 'insert', collection: 'books', documentKey: '7', document: { id: 7, title: 'a' } }]);
gets('a changed row', row('update', { id: 7, title: 'a', n: 1, gone: 1 }, { id: 7, title: 'b', n: 1 }), [{
  kind: 'update', collection: 'books', documentKey: '7', document: { id: 7, title: 'b', n: 1 }, updateDescription: { removedFields: ['gone'], updatedFields: { title: 'b' } },
}]);
gets('a removed row', row('delete', { id: 7, title: 'a' }, null), [{ kind: 'delete', collection: 'books', documentKey: '7' }]);
gets('a key of several columns', row('insert', null, { a: 1 }, { key: { a: 1, b: 'x' } }), [{ kind: 'insert', collection: 'books', documentKey: '[1,"x"]', document: { a: 1 } }]);
gets('a key beyond 2^53', row('delete', null, null, { key: { id: { $int: '9007199254740993' } } }), [{ kind: 'delete', collection: 'books', documentKey: '9007199254740993' }]);
const BUCKET = { spica: { database: 'bucket' } };
gets('a new entry of a bucket', row('insert', null, { id: 7 }), [{ kind: 'insert', bucket: 'books', documentKey: '7', current: { id: 7 } }], BUCKET);
gets('a changed entry', row('update', { id: 7, n: 1 }, { id: 7, n: 2 }), [{ kind: 'update', bucket: 'books', documentKey: '7', previous: { id: 7, n: 1 }, current: { id: 7, n: 2 } }], BUCKET);
gets('a removed entry', row('delete', { id: 7 }, null), [{ kind: 'delete', bucket: 'books', documentKey: '7', previous: { id: 7 } }], BUCKET);
gets('a new object', object('created', { size: 3, etag: '"x"', operation: 'put' }), [{ kind: 'insert', bucket: 'photos', documentKey: 'a/b.jpg', current: { key: 'a/b.jpg', size: 3, etag: '"x"', operation: 'put' } }]);
gets('a changed object', object('changed', { size: 4 }), [{ kind: 'update', bucket: 'photos', documentKey: 'a/b.jpg', current: { key: 'a/b.jpg', size: 4 } }]);
gets('a removed object', object('removed', { operation: 'delete' }), [{ kind: 'delete', bucket: 'photos', documentKey: 'a/b.jpg' }]);
gets('a tick', { specversion: '1.0', id: 'e', source: '/s', type: 'wakeful.schedule.tick', time: TIME, data: { schedule: '* * * * *' } }, []);

test('events of other sources come as they are', async (t) => {
  const { worker } = await start(t, 'module.exports = (event, context) => [event.type, context.attempt];', { style: 'spica' });
  assert.deepEqual(await worker.result({ specversion: '1.0', id: 'e', source: '/s', type: 'orders.paid', data: 1 }, { attempt: 2 }), ['orders.paid', 2]);
});

test('a batch is a list of changes, several exports share a file', async (t) => {
  const { worker } = await start(t, 'export default () => 1; export const on = (changes, context) => changes.map((change) => [change.documentKey, context.keyOf(change)]);', {
    file: 'index.mjs', style: 'spica', handlers: ['on', null],
  });
  const answer = await worker.answer(worker.batch([{ run: 1n, event: row('insert', null, {}) }, { run: 2n, event: { ...row('delete', {}, null, { key: { id: 8 } }), id: 'e2' } }]));
  assert.deepEqual(JSON.parse(answer.text), [['7', 'run_0000000000001'], ['8', 'run_0000000000002']]);
  assert.equal(await worker.result(row('insert', null, {}), { handler: 1 }), 1);
});

test('an error fails the event', async (t) => {
  const { worker } = await start(t, "exports.on = () => { throw new Error('no'); };", { style: 'spica', handlers: ['on'] });
  const { fail } = await worker.result(row('insert', null, {}));
  assert.deepEqual([fail.kind, fail.message], ['user_error', 'no']);
});

async function http(t, handler, target = '/', options = {}) {
  const { worker } = await start(t, `exports.on = ${handler};`, { style: 'spica', handlers: ['on'] });
  return worker.get(target, options);
}

test('req', async (t) => {
  const answer = await http(t, `(req, res) => res.send({
    method: req.method, url: req.url, path: req.path, query: req.query, params: req.params, cookies: [...req.cookies], body: req.body,
    get: [req.get('X-A'), req.get('nothing') ?? null], headers: [req.headers.get('X-A'), req.headers.has('x-a'), req.headers instanceof Map],
  })`, '/books/7?a=1&b[c]=2&d[]=3', { method: 'POST', params: { id: '7' }, headers: [['x-a', '1'], ['cookie', 's=1; t=2'], ['content-type', 'application/json']], body: '{"n":1}' });
  assert.deepEqual(JSON.parse(answer.text), {
    method: 'POST', url: '/books/7?a=1&b[c]=2&d[]=3', path: '/books/7', query: { a: '1', b: { c: '2' }, d: ['3'] }, params: { id: '7' }, cookies: [['s', '1'], ['t', '2']], body: { n: 1 },
    get: ['1', null], headers: ['1', true, true],
  });
});

test('bodies by their types', async (t) => {
  const show = '(req, res) => res.send({ body: Buffer.isBuffer(req.body) ? [req.body.toString()] : req.body ?? null })';
  const send = (type, body) => ({ method: 'POST', headers: type === null ? [] : [['content-type', type]], body });
  assert.equal((await http(t, show, '/', send('application/x-www-form-urlencoded', 'a=1&b[c]=2'))).text, '{"body":{"a":"1","b":{"c":"2"}}}');
  assert.equal((await http(t, show, '/', send('text/plain', 'x'))).text, '{"body":["x"]}');
  assert.equal((await http(t, show, '/', send(null, ''))).text, '{"body":null}');
  assert.equal((await http(t, show, '/', send('application/json', '{'))).status, 400);
  const form = ['--x', 'Content-Disposition: form-data; name="title"', '', 'tést', '--x', 'Content-Disposition: form-data; name="file"; filename="a.txt"', 'Content-Type: text/plain', '', 'line\r\nline', '--x--', ''].join('\r\n');
  const parts = '(req, res) => res.send(req.body.map((part) => ({ ...part, data: part.data.toString() })))';
  assert.deepEqual(JSON.parse((await http(t, parts, '/', send('multipart/form-data; boundary=x', form))).text), [{ name: 'title', data: 'tést' }, { filename: 'a.txt', type: 'text/plain', data: 'line\r\nline' }]);
  assert.equal((await http(t, parts, '/', send('multipart/form-data; boundary="x"', form.slice(0, -10)))).status, 400);
  assert.equal((await http(t, parts, '/', send('multipart/form-data', form))).status, 400);
});

function answers(name, handler, expected) {
  test(`res: ${name}`, async (t) => {
    const answer = await http(t, handler);
    if (expected.fail) assert.match(answer.fail.message, expected.fail);
    else assert.deepEqual([answer.status, answer.headers, answer.text], [expected.status ?? 200, expected.headers ?? {}, expected.body ?? '']);
  });
}
const JSON_TYPE = { 'content-type': 'application/json' };
const HTML_TYPE = { 'content-type': 'text/html' };
answers('status and send', "(req, res) => { res.status(201, 'Created').send('hi'); }", { status: 201, headers: HTML_TYPE, body: 'hi' });
answers('json', '(req, res) => res.json([1])', { headers: JSON_TYPE, body: '[1]' });
answers('json of nothing', '(req, res) => res.json()', { headers: JSON_TYPE, body: 'null' });
answers('send of bytes', "(req, res) => res.send(Buffer.from('b'))", { headers: { 'content-type': 'application/octet-stream' }, body: 'b' });
answers('send of a number', '(req, res) => res.send(7)', { headers: HTML_TYPE, body: '7' });
answers('write, writeHead, end', "async (req, res) => { await res.writeHead(202, 'Accepted', { 'X-A': '1' }); await res.write('a'); await res.end('b'); }", { status: 202, headers: { 'x-a': '1' }, body: 'ab' });
answers('headers', "(req, res) => { res.headers.set('X-A', '1'); res.headers.append('Set-Cookie', 'a=1'); res.headers.append('set-cookie', 'b=2'); res.send('x'); }", { headers: { ...HTML_TYPE, 'x-a': '1', 'set-cookie': ['a=1', 'b=2'] }, body: 'x' });
answers('a value is sent', '() => ({ a: 1 })', { headers: JSON_TYPE, body: '{"a":1}' });
answers('a promise of a value is sent', "async () => 'x'", { headers: HTML_TYPE, body: 'x' });
answers('what was sent counts, not what is returned', "(req, res) => { res.send('sent'); return 'returned'; }", { headers: HTML_TYPE, body: 'sent' });
answers('a rejection is a failure', "async () => { throw new Error('no'); }", { fail: /^no$/ });
answers('a synchronous error too', "() => { throw new Error('no'); }", { fail: /^no$/ });
answers('headersSent', '(req, res) => { const before = res.headersSent; res.status(200); res.json([before]); if (!res.headersSent) throw new Error(); }', { headers: JSON_TYPE, body: '[false]' });
answers('a status that is none', '(req, res) => res.status(42).send()', { fail: /42 is not a valid status/ });

test('a second head is refused', async (t) => {
  const answer = await http(t, "async (req, res) => { await res.writeHead(200); try { await res.writeHead(201); } catch (error) { await res.end(error.message); } }");
  assert.deepEqual([answer.status, answer.text], [200, 'Headers already sent']);
});

test('a form that there is not is refused', async (t) => {
  const { loaded } = await start(t, 'exports.on = () => 1;', { style: 'spica', handlers: ['on'], spica: { database: 'x' } });
  assert.match(loaded.error.message, /must be `change` or `bucket`, not `x`/);
});

test('names with brackets', () => {
  const cases = {
    'a=1&a=2': { a: ['1', '2'] }, 'a[]=1': { a: ['1'] }, 'a[1]=y&a[0]=x': { a: ['x', 'y'] }, 'a[100]=x': { a: { 100: 'x' } },
    'a[b][c]=1&a[b][d]=2': { a: { b: { c: '1', d: '2' } } }, 'a[__proto__][x]=1&b=2': { b: '2' }, '__proto__=1': {}, 'hasOwnProperty=1': {},
    '': {}, 'a': { a: '' }, '[a]=1': { a: '1' }, 'a[=1': { a: { '[': '1' } }, 'a%5Bb%5D=c+d': { a: { b: 'c d' } },
  };
  for (const [text, expected] of Object.entries(cases)) assert.deepEqual(parseNestedForm(text), expected, text);
  assert.equal(Object.keys(parseNestedForm(Array.from({ length: 1500 }, (_, i) => `k${i}=1`).join('&'))).length, 1000);
});
