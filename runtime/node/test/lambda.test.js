'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');
const test = require('node:test');
const { start } = require('./harness');
const { encodeKey, toLambdaEvent } = require('../styles/lambda-events');

const INVOKE = (data) => ({ specversion: '1.0', id: 'e1', source: '/p/dev/function/books', type: 'wakeful.function.invoke', time: '2026-01-01T00:00:00Z', data });

/** What a handler makes of an event that somebody invoked it with. */
function check(name, handler, data, expected) {
  test(name, async (t) => {
    const { worker, loaded } = await start(t, `exports.handler = ${handler};`);
    assert.equal(loaded.style, 'lambda');
    const result = await worker.result(INVOKE(data));
    if (expected?.fail) {
      assert.equal(result.fail.kind, 'user_error');
      assert.match(result.fail.message, expected.fail);
    } else {
      assert.deepEqual(result, expected);
    }
  });
}

check('async', 'async (event) => ({ got: event })', { a: 1 }, { got: { a: 1 } });
check('async without a result', 'async () => {}', {}, undefined);
check('callback', '(event, context, callback) => { setTimeout(() => callback(null, event.a), 1); }', { a: 7 }, 7);
check('callback at once', '(event, context, callback) => callback(null, [1])', {}, [1]);
check('callback with an error', "(event, context, callback) => { callback(new Error('no')); }", {}, { fail: /^no$/ });
check('callback with a text as error', "(event, context, callback) => { callback('no'); }", {}, { fail: /^no$/ });
check('the first answer counts', "async (event, context, callback) => { callback(null, 'first'); return 'second'; }", {}, 'first');
check('the callback answers, not the value of a plain function', "(event, context, callback) => { setTimeout(() => callback(null, 'callback'), 1); return 'returned'; }", {}, 'callback');
check('callbackWaitsForEmptyEventLoop = false', "(event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; setInterval(() => {}, 1000); callback(null, 'now'); }", {}, 'now');
check('context.succeed', "(event, context) => { setTimeout(() => context.succeed('yes'), 1); }", {}, 'yes');
check('context.fail', "(event, context) => { context.fail(new Error('no')); }", {}, { fail: /^no$/ });
check('context.done', "(event, context) => { context.done(null, 'done'); }", {}, 'done');
check('a synchronous throw', "() => { throw new Error('sync'); }", {}, { fail: /^sync$/ });
check('a BigInt result', 'async () => 1n', {}, { fail: /cannot be written as JSON/ });
check('data of any kind', 'async (event) => [event]', 'text', ['text']);
check('streamifyResponse, invoked', "awslambda.streamifyResponse(async (event, stream) => { stream.write('{\"a\":'); stream.write('1}'); stream.end(); })", {}, { a: 1 });

test('the context and the environment', async (t) => {
  const { worker, root } = await start(t, `exports.handler = async (event, context) => ({
    ...context, remaining: context.getRemainingTimeInMillis(), runId: context.runId, env: Object.fromEntries(Object.entries(process.env).filter(([k]) => /^(AWS|LAMBDA|_HANDLER|TZ)/.test(k))),
  });`, { memory: 512 * 1024 * 1024, env: { AWS_ENDPOINT_URL: 'http://127.0.0.1:1' } });
  const result = await worker.result(INVOKE({}), { run: 1234567890123456789n, timeout: 5000 });
  assert.ok(result.remaining > 3000 && result.remaining <= 5000);
  delete result.remaining;
  const stream = `v1/${worker.child.pid}`;
  assert.deepEqual(result, {
    callbackWaitsForEmptyEventLoop: true,
    functionName: 'books',
    functionVersion: 'v1',
    invokedFunctionArn: 'arn:aws:lambda:us-east-1:000000000000:function:books',
    memoryLimitInMB: '512',
    awsRequestId: '112210f4-7de9-8811-8500-000000000000',
    logGroupName: '/aws/lambda/books',
    logStreamName: stream,
    runId: 'run_128ggyhyyk08n',
    env: {
      AWS_DEFAULT_REGION: 'us-east-1', AWS_ENDPOINT_URL: 'http://127.0.0.1:1', AWS_EXECUTION_ENV: `AWS_Lambda_nodejs${process.versions.node.split('.')[0]}.x`,
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '512', AWS_LAMBDA_FUNCTION_NAME: 'books', AWS_LAMBDA_FUNCTION_VERSION: 'v1', AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
      AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/books', AWS_LAMBDA_LOG_STREAM_NAME: stream, AWS_REGION: 'us-east-1', LAMBDA_RUNTIME_DIR: path.dirname(__dirname), LAMBDA_TASK_ROOT: root, TZ: ':UTC', _HANDLER: 'index.handler',
    },
  });
});

const BUCKET_EVENT = {
  specversion: '1.0', id: 'evt_1', source: '/photos/dev/bucket/photos', type: 'wakeful.bucket.created', subject: 'in/red flower.jpg', time: '1970-01-01T00:00:00Z',
  data: { bucket: 'photos', key: 'in/red flower.jpg', size: 1024, etag: '"d41d8cd98f00b204e9800998ecf8427e"', contentType: 'image/jpeg', sequencer: '0A1B2C3D4E5F678901', operation: 'put' },
};

// The example of "Event message structure" in the guide of Amazon S3, with our values in it.
const AWS_EXAMPLE = {
  Records: [{
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    awsRegion: 'us-east-1',
    eventTime: '1970-01-01T00:00:00.000Z',
    eventName: 'ObjectCreated:Put',
    userIdentity: { principalId: 'wakeful' },
    requestParameters: { sourceIPAddress: '127.0.0.1' },
    responseElements: { 'x-amz-request-id': 'evt_1', 'x-amz-id-2': 'evt_1' },
    s3: {
      s3SchemaVersion: '1.0',
      configurationId: 'books',
      bucket: { name: 'photos', ownerIdentity: { principalId: 'wakeful' }, arn: 'arn:aws:s3:::photos' },
      object: { key: 'in/red+flower.jpg', size: 1024, eTag: 'd41d8cd98f00b204e9800998ecf8427e', sequencer: '0A1B2C3D4E5F678901' },
    },
  }],
};

test('an object\'s event has exactly the shape of an S3 notification', async (t) => {
  const { worker } = await start(t, 'exports.handler = async (event) => JSON.stringify(event);');
  const text = await worker.result(BUCKET_EVENT);
  assert.equal(text, JSON.stringify(AWS_EXAMPLE));
});

test('the operations of objects have the names of S3', () => {
  const record = (type, data) => toLambdaEvent({ ...BUCKET_EVENT, type, data: { ...BUCKET_EVENT.data, ...data } }, { function: 'f' }).Records[0];
  assert.equal(record('wakeful.bucket.created', { operation: 'multipart' }).eventName, 'ObjectCreated:CompleteMultipartUpload');
  assert.equal(record('wakeful.bucket.changed', { operation: 'copy' }).eventName, 'ObjectCreated:Copy');
  assert.equal(record('wakeful.bucket.changed', { versionId: 'v' }).s3.object.versionId, 'v');
  const removed = record('wakeful.bucket.removed', { operation: 'delete', size: undefined, etag: undefined });
  assert.equal(removed.eventName, 'ObjectRemoved:Delete');
  assert.deepEqual(removed.s3.object, { key: 'in/red+flower.jpg', sequencer: '0A1B2C3D4E5F678901' });
  assert.equal(record('wakeful.bucket.removed', { operation: undefined }).eventName, 'ObjectRemoved:Delete');
});

test('keys are encoded as S3 does, and decode as everybody does it', () => {
  const cases = {
    'a.jpg': 'a.jpg', 'red flower.jpg': 'red+flower.jpg', 'a/b/c': 'a/b/c', 'a+b': 'a%2Bb', 'ä/é.png': '%C3%A4/%C3%A9.png', '100%': '100%25',
    "it's (1)!~*-_.": 'it%27s+%281%29%21%7E*-_.', 'a&b=c?d#e': 'a%26b%3Dc%3Fd%23e', '😀': '%F0%9F%98%80', 'a\nb': 'a%0Ab', '日本語': '%E6%97%A5%E6%9C%AC%E8%AA%9E',
  };
  for (const [key, encoded] of Object.entries(cases)) {
    assert.equal(encodeKey(key), encoded);
    assert.equal(decodeURIComponent(encoded.replace(/\+/g, ' ')), key);
  }
});

test('a tick is EventBridge\'s scheduled event; a row is the CloudEvent', () => {
  const tick = toLambdaEvent({ id: 'e', source: '/p/dev/schedule/nightly', type: 'wakeful.schedule.tick', time: '2026-01-01T00:00:01Z', data: { scheduledTime: '2026-01-01T00:00:00.000Z', schedule: '0 0 * * *' } }, {});
  assert.deepEqual(tick, {
    version: '0', id: 'e', 'detail-type': 'Scheduled Event', source: 'aws.events', account: '000000000000', time: '2026-01-01T00:00:00Z',
    region: 'us-east-1', resources: ['arn:aws:events:us-east-1:000000000000:rule/nightly'], detail: {},
  });
  const row = { specversion: '1.0', id: 'e', source: '/p/dev/database/shop', type: 'wakeful.database.insert', subject: 'orders', time: 't', datacontenttype: 'application/json', data: { after: { id: 1 } } };
  assert.deepEqual(toLambdaEvent(row, {}), { id: 'e', source: row.source, type: row.type, subject: 'orders', time: 't', data: row.data });
});

test('a request is an API Gateway event of format 2.0', async (t) => {
  const { worker } = await start(t, 'exports.handler = async (event) => event;');
  const answer = await worker.get('/books/a%20b?x=1&x=2&y=%20', {
    method: 'POST', params: { id: 'a b' }, remote: '10.0.0.1', body: '{"a":1}',
    headers: [['host', 'api.test'], ['content-type', 'application/json'], ['x-a', '1'], ['x-a', '2'], ['cookie', 'a=1; b=2'], ['user-agent', 'curl']],
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/json');
  const event = JSON.parse(answer.text);
  assert.match(event.requestContext.time, /^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/);
  assert.ok(Math.abs(event.requestContext.timeEpoch - Date.now()) < 60_000);
  delete event.requestContext.time;
  delete event.requestContext.timeEpoch;
  assert.deepEqual(event, {
    version: '2.0', routeKey: '$default', rawPath: '/books/a b', rawQueryString: 'x=1&x=2&y=%20', cookies: ['a=1', 'b=2'],
    headers: {
      host: 'api.test', 'content-type': 'application/json', 'x-a': '1,2', cookie: 'a=1; b=2', 'user-agent': 'curl',
      'x-forwarded-for': '10.0.0.1', 'x-forwarded-proto': 'http', 'x-forwarded-port': '80',
    },
    queryStringParameters: { x: '1,2', y: ' ' },
    requestContext: {
      accountId: '000000000000', apiId: 'books', domainName: 'api.test', domainPrefix: 'api',
      http: { method: 'POST', path: '/books/a b', protocol: 'HTTP/1.1', sourceIp: '10.0.0.1', userAgent: 'curl' },
      requestId: '112210f4-7de9-8811-8500-000000000000', routeKey: '$default', stage: '$default',
    },
    pathParameters: { id: 'a b' }, body: '{"a":1}', isBase64Encoded: false,
  });
});

/** What an answer in the gateway's format becomes. */
function answers(name, result, expected) {
  test(`answers: ${name}`, async (t) => {
    const { worker } = await start(t, `exports.handler = async () => (${result});`);
    const answer = await worker.get('/');
    if (expected.fail) {
      assert.match(answer.fail.message, expected.fail);
      return;
    }
    assert.deepEqual([answer.status, answer.headers, answer.text], [expected.status ?? 200, expected.headers ?? {}, expected.body ?? '']);
  });
}
answers('status, headers, body', "{ statusCode: 201, headers: { 'Content-Type': 'text/x', 'X-N': 1 }, body: 'b' }", { status: 201, headers: { 'content-type': 'text/x', 'x-n': '1' }, body: 'b' });
answers('base64', "{ statusCode: 200, headers: { 'content-type': 'image/png' }, body: Buffer.from('png').toString('base64'), isBase64Encoded: true }", { headers: { 'content-type': 'image/png' }, body: 'png' });
answers('cookies and multiValueHeaders', "{ statusCode: '200', cookies: ['a=1', 'b=2'], multiValueHeaders: { 'x-m': ['1', '2'] } }", { headers: { 'x-m': ['1', '2'], 'set-cookie': ['a=1', 'b=2'] } });
answers('an object', '{ a: 1 }', { headers: { 'content-type': 'application/json' }, body: '{"a":1}' });
answers('a text', "'hi'", { headers: { 'content-type': 'application/json' }, body: 'hi' });
answers('nothing', 'undefined', { headers: { 'content-type': 'application/json' }, body: 'null' });
answers('no content', '{ statusCode: 204 }', { status: 204 });
answers('an invalid status', '{ statusCode: 42 }', { fail: /42 is not a valid status/ });
answers('an invalid header', "{ statusCode: 200, headers: { 'a b': '1' } }", { fail: /"a b" is not a valid header name/ });

test('binary and streamed bodies of requests', async (t) => {
  const { worker } = await start(t, 'exports.handler = async (event) => [event.body, event.isBase64Encoded];', { bodyLimit: 10 });
  const send = (type, body, options = {}) => worker.http('/', { method: 'POST', headers: type ? [['content-type', type]] : [], body, ...options });
  assert.equal((await worker.answer(send('image/png', Buffer.from([0, 255])))).text, '["AP8=",true]');
  assert.equal((await worker.answer(send('text/plain; charset=utf-8', 'ä'))).text, '["ä",false]');
  assert.equal((await worker.answer(send('text/plain', Buffer.from([255])))).text, '["/w==",true]');
  assert.equal((await worker.answer(send(null, ''))).text, '[null,false]');
  const streamed = send('text/plain', 'ab', { open: true });
  worker.data(streamed, 'cd');
  worker.end(streamed);
  assert.equal((await worker.answer(streamed)).text, '["abcd",false]');
  const large = send('text/plain', 'ab', { open: true });
  worker.data(large, 'x'.repeat(20));
  assert.equal((await worker.answer(large)).status, 413);
});

test('streamifyResponse answers piece by piece', async (t) => {
  const { worker } = await start(t, `exports.handler = awslambda.streamifyResponse(async (event, stream) => {
    const out = awslambda.HttpResponseStream.from(stream, { statusCode: 202, headers: { 'Content-Type': 'text/x' }, cookies: ['a=1'] });
    out.write('a'); await new Promise((resolve) => setTimeout(resolve, 5)); out.write('b'); out.end();
  });`);
  const answer = await worker.get('/');
  assert.deepEqual([answer.status, answer.headers, answer.text], [202, { 'content-type': 'text/x', 'set-cookie': 'a=1' }, 'ab']);
});
