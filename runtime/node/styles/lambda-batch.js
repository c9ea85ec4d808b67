'use strict';
// A batch of events as Lambda gets batches: `Records`, of S3 for objects, of SQS for all else.

const { isUtf8 } = require('node:buffer');
const { s3Record, region, ACCOUNT } = require('./lambda-events');

const CORE = new Set(['specversion', 'id', 'data']);
const TEXT = /^\s*text\//i;

/** The event that a Lambda handler gets for a batch. */
function toLambdaBatch(batch, settings) {
  const Records = batch.entries.map((entry) => {
    const record = isObjectEvent(entry.event) ? s3Record(entry.event, settings) : sqsRecord(entry, settings);
    batch.know(record, entry);
    return record;
  });
  return { Records };
}

function isObjectEvent({ type }) {
  return typeof type === 'string' && type.startsWith('wakeful.bucket.');
}

/** One message of a queue. */
function sqsRecord({ runId, attempt, event }, settings) {
  const body = bodyOf(event);
  const { project, environment } = settings.scope ?? {};
  const queue = [project, environment, settings.function].filter(Boolean).join('-');
  const sent = String(millis(event.time));
  return {
    messageId: event.id,
    receiptHandle: runId,
    body,
    attributes: {
      ApproximateReceiveCount: String(attempt),
      SentTimestamp: sent,
      SenderId: String(event.source),
      ApproximateFirstReceiveTimestamp: sent,
    },
    messageAttributes: attributesOf(event),
    md5OfBody: require('node:crypto').createHash('md5').update(body).digest('hex'),
    eventSource: 'aws:sqs',
    eventSourceARN: `arn:aws:sqs:${region()}:${ACCOUNT}:${queue}`,
    awsRegion: region(),
  };
}

/** What was published or sent is the bare data; what a source of ours tells is the CloudEvent. */
function bodyOf(event) {
  const { type, data, datacontenttype } = event;
  if (String(type).startsWith('wakeful.') && type !== 'wakeful.function.invoke') return JSON.stringify(event);
  if (data === undefined) return '';
  if (!Buffer.isBuffer(data)) return JSON.stringify(data);
  return TEXT.test(datacontenttype ?? '') && isUtf8(data) ? data.toString() : data.toString('base64');
}

/** The attributes of the CloudEvent. */
function attributesOf(event) {
  const attributes = {};
  for (const [name, value] of Object.entries(event)) {
    if (CORE.has(name) || value === undefined || value === null) continue;
    const dataType = typeof value === 'number' ? 'Number' : 'String';
    attributes[name] = { stringValue: String(value), stringListValues: [], binaryListValues: [], dataType };
  }
  return attributes;
}

function millis(time) {
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? 0 : ms;
}

module.exports = { toLambdaBatch };
