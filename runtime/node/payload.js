'use strict';
// Data of events and payloads of invocations, as bytes with their media type. What JSON would
// change without a word (functions, promises, maps, …) is refused before anything is sent.

const util = require('node:util');
const { isStreamed } = require('./bodies');
const limits = require('./limits');

const JSON_TYPE = 'application/json';
const BYTES_TYPE = 'application/octet-stream';
/** Objects without properties that are just that: plain ones, those of the user's own classes. */
const HARMLESS = new Set(['Object', 'Arguments', 'Module']);

/** Bytes and media type of `value`; `bytes` is null for undefined. `what` names it in errors. */
function encodePayload(value, contentType, what) {
  if (contentType !== undefined && (typeof contentType !== 'string' || contentType === '')) {
    throw new TypeError(`the contentType of ${what} must be a string that is not empty`);
  }
  if (value === undefined) return { bytes: null, contentType };
  const bytes = rawBytes(value);
  if (bytes !== null) return { bytes: checkSize(bytes, what), contentType: contentType ?? BYTES_TYPE };
  if (contentType === undefined || isJsonType(contentType)) {
    return { bytes: checkSize(Buffer.from(toJson(value, what)), what), contentType: contentType ?? JSON_TYPE };
  }
  if (typeof value === 'string') return { bytes: checkSize(Buffer.from(value), what), contentType };
  throw new TypeError(`${what} is of type ${contentType}: give it as a string or as bytes`);
}

function rawBytes(value) {
  if (Buffer.isBuffer(value)) return value;
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return Buffer.from(value);
  return null;
}

function isJsonType(contentType) {
  const essence = contentType.split(';')[0].trim().toLowerCase();
  return essence === JSON_TYPE || essence.endsWith('+json');
}

function checkSize(bytes, what) {
  if (bytes.length <= limits.BODY) return bytes;
  throw new RangeError(`${what} takes ${bytes.length} bytes, and ${limits.BODY} are the most: put it into a bucket and send its key`);
}

/** A value as JSON text. Throws a TypeError that says where in it something does not fit. */
function toJson(value, what) {
  let text;
  try {
    // What is lost as a whole is named before JSON.stringify finds something in it.
    const kind = value === undefined ? null : kindOf(value);
    if (kind !== null) throw new Lossy([], kind);
    text = JSON.stringify(value);
    if (text !== undefined) refuseLossy(value, [], 0);
  } catch (error) {
    if (error instanceof Lossy) throw new TypeError(`${what} cannot be written as JSON: ${error.told}`);
    throw new TypeError(`${what} cannot be written as JSON: ${firstLine(error)}`, { cause: error });
  }
  if (text === undefined) throw new TypeError(`${what} cannot be written as JSON: it is ${kindOf(value)}`);
  return text;
}

function firstLine(error) {
  return String(error?.message ?? error).split('\n')[0];
}

/** Something that JSON.stringify leaves out or empties. */
class Lossy {
  constructor(path, kind) {
    this.path = path;
    this.kind = kind;
  }

  get told() {
    return this.path.length === 0 ? `it is ${this.kind}` : `\`${shown(this.path)}\` is ${this.kind}`;
  }
}

function shown(path) {
  return path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`)).join('').replace(/^\./, '');
}

/** Throws a Lossy for the first part of `value`, which JSON.stringify took, that would be lost. */
function refuseLossy(value, path, depth) {
  const kind = kindOf(value);
  if (kind !== null) throw new Lossy(path, kind);
  // What has a form of its own for JSON is as its author wants it.
  if (Object(value) !== value || typeof value.toJSON === 'function') return;
  if (depth >= limits.MAX_JSON_DEPTH) throw new Error(`more than ${limits.MAX_JSON_DEPTH} objects stand in each other`);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) within(value[i], path, i, depth);
    return;
  }
  for (const key of Object.keys(value)) within(value[key], path, key, depth);
}

function within(value, path, key, depth) {
  // Most values are none that could be lost.
  if (value === null || (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol')) return;
  path.push(key);
  refuseLossy(value, path, depth + 1);
  path.pop();
}

/** What a value is, if JSON loses it; null for all that fits. */
function kindOf(value) {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'symbol') return 'a symbol';
  if (value === undefined) return 'undefined';
  if (Object(value) !== value || typeof value.toJSON === 'function') return null;
  if (util.types.isPromise(value)) return 'a promise (is an `await` missing?)';
  if (util.types.isMap(value)) return 'a Map (use Object.fromEntries)';
  if (util.types.isSet(value)) return 'a Set (spread it into an array)';
  if (value instanceof Error) return 'an Error (send its name and message)';
  if (ArrayBuffer.isView(value) || util.types.isAnyArrayBuffer(value)) return 'bytes within an object (write them as base64, or send them alone)';
  if (isStreamed(value)) return 'a stream (put it into a bucket and send its key)';
  return isEmptied(value) ? `an object of class ${classOf(value)}, of which JSON keeps nothing` : null;
}

/** Whether it is an object of Node's own (a Blob, Headers, a RegExp) that JSON writes as `{}`. */
function isEmptied(value) {
  if (Array.isArray(value) || util.types.isBoxedPrimitive(value)) return false;
  for (const key in value) if (Object.hasOwn(value, key)) return false;
  return !HARMLESS.has(classOf(value));
}

function classOf(value) {
  return Object.prototype.toString.call(value).slice(8, -1);
}

module.exports = { encodePayload, toJson };
