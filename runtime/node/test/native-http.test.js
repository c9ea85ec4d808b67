'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start, frames } = require('./harness');

/** Loads a handler, sends one request, and checks what came back. */
function check(name, handler, request, expected) {
  test(name, async (t) => {
    const { worker, loaded } = await start(t, `module.exports = ${handler};`);
    assert.equal(loaded.ok, true, JSON.stringify(loaded));
    assert.equal(loaded.style, 'native');
    const { target = '/', ...options } = request;
    const answer = await worker.get(target, options);
    assert.equal(answer.fail, undefined, JSON.stringify(answer.fail));
    const { status = 200, headers = {}, body = '' } = expected;
    assert.equal(answer.text, body);
    assert.equal(answer.status, status);
    // What tags are, express.test.js says.
    const { etag, ...others } = answer.headers;
    const { etag: wanted = etag, ...rest } = headers;
    assert.deepEqual([others, etag], [rest, wanted]);
  });
}

const HTML = { 'content-type': 'text/html; charset=utf-8' };
const TEXT = { 'content-type': 'text/plain; charset=utf-8' };
const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' };

check('end() sends bytes as they are', "(req, res) => { res.end('hello'); }", {}, { body: 'hello' });
check('send() of a text is HTML', "(req, res) => res.send('héllo')", {}, { body: 'héllo', headers: HTML });
check('send() of an object is JSON', '(req, res) => res.send({ a: [1] })', {}, { body: '{"a":[1]}', headers: JSON_TYPE });
check('send() of bytes', "(req, res) => res.send(Buffer.from('x'))", {}, { body: 'x', headers: { 'content-type': 'application/octet-stream' } });
check('a returned text is sent', "async () => 'hi'", {}, { body: 'hi', headers: HTML });
check('a returned object is sent', '() => ({ ok: true })', {}, { body: '{"ok":true}', headers: JSON_TYPE });
check('a returned null is JSON', 'async () => null', {}, { body: 'null', headers: JSON_TYPE });
check('a returned Response is sent', "async (req, res) => { res.set('x-a', '1'); return Response.json({ a: 1 }, { status: 201 }); }", {}, {
  status: 201, body: '{"a":1}', headers: { 'x-a': '1', 'content-type': 'application/json' },
});
check('a returned stream is sent', "() => require('node:stream').Readable.from(['a', 'b'])", {}, { body: 'ab' });
check('a returned async generator is sent', "async () => (async function* () { yield 'a'; yield Buffer.from('b'); })()", {}, { body: 'ab' });
check('a returned timer is no answer', "(req, res) => setTimeout(() => res.json(1), 5)", {}, { body: '1', headers: JSON_TYPE });
check('status and chains', "(req, res) => res.status(404).type('txt').send('none')", {}, { status: 404, body: 'none', headers: TEXT });
check('sendStatus', '(req, res) => res.sendStatus(201)', {}, { status: 201, body: 'Created', headers: TEXT });
check('set() of several, append, vary, removeHeader', `(req, res) => {
  res.set({ 'X-A': 1, 'Content-Type': 'text/css' }).append('X-B', '1').append('X-B', '2').vary('Accept').vary(['accept', 'Origin']).removeHeader('x-a');
  res.end('b');
}`, {}, { body: 'b', headers: { 'content-type': 'text/css; charset=utf-8', 'x-b': ['1', '2'], vary: 'Accept, Origin' } });
check('redirect', "(req, res) => res.redirect(301, '/ä b')", {}, {
  status: 301, body: 'Moved Permanently. Redirecting to /%C3%A4%20b', headers: { ...TEXT, location: '/%C3%A4%20b', vary: 'Accept' },
});
check('cookies', "(req, res) => { res.cookie('a', 'b c', { httpOnly: true, sameSite: 'lax', expires: new Date(1) }); res.clearCookie('z'); res.json(req.cookies); }", {
  headers: [['host', 'x'], ['cookie', 'q=1; q=2'], ['cookie', 'r=%20']],
}, {
  body: '{"q":"1","r":" "}',
  headers: {
    ...JSON_TYPE,
    'set-cookie': ['a=b%20c; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax', 'z=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT'],
  },
});
check('writeHead and write', "(req, res) => { res.writeHead(202, 'ok', { 'X-Y': ['1', '2'] }); res.write('a'); res.write(Buffer.from('b')); res.end('c'); }", {}, {
  status: 202, body: 'abc', headers: { 'x-y': ['1', '2'] },
});
check('HEAD has the length and no body', "(req, res) => res.send('héllo')", { method: 'HEAD' }, { headers: { ...HTML, 'content-length': '6' } });
check('204 has no body', "(req, res) => res.status(204).end('x')", {}, { status: 204 });
check('a wrong content-length does not get out', "(req, res) => { res.set('Content-Length', 99); res.end('ab'); }", {}, { body: 'ab' });
check('hop-by-hop headers are the server\'s', "(req, res) => { res.setHeader('Transfer-Encoding', 'chunked'); res.setHeader('Connection', 'close'); res.end('ab'); }", {}, { body: 'ab' });
check('what a request says', `(req, res) => res.json({
  method: req.method, url: req.url, path: req.path, query: req.query, params: req.params, a: req.get('X-A'), h: req.headers,
  ip: req.ip, raw: req.rawHeaders.length, host: req.hostname, socket: req.socket.remoteAddress })`, {
  method: 'DELETE', target: '/a/b%20c?x=1&x=2&y=%C3%A4', params: { id: 'ä b' }, remote: '::1',
  headers: [['host', 'h.test:80'], ['x-a', '1'], ['x-a', '2'], ['user-agent', 'u'], ['user-agent', 'v'], ['set-cookie', 's']],
}, {
  headers: JSON_TYPE,
  body: JSON.stringify({
    method: 'DELETE', url: '/a/b%20c?x=1&x=2&y=%C3%A4', path: '/a/b%20c', query: { x: ['1', '2'], y: 'ä' }, params: { id: 'ä b' }, a: '1, 2',
    h: { host: 'h.test:80', 'x-a': '1, 2', 'user-agent': 'u', 'set-cookie': ['s'] }, ip: '::1', raw: 12, host: 'h.test', socket: '::1',
  }),
});

for (const [type, sent, expected] of [
  ['application/json', '{"a":1}', { a: 1 }],
  ['application/vnd.api+json; charset=utf-8', '[1]', [1]],
  ['application/x-www-form-urlencoded', 'a=1&b=2&b=3+4', { a: '1', b: ['2', '3 4'] }],
  ['text/plain', 'ä', 'ä'],
  ['application/octet-stream', 'ab', { type: 'Buffer', data: [97, 98] }],
]) {
  check(`the body of ${type}`, '(req, res) => res.json(req.body)', { method: 'POST', headers: [['content-type', type]], body: sent }, {
    headers: JSON_TYPE, body: JSON.stringify(expected),
  });
}
check('a body that is no JSON is a bad request', '(req, res) => res.json(req.body)', {
  method: 'POST', headers: [['content-type', 'application/json']], body: '{',
}, { status: 400, headers: JSON_TYPE, body: JSON.stringify({ error: `the body of the request is not valid JSON: ${parseMessage('{')}` }) });

function parseMessage(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    return error.message;
  }
}

check('a whole body is also a stream', `async (req, res) => {
  let text = ''; for await (const chunk of req) text += chunk;
  res.json([text, req instanceof require('node:stream').Readable, req.readableEnded]);
}`, { method: 'POST', body: 'abc' }, { headers: JSON_TYPE, body: '["abc",true,true]' });
check('events of the request', "(req, res) => { let n = 0; req.on('data', (d) => (n += d.length)).on('end', () => res.json(n)); }", { method: 'POST', body: 'abc' }, {
  headers: JSON_TYPE, body: '3',
});
check('json() and text() of the request', '(req, res) => req.json().then(async (v) => res.json([v, await req.text()]))', { method: 'POST', body: '{"a":1}' }, {
  headers: JSON_TYPE, body: '[{"a":1},"{\\"a\\":1}"]',
});
check('pipe into the answer', "(req, res) => { req.pipe(res); }", { method: 'POST', body: 'piped' }, { body: 'piped' });
check('pipeline into the answer', "(req, res) => require('node:stream/promises').pipeline(req, new (require('node:stream').PassThrough)(), res)", { method: 'POST', body: 'piped' }, { body: 'piped' });
check('named exports and finish', `(req, res) => {
  const seen = [];
  res.on('finish', () => seen.push('finish')); res.on('close', () => console.log(seen.concat('close').join()));
  res.end('x', () => seen.push('callback'));
}`, {}, { body: 'x' });

for (const [what, code, pattern] of [
  ['status', 'res.status("abc")', /"?abc"? is not a valid status/],
  ['status 99', 'res.statusCode = 99; res.end()', /99 is not a valid status/],
  ['header name', 'res.set("a b", 1)', /"a b" is not a valid header name/],
  ['header value', 'res.set("a", "b\\nc")', /value of the header a holds a character/],
  ['undefined header', 'res.setHeader("a", undefined)', /the header a has the value undefined/],
  ['late header', 'res.end("a"); res.set("a", "b")', null],
]) {
  test(`an invalid ${what} is a clear error`, async (t) => {
    const { worker } = await start(t, `module.exports = (req, res) => { ${code}; };`);
    const answer = await worker.get('/');
    if (pattern === null) {
      const log = await worker.until(() => worker.logs().find((line) => line.level === 3), 'a log line');
      assert.match(log.text, /cannot set the header a: the headers have been sent/);
      assert.equal(log.fields.run, 'run_128ggyhyyk08n');
      return;
    }
    assert.equal(answer.fail.kind, 'user_error');
    assert.match(answer.fail.message, pattern);
  });
}

test('a small answer is one frame that ends the stream', async (t) => {
  const { worker } = await start(t, "module.exports = (req, res) => { res.end('hello'); };");
  const answer = await worker.get('/');
  assert.equal(answer.frames.length, 1);
  assert.equal(answer.frames[0].payload[0], frames.FLAG_END);
});

test('express apps\' named exports answer by their index', async (t) => {
  const { worker, loaded } = await start(t, 'exports.a = () => "A"; exports.b = () => "B";', { handlers: ['b', 'a'] });
  assert.deepEqual(loaded, { ok: true, style: 'native', exports: ['a', 'b'], missing: [] });
  assert.equal((await worker.get('/', { handler: 0 })).text, 'B');
  assert.equal((await worker.get('/', { handler: 1 })).text, 'A');
});

test('an app that gives requests prototypes of its own, as Express does', async (t) => {
  const { worker, loaded } = await start(t, `const http = require('node:http');
    const request = Object.create(http.IncomingMessage.prototype, { word: { get() { return this.headers['x-word']; } } });
    const response = Object.create(http.ServerResponse.prototype);
    response.send = function (body) { this.setHeader('X-App', 'yes'); return this.end(body); };
    const app = (req, res) => app.handle(req, res);
    app.request = Object.create(request); app.response = Object.create(response);
    app.handle = (req, res) => {
      Object.setPrototypeOf(req, app.request); Object.setPrototypeOf(res, app.response);
      let text = ''; req.on('data', (chunk) => (text += chunk)).on('end', () => res.send(req.word + text + req.method));
    };
    module.exports = app;`);
  assert.equal(loaded.ok, true);
  const answer = await worker.get('/', { method: 'POST', headers: [['x-word', 'a']], body: 'b' });
  assert.deepEqual([answer.text, answer.headers], ['abPOST', { 'x-app': 'yes' }]);
});

check('middleware that replaces writeHead()', `(req, res) => {
  const original = res.writeHead;
  res.writeHead = function (...args) { res.setHeader('X-Late', '1'); return original.apply(this, args); };
  res.status(201).end('x');
}`, {}, { status: 201, body: 'x', headers: { 'x-late': '1' } });

check('HEAD with a bare end() claims no length', '(req, res) => { res.end(); }', { method: 'HEAD' }, {});
for (const status of [204, 304]) {
  for (const code of ["send('x')", "json({ a: 1 })", `sendStatus(${status})`]) {
    check(`${status} says nothing of a body: ${code}`, `(req, res) => res.status(${status}).set({ 'content-type': 'text/css', 'content-length': 3, etag: '"1"' }).${code}`, {}, {
      status, headers: { etag: '"1"' },
    });
  }
}
check('204 from plain code has no length', "(req, res) => { res.writeHead(204, { 'content-length': 0, 'x-a': 1 }); res.end(); }", {}, { status: 204, headers: { 'x-a': '1' } });
check('numbers of headers stay numbers', "(req, res) => { res.setHeader('X-N', 5); res.json([res.getHeader('x-n'), res.getHeaders()['x-n'], (res.append('x-n', 6), res.get('x-n'))]); }", {}, {
  body: '[5,5,["5","6"]]', headers: { ...JSON_TYPE, 'x-n': ['5', '6'] },
});
check('res.locals', "(req, res) => { res.locals.a = 1; const first = { ...res.locals }; res.locals = { b: 2 }; res.json([first, res.locals]); }", {}, { body: '[{"a":1},{"b":2}]', headers: JSON_TYPE });
check('req.xhr', '(req, res) => res.json(req.xhr)', { headers: [['x-requested-with', 'XMLHttpRequest']] }, { body: 'true', headers: JSON_TYPE });

/** What a request's preferences choose. */
function prefers(header, value, call, expected) {
  check(`${header}: ${value} → ${call}`, `(req, res) => res.json(req.${call})`, { headers: value === null ? [] : [[header, value]] }, { body: JSON.stringify(expected), headers: JSON_TYPE });
}
prefers('accept', 'text/html,application/json;q=0.9', "accepts('json', 'html')", 'html');
prefers('accept', 'text/*;q=0.5, application/json', "accepts(['html', 'json'])", 'json');
prefers('accept', 'text/html', "accepts('json')", false);
prefers('accept', 'text/html;q=0, */*', "accepts('html', 'text/plain')", 'text/plain');
prefers('accept', null, "accepts('json', 'html')", 'json');
prefers('accept', 'a/b;q=0.1, c/d', 'accepts()', ['c/d', 'a/b']);
prefers('accept-encoding', 'gzip, br', "acceptsEncodings('br', 'gzip')", 'gzip');
prefers('accept-encoding', 'gzip', "acceptsEncodings('identity')", 'identity');
prefers('accept-encoding', 'gzip, identity;q=0', "acceptsEncodings('identity')", false);
prefers('accept-encoding', null, "acceptsEncodings('gzip', 'identity')", 'identity');
prefers('accept-language', 'de-CH, en;q=0.5', "acceptsLanguages('en', 'de')", 'de');
prefers('accept-language', 'en', "acceptsLanguages('en-GB', 'fr')", 'en-GB');
prefers('accept-charset', 'utf-8', "acceptsCharsets('latin1', 'utf-8')", 'utf-8');

test('destroying the socket breaks the answer off', async (t) => {
  const { worker } = await start(t, "module.exports = (req, res) => { res.write('a'); setTimeout(() => req.socket.destroy(), 5); };");
  const { fail, status } = await worker.get('/');
  assert.deepEqual([status, fail.message], [200, 'the handler closed the connection']);
});
