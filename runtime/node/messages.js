'use strict';
// What `publish` takes, as Messages of docs/worker-protocol.md and their data.

const { describe } = require('./bodies');
const { parseDuration } = require('./durations');
const limits = require('./limits');
const { encodePayload } = require('./payload');

/** Options of a message; each is checked by its function, which gives what is sent. */
const OPTIONS = {
  delay: (value) => ({ delayMs: delayOf(value) }),
  at: (value) => ({ at: timeOf(value, 'at').getTime() }),
  key: (value) => ({ key: textOf(value, 'key') }),
  dedup: (value) => ({ dedup: textOf(value, 'dedup') }),
  id: (value) => ({ id: textOf(value, 'id') }),
  source: (value) => ({ source: textOf(value, 'source') }),
  subject: (value) => ({ subject: textOf(value, 'subject') }),
  time: (value) => ({ time: timestampOf(value) }),
  extensions: (value) => ({ extensions: extensionsOf(value) }),
};
/** Those of them that an invocation takes. */
const INVOKE_OPTIONS = ['delay', 'at', 'key', 'dedup'];
const EXTENSION = /^[a-z0-9]+$/;
const MAX_INT = 2 ** 31;

function textOf(value, name) {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value === 'string' && value !== '') return value;
  throw new TypeError(`\`${name}\` must be a string that is not empty, not ${value === '' ? 'an empty one' : describe(value)}`);
}

function delayOf(value) {
  const ms = typeof value === 'string' ? parseDuration(value) : value;
  if (typeof ms !== 'number' || !(ms >= 0)) throw new TypeError("`delay` must be milliseconds or a duration such as '5m'");
  if (ms > limits.MAX_DELAY) throw new RangeError(`a delay is ${limits.MAX_DELAY / 86_400_000} days at most`);
  return Math.ceil(ms);
}

function timeOf(value, name) {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value;
  throw new TypeError(`\`${name}\` must be a valid Date, not ${value instanceof Date ? 'an invalid one' : describe(value)}`);
}

/** CloudEvents write times as RFC 3339; the server checks a text. */
function timestampOf(value) {
  return typeof value === 'string' ? textOf(value, 'time') : timeOf(value, 'time').toISOString();
}

function extensionsOf(value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new TypeError('`extensions` must be an object of attributes');
  const all = {};
  for (const [name, one] of Object.entries(value)) {
    if (!EXTENSION.test(name)) throw new TypeError(`the extension \`${name}\` must have a name of lower-case letters and digits, as CloudEvents want it`);
    if (one !== undefined && one !== null) all[name] = extensionOf(name, one);
  }
  return all;
}

function extensionOf(name, value) {
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  if (Number.isInteger(value) && value >= -MAX_INT && value < MAX_INT) return value;
  if (value instanceof Date) return timeOf(value, name).toISOString();
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
  throw new TypeError(`the extension \`${name}\` must be a string, a boolean, a whole number of 32 bits, a Date or bytes, not ${describe(value)}`);
}

/** The options as they are sent. Of those in `known`; `beside` are not ours to check. */
function readOptions(options, known, beside, where) {
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    throw new TypeError(`the options of ${where} must be an object, not ${describe(options)}`);
  }
  const sent = {};
  for (const [name, value] of Object.entries(options)) {
    if (beside.includes(name) || value === undefined) continue;
    if (!known.includes(name)) throw new TypeError(`${where} has no option \`${name}\`: there are ${[...known, ...beside].join(', ')}`);
    Object.assign(sent, OPTIONS[name](value));
  }
  if (sent.delayMs !== undefined && sent.at !== undefined) throw new TypeError('give `delay` or `at`, not both');
  return sent;
}

/** One event to publish: what is said of it, and its data. */
class Message {
  constructor(head, bytes) {
    this.head = bytes === null ? head : { ...head, length: bytes.length };
    this.bytes = bytes;
  }
}

function topicOf(topic) {
  if (typeof topic === 'string' && topic !== '') return topic;
  throw new TypeError(`a topic must be a string that is not empty, not ${topic === '' ? 'an empty one' : describe(topic)}`);
}

function messageOf(given, data, options) {
  const topic = topicOf(given);
  const sent = readOptions(options, Object.keys(OPTIONS), ['contentType'], 'publish()');
  const { bytes, contentType } = encodePayload(data, options.contentType, `the data of \`${topic}\``);
  return new Message({ topic, contentType, ...sent }, bytes);
}

/** `{topic, data, …options}`, or a CloudEvent. */
function messageOfObject(event, options) {
  if (event === null || typeof event !== 'object') {
    throw new TypeError(`publish() takes a topic and data, a CloudEvent, { topic, data, … } or a list of these, not ${describe(event)}`);
  }
  if (event.topic !== undefined && event.type === undefined) {
    const { topic, data, ...own } = event;
    return messageOf(topic, data, { ...options, ...own });
  }
  return messageOfCloudEvent(event, options);
}

/** The attributes of CloudEvents 1.0; what else stands beside them are extensions. */
function messageOfCloudEvent(event, options) {
  // The class of the CloudEvents SDK keeps its data where only this tells of it.
  const plain = typeof event.toJSON === 'function' ? event.toJSON() : event;
  const { specversion, id, source, type, subject, time, datacontenttype, dataschema, data, data_base64: base64, ...rest } = plain;
  if (type === undefined) throw new TypeError('the event has neither `type`, as CloudEvents have it, nor `topic`');
  if (specversion !== undefined && specversion !== '1.0') throw new TypeError(`the event is of CloudEvents ${specversion}: only 1.0 is taken`);
  if (base64 !== undefined && typeof base64 !== 'string') throw new TypeError('`data_base64` of an event must be a text');
  const given = { id, source, subject, time, contentType: datacontenttype };
  const extensions = { ...(dataschema === undefined ? {} : { dataschema }), ...rest, ...options.extensions };
  if (Object.values(extensions).some((value) => value !== undefined)) given.extensions = extensions;
  for (const name of Object.keys(given)) if (given[name] === undefined || given[name] === null) delete given[name];
  const bytes = base64 === undefined ? undefined : Buffer.from(base64, 'base64');
  return messageOf(type, bytes ?? data ?? event.data, { ...given, ...options, ...(given.extensions && { extensions: given.extensions }) });
}

/** All that one call publishes. */
class Outgoing {
  constructor(messages, isList) {
    this.messages = messages;
    this.isList = isList;
  }

  get params() {
    return { events: this.messages.map((message) => message.head) };
  }

  get body() {
    return Buffer.concat(this.messages.filter(({ bytes }) => bytes !== null).map(({ bytes }) => bytes));
  }
}

/** What the arguments of `publish` mean. Throws before anything is sent. */
function outgoing(first, second, third) {
  if (typeof first === 'string') return new Outgoing([messageOf(first, second, third ?? {})], false);
  if (third !== undefined) throw new TypeError('publish(event, options) has two arguments; publish(topic, data, options) begins with a string');
  const options = second ?? {};
  if (!Array.isArray(first)) return new Outgoing([messageOfObject(first, options)], false);
  if (first.length > limits.MAX_EVENTS) throw new RangeError(`${first.length} events are more than the ${limits.MAX_EVENTS} that one call may publish`);
  if (first.length > 1) {
    const same = ['id', 'dedup'].find((name) => options[name] !== undefined);
    if (same !== undefined) throw new TypeError(`\`${same}\` for a whole list would make all but the first event repetitions: give each its own`);
  }
  const messages = first.map((event) => messageOfObject(event, options));
  const total = messages.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0);
  if (total > limits.BODY) throw new RangeError(`the data of the ${messages.length} events take ${total} bytes, and one call may publish ${limits.BODY}`);
  return new Outgoing(messages, true);
}

/** What the arguments of `invoke` mean: parameters and payload. `beside` are options of the caller. */
function invocation(name, payload, options, beside) {
  if (typeof name !== 'string' || name === '') throw new TypeError(`invoke() takes the name of a function, not ${name === '' ? 'an empty text' : describe(name)}`);
  const own = ['handler', 'contentType', ...beside];
  const sent = readOptions(options, INVOKE_OPTIONS, own, 'invoke()');
  const { bytes, contentType } = encodePayload(payload, options.contentType, `the payload for \`${name}\``);
  const handler = options.handler === undefined ? undefined : textOf(options.handler, 'handler');
  return { params: { function: name, handler, contentType, ...sent }, sent, body: bytes };
}

module.exports = { outgoing, invocation };
