'use strict';
// Sends events with the official SDK, in every mode, and prints the answers: node client.js URL
const { CloudEvent, HTTP } = require('cloudevents');

const [url] = process.argv.slice(2);
const SPEC = { source: '/sdk/js', type: 'orders.paid' };

async function post({ headers, body }) {
  const answer = await fetch(url, { method: 'POST', headers, body });
  console.log(JSON.stringify({ status: answer.status, body: await answer.json() }));
}

async function main() {
  const json = new CloudEvent({
    ...SPEC, id: 'js-json', subject: '100% cotton', time: '2026-11-20T12:00:00.123Z',
    datacontenttype: 'application/json', dataschema: 'https://example.com/order',
    tenant: 'acme', partitionkey: 'k1', data: { total: 7, name: 'Größe 😀' },
  });
  const bytes = new CloudEvent({
    ...SPEC, id: 'js-bytes', datacontenttype: 'application/octet-stream',
    data: Buffer.from([0, 255, 128]),
  });
  await post(HTTP.binary(json));
  await post(HTTP.structured(json.cloneWith({ id: 'js-structured' })));
  await post(HTTP.structured(bytes));
  const batch = [json.cloneWith({ id: 'js-batch-1' }), bytes.cloneWith({ id: 'js-batch-2' })];
  await post({
    headers: { 'content-type': 'application/cloudevents-batch+json' },
    body: `[${batch.map((event) => HTTP.structured(event).body)}]`,
  });
  // A sender that heard nothing sends again.
  await post(HTTP.structured(json));
}

main();
