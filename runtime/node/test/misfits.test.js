'use strict';
// Code that loads but cannot be called, and answers that cannot be sent: what is said of them.

const assert = require('node:assert/strict');
const test = require('node:test');
const { start } = require('./harness');

/** Code with which loading fails: the message, and the line if one can be told. */
function refused(name, code, settings, message, line = null) {
  test(`refused: ${name}`, async (t) => {
    const { loaded } = await start(t, code, settings);
    assert.equal(loaded.ok, false, JSON.stringify(loaded));
    assert.equal(loaded.error.message, message);
    assert.deepEqual([loaded.error.name, loaded.error.file, loaded.error.line], ['HandlerError', `functions/books/${settings.file ?? 'index.js'}`, line]);
    if (line !== null) assert.match(loaded.error.excerpt, new RegExp(`^> +${line} \\| `, 'm'));
  });
}
const MODULE = { file: 'index.mjs' };
refused('a number as an export', '\nexports.show = 7;', { handlers: ['show'] }, 'the export `show` of index.js is a number, not a function', 2);
refused('an object as the handler of Lambda', 'exports.other = () => 1;\nexports.handler = { a: 1 };', { style: 'lambda' }, 'the export `handler` of index.js is an object of class Object, not a function', 2);
refused('null in an ES module', 'export const other = 1;\nexport const show = null;', { ...MODULE, handlers: ['show'] }, 'the export `show` of index.mjs is null, not a function', 2);
refused('a text as module.exports', "\n\nmodule.exports = 'text';", {}, 'the default export of index.js is a string, not a function', 3);
refused('a list of exports', "const show = 'x';\nmodule.exports = {\n  show,\n};", { handlers: ['show'] }, 'the export `show` of index.js is a string, not a function', 3);
refused('nothing is exported', 'const handler = () => 1;', {}, 'there is no function to call; index.js exports none: write `module.exports = …`, `exports.name = …` or `export default …`');
refused('style web without fetch', 'export const a = () => 1;', { ...MODULE, style: 'web' }, 'style `web` needs a default export with `fetch(request, env, ctx)`, `scheduled` or `queue`; index.mjs exports `a`');
refused('style lambda without handler', 'exports.a = () => 1; exports.b = () => 2;', { style: 'lambda' }, 'style `lambda` needs an export `handler`, or a `handler` in the trigger; index.js exports `a`, `b`');
refused('style cloudevents without a registration', 'exports.a = () => 1;', { style: 'cloudevents' }, 'style `cloudevents` needs functions that are registered through @google-cloud/functions-framework; index.js exports `a`');

test('what only lacks a name is missing', async (t) => {
  const cases = [
    ['exports.a = () => 1;', { handlers: ['a', 'b'] }, ['b']],
    ['exports.a = () => 1; exports.b = () => 2;', {}, [null]],
    ['exports.a = () => 1;', { style: 'spica', handlers: ['b'] }, ['b']],
    ['export default { fetch: () => new Response() };', { ...MODULE, handlers: [null, 'row'] }, ['row']],
  ];
  for (const [code, settings, missing] of cases) {
    const { loaded } = await start(t, code, settings);
    assert.deepEqual([loaded.ok, loaded.missing], [true, missing], code);
  }
});

/** An answer that cannot be sent: the message, and whether the stack leads to the user's file. */
function fails(name, handler, message, settings = {}) {
  test(`fails: ${name}`, async (t) => {
    const { worker } = await start(t, settings.file === 'index.mjs' ? `export default { fetch: ${handler} };` : `module.exports = ${handler};`, settings);
    const { fail } = await worker.get('/');
    assert.equal(fail?.kind, 'user_error');
    assert.match(fail.message, message);
    if (settings.placed !== false) assert.match(fail.stack, /functions\/books\/index\.js:1:\d+/);
  });
}
const CIRCLE = 'const a = { name: 1 }; a.self = a;';
fails('a circle in res.json()', `(req, res) => { ${CIRCLE} res.json(a); }`, /^the answer cannot be written as JSON: Converting circular structure to JSON --> .*property 'self' closes the circle$/);
fails('a circle that is returned', `async () => { ${CIRCLE} return a; }`, /^the answer cannot be written as JSON: Converting circular/, { placed: false });
fails('a BigInt', '(req, res) => res.send({ a: 1n })', /cannot be written as JSON: .*BigInt/);
fails('a function', '(req, res) => res.send(() => 1)', /^send\(\) takes a string, bytes or something that JSON can hold, not function/);
fails('a status', '(req, res) => res.status(1000).end()', /^1000 is not a valid status: expected a whole number from 200 to 999$/);
fails('a name of a header', "(req, res) => res.set('a b', '1').end()", /^"a b" is not a valid header name$/);
fails('a value of a header', "(req, res) => res.set('a', 'x\\ny').end()", /the header a holds a character that no header may hold/);
fails('headers that are too large', "(req, res) => { res.set('a', 'x'.repeat(17 * 1024 * 1024)).end(); }", /^the headers of the answer take \d+ bytes, more than can be sent$/, { placed: false });
fails('fetch() that gives no Response', 'async () => ({ status: 200 })', /^fetch\(\) must return a Response, not an object of class Object$/, { file: 'index.mjs', placed: false });
fails('an error as Response', 'async () => Response.error()', /^0 is not a valid status/, { file: 'index.mjs', placed: false });

test('an event\'s result: a circle names its way, and too much says how much', async (t) => {
  const { worker } = await start(t, `module.exports = (event) => { ${CIRCLE} return event.data === 'large' ? 'x'.repeat(7e6) : a; };`);
  const event = (data) => ({ specversion: '1.0', id: 'e', source: '/s', type: 't', data });
  assert.match((await worker.result(event('circle'))).fail.message, /^the result of the handler cannot be written as JSON: Converting circular structure to JSON --> .*property 'self' closes the circle$/);
  assert.equal((await worker.result(event('large'))).fail.message, 'the result of the handler is larger than 6291456 bytes');
});
