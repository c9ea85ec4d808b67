'use strict';
// What web handlers get beside requests: `env`, `ctx`, `scheduled` and `queue` as Workers have them.

const assert = require('node:assert/strict');
const test = require('node:test');
const { start } = require('./harness');

const MODULE = { file: 'index.mjs' };
const PAID = (id, data) => ({ specversion: '1.0', id, source: '/shop', type: 'orders.paid', time: '2026-01-01T00:00:01Z', datacontenttype: 'application/json', data });
const TICK = { specversion: '1.0', id: 't1', source: '/p/dev/schedule/nightly', type: 'wakeful.schedule.tick', time: '2026-01-01T00:00:01Z', data: { schedule: '0 0 * * *', scheduledTime: '2026-01-01T00:00:00.000Z' } };

test('env has the variables and what is ours; ctx what other runtimes have', async (t) => {
  const { worker } = await start(t, `export default { fetch(request, env, ctx) {
    ctx.passThroughOnException();
    return Response.json({ word: env.WORD, listed: Object.keys(env).filter((name) => ['db', 'bucket', 'publish', 'invoke', 'WORD'].includes(name)), publish: typeof env.publish,
      bucket: env.bucket, db: typeof env.db.shop.query, same: env === globalThis.before || !(globalThis.before = env), params: ctx.params, ip: ctx.ip, props: ctx.props });
  } };`, { ...MODULE, env: { WORD: 'w', bucket: 'mine' } });
  const expected = { word: 'w', listed: ['WORD', 'bucket'], publish: 'function', bucket: 'mine', db: 'function', same: false, params: { id: '7' }, ip: '10.0.0.9', props: {} };
  const read = async () => JSON.parse((await worker.get('/7', { params: { id: '7' }, remote: '10.0.0.9' })).text);
  const first = await read();
  first.listed.sort();
  assert.deepEqual(first, { ...expected, listed: ['WORD', 'bucket'] });
  assert.equal((await read()).same, true);
});

test('scheduled', async (t) => {
  const { worker, loaded } = await start(t, `export default { async scheduled(controller, env, ctx) {
    ctx.waitUntil(Promise.resolve());
    console.log(JSON.stringify([controller.cron, controller.scheduledTime, controller.type, ctx.id]));
  } };`, MODULE);
  assert.deepEqual([loaded.style, loaded.missing], ['web', []]);
  const stream = worker.event(TICK);
  assert.equal((await worker.answer(stream)).text, '');
  assert.equal(worker.logs(stream)[0].text, JSON.stringify(['0 0 * * *', Date.parse('2026-01-01T00:00:00Z'), 'scheduled', 't1']));
  assert.match((await worker.get('/')).fail.message, /no `fetch` in its default export/);
  assert.match((await worker.result(PAID('e', 1))).fail.message, /no `queue`/);
});

test('scheduled: errors, with and without another try', async (t) => {
  const { worker } = await start(t, "export default { scheduled(controller) { if (controller.cron === 'once') controller.noRetry(); throw new RangeError('no'); } };", MODULE);
  const plain = (await worker.result(TICK)).fail;
  assert.deepEqual([plain.name, plain.message, plain.retry], ['RangeError', 'no', undefined]);
  const last = (await worker.result({ ...TICK, data: { ...TICK.data, schedule: 'once' } })).fail;
  assert.deepEqual([last.name, last.message, last.retry], ['RangeError', 'no', { never: true }]);
});

/** What becomes of a batch of three: [id, message, retry] of the failed ones, or how it failed. */
function queue(name, body, expected) {
  test(`queue: ${name}`, async (t) => {
    const { worker } = await start(t, `export default { async queue(batch, env, ctx) { const [a, b, c] = batch.messages; ${body} } };`, MODULE);
    const items = ['a', 'b', 'c'].map((id, i) => ({ run: BigInt(i + 1), attempt: i + 1, event: PAID(id, { n: i }) }));
    const answer = await worker.answer(worker.batch(items));
    if (expected.fail) {
      assert.equal(answer.fail?.message, expected.fail);
      return;
    }
    const { batchItemFailures } = JSON.parse(answer.text);
    assert.deepEqual(batchItemFailures.map(({ itemIdentifier, error }) => [itemIdentifier, error.message, error.retry]), expected);
  });
}
const ASKED = 'the handler asked to have the event tried again';
queue('all is well', 'ctx.waitUntil(Promise.resolve());', []);
queue('a retry', 'b.retry();', [['b', ASKED, undefined]]);
queue('a retry after a while', 'b.retry({ delaySeconds: 1.5 });', [['b', ASKED, { afterMs: 1500 }]]);
queue('retryAll, but for one', 'a.ack(); batch.retryAll();', [['b', ASKED, undefined], ['c', ASKED, undefined]]);
queue('an error fails the whole', "throw new Error('no');", { fail: 'no' });
queue('an error fails what was not acknowledged', "a.ack(); throw new Error('no');", [['b', 'no', undefined], ['c', 'no', undefined]]);
queue('ackAll before an error', "batch.ackAll(); c.retry(); throw new Error('no');", [['c', 'no', undefined]]);
queue('a delay that is none', "b.retry({ delaySeconds: '5m' });", { fail: '`delaySeconds` must be a number of seconds' });

test('queue: what messages are', async (t) => {
  const { worker } = await start(t, `export default { queue(batch) { console.log(JSON.stringify([batch.queue, batch.messages, batch.messages[0].timestamp instanceof Date])); } };`, MODULE);
  const seen = async (events) => {
    const stream = worker.batch(events.map((event, i) => ({ run: BigInt(i + 1), attempt: i + 1, event })));
    await worker.answer(stream);
    return JSON.parse(worker.logs(stream)[0].text);
  };
  assert.deepEqual(await seen([PAID('a', { n: 1 }), PAID('b', 2)]), [
    'orders.paid',
    [{ id: 'a', timestamp: '2026-01-01T00:00:01.000Z', body: { n: 1 }, attempts: 1 }, { id: 'b', timestamp: '2026-01-01T00:00:01.000Z', body: 2, attempts: 2 }],
    true,
  ]);
  const row = { ...PAID('r', { after: {} }), type: 'wakeful.database.insert' };
  assert.deepEqual(await seen([PAID('a', 1), row]), ['books', [{ id: 'a', timestamp: '2026-01-01T00:00:01.000Z', body: 1, attempts: 1 }, { id: 'r', timestamp: '2026-01-01T00:00:01.000Z', body: row, attempts: 2 }], true]);
});

test('queue: a single event is a batch of one', async (t) => {
  const { worker } = await start(t, `export default { fetch: () => new Response('x'), queue(batch, env, ctx) {
    const [{ body, attempts }] = batch.messages;
    if (body === 'retry') batch.messages[0].retry({ delaySeconds: 2 });
    if (body === 'throw') throw new Error('no');
    console.log(batch.messages.length, attempts, ctx.id, ctx.isBatch);
  } };`, MODULE);
  const stream = worker.event(PAID('e1', 'fine'), { attempt: 3 });
  assert.equal((await worker.answer(stream)).text, '');
  assert.equal(worker.logs(stream)[0].text, '1 3 e1 false');
  const retry = (await worker.result(PAID('e1', 'retry'))).fail;
  assert.deepEqual([retry.kind, retry.name, retry.message, retry.retry], ['user_error', 'Retry', ASKED, { afterMs: 2000 }]);
  assert.equal((await worker.result(PAID('e1', 'throw'))).fail.message, 'no');
});

test('exports of CommonJS that are called so are native handlers', async (t) => {
  const { worker, loaded } = await start(t, 'exports.queue = (event) => event.id; exports.scheduled = () => 1;', { handlers: ['queue'] });
  assert.equal(loaded.style, 'native');
  assert.equal(await worker.result(PAID('e1', 1)), 'e1');
});

test('an instance of a class with fetch, as frameworks export it', async (t) => {
  const { worker } = await start(t, 'class App { #text = "ok"; fetch = (request) => new Response(this.#text); get() {} } export default new App();', MODULE);
  assert.equal((await worker.get('/')).text, 'ok');
});
