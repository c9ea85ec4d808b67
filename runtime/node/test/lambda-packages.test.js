'use strict';
// Packages that people put around their Lambda handlers, unmodified.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const packages = require('./packages');
const { TestWorker, project } = require('./harness');

/** A worker with code that finds the packages as if they were installed beside it. */
async function startWith(t, code, settings = {}) {
  const file = settings.file ?? 'index.js';
  const root = project(t, { [file]: code });
  fs.symlinkSync(path.join(packages.install(), 'node_modules'), path.join(root, 'node_modules'));
  const worker = new TestWorker();
  t.after(() => worker.stop());
  await worker.ready();
  const loaded = await worker.load(root, settings);
  assert.deepEqual([loaded.ok, loaded.style, loaded.missing], [true, 'lambda', []], JSON.stringify(loaded));
  return worker;
}

const APP = `const express = require('express'); const app = express();
  app.use(express.json()); app.use(express.urlencoded({ extended: true }));
  app.get('/hello/:name', (req, res) => res.json({ name: req.params.name, q: req.query.q, host: req.headers.host, ip: req.get('x-forwarded-for') }));
  app.post('/echo', (req, res) => res.status(201).cookie('a', '1').cookie('b', '2').send(req.body));
  app.get('/bytes', (req, res) => res.type('image/png').send(Buffer.from([0, 255, 1])));
  app.get('/fail', () => { throw Object.assign(new Error('teapot'), { status: 418 }); });`;

const AROUND = {
  'serverless-http': `exports.handler = require('serverless-http')(app, { binary: ['image/*'] });`,
  '@codegenie/serverless-express': `exports.handler = require('@codegenie/serverless-express')({ app, binarySettings: { contentTypes: ['image/*'] } });`,
};

for (const [name, wrap] of Object.entries(AROUND)) {
  for (const payload of ['2.0', '1.0', 'url']) {
    test(`express through ${name}, payload format ${payload}`, async (t) => {
      const worker = await startWith(t, `${APP}\n${wrap}`, { lambda: { payload } });
      const hello = await worker.get('/hello/a%20b?q=1%2B1', { headers: [['host', 'api.test']], remote: '10.0.0.1' });
      assert.equal(hello.fail, undefined, JSON.stringify(hello.fail));
      assert.deepEqual(JSON.parse(hello.text), { name: 'a b', q: '1+1', host: 'api.test', ip: '10.0.0.1' });
      for (const [type, body] of [['application/json', '{"n":1}'], ['application/x-www-form-urlencoded', 'n=1']]) {
        const echo = await worker.get('/echo', { method: 'POST', headers: [['host', 'h'], ['content-type', type], ['content-length', String(body.length)]], body });
        assert.deepEqual([echo.status, Number(JSON.parse(echo.text).n) === 1], [201, true], type);
        assert.deepEqual([].concat(echo.headers['set-cookie']).map((cookie) => cookie.split(';')[0]), ['a=1', 'b=2']);
      }
      const bytes = await worker.get('/bytes', { headers: [['host', 'h']] });
      assert.deepEqual([...bytes.body], [0, 255, 1]);
      // Behind body parsers, the other one fails here by itself (`ee.on is not a function`), also on plain Node.
      if (name !== 'serverless-http') return;
      assert.equal((await worker.get('/fail', { headers: [['host', 'h']] })).status, 418);
      assert.equal((await worker.get('/nothing', { headers: [['host', 'h']] })).status, 404);
    });
  }
}

test('middy, with a body parser', async (t) => {
  const worker = await startWith(t, `import middy from '@middy/core'; import json from '@middy/http-json-body-parser';
    export const handler = middy().use(json()).handler(async (event, context, { signal }) => ({ statusCode: 200, body: JSON.stringify([event.body, signal instanceof AbortSignal]) }));`, { file: 'index.mjs' });
  const good = await worker.get('/', { method: 'POST', headers: [['content-type', 'application/json']], body: '{"n":1}' });
  assert.equal(good.text, '[{"n":1},true]', JSON.stringify(good.fail));
  const bad = await worker.get('/', { method: 'POST', headers: [['content-type', 'application/json']], body: '{' });
  assert.equal(bad.fail.name, 'UnsupportedMediaTypeError');
});

test('the batch processor of Powertools, with SQS and DynamoDB', async (t) => {
  for (const [kind, settings, event] of [
    ['SQS', {}, (id) => ({ specversion: '1.0', id, source: '/s', type: 'orders.paid', time: '2026-01-01T00:00:00Z', datacontenttype: 'application/json', data: { id } })],
    ['DynamoDBStreams', { database: 'dynamodb' }, (id) => ({
      specversion: '1.0', id, source: '/s', type: 'wakeful.database.insert', time: '2026-01-01T00:00:00Z', data: { database: 'shop', table: 'orders', operation: 'insert', key: { id }, before: null, after: { id } },
    })],
  ]) {
    const worker = await startWith(t, `const { BatchProcessor, EventType, processPartialResponse } = require('@aws-lambda-powertools/batch');
      const processor = new BatchProcessor(EventType.${kind});
      const work = async (record) => { const id = record.body ? JSON.parse(record.body).id : record.dynamodb.NewImage.id.S; if (id === 'evt_0000000000002') throw new Error('no'); };
      exports.handler = async (event, context) => processPartialResponse(event, work, processor, { context });`, { lambda: settings });
    const items = ['evt_0000000000001', 'evt_0000000000002', 'evt_0000000000003'].map((id, i) => ({ run: BigInt(i + 1), event: event(id) }));
    const answer = await worker.answer(worker.batch(items));
    assert.equal(answer.fail, undefined, JSON.stringify(answer.fail));
    assert.deepEqual(JSON.parse(answer.text), { batchItemFailures: [{ itemIdentifier: 'evt_0000000000002' }] });
  }
});
