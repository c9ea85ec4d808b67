'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start } = require('./harness');
const { parseDuration } = require('../durations');
const { RetryAfterError, retryAdvice } = require('../retry');

const EVENT = { specversion: '1.0', id: '1', type: 'wakeful.function.invoke', data: null };

const SETUP = `const { NonRetriableError, RetryAfterError } = require('wakeful');
  const cause = new TypeError('inner');
  const errors = {
    never: () => new NonRetriableError('no', { cause }),
    after: () => new RetryAfterError('later', '5m', { cause }),
    plain: () => new Error('x', { cause: new NonRetriableError('inner') }),
  };`;
const STYLES = {
  native: 'module.exports = async ({ data }) => { throw errors[data](); };',
  lambda: 'exports.handler = async (kind) => { throw errors[kind](); };',
  'lambda with a callback': 'exports.handler = (kind, context, callback) => { callback(errors[kind]()); };',
};
for (const [style, code] of Object.entries(STYLES)) {
  test(`what errors say about trying again: ${style}`, async (t) => {
    const { worker } = await start(t, `${SETUP}\n${code}`);
    const failure = async (kind) => (await worker.result({ ...EVENT, data: kind })).fail;
    const never = await failure('never');
    assert.deepEqual([never.kind, never.name, never.message, never.retry], ['user_error', 'NonRetriableError', 'no', { never: true }]);
    assert.match(never.stack, /Caused by: TypeError: inner/);
    const after = await failure('after');
    assert.equal(after.name, 'RetryAfterError');
    assert.ok(after.retry.afterMs > 290_000 && after.retry.afterMs <= 300_000, String(after.retry.afterMs));
    assert.equal('retry' in (await failure('plain')), false);
  });
}

test('a request that fails says it too: its endpoint may be asynchronous', async (t) => {
  const { worker } = await start(t, "const { NonRetriableError } = require('wakeful'); module.exports = async () => { throw new NonRetriableError('no'); };");
  assert.deepEqual((await worker.get('/')).fail.retry, { never: true });
  const web = await start(t, "import { NonRetriableError } from 'wakeful'; export default { fetch() { throw new NonRetriableError('no'); } };", { file: 'index.mjs' });
  assert.deepEqual((await web.worker.get('/')).fail.retry, { never: true });
});

/** An error with these properties. */
function says(properties, expected) {
  const now = Date.now();
  const advice = retryAdvice(Object.assign(new Error('x'), properties(now)));
  if (typeof expected !== 'number') assert.deepEqual(advice, expected, String(properties));
  else assert.ok(Math.abs(advice.afterMs - expected) < 1000, `${properties}: ${JSON.stringify(advice)}`);
}

test('errors of others are read in the ways in which they say it', () => {
  says(() => ({ retryable: false }), { never: true });
  says(() => ({ retryable: true }), undefined);
  says(() => ({ retryable: 0 }), undefined);
  says(() => ({ retryable: false, retryAfter: 5 }), { never: true });
  says(() => ({ retryAfter: 5 }), { afterMs: 5000 });
  says(() => ({ retryAfter: 0.5 }), { afterMs: 500 });
  says(() => ({ retryAfter: '120' }), { afterMs: 120_000 });
  says(() => ({ retryAfter: '1.5' }), { afterMs: 1500 });
  says((now) => ({ retryAfter: new Date(now + 60_000).toISOString() }), 60_000);
  says(() => ({ retryAfter: '1h30m' }), { afterMs: 5_400_000 });
  says((now) => ({ retryAfter: new Date(now + 60_000) }), 60_000);
  says((now) => ({ retryAfter: new Date(now + 61_000).toUTCString() }), 60_500);
  says(() => ({ retryAfter: -5 }), { afterMs: 0 });
  says((now) => ({ retryAfter: new Date(now - 5000) }), { afterMs: 0 });
  says(() => ({ retryAfter: 1e300 }), { afterMs: 30 * 86_400_000 });
  for (const nonsense of [NaN, Infinity, '', 'soon', 'in 5 minutes', '1,5', null, {}, new Date(NaN), true, () => 5]) says(() => ({ retryAfter: nonsense }), undefined);
  assert.equal(retryAdvice('text'), undefined);
  assert.equal(retryAdvice(undefined), undefined);
  const hostile = Object.defineProperty(new Error('x'), 'retryable', { get() { throw new Error('no'); } });
  assert.equal(retryAdvice(hostile), undefined);
});

test('RetryAfterError takes milliseconds, a duration, or a time', () => {
  const wait = (after) => new RetryAfterError('x', after).retryAfter.getTime() - Date.now();
  assert.ok(Math.abs(wait(1500) - 1500) < 200);
  assert.ok(Math.abs(wait('2s') - 2000) < 200);
  assert.equal(new RetryAfterError('x', new Date(5)).retryAfter.getTime(), 5);
  for (const wrong of [undefined, -1, NaN, '', '5', 'soon', new Date(NaN), {}]) assert.throws(() => new RetryAfterError('x', wrong), /RetryAfterError takes a message, and then/);
});

test('durations are those of the manifest', () => {
  const cases = { '500ms': 500, '30s': 30_000, '5m': 300_000, '6h': 21_600_000, '1d': 86_400_000, '1h30m': 5_400_000, '1m5ms': 60_005, '1s1ms': 1001, '0s': 0 };
  for (const [text, ms] of Object.entries(cases)) assert.equal(parseDuration(text), ms, text);
  for (const wrong of ['', '5', '1.5h', 's', '1m1h', '1s1s', ' 1s', '1s ', '-1s', '5 m', '1w']) assert.equal(parseDuration(wrong), undefined, wrong);
});
