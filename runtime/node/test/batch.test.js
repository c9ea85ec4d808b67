'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start, frames } = require('./harness');

const EVENT = (id, data, more = {}) => ({ specversion: '1.0', id, source: '/p/dev/topic', type: 'orders.paid', time: '2026-01-01T00:00:01.500Z', datacontenttype: 'application/json', data, ...more });
const ITEMS = [
  { run: 1n, attempt: 1, event: EVENT('a', { n: 1 }) },
  { run: 2n, attempt: 3, event: EVENT('b', { n: 2 }) },
  { run: 3n, attempt: 1, event: EVENT('c', { n: 3 }) },
];

/** What a handler makes of the three events. */
async function run(t, code, { items = ITEMS, settings = {}, options = { attempt: 3 } } = {}) {
  const { worker, loaded } = await start(t, code, settings);
  assert.equal(loaded.ok, true, JSON.stringify(loaded));
  const answer = await worker.answer(worker.batch(items, options));
  return { worker, answer, result: answer.fail || answer.text === '' ? undefined : JSON.parse(answer.text) };
}

test('a native handler gets the events, each with its own key', async (t) => {
  const { result } = await run(t, `module.exports = async (events, context) => {
    let key; try { key = context.idempotencyKey; } catch (error) { key = error.message; }
    return { events, batch: context.isBatch, attempt: context.attempt, id: context.id, key,
      keys: events.map((event) => context.keyOf(event)), attempts: events.map((event) => context.attemptOf(event)),
      byId: context.keyOf('b'), byCopy: context.keyOf({ ...events[2] }) };
  };`);
  assert.deepEqual(result, {
    events: ITEMS.map(({ event }) => event), batch: true, attempt: 3, id: 'run_128ggyhyyk08n',
    key: 'each event of a batch has a key of its own: use context.keyOf(event)',
    keys: ['run_0000000000001', 'run_0000000000002', 'run_0000000000003'], attempts: [1, 3, 1],
    byId: 'run_0000000000002', byCopy: 'run_0000000000003',
  });
});

test('two events with one id from two sources keep their own keys', async (t) => {
  const items = [{ run: 1n, event: EVENT('a', 1) }, { run: 2n, event: EVENT('a', 2, { source: '/other' }) }];
  const { result } = await run(t, 'module.exports = (events, context) => events.map((event) => context.keyOf(event));', { items });
  assert.deepEqual(result, ['run_0000000000001', 'run_0000000000002']);
});

test('one event has the same ways to its key', async (t) => {
  const { worker } = await start(t, 'module.exports = (event, context) => [context.isBatch, context.keyOf(event) === context.idempotencyKey, context.attemptOf(event)];');
  assert.deepEqual(await worker.result(EVENT('a', 1), { attempt: 2 }), [false, true, 2]);
});

test('bytes, and a batch that comes in pieces', async (t) => {
  const { worker } = await start(t, 'module.exports = (events) => events.map(({ data }) => Buffer.isBuffer(data) ? data.toString() : data);');
  const whole = worker.invokeFrame(frames.BATCH, { stream: 9 }, [], Buffer.alloc(0)).bytes;
  const items = [{ run: 1n, event: { ...EVENT('a'), data_base64: 'aGk=' } }, { run: 2n, event: EVENT('b', 'ü') }];
  // The same as one frame, cut behind its head.
  const sent = [];
  const socket = worker.socket;
  worker.socket = { write: (bytes) => sent.push(bytes) };
  worker.batch(items, { stream: 9, open: true });
  worker.socket = socket;
  const frame = sent[0];
  const body = frame.subarray(whole.length);
  socket.write(worker.raw(frames.INVOKE, 9, frame.subarray(9, whole.length + 5)));
  worker.data(9, body.subarray(5, 40));
  worker.data(9, body.subarray(40));
  worker.end(9);
  assert.deepEqual(JSON.parse((await worker.answer(9)).text), ['hi', 'ü']);
});

test('each() says which events failed, why, and what they say about trying again', async (t) => {
  const { worker, result } = await run(t, `const { NonRetriableError } = require('wakeful');
    module.exports = (events, context) => context.each(async (event) => {
      if (event.id === 'a') throw new NonRetriableError('never');
      if (event.id === 'c') throw new TypeError('later');
    });`);
  const [a, c] = result.batchItemFailures;
  assert.deepEqual([a.itemIdentifier, a.error.name, a.error.message, a.error.retry], ['a', 'NonRetriableError', 'never', { never: true }]);
  assert.deepEqual([c.itemIdentifier, c.error.name, c.error.message, c.error.retry], ['c', 'TypeError', 'later', undefined]);
  assert.match(c.error.stack, /functions\/books\/index\.js/);
  assert.equal(worker.logs().filter(({ level, text }) => level === 3 && /^Event [ac] of the batch failed: /.test(text)).length, 2);
});

test('each() takes as many at a time as it is told, in order by default', async (t) => {
  const code = (options) => `let most = 0, now = 0; const order = [];
    module.exports = async (events, context) => {
      const result = await context.each(async (event) => { order.push(event.id); most = Math.max(most, ++now); await new Promise(setImmediate); now--; }${options});
      return [most, order, result];
    };`;
  assert.deepEqual((await run(t, code(''))).result, [1, ['a', 'b', 'c'], { batchItemFailures: [] }]);
  assert.deepEqual((await run(t, code(', { concurrency: 2 }'))).result, [2, ['a', 'b', 'c'], { batchItemFailures: [] }]);
  assert.deepEqual((await run(t, code(', { concurrency: 50 }'))).result[0], 3);
  assert.match((await run(t, code(', { concurrency: 0 }'))).answer.fail.message, /`concurrency` must be a whole number, at least 1/);
});

for (const [name, returned, expected] of [
  ['nothing', 'undefined', undefined],
  ['null', 'null', null],
  ['something else', '{ ok: 3 }', { ok: 3 }],
  ['no failures', '{ batchItemFailures: [] }', { batchItemFailures: [] }],
  ['null for failures', '{ batchItemFailures: null }', { batchItemFailures: null }],
  ['a failure', "{ batchItemFailures: [{ itemIdentifier: 'b' }] }", { batchItemFailures: [{ itemIdentifier: 'b' }] }],
  ['no list', "{ batchItemFailures: 'b' }", /batchItemFailures must be a list of \{ itemIdentifier \}: all of the batch counts as failed/],
  ['no id', '{ batchItemFailures: [{ id: 1 }] }', /has no itemIdentifier/],
  ['an empty id', "{ batchItemFailures: [{ itemIdentifier: '' }] }", /has no itemIdentifier/],
  ['a strange id', "{ batchItemFailures: [{ itemIdentifier: 'x' }] }", /names `x`, which is no event of this batch/],
]) {
  for (const [style, code] of [['native', `module.exports = () => (${returned});`], ['lambda', `exports.handler = async () => (${returned});`]]) {
    test(`the result of a batch, ${style}: ${name}`, async (t) => {
      const { answer, result } = await run(t, code);
      if (expected instanceof RegExp) assert.match(answer.fail.message, expected);
      else assert.deepEqual(result, expected);
    });
  }
}

test('a handler that throws fails the batch; a web handler of requests takes none', async (t) => {
  assert.equal((await run(t, "module.exports = async () => { throw new Error('all'); };")).answer.fail.message, 'all');
  const web = await run(t, 'export default { fetch() {} };', { settings: { file: 'index.mjs' } });
  assert.match(web.answer.fail.message, /has no `queue` in its default export/);
});

test('each() outside of a batch, and keys of strangers', async (t) => {
  const { worker } = await start(t, 'module.exports = (event, context) => context.each(() => {});');
  assert.match((await worker.result(EVENT('a'))).fail.message, /each\(\) is for batches/);
  assert.match((await run(t, "module.exports = (events, context) => context.keyOf('x');")).answer.fail.message, /this is no event of this batch/);
});

test('Lambda gets what was published as messages of SQS', async (t) => {
  const { result } = await run(t, `exports.handler = async (event, context) => ({ event, keys: event.Records.map((r) => context.keyOf(r)),
    copies: event.Records.map((r) => context.keyOf({ ...r })), is: context.isBatch, ofB: context.attemptOf('b') });`, {
    items: [
      { run: 1n, event: EVENT('a', { n: 1 }, { subject: 's', traceid: 7 }) },
      { run: 2n, attempt: 3, event: { ...EVENT('b'), datacontenttype: 'text/plain; charset=utf-8', data_base64: Buffer.from('tést').toString('base64') } },
      { run: 3n, event: { ...EVENT('c'), datacontenttype: 'image/png', data_base64: '/w==' } },
      { run: 4n, event: EVENT('d', undefined, { type: 'wakeful.function.invoke' }) },
      { run: 5n, event: EVENT('e', { x: 1 }, { type: 'wakeful.schedule.tick' }) },
    ],
  });
  const [a, b, c, d, e] = result.event.Records;
  const text = (stringValue) => ({ stringValue, stringListValues: [], binaryListValues: [], dataType: 'String' });
  assert.deepEqual(a, {
    messageId: 'a', receiptHandle: 'run_0000000000001', body: '{"n":1}',
    attributes: { ApproximateReceiveCount: '1', SentTimestamp: '1767225601500', SenderId: '/p/dev/topic', ApproximateFirstReceiveTimestamp: '1767225601500' },
    messageAttributes: {
      source: text('/p/dev/topic'), type: text('orders.paid'), time: text('2026-01-01T00:00:01.500Z'), datacontenttype: text('application/json'),
      subject: text('s'), traceid: { ...text('7'), dataType: 'Number' },
    },
    md5OfBody: '082c26c8a6bc75226a31da5495cc9292', md5OfMessageAttributes: '448673366111d4a5d269403df9d1f70a', eventSource: 'aws:sqs', eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:p-dev-books', awsRegion: 'us-east-1',
  });
  assert.deepEqual([b.body, b.attributes.ApproximateReceiveCount, c.body, d.body], ['tést', '3', '/w==', '']);
  assert.deepEqual(JSON.parse(e.body), EVENT('e', { x: 1 }, { type: 'wakeful.schedule.tick' }));
  assert.deepEqual(result.keys, [1, 2, 3, 4, 5].map((n) => `run_000000000000${n}`));
  assert.deepEqual([result.copies, result.is, result.ofB], [result.keys, true, 3]);
});

test('Lambda gets objects as records of S3', async (t) => {
  const object = (key) => ({ specversion: '1.0', id: key, source: '/p/dev/bucket/photos', type: 'wakeful.bucket.created', subject: key, time: '2026-01-01T00:00:00Z', data: { bucket: 'photos', key, size: 1, etag: '"e"', sequencer: '1', operation: 'put' } });
  const { result } = await run(t, `exports.handler = async ({ Records }, context) => ({
    keys: Records.map((r) => [r.s3.object.key, r.eventSource, context.keyOf({ ...r })]),
    batchItemFailures: [{ itemIdentifier: Records[1].responseElements['x-amz-request-id'] }] });`, { items: [{ run: 1n, event: object('a b') }, { run: 2n, event: object('c') }] });
  assert.deepEqual(result, { keys: [['a+b', 'aws:s3', 'run_0000000000001'], ['c', 'aws:s3', 'run_0000000000002']], batchItemFailures: [{ itemIdentifier: 'c' }] });
});

test('a handler of SQS batches that reports partial failures works unchanged', async (t) => {
  const { result } = await run(t, `exports.handler = async (event) => {
    const failed = await Promise.allSettled(event.Records.map(async (record) => { if (JSON.parse(record.body).n === 2) throw new Error('no'); }));
    return { batchItemFailures: event.Records.filter((_, i) => failed[i].status === 'rejected').map(({ messageId }) => ({ itemIdentifier: messageId })) };
  };`);
  assert.deepEqual(result, { batchItemFailures: [{ itemIdentifier: 'b' }] });
});
