'use strict';
// The events of Lambda handlers have the keys and types that AWS's own examples have.

const assert = require('node:assert/strict');
const test = require('node:test');
const { start } = require('./harness');
const shapes = require('./lambda-shapes');

const TIME = '2026-01-01T00:00:01.500Z';
const SETTINGS = { scope: { project: 'p', environment: 'dev' } };
const OBJECT = {
  specversion: '1.0', id: 'evt_1', source: '/p/dev/bucket/photos', type: 'wakeful.bucket.created', subject: 'a b.jpg', time: TIME,
  data: { bucket: 'photos', key: 'a b.jpg', size: 10, etag: '"d41d"', sequencer: '0A1B', operation: 'put' },
};
const PAID = { specversion: '1.0', id: 'evt_2', source: '/p/dev/topic', type: 'orders.paid', subject: '7', time: TIME, datacontenttype: 'application/json', data: { order: 7 } };
const ROW = {
  specversion: '1.0', id: 'evt_0000000000a0z', source: '/p/dev/database/shop', type: 'wakeful.database.update', subject: 'orders', time: TIME, datacontenttype: 'application/json',
  data: {
    database: 'shop', table: 'orders', operation: 'update', key: { id: 7 },
    before: { id: 7, note: null }, after: { id: 7, note: 'x', total: 1.5, big: { $int: '9007199254740993' }, raw: { $bytes: 'AAE=' }, far: { $real: 'Infinity' }, long: { $omitted: 99 } },
  },
};
const TICK = { specversion: '1.0', id: 'evt_3', source: '/p/dev/schedule/nightly', type: 'wakeful.schedule.tick', time: TIME, data: { scheduledTime: TIME, schedule: '* * * * *' } };

/** Maps whose keys are free: the table says nothing of what stands below them. */
const OPEN = new Set(['headers', 'multiValueHeaders', 'queryStringParameters', 'multiValueQueryStringParameters', 'pathParameters', 'messageAttributes', 'MessageAttributes', 'Keys', 'NewImage', 'OldImage', 'detail']);

/** path → type of everything in a value. */
function shapeOf(value, path = '', shape = new Map()) {
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
  if (path !== '') shape.set(path, type);
  if (OPEN.has(path.split('.').pop())) return shape;
  if (type === 'array') for (const one of value) shapeOf(one, `${path}[]`, shape);
  else if (type === 'object') for (const [key, one] of Object.entries(value)) shapeOf(one, path === '' ? key : `${path}.${key}`, shape);
  return shape;
}

/**
 * Compares what a handler got with the shape of that kind. `absent` are keys that AWS has and we
 * have not, `extra` the other way round, `other` those of another type: each with the reason.
 */
function compare(kind, event, { absent = {}, extra = {}, other = {} } = {}) {
  const ours = shapeOf(event);
  const theirs = new Map(Object.entries(shapes[kind]));
  const below = (path, list) => Object.keys(list).some((one) => path === one || path.startsWith(`${one}.`) || path.startsWith(`${one}[`));
  for (const [path, type] of ours) {
    if (below(path, extra)) continue;
    assert.ok(theirs.has(path), `${kind} has no ${path}`);
    if (!(path in other)) assert.ok(theirs.get(path).split('|').includes(type), `${path} is ${type}, at AWS ${theirs.get(path)}`);
  }
  for (const path of theirs.keys()) assert.ok(ours.has(path) || below(path, absent), `${path} of ${kind} is missing`);
  for (const path of Object.keys(absent)) assert.ok(!ours.has(path) && theirs.has(path), `${path} needs no excuse`);
  for (const path of Object.keys(extra)) assert.ok(ours.has(path) && !theirs.has(path), `${path} needs no excuse`);
}

async function eventOf(t, event, lambda) {
  const { worker } = await start(t, 'exports.handler = async (event) => event;', { ...SETTINGS, lambda });
  return worker.result(event);
}

test('an object: S3', async (t) => {
  compare('S3', await eventOf(t, OBJECT), { absent: { 'Records[].s3.object.versionId': 'only in buckets with versions' } });
});

test('a tick: EventBridge', async (t) => compare('schedule', await eventOf(t, TICK)));

test('a topic: EventBridge', async (t) => {
  compare('EventBridge', await eventOf(t, PAID), { extra: { version: 'every event has it; the example leaves it out' } });
});

test('a topic: SNS', async (t) => {
  const event = await eventOf(t, PAID, { topic: 'sns' });
  compare('SNS', event, { extra: { 'Records[].Sns.MessageAttributes': 'the example has none' } });
  const [{ Sns, EventSubscriptionArn }] = event.Records;
  assert.deepEqual([Sns.Message, Sns.TopicArn, Sns.Subject, Sns.MessageId, Sns.Timestamp], ['{"order":7}', 'arn:aws:sns:us-east-1:000000000000:orders-paid', '7', 'evt_2', TIME]);
  assert.equal(EventSubscriptionArn, 'arn:aws:sns:us-east-1:000000000000:orders-paid:evt_2');
  assert.deepEqual(Sns.MessageAttributes.type, { Type: 'String', Value: 'orders.paid' });
  const bare = await eventOf(t, { ...PAID, subject: undefined }, { topic: 'sns' });
  assert.equal(bare.Records[0].Sns.Subject, null);
});

test('a topic: SQS', async (t) => {
  const event = await eventOf(t, PAID, { topic: 'sqs' });
  compare('SQS', event);
  const [record] = event.Records;
  assert.deepEqual([record.messageId, record.body, record.attributes.ApproximateReceiveCount, record.receiptHandle], ['evt_2', '{"order":7}', '1', 'run_128ggyhyyk08n']);
  // Calculated by another program.
  const small = await eventOf(t, { specversion: '1.0', id: 'e', source: '/p/dev/topic', type: 'orders.paid', n: 7 }, { topic: 'sqs' });
  assert.equal(small.Records[0].md5OfMessageAttributes, 'f0f93cbedb3b65e427e54b36d66740b2');
});

test('what is no topic keeps its form when topics have another', async (t) => {
  const { worker } = await start(t, 'exports.handler = async (event) => event.Records ? event.Records[0].eventSource : event.source;', { lambda: { topic: 'sns' } });
  assert.equal(await worker.result(OBJECT), 'aws:s3');
  assert.equal(await worker.result(TICK), 'aws.events');
  assert.equal(await worker.result({ ...PAID, type: 'wakeful.system.dead_letter' }), '/p/dev/topic');
});

test('rows: DynamoDB', async (t) => {
  const event = await eventOf(t, ROW, { database: 'dynamodb' });
  compare('DynamoDB', event, {
    absent: { 'Records[].userIdentity': 'AWS has it only for rows that their time to live removed' },
    extra: { 'Records[].dynamodb.OldImage': 'the examples are of new rows' },
  });
  const [record] = event.Records;
  assert.deepEqual([record.eventName, record.dynamodb.Keys], ['MODIFY', { id: { N: '7' } }]);
  assert.deepEqual(record.dynamodb.OldImage, { id: { N: '7' }, note: { NULL: true } });
  assert.deepEqual(record.dynamodb.NewImage, { id: { N: '7' }, note: { S: 'x' }, total: { N: '1.5' }, big: { N: '9007199254740993' }, raw: { B: 'AAE=' }, far: { S: 'Infinity' } });
  assert.equal(record.dynamodb.SequenceNumber, '000000000000000010271');
  assert.equal(record.eventSourceARN, 'arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/shop');
  const removed = await eventOf(t, { ...ROW, data: { ...ROW.data, operation: 'delete', after: null } }, { database: 'dynamodb' });
  assert.deepEqual([removed.Records[0].eventName, 'NewImage' in removed.Records[0].dynamodb], ['REMOVE', false]);
});

test('a batch of rows names the failed ones by their sequence numbers', async (t) => {
  const { worker } = await start(t, 'exports.handler = async (event, context) => ({ batchItemFailures: [{ itemIdentifier: event.Records[1].dynamodb.SequenceNumber }] });', { lambda: { database: 'dynamodb' } });
  const items = [{ run: 1n, event: ROW }, { run: 2n, event: { ...ROW, id: 'evt_0000000000b00' } }];
  const answer = await worker.answer(worker.batch(items));
  assert.equal(answer.text, '{"batchItemFailures":[{"itemIdentifier":"evt_0000000000b00"}]}');
});

test('batches of topics have the chosen form', async (t) => {
  const code = 'exports.handler = async (event, context) => event.Records.map((record) => [record.EventSource ?? record.eventSource, context.keyOf(record)]);';
  for (const [topic, source] of [['sns', 'aws:sns'], ['sqs', 'aws:sqs'], ['eventbridge', 'aws:sqs']]) {
    const { worker } = await start(t, code, { lambda: { topic } });
    const answer = await worker.answer(worker.batch([{ run: 1n, event: PAID }, { run: 2n, event: { ...PAID, id: 'evt_9' } }]));
    assert.deepEqual(JSON.parse(answer.text), [[source, 'run_0000000000001'], [source, 'run_0000000000002']]);
  }
});

const REQUEST = {
  method: 'POST', params: { id: 'a b' }, remote: '10.0.0.1', body: '{"a":1}',
  headers: [['host', 'api.test:8080'], ['content-type', 'application/json'], ['x-a', '1'], ['x-a', '2'], ['cookie', 'a=1'], ['user-agent', 'curl'], ['x-github-event', 'push'], ['x-forwarded-for', '1.2.3.4'], ['x-forwarded-proto', 'https']],
};

async function requestOf(t, lambda, target, options = REQUEST) {
  const { worker } = await start(t, 'exports.handler = async (event) => ({ statusCode: 200, body: JSON.stringify(event) });', { lambda });
  return JSON.parse((await worker.get(target, options)).text);
}

const NO_AUTHORIZER = 'authorizers of gateways are not part of ours';

test('a request: format 2.0', async (t) => {
  const event = await requestOf(t, undefined, '/books/a%20b?x=1&x=2');
  compare('HTTP 2.0', event, {
    absent: { 'requestContext.authentication': 'client certificates of mutual TLS', 'requestContext.authorizer': NO_AUTHORIZER, stageVariables: 'there are no stages' },
  });
  assert.equal(event.headers['x-forwarded-for'], '1.2.3.4, 10.0.0.1');
  assert.equal(event.headers['x-forwarded-proto'], 'https');
  assert.equal(event.headers['x-forwarded-port'], '8080');
});

test('a request: function URL', async (t) => {
  const event = await requestOf(t, { payload: 'url' }, '/books/a%20b?x=1');
  compare('HTTP 2.0', event, {
    absent: {
      'requestContext.authentication': 'client certificates of mutual TLS', 'requestContext.authorizer': NO_AUTHORIZER,
      stageVariables: 'function URLs have no stages', pathParameters: 'function URLs have no routes',
    },
  });
  assert.deepEqual([event.rawPath, event.requestContext.http.path, event.requestContext.accountId], ['/books/a%20b', '/books/a%20b', 'anonymous']);
});

test('a request: format 1.0', async (t) => {
  const event = await requestOf(t, { payload: '1.0' }, '/books/a%20b?x=1&x=2&y=');
  compare('HTTP 1.0', event, {
    absent: { 'requestContext.authorizer': NO_AUTHORIZER, 'requestContext.operationName': 'a name from an OpenAPI document' },
    extra: { 'requestContext.identity.principalOrgId': 'documented, not in the examples' },
    other: {
      'requestContext.extendedRequestId': 'the only example is of a local emulator, which has none',
      'requestContext.identity.accessKey': 'null without a signature', 'requestContext.identity.apiKeyId': 'null without a key',
      'requestContext.identity.cognitoIdentityId': 'null without Cognito',
    },
  });
  assert.deepEqual(event.headers, {
    Host: 'api.test:8080', 'Content-Type': 'application/json', 'X-A': '2', Cookie: 'a=1', 'User-Agent': 'curl', 'X-GitHub-Event': 'push',
    'X-Forwarded-For': '1.2.3.4, 10.0.0.1', 'X-Forwarded-Proto': 'https', 'X-Forwarded-Port': '8080',
  });
  assert.deepEqual(event.multiValueHeaders['X-A'], ['1', '2']);
  assert.deepEqual([event.queryStringParameters, event.multiValueQueryStringParameters], [{ x: '2', y: '' }, { x: ['1', '2'], y: [''] }]);
  assert.deepEqual([event.path, event.pathParameters, event.body, event.isBase64Encoded], ['/books/a%20b', { id: 'a b' }, '{"a":1}', false]);
  const bare = await requestOf(t, { payload: '1.0' }, '/x/y', { headers: [] });
  assert.deepEqual([bare.queryStringParameters, bare.body, bare.pathParameters, bare.requestContext.identity.userAgent], [null, null, { proxy: 'x/y' }, null]);
});

test('headers of format 1.0 are found in any case', async (t) => {
  const code = `exports.handler = async ({ headers: h, multiValueHeaders: m }) => ({ body: JSON.stringify([
    h['x-github-event'], h['X-Github-Event'], h['CONTENT-TYPE'], m['x-a'], h.nothing ?? null, h.constructor === Object, h.hasOwnProperty('Host'), Object.keys(h).length, { ...h }['x-a'] ?? null ]) });`;
  const { worker } = await start(t, code, { lambda: { payload: '1.0' } });
  const { text } = await worker.get('/', REQUEST);
  assert.deepEqual(JSON.parse(text), ['push', 'push', 'application/json', ['1', '2'], null, true, true, 9, null]);
});

test('a form that there is not is refused when the code loads', async (t) => {
  const { loaded } = await start(t, 'exports.handler = async () => 1;', { lambda: { payload: '3.0' } });
  assert.equal(loaded.ok, false);
  assert.match(loaded.error.message, /`payload` of `lambda` must be one of `2\.0`, `1\.0`, `url`, not `3\.0`/);
});
