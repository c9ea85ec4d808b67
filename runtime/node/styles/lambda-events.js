'use strict';
// CloudEvents in the shapes in which AWS hands the same things to Lambda.

const DEFAULT_REGION = 'us-east-1';
/** There are no accounts here; code that takes ARNs apart finds twelve digits where it looks. */
const ACCOUNT = '000000000000';

const S3_EVENT_NAMES = {
  put: 'ObjectCreated:Put',
  multipart: 'ObjectCreated:CompleteMultipartUpload',
  copy: 'ObjectCreated:Copy',
  delete: 'ObjectRemoved:Delete',
};

/** The region as the function's settings have it. */
function region() {
  return process.env.AWS_REGION || DEFAULT_REGION;
}

/** The event that a Lambda handler gets. */
function toLambdaEvent(event, settings) {
  const type = typeof event.type === 'string' ? event.type : '';
  if (type === 'wakeful.function.invoke') return event.data;
  if (type.startsWith('wakeful.bucket.')) return { Records: [s3Record(event, settings)] };
  if (type.startsWith('wakeful.schedule.')) return scheduledEvent(event);
  if (type.startsWith('wakeful.database.')) return rowEvent(event);
  return busEvent(event);
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
    userIdentity: { principalId: 'wakeful' },
    requestParameters: { sourceIPAddress: '127.0.0.1' },
    responseElements: { 'x-amz-request-id': event.id, 'x-amz-id-2': event.id },
    s3: {
      s3SchemaVersion: '1.0',
      configurationId: settings.function,
      bucket: {
        name: data.bucket,
        ownerIdentity: { principalId: 'wakeful' },
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

function inSeconds(time) {
  return withMillis(time).replace(/\.\d{3}Z$/, 'Z');
}

function withMillis(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString();
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
    resources: [`arn:aws:events:${region()}:${ACCOUNT}:rule/${name}`],
    detail: {},
  };
}

module.exports = { toLambdaEvent, s3Record, encodeKey, region, ACCOUNT, DEFAULT_REGION };
