'use strict';
// The examples of docs/handlers.md that are whole handlers: they load, and find what they require.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { start } = require('./harness');

const text = fs.readFileSync(path.join(__dirname, '..', '..', '..', 'docs', 'handlers.md'), 'utf8');
const examples = [...text.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code);
const whole = examples.filter((code) => /^(?:module\.exports =|exports\.\w+ =|export default|functions\.http)/m.test(code));

test('there are examples', () => assert.ok(whole.length >= 8, String(whole.length)));

for (const code of whole) {
  const file = code.includes('export default') ? 'index.mjs' : 'index.js';
  const [, name] = /^exports\.(\w+) =/m.exec(code) ?? /^functions\.http\('(\w+)'/m.exec(code) ?? [];
  test(`loads: ${code.split('\n').find((line) => /exports?\b|functions\.http/.test(line))}`, async (t) => {
    const { loaded } = await start(t, code, { file, handlers: [name ?? null] });
    assert.deepEqual([loaded.ok, loaded.missing], [true, []], JSON.stringify(loaded));
  });
}

/** The example with this in it, run with an event; the ops that it asks the server for. */
async function ops(t, part, event, replies, { handlers = [null], begin = (worker) => worker.event(event) } = {}) {
  const { worker } = await start(t, whole.find((code) => code.includes(part)), { handlers });
  const stream = begin(worker);
  const answered = new Set();
  const serve = () => {
    for (const call of worker.calls()) {
      if (answered.has(call.stream)) continue;
      answered.add(call.stream);
      const { body, ...head } = replies[call.op](call);
      worker.reply(call.stream, head, { body: body ?? '' });
    }
  };
  worker.waiters.add(serve);
  const answer = await worker.answer(stream);
  worker.waiters.delete(serve);
  assert.equal(answer.fail, undefined, JSON.stringify(answer.fail));
  return { asked: worker.calls().map(({ op }) => op), text: answer.text };
}
const EVENT = { specversion: '1.0', id: 'e', source: '/s', type: 'orders.new', data: { order: 7, total: 5, account: 1, key: 'k' } };

test('runs: invoke', async (t) => {
  const failure = { kind: 'user_error', name: 'Error', message: 'no' };
  const { asked } = await ops(t, "invoke('measure'", EVENT, {
    invoke: ({ params }) => (params.wait ? (params.handler ? { run: 'r', failure } : { run: 'r', body: '[1,2]' }) : { id: '1', duplicates: 0 }),
  });
  assert.deepEqual(asked, ['invoke', 'invoke', 'invoke']);
});

test('runs: publish', async (t) => {
  for (const [handler, count] of [['pay', 3], ['forward', 2]]) {
    const { asked } = await ops(t, "publish('orders.paid', { order: 7 })", EVENT, { publish: () => ({ ids: ['1'], duplicates: 0 }) }, { handlers: [handler] });
    assert.deepEqual(asked, Array(count).fill('publish'));
  }
});

test('runs: once', async (t) => {
  const none = () => ({});
  const { asked } = await ops(t, "context.once('paid', { db: 'shop' }", EVENT, {
    'once.begin': () => ({ done: false, id: 1, tx: 1 }), 'db.query': () => ({ columns: [], rows: [], changes: 1, lastInsertRowid: 0 }),
    'once.publish': none, 'once.invoke': none, 'once.commit': none,
  });
  assert.deepEqual(asked, ['once.begin', 'db.query', 'once.publish', 'once.invoke', 'once.commit']);
});

test('runs: a batch that names a failure', async (t) => {
  const items = [{ run: 1n, event: EVENT }, { run: 2n, event: { ...EVENT, id: 'f' } }];
  const { text: result } = await ops(t, 'batchItemFailures: [{ itemIdentifier: events[0].id }]', EVENT, {}, { begin: (worker) => worker.batch(items) });
  assert.equal(result, '{"batchItemFailures":[{"itemIdentifier":"e"}]}');
});
