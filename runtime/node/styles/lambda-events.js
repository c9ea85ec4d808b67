'use strict';
// CloudEvents in the shapes in which AWS hands the same things to Lambda.

const { ACCOUNT, arn, formsOf, inSeconds, region } = require('./lambda-names');
const { dynamodbRecord } = require('./lambda-dynamodb');
const { s3Record, snsRecord, sqsRecord, encodeKey } = require('./lambda-records');

/** The event that a Lambda handler gets. `delivery` has the `runId` and `attempt` of it. */
function toLambdaEvent(event, settings, delivery) {
  const type = typeof event.type === 'string' ? event.type : '';
  if (type === 'wakeful.function.invoke') return event.data;
  if (type.startsWith('wakeful.schedule.')) return scheduledEvent(event);
  const forms = formsOf(settings);
  if (type.startsWith('wakeful.database.') && forms.database !== 'dynamodb') return rowEvent(event);
  const record = recordOf({ ...delivery, event }, settings, forms);
  return record === null ? busEvent(event) : { Records: [record] };
}

/** The event that a Lambda handler gets for a batch: of S3 for objects, of SQS for all else, unless chosen. */
function toLambdaBatch(batch, settings) {
  const forms = formsOf(settings);
  const Records = batch.entries.map((entry) => {
    const record = recordOf(entry, settings, forms) ?? sqsRecord(entry, settings);
    batch.know(record, entry);
    if (record.dynamodb !== undefined) batch.alias(record.dynamodb.SequenceNumber, entry);
    return record;
  });
  return { Records };
}

/** The record of an event whose source has some; null for the others. */
function recordOf(entry, settings, forms) {
  const { event } = entry;
  const type = String(event.type);
  if (type.startsWith('wakeful.bucket.')) return s3Record(event, settings);
  if (type.startsWith('wakeful.database.')) return forms.database === 'dynamodb' ? dynamodbRecord(event) : null;
  if (type.startsWith('wakeful.') || forms.topic === 'eventbridge') return null;
  return forms.topic === 'sns' ? snsRecord(event) : sqsRecord(entry, settings);
}

/** AWS has nothing alike. */
function rowEvent({ id, source, type, subject, time, data }) {
  return { id, source, type, subject, time, data };
}

/** What is published, and what we tell of, as an event of EventBridge. */
function busEvent(event) {
  const { data } = event;
  return {
    version: '0',
    id: event.id,
    'detail-type': event.type,
    source: event.source,
    account: ACCOUNT,
    time: inSeconds(event.time),
    region: region(),
    resources: event.subject === undefined ? [] : [event.subject],
    detail: Buffer.isBuffer(data) ? data.toString('base64') : data,
  };
}

/** EventBridge's "Scheduled Event". */
function scheduledEvent(event) {
  const time = event.data?.scheduledTime ?? event.time;
  const name = String(event.source ?? '').split('/').pop() || 'schedule';
  return {
    version: '0',
    id: event.id,
    'detail-type': 'Scheduled Event',
    source: 'aws.events',
    account: ACCOUNT,
    time: inSeconds(time),
    region: region(),
    resources: [arn('events', `rule/${name}`)],
    detail: {},
  };
}

module.exports = { toLambdaEvent, toLambdaBatch, encodeKey };
