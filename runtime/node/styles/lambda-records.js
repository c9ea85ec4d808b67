'use strict';
// Records of S3, SQS and SNS, each made of one CloudEvent.

const { isUtf8 } = require('node:buffer');
const { arn, millis, region, withMillis } = require('./lambda-names');

const CORE = new Set(['specversion', 'id', 'data']);
const TEXT = /^\s*text\//i;
const SENDER = 'wakeful';

const S3_EVENT_NAMES = {
  put: 'ObjectCreated:Put',
  multipart: 'ObjectCreated:CompleteMultipartUpload',
  copy: 'ObjectCreated:Copy',
  delete: 'ObjectRemoved:Delete',
};

/** One record of an S3 notification (event message structure 2.1). */
function s3Record(event, settings) {
  const { data } = event;
  const operation = Object.hasOwn(S3_EVENT_NAMES, data.operation) ? data.operation : fallbackOperation(event.type);
  const object = { key: encodeKey(data.key) };
  if (operation !== 'delete') {
    object.size = data.size;
    object.eTag = typeof data.etag === 'string' ? data.etag.replace(/^"|"$/g, '') : undefined;
  }
  if (data.versionId !== undefined && data.versionId !== null) object.versionId = data.versionId;
  object.sequencer = data.sequencer;
  return {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    awsRegion: region(),
    eventTime: withMillis(event.time),
    eventName: S3_EVENT_NAMES[operation],
    userIdentity: { principalId: SENDER },
    requestParameters: { sourceIPAddress: '127.0.0.1' },
    responseElements: { 'x-amz-request-id': event.id, 'x-amz-id-2': event.id },
    s3: {
      s3SchemaVersion: '1.0',
      configurationId: settings.function,
      bucket: {
        name: data.bucket,
        ownerIdentity: { principalId: SENDER },
        arn: `arn:aws:s3:::${data.bucket}`,
      },
      object,
    },
  };
}

function fallbackOperation(type) {
  return type.endsWith('.removed') ? 'delete' : 'put';
}

/** Keys as S3 encodes them in notifications: like a form, but for the slash. */
function encodeKey(key) {
  return encodeURIComponent(key)
    .replace(/%20/g, '+')
    .replace(/%2F/g, '/')
    .replace(/[!'()~]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** One message of a queue. `entry` has `runId`, `attempt` and `event`. */
function sqsRecord({ runId, attempt, event }, settings) {
  const body = bodyOf(event);
  const { project, environment } = settings.scope ?? {};
  const queue = [project, environment, settings.function].filter(Boolean).join('-');
  const sent = String(millis(event.time));
  const messageAttributes = attributesOf(event);
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
    messageAttributes,
    md5OfBody: md5(body),
    md5OfMessageAttributes: md5OfAttributes(messageAttributes),
    eventSource: 'aws:sqs',
    eventSourceARN: arn('sqs', queue),
    awsRegion: region(),
  };
}

/** One notification of a topic. */
function snsRecord(event) {
  const topic = arn('sns', event.type.replace(/[^\w-]/g, '-'));
  const MessageAttributes = {};
  for (const [name, { stringValue, dataType }] of Object.entries(attributesOf(event))) {
    MessageAttributes[name] = { Type: dataType, Value: stringValue };
  }
  return {
    EventSource: 'aws:sns',
    EventVersion: '1.0',
    EventSubscriptionArn: `${topic}:${event.id}`,
    Sns: {
      Type: 'Notification',
      MessageId: event.id,
      TopicArn: topic,
      Subject: event.subject ?? null,
      Message: bodyOf(event),
      Timestamp: withMillis(event.time),
      // Nobody signs what does not leave the machine.
      SignatureVersion: '1',
      Signature: '',
      SigningCertUrl: '',
      UnsubscribeUrl: '',
      MessageAttributes,
    },
  };
}

/** What was published or sent is the bare data; what a source of ours tells is the CloudEvent. */
function bodyOf(event) {
  const { type, data, datacontenttype } = event;
  if (String(type).startsWith('wakeful.') && type !== 'wakeful.function.invoke') return JSON.stringify(event);
  if (data === undefined) return '';
  if (!Buffer.isBuffer(data)) return typeof data === 'string' && TEXT.test(datacontenttype ?? '') ? data : JSON.stringify(data);
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

function md5(data) {
  return require('node:crypto').createHash('md5').update(data).digest('hex');
}

/** As the developer guide of SQS calculates it ("Calculating the MD5 message digest for message attributes"). */
function md5OfAttributes(attributes) {
  const parts = [];
  const sized = (text) => {
    const bytes = Buffer.from(text);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  };
  for (const name of Object.keys(attributes).sort()) {
    sized(name);
    sized(attributes[name].dataType);
    parts.push(Buffer.from([1]));
    sized(attributes[name].stringValue);
  }
  return md5(Buffer.concat(parts));
}

module.exports = { s3Record, sqsRecord, snsRecord, encodeKey };
