'use strict';
// Changes of rows in the form of a DynamoDB stream.

const { arn, millis, region } = require('./lambda-names');

const EVENT_NAMES = { insert: 'INSERT', update: 'MODIFY', delete: 'REMOVE' };
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

function dynamodbRecord(event) {
  const { data } = event;
  const images = {};
  if (data.after) images.NewImage = image(data.after);
  if (data.before) images.OldImage = image(data.before);
  const Keys = image(data.key ?? {});
  return {
    eventID: event.id,
    eventName: EVENT_NAMES[data.operation] ?? 'MODIFY',
    eventVersion: '1.1',
    eventSource: 'aws:dynamodb',
    awsRegion: region(),
    dynamodb: {
      ApproximateCreationDateTime: Math.floor(millis(event.time) / 1000),
      Keys,
      ...images,
      SequenceNumber: sequenceNumber(event.id),
      SizeBytes: Buffer.byteLength(JSON.stringify([Keys, images])),
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    },
    eventSourceARN: `${arn('dynamodb', `table/${data.table}`)}/stream/${data.database}`,
  };
}

/** Ids sort as they were given; so do their numbers, padded to the same length. */
function sequenceNumber(id) {
  let number = 0n;
  for (const char of String(id).replace(/^evt_/, '')) {
    const digit = ALPHABET.indexOf(char);
    if (digit < 0) return String(id);
    number = number * 32n + BigInt(digit);
  }
  return number.toString().padStart(21, '0');
}

/** The columns of a row; those that were left out because of their size are not there. */
function image(row) {
  const attributes = {};
  for (const [name, value] of Object.entries(row)) {
    const attribute = attributeValue(value);
    if (attribute !== undefined) attributes[name] = attribute;
  }
  return attributes;
}

/** A value of a row as an AttributeValue. */
function attributeValue(value) {
  switch (typeof value) {
    case 'string':
      return { S: value };
    case 'number':
      return { N: String(value) };
    case 'boolean':
      return { BOOL: value };
    default:
  }
  if (value === null || value === undefined) return { NULL: true };
  if (Array.isArray(value)) return { L: value.map((one) => attributeValue(one) ?? { NULL: true }) };
  const [[tag, inner] = []] = Object.entries(value);
  if (tag === '$int') return { N: inner };
  if (tag === '$bytes') return { B: inner };
  if (tag === '$real') return { S: inner };
  if (tag === '$omitted') return undefined;
  return { M: image(value) };
}

module.exports = { dynamodbRecord };
