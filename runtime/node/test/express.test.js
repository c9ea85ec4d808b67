'use strict';
// Native handlers against Express itself: the same handler gives the same answers. And apps of
// Express, which run as handlers.

const assert = require('node:assert/strict');
const http = require('node:http');
const path = require('node:path');
const test = require('node:test');
const packages = require('./packages');
const { start, project } = require('./harness');

const express = packages.load('express');
const qs = packages.load('qs');
/** What differs because there is no connection behind our answers. */
const OF_CONNECTION = new Set(['connection', 'date', 'keep-alive', 'transfer-encoding', 'x-powered-by', 'content-length']);

function plain(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_CONNECTION.has(name)));
}

/** Several values of a name as Node's client shows them. */
function joined(headers) {
  const join = ([name, value]) => [name, name === 'set-cookie' ? [].concat(value) : [].concat(value).join(', ')];
  return Object.fromEntries(Object.entries(headers).map(join));
}

function askServer(server, target, { method = 'GET', headers = [], body = '' }) {
  return new Promise((resolve, reject) => {
    const request = http.request({ port: server.address().port, host: '127.0.0.1', path: target, method, headers: Object.fromEntries(headers) }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode, headers: plain(response.headers), text: Buffer.concat(chunks).toString() }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** Express's own answers to requests, by a handler that is given as text. */
async function serveExpress(t, code, dir) {
  const app = express();
  // eslint-disable-next-line no-new-func
  app.use(new Function('require', 'dir', `return ${code}`)(require, dir));
  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.after(() => server.close());
  return server;
}

const FILES = { 'public/a.txt': 'hello file\n', 'public/.hidden': 'no', 'public/page.html': '<p>é</p>' };

/** A handler answers the same here and there, to each of the requests. */
function same(name, code, requests = [{}], target = '/') {
  test(name, async (t) => {
    const root = project(t, { 'index.js': `const dir = __dirname; module.exports = ${code};`, ...FILES });
    const { worker } = await startIn(t, root);
    const server = await serveExpress(t, code, root);
    for (const request of requests) {
      const where = request.target ?? target;
      // Node's client adds it; here nothing does.
      const headers = [['host', 'localhost'], ...(request.headers ?? [])];
      const theirs = await askServer(server, where, { ...request, headers });
      const answer = await worker.get(where, { ...request, headers: headers.concat(request.body ? [['content-length', String(Buffer.byteLength(request.body))]] : []) });
      assert.equal(answer.fail, undefined, JSON.stringify(answer.fail));
      const ours = { status: answer.status, headers: plain(joined(answer.headers)), text: answer.text };
      assert.deepEqual(ours, theirs, JSON.stringify(request));
    }
  });
}

async function startIn(t, root, settings = {}) {
  const { TestWorker } = require('./harness');
  const worker = new TestWorker();
  t.after(() => worker.stop());
  await worker.ready();
  const loaded = await worker.load(root, settings);
  assert.equal(loaded.ok, true, JSON.stringify(loaded));
  return { worker };
}

const HELLO_TAG = 'W/"5-qvTGHdzF6KLavt4PO0gs2a6pQ00"';
const TAGS = [
  {}, { method: 'HEAD' }, { method: 'POST', body: 'x' },
  ...['*', HELLO_TAG, HELLO_TAG.slice(2), `"other", ${HELLO_TAG}`, '"other"'].map((tag) => ({ headers: [['if-none-match', tag]] })),
  { headers: [['if-none-match', HELLO_TAG], ['cache-control', 'no-cache']] },
  { method: 'POST', body: 'x', headers: [['if-none-match', HELLO_TAG]] },
];
same('ETag of a text', "(req, res) => res.send('hello')", TAGS);
same('ETag of JSON', '(req, res) => res.json({ a: 1 })');
same('ETag of bytes', "(req, res) => res.send(Buffer.from('hello'))", TAGS);
same('ETag of an own kind', "(req, res) => res.set('ETag', '\"mine\"').send('x')", [{}, { headers: [['if-none-match', '"mine"']] }, { headers: [['if-none-match', 'W/"mine"']] }]);
same('Last-Modified', "(req, res) => res.set('Last-Modified', 'Wed, 21 Oct 2015 07:28:00 GMT').send('x')", ['Wed, 21 Oct 2015 07:28:00 GMT', 'Tue, 20 Oct 2015 07:28:00 GMT', 'never'].map((date) => ({ headers: [['if-modified-since', date]] })));
same('an error is never fresh', "(req, res) => res.status(404).send('hello')", TAGS);
same('nothing', '(req, res) => res.send()', TAGS.slice(0, 2));
same('null', '(req, res) => res.send(null)');
same('numbers and booleans', '(req, res) => res.send(true)');
same('204, 205, 304', '(req, res) => res.status(Number(req.query.s)).send("body")', ['204', '205', '304'].map((s) => ({ target: `/?s=${s}` })));
same('json of undefined', '(req, res) => res.json(undefined)');
same('sendStatus', '(req, res) => res.sendStatus(Number(req.path.slice(1)))', ['200', '201', '204', '404', '418', '599'].map((s) => ({ target: `/${s}` })));
same('type', '(req, res) => res.type(req.query.t).send("x")', ['html', '.json', 'application/xml', 'text/plain', 'image/png', 'txt', 'js', 'nothing-known', 'svg', 'pdf'].map((type) => ({ target: `/?t=${encodeURIComponent(type)}` })));
same('set Content-Type', '(req, res) => res.set("Content-Type", req.query.t).send("x")', ['text/html', 'application/json', 'text/plain; charset=latin1', 'application/vnd.api+json', 'image/svg+xml'].map((type) => ({ target: `/?t=${encodeURIComponent(type)}` })));
same('set of several', '(req, res) => res.set({ "X-A": "1", "X-B": ["2", "3"] }).append("X-B", "4").header("X-C", "5").send("x")');
same('vary', '(req, res) => res.vary("Accept").vary(["Origin", "accept"]).send("x")');
same('links', '(req, res) => res.links({ next: "/2", last: "/5" }).send("x")');
const ACCEPTS = [undefined, '*/*', 'text/html', 'application/json', 'text/*;q=0.5, application/json;q=0.1', 'image/png', 'text/plain, text/html;q=0.9', 'text/html, */*;q=0.1'].map((accept) => ({ headers: accept === undefined ? [] : [['accept', accept]] }));
same('redirect', '(req, res) => res.redirect("/a b?c=<d>&e=é")', ACCEPTS);
same('redirect with a status', '(req, res) => res.redirect(301, "https://example.com/x")', [{}, { method: 'HEAD' }]);
same('format', `(req, res) => res.format({ text: () => res.send('text'), html: () => res.send('html'), json: () => res.send({ a: 1 }), default: () => res.status(406).send('none') })`, ACCEPTS);
same('accepts', '(req, res) => res.json([req.accepts(), req.accepts("json"), req.accepts("html", "json"), req.accepts(["json", "text"]), req.accepts("text/*"), req.accepts("application/json")])', ACCEPTS);
same('acceptsEncodings', '(req, res) => res.json([req.acceptsEncodings(), req.acceptsEncodings("gzip", "br"), req.acceptsEncodings("identity")])', [undefined, 'gzip', 'br;q=0.5, gzip', '*', 'identity;q=0', 'gzip;q=0, *;q=0.1'].map((value) => ({ headers: value === undefined ? [] : [['accept-encoding', value]] })));
same('acceptsLanguages', '(req, res) => res.json([req.acceptsLanguages(), req.acceptsLanguages("en", "de"), req.acceptsLanguages("en-GB"), req.acceptsLanguages("fr")])', [undefined, 'en', 'de, en;q=0.8', 'en-US, en;q=0.5', '*;q=0.1, de'].map((value) => ({ headers: value === undefined ? [] : [['accept-language', value]] })));
same('acceptsCharsets', '(req, res) => res.json([req.acceptsCharsets(), req.acceptsCharsets("utf-8", "latin1")])', [undefined, 'utf-8', 'latin1, utf-8;q=0.5'].map((value) => ({ headers: value === undefined ? [] : [['accept-charset', value]] })));
same('is', '(req, res) => res.json([req.is(), req.is("json"), req.is("text"), req.is("html"), req.is("text/*"), req.is("*/*"), req.is("+json"), req.is("urlencoded"), req.is("multipart"), req.is(["xml", "application/json"])])',
  [{}, ...['application/json', 'application/json; charset=utf-8', 'text/html', 'application/vnd.api+json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary="a b"', 'nonsense'].map((type) => ({ method: 'POST', body: '{}', headers: [['content-type', type]] }))]);
same('range', '(req, res) => { const r = req.range(100, { combine: req.path === "/c" }); res.json([r ?? null, r?.type ?? null]); }', [undefined, 'bytes=0-9', 'bytes=90-', 'bytes=-5', 'bytes=0-0,-1', 'bytes=200-', 'bytes', 'bytes=a-b', 'bytes=0-4,90-99,5-10,95-200', 'items=0-5', 'bytes=9-2'].flatMap((range) => ['/', '/c'].map((target) => ({ target, headers: range === undefined ? [] : [['range', range]] }))));
same('fresh and stale', '(req, res) => { res.set("ETag", "\\"a\\""); res.json([req.fresh, req.stale, req.xhr, req.baseUrl, req.subdomains]); }', [{ headers: [['if-none-match', '"b"'], ['x-requested-with', 'XMLHttpRequest']] }]);
same('attachment', '(req, res) => { const n = req.query.n; res.attachment(n).send("x"); }', ['', ...['a.txt', '€.pdf', 'a "b".png', '/etc/a%20b.csv', 'plans; final.html', 'a\\b.json', "it's (1)*.txt"].map((name) => `?n=${encodeURIComponent(name)}`)].map((query) => ({ target: `/${query}` })));
same('cookies', '(req, res) => { req.secret = "s"; res.cookie("a", "x y").cookie("b", { n: 1 }, { httpOnly: true, sameSite: "lax", path: "/p" }).cookie("c", "v", { signed: true }).clearCookie("d").send("x"); }');
const FILE_REQUESTS = [{}, { method: 'HEAD' }, ...['bytes=0-4', 'bytes=6-', 'bytes=-5', 'bytes=0-1,5-6', 'lines=1-2'].map((range) => ({ headers: [['range', range]] })),
  { headers: [['if-none-match', '*']] }, { headers: [['if-modified-since', 'Fri, 01 Jan 2100 00:00:00 GMT']] }, { headers: [['if-modified-since', 'Thu, 01 Jan 1970 00:00:00 GMT']] },
  { headers: [['range', 'bytes=0-1'], ['if-range', '"other"']] }, { headers: [['range', 'bytes=0-1'], ['if-range', 'Fri, 01 Jan 2100 00:00:00 GMT']] }];
const sent = (call) => `(req, res) => ${call}`;
same('sendFile', sent("res.sendFile(dir + '/public/a.txt')"), FILE_REQUESTS);
same('sendFile below a root, with options', sent("res.sendFile('page.html', { root: dir + '/public', maxAge: 5000, immutable: true, lastModified: false, headers: { 'X-A': '1' } })"), [{}]);
same('sendFile without ranges and caching', sent("res.sendFile('a.txt', { root: dir + '/public', acceptRanges: false, cacheControl: false })"), [{}, { headers: [['range', 'bytes=0-1']] }]);
same('sendFile: what cannot be sent', "(req, res) => res.sendFile(decodeURIComponent(req.path.slice(1)), { root: dir + '/public' }, (error) => res.status(error.status).send('refused'))", ['nothing.txt', '.hidden', '..%2Findex.js', 'a%00b'].map((name) => ({ target: `/${name}` })));
same('sendFile: hidden files', "(req, res) => res.sendFile('.hidden', { root: dir + '/public', dotfiles: req.path.slice(1) }, (error) => error && res.status(error.status).send('refused'))", ['allow', 'deny', 'ignore'].map((word) => ({ target: `/${word}` })));
same('sendFile tells when it is done', "(req, res) => { res.sendFile(dir + '/public/a.txt', (error) => { if (error) throw error; }); }");
same('download', sent("res.download(dir + '/public/a.txt')"), FILE_REQUESTS.slice(0, 3));
same('download under another name', sent("res.download(dir + '/public/a.txt', 'résumé €.txt', { maxAge: '1d', headers: { 'X-A': '1', 'content-disposition': 'no' } })"));

test('refusals without a callback are answers', async (t) => {
  const root = project(t, { 'index.js': "module.exports = (req, res) => req.path === '/406' ? res.format({ json: () => res.json(1) }) : res.sendFile(req.path === '/self' ? __filename : req.path === '/folder' ? __dirname : __dirname + '/nothing');" });
  const { worker } = await startIn(t, root);
  const missing = await worker.get('/');
  assert.deepEqual([missing.status, missing.text], [404, '{"error":"Not Found"}']);
  const range = await worker.get('/self', { headers: [['range', 'bytes=5-2']] });
  assert.deepEqual([range.status, /^bytes \*\/\d+$/.test(range.headers['content-range']), range.text], [416, true, '{"error":"Range Not Satisfiable"}']);
  assert.equal((await worker.get('/self', { headers: [['if-match', '"other"']] })).status, 412);
  assert.equal((await worker.get('/folder')).status, 404);
  assert.equal((await worker.get('/406', { headers: [['accept', 'text/html']] })).status, 406);
});

test('mistakes are named', async (t) => {
  const root = project(t, { 'index.js': `module.exports = (req, res) => { try { ({ relative: () => res.sendFile('a.txt'), none: () => res.sendFile(), secret: () => res.cookie('a', 'b', { signed: true }) })[req.path.slice(1)](); } catch (error) { res.send(error.message); } };` });
  const { worker } = await startIn(t, root);
  assert.match((await worker.get('/relative')).text, /absolute path, or the option `root`/);
  assert.match((await worker.get('/none')).text, /needs the path of a file, not undefined/);
  assert.match((await worker.get('/secret')).text, /a signed cookie needs a secret: set `req\.secret`/);
});

for (const version of ['express', 'express4']) {
  test(`${version}: an app with its own middleware`, async (t) => {
    const modules = path.join(packages.install(), 'node_modules');
    const root = project(t, {
      'index.js': `const express = require(${JSON.stringify(path.join(modules, version))}); const cookies = require(${JSON.stringify(path.join(modules, 'cookie-parser'))});
        const app = express();
        app.use(cookies('secret'));
        app.post('/hook', express.raw({ type: 'application/json' }), (req, res) => res.json([Buffer.isBuffer(req.body), req.body.toString()]));
        app.post('/verify', express.json({ verify: (req, res, bytes) => { req.bytes = bytes.length; } }), (req, res) => res.json([req.body, req.bytes]));
        app.post('/form', express.urlencoded({ extended: true }), (req, res) => res.json(req.body));
        app.post('/none', (req, res) => res.json([req.body === undefined]));
        app.get('/cookie', (req, res) => res.cookie('c', 'v', { signed: true }).json([req.cookies, req.signedCookies]));
        app.get('/books/:id', (req, res) => res.json([req.params.id, req.query, req.path]));
        app.get('/file', (req, res) => res.sendFile(__filename));
        app.get('/wrong', () => { throw Object.assign(new Error('teapot'), { status: 418, expose: true }); });
        app.use('/static', express.static(__dirname));
        module.exports = app;`,
      'a.txt': 'static',
    });
    const { worker } = await startIn(t, root);
    const post = async (target, type, body) => JSON.parse((await worker.get(target, { method: 'POST', headers: [['host', 'h'], ['content-type', type], ['content-length', String(Buffer.byteLength(body))]], body })).text);
    assert.deepEqual(await post('/hook', 'application/json', '{"a": 1}'), [true, '{"a": 1}']);
    assert.deepEqual(await post('/verify', 'application/json', '{"a": 1}'), [{ a: 1 }, 8]);
    assert.deepEqual(await post('/form', 'application/x-www-form-urlencoded', 'a[b]=1'), { a: { b: '1' } });
    assert.deepEqual(await post('/none', 'application/json', '{}'), [true]);
    const cookie = await worker.get('/cookie', { headers: [['cookie', 'a=1; c=s:v.CK3TqqnEKXOW8Iej4Pd7eCPPzYaDAOzSv6tZO1CwZCo']] });
    const [header] = [].concat(cookie.headers['set-cookie']);
    const again = await worker.get('/cookie', { headers: [['cookie', `a=1; ${header.split(';')[0]}`]] });
    assert.deepEqual(JSON.parse(again.text), [{ a: '1' }, { c: 'v' }]);
    const deep = version === 'express' ? { 'x[y]': '1' } : { x: { y: '1' } };
    assert.deepEqual(JSON.parse((await worker.get('/books/7?x[y]=1')).text), ['7', deep, '/books/7']);
    assert.match((await worker.get('/file')).text, /const express/);
    assert.equal((await worker.get('/static/a.txt')).text, 'static');
    assert.equal((await worker.get('/static/a.txt', { headers: [['if-none-match', '*']] })).status, 304);
    assert.equal((await worker.get('/wrong')).status, 418);
    assert.equal((await worker.get('/nothing')).status, 404);
  });
}

test('a form with files, by the fetch standard', async (t) => {
  const { worker } = await start(t, "module.exports = async (req, res) => { const form = await req.formData(); res.json([form.get('a'), form.get('f').name, await form.get('f').text()]); };");
  const body = ['--a b', 'Content-Disposition: form-data; name="a"', '', '1', '--a b', 'Content-Disposition: form-data; name="f"; filename="f.txt"', 'Content-Type: text/plain', '', 'text', '--a b--', ''].join('\r\n');
  const answer = await worker.get('/', { method: 'POST', headers: [['content-type', 'multipart/form-data; boundary="a b"']], body });
  assert.equal(answer.text, '["1","f.txt","text"]', JSON.stringify(answer.fail));
});

test('bodies in other charsets', async (t) => {
  const { worker } = await start(t, 'module.exports = (req, res) => res.json(req.body);');
  const post = (type, body) => worker.get('/', { method: 'POST', headers: [['content-type', type]], body });
  assert.equal((await post('text/plain; charset=iso-8859-1', Buffer.from([0xe9]))).text, '"é"');
  assert.equal((await post('application/json; charset="UTF-16LE"', Buffer.from('{"a":"é"}', 'utf16le'))).text, '{"a":"é"}');
  const unknown = await post('text/plain; charset=klingon', 'x');
  assert.deepEqual([unknown.status, unknown.text], [415, '{"error":"the charset klingon of the request\'s body is not known"}']);
});

test('nested forms are read as qs reads them', () => {
  const { parseNestedForm } = require('../styles/nested-form');
  for (const text of ['a=1&a=2', 'a[]=1&a[]=2', 'a[1]=y&a[0]=x', 'a[b][c]=1&a[b][d]=2', 'a[100]=x', '__proto__[x]=1&b=2', 'toString=1', 'a', '', 'a[b]=1&a[b]=2', 'a%5Bb%5D=c+d', '[a]=1', 'a[b', 'a[=1', 'a[b]c[d]=1', 'a[b][c]=1&a[b][d=2', 'a[1][2][3][4][5][6][7]=x', 'x[y][z][0]=1', 'a[]=']) {
    assert.deepEqual(parseNestedForm(text), qs.parse(text), text);
  }
});
