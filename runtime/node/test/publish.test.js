'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start, frames } = require('./harness');

const EVENT = { specversion: '1.0', id: '1', type: 'wakeful.function.invoke', data: null };
const OK = { ids: ['e1'], duplicates: 0 };

/** The message and data that a call of `publish` sends, and what it resolves with. */
async function published(t, code, head = OK) {
  const { worker } = await start(t, `const { publish } = require('wakeful'); module.exports = async (event) => ${code};`);
  const stream = worker.event(EVENT);
  const { call: first, fail } = await worker.callOrAnswer(stream);
  if (first === undefined) return { fail, calls: worker.calls().length };
  worker.reply(first.stream, head);
  const answer = await worker.answer(stream);
  assert.equal(first.op, 'publish');
  return { events: first.params.events, body: first.body, attempt: first.attempt === stream, result: JSON.parse(answer.text) };
}

/** What one message becomes. */
function check(name, code, head, body) {
  test(`sent: ${name}`, async (t) => {
    const sent = await published(t, code);
    assert.deepEqual(sent.events, [head], JSON.stringify(sent.events));
    assert.equal(sent.body.toString('latin1'), body);
    assert.deepEqual([sent.result, sent.attempt], [{ id: 'e1', duplicates: 0 }, true]);
  });
}
const JSON_TYPE = 'application/json';
check('a topic and data', "publish('orders.paid', { id: 7 })", { topic: 'orders.paid', contentType: JSON_TYPE, length: 8 }, '{"id":7}');
check('no data', "publish('orders.paid')", { topic: 'orders.paid' }, '');
check('null', "publish('a', null)", { topic: 'a', contentType: JSON_TYPE, length: 4 }, 'null');
check('a text', "publish('a', 'ü')", { topic: 'a', contentType: JSON_TYPE, length: 4 }, '"\xc3\xbc"');
check('a text of its own type', "publish('a', 'ü', { contentType: 'text/plain' })", { topic: 'a', contentType: 'text/plain', length: 2 }, '\xc3\xbc');
check('bytes', "publish('a', new Uint16Array([0xff01]))", { topic: 'a', contentType: 'application/octet-stream', length: 2 }, '\x01\xff');
check('JSON that is written already', "publish('a', Buffer.from('[1.0]'), { contentType: 'application/x+json; a=b' })", { topic: 'a', contentType: 'application/x+json; a=b', length: 5 }, '[1.0]');
check('what has a form for JSON', "publish('a', { at: new Date(0), own: { toJSON: () => 'x', f() {} }, none: undefined, list: [undefined] })", { topic: 'a', contentType: JSON_TYPE, length: 57 }, '{"at":"1970-01-01T00:00:00.000Z","own":"x","list":[null]}');
check('what has no properties', "publish('a', [{}, new (class A {})(), Object.create(null), new Number(5), (function () { return arguments; })()])", { topic: 'a', contentType: JSON_TYPE, length: 15 }, '[{},{},{},5,{}]');
check('options', "publish('a', 1, { delay: '1h30m', key: 'k', dedup: 5, subject: 's', source: '/s', id: 'i', time: new Date(0), extensions: { a: 'x', b: true, c: -5, d: new Date(0), e: Buffer.from('hi'), f: null, g: undefined } })", {
  topic: 'a', contentType: JSON_TYPE, length: 1, delayMs: 5_400_000, key: 'k', dedup: '5', subject: 's', source: '/s', id: 'i', time: '1970-01-01T00:00:00.000Z',
  extensions: { a: 'x', b: true, c: -5, d: '1970-01-01T00:00:00.000Z', e: 'aGk=' },
}, '1');
check('a delay in milliseconds', "publish('a', 1, { delay: 1500.2 })", { topic: 'a', contentType: JSON_TYPE, length: 1, delayMs: 1501 }, '1');
check('a time to wait for', "publish('a', 1, { at: new Date(5) })", { topic: 'a', contentType: JSON_TYPE, length: 1, at: 5 }, '1');
check('undefined options', "publish('a', 1, { at: undefined, key: undefined })", { topic: 'a', contentType: JSON_TYPE, length: 1 }, '1');
check('a message', "publish({ topic: 'a', data: [1], key: 'own' }, { key: 'k', subject: 's' })", { topic: 'a', contentType: JSON_TYPE, length: 3, key: 'own', subject: 's' }, '[1]');
check('a CloudEvent', "publish({ specversion: '1.0', id: 'i', source: '/s', type: 'a.b', subject: 's', time: '2026-01-01T00:00:00Z', datacontenttype: 'application/json', dataschema: 'http://x', traceparent: 'tp', data: { a: 1 } }, { key: 'k' })", {
  topic: 'a.b', contentType: JSON_TYPE, length: 7, id: 'i', source: '/s', subject: 's', time: '2026-01-01T00:00:00Z', extensions: { dataschema: 'http://x', traceparent: 'tp' }, key: 'k',
}, '{"a":1}');
check('a CloudEvent with bytes', "publish({ type: 'a', data_base64: 'aGk=' })", { topic: 'a', contentType: 'application/octet-stream', length: 2 }, 'hi');
check('a CloudEvent with a text', "publish({ type: 'a', datacontenttype: 'text/plain', data: 'hi', subject: null })", { topic: 'a', contentType: 'text/plain', length: 2 }, 'hi');
check('the event that came', 'publish(event)', { topic: 'wakeful.function.invoke', contentType: JSON_TYPE, length: 4, id: '1' }, 'null');

test('a class like that of the CloudEvents SDK tells of its data by toJSON', async (t) => {
  const sent = await published(t, `(() => {
    class CloudEvent { #data; constructor(data) { this.id = 'i'; this.type = 'a'; this.specversion = '1.0'; this.#data = data; } get data() { return this.#data; }
      toJSON() { return { ...this, data: this.#data }; } }
    return publish(new CloudEvent({ a: 1 }));
  })()`);
  assert.deepEqual([sent.events, sent.body.toString()], [[{ topic: 'a', contentType: JSON_TYPE, length: 7, id: 'i' }], '{"a":1}']);
});

test('a list goes in one call, data one after the other', async (t) => {
  const sent = await published(t, "publish([{ topic: 'a', data: 1 }, { type: 'b' }, { topic: 'c', data: Buffer.from('xyz') }], { delay: '1s' })", { ids: ['x', 'y', 'z'], duplicates: 2 });
  assert.deepEqual(sent.events, [
    { topic: 'a', contentType: JSON_TYPE, length: 1, delayMs: 1000 }, { topic: 'b', delayMs: 1000 }, { topic: 'c', contentType: 'application/octet-stream', length: 3, delayMs: 1000 },
  ]);
  assert.equal(sent.body.toString(), '1xyz');
  assert.deepEqual(sent.result, { ids: ['x', 'y', 'z'], duplicates: 2 });
});

test('an empty list asks nobody', async (t) => {
  const { worker } = await start(t, "const { publish } = require('wakeful'); module.exports = () => publish([]);");
  assert.deepEqual(await worker.result(EVENT), { ids: [], duplicates: 0 });
  assert.deepEqual(worker.calls(), []);
});

test('6 MiB of data go out, as a body under credit', async (t) => {
  const { worker } = await start(t, "const { publish } = require('wakeful'); module.exports = () => publish('a', Buffer.alloc(6 * 1024 * 1024, 'x'));");
  const stream = worker.event(EVENT);
  const call = await worker.call(0);
  worker.credit(call.stream, 10_000_000);
  await worker.frame(frames.END, call.stream);
  const sent = worker.frames.filter((one) => one.kind === frames.DATA && one.stream === call.stream);
  assert.equal(sent.reduce((sum, one) => sum + one.payload.length, 0), 6 * 1024 * 1024);
  worker.reply(call.stream, OK);
  assert.equal((await worker.answer(stream)).text, '{"id":"e1","duplicates":0}');
});

/** Refused before anything is sent. */
function refuses(name, code, message, kind = 'TypeError') {
  test(`refused without asking the server: ${name}`, async (t) => {
    const { fail, calls } = await published(t, code);
    assert.match(fail.message, message);
    assert.deepEqual([fail.name, calls], [kind, 0]);
  });
}
refuses('circular data', "(() => { const a = {}; a.self = a; return publish('a', a); })()", /^the data of `a` cannot be written as JSON: Converting circular structure to JSON$/);
refuses('a BigInt', "publish('a', { n: 1n })", /cannot be written as JSON: Do not know how to serialize a BigInt/);
refuses('a function', "publish('a', () => 1)", /cannot be written as JSON: it is a function/);
refuses('a function within', "publish('a', { list: [{ f() {} }] })", /cannot be written as JSON: `list\[0\]\.f` is a function/);
refuses('a symbol', "publish('a', { s: Symbol('x') })", /`s` is a symbol/);
refuses('a promise', "publish('a', { user: Promise.resolve(1) })", /`user` is a promise \(is an `await` missing\?\)/);
refuses('a promise alone', "publish('a', Promise.resolve(1))", /it is a promise/);
refuses('a Map', "publish('a', [new Map()])", /`\[0\]` is a Map \(use Object\.fromEntries\)/);
refuses('a Set', "publish('a', { tags: new Set() })", /`tags` is a Set/);
refuses('an Error', "publish('a', { error: new TypeError('x') })", /`error` is an Error/);
refuses('bytes within', "publish('a', { bytes: new Uint8Array(2) })", /`bytes` is bytes within an object/);
refuses('a stream', "publish('a', require('node:stream').Readable.from([1]))", /cannot be written as JSON: it is a stream \(put it into a bucket and send its key\)/);
refuses('a Blob', "publish('a', { file: new Blob(['x']) })", /`file` is an object of class Blob, of which JSON keeps nothing/);
refuses('headers', "publish('a', new Headers({ a: 'b' }))", /it is an object of class Headers, of which JSON keeps nothing/);
refuses('a pattern', "publish('a', [/x/])", /`\[0\]` is an object of class RegExp/);
refuses('what is too deep', "(() => { let a = {}; for (let i = 0; i < 2000; i++) a = { a }; return publish('a', a); })()", /more than 1000 objects stand in each other/);
refuses('more than 6 MiB', "publish('a', 'x'.repeat(6 * 1024 * 1024))", /^the data of `a` takes 6291458 bytes, and 6291456 are the most: put it into a bucket and send its key$/, 'RangeError');
refuses('more than 6 MiB together', "publish([1, 2].map(() => ({ topic: 'a', data: 'x'.repeat(4_000_000) })))", /the data of the 2 events take 8000004 bytes, and one call may publish 6291456/, 'RangeError');
refuses('too many events', "publish(Array.from({ length: 1001 }, () => ({ topic: 'a' })))", /1001 events are more than the 1000/, 'RangeError');
refuses('an object for a text', "publish('a', { a: 1 }, { contentType: 'text/plain' })", /the data of `a` is of type text\/plain: give it as a string or as bytes/);
refuses('no topic', 'publish({ data: 1 })', /the event has neither `type`, as CloudEvents have it, nor `topic`/);
refuses('an empty topic', "publish('', 1)", /a topic must be a string that is not empty, not an empty one/);
refuses('nothing', 'publish()', /publish\(\) takes a topic and data, a CloudEvent/);
refuses('a number', 'publish([5])', /publish\(\) takes a topic and data, a CloudEvent.*not number/);
refuses('an unknown option', "publish('a', 1, { delayMs: 5 })", /publish\(\) has no option `delayMs`: there are delay, at, key/);
refuses('an unknown field of a message', "publish({ topic: 'a', payload: 5 })", /publish\(\) has no option `payload`/);
refuses('an old CloudEvent', "publish({ specversion: '0.3', type: 'a' })", /the event is of CloudEvents 0\.3: only 1\.0 is taken/);
refuses('both delay and at', "publish('a', 1, { delay: 5, at: new Date() })", /give `delay` or `at`, not both/);
refuses('a delay that is none', "publish('a', 1, { delay: 'soon' })", /`delay` must be milliseconds or a duration such as '5m'/);
refuses('a delay of years', "publish('a', 1, { delay: '400d' })", /a delay is 30 days at most/, 'RangeError');
refuses('a date that is none', "publish('a', 1, { at: new Date(NaN) })", /`at` must be a valid Date, not an invalid one/);
refuses('a key that is none', "publish('a', 1, { key: {} })", /`key` must be a string that is not empty, not an object of class Object/);
refuses('an extension\'s name', "publish('a', 1, { extensions: { traceId: 'x' } })", /the extension `traceId` must have a name of lower-case letters and digits/);
refuses('an extension\'s value', "publish({ type: 'a', extra: { b: 1 } })", /the extension `extra` must be a string, a boolean, a whole number of 32 bits/);
refuses('one dedup for all', "publish([{ topic: 'a' }, { topic: 'b' }], { dedup: 'x' })", /`dedup` for a whole list would make all but the first event repetitions/);
refuses('an event and three arguments', "publish({ topic: 'a' }, {}, {})", /publish\(event, options\) has two arguments/);

test('the server\'s refusal is a WakefulError at the line that called', async (t) => {
  const { worker } = await start(t, "const { publish, WakefulError } = require('wakeful'); module.exports = async () => { try { await publish('nope', 1); } catch (error) { return [error instanceof WakefulError, error.code, error.op, /index\\.js/.test(error.stack)]; } };");
  const stream = worker.event(EVENT);
  worker.reply((await worker.call(0)).stream, { code: 'not_found', message: 'there is no topic `nope`' }, { flags: 3 });
  assert.deepEqual(JSON.parse((await worker.answer(stream)).text), [true, 'not_found', 'publish', true]);
});
