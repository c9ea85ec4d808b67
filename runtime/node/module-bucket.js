'use strict';
// `bucket` of the `wakeful` module: objects of the project's buckets, their bytes streamed.

const current = require('./current');
const { describe, isStreamed } = require('./bodies');
const { WakefulError } = require('./host');
const { byName } = require('./module-names');

/** What a whole body may be read into at most: Node's own buffers end about there. */
const MAX_WHOLE = 2 ** 31 - 1;

function checkKey(key) {
  if (typeof key === 'string' && key !== '') return key;
  throw new TypeError(`the key of an object must be a string that is not empty, not ${key === '' ? 'an empty one' : describe(key)}`);
}

function describeObject(head) {
  return {
    size: head.size,
    contentType: head.contentType,
    etag: head.etag,
    modified: head.modified === undefined || head.modified === null ? undefined : new Date(head.modified),
    metadata: head.metadata ?? {},
  };
}

/** [first, last] from a list or {start, end}; the last byte counts. */
function rangeOf(range) {
  const [first, last] = Array.isArray(range) ? range : [range.start ?? 0, range.end];
  const valid = Number.isSafeInteger(first) && first >= 0 && (last === undefined || (Number.isSafeInteger(last) && last >= first));
  if (!valid) throw new TypeError('a range is [first, last] or {start, end}: whole numbers, the last byte included');
  return last === undefined ? [first, Number.MAX_SAFE_INTEGER] : [first, last];
}

/** An object that is being read: its properties, and its bytes in one of several ways. */
class BucketObject {
  constructor(key, reply) {
    this.key = key;
    Object.assign(this, describeObject(reply.head));
    Object.defineProperty(this, '_reply', { value: reply });
    Object.defineProperty(this, '_stream', { value: null, writable: true });
  }

  /** A Readable of Node; can be read once. */
  get body() {
    if (this._stream === null) this._stream = this._reply.body.readable(this._reply.abandon);
    return this._stream;
  }

  async buffer() {
    if (this._stream !== null) {
      const chunks = [];
      for await (const chunk of this._stream) chunks.push(chunk);
      return Buffer.concat(chunks);
    }
    return this._reply.body.collect(MAX_WHOLE, (limit) => new RangeError(`the object is larger than ${limit} bytes: read it as a stream`));
  }

  async arrayBuffer() {
    const bytes = await this.buffer();
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  }

  async text() {
    return (await this.buffer()).toString();
  }

  async json() {
    return JSON.parse(await this.text());
  }

  [Symbol.asyncIterator]() {
    return this.body[Symbol.asyncIterator]();
  }
}

/** What put() takes, as bytes or as something to read piece by piece. */
function uploadOf(body) {
  if (typeof body === 'string') return Buffer.from(body);
  if (Buffer.isBuffer(body)) return body;
  if (ArrayBuffer.isView(body)) return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (body instanceof ArrayBuffer) return Buffer.from(body);
  if (body !== null && typeof body === 'object') {
    if (body instanceof BucketObject) return body.body;
    if (isStreamed(body)) return body;
    if (typeof body.stream === 'function') return body.stream();
    if (body.body !== null && isStreamed(body.body)) return body.body;
  }
  throw new TypeError(`put() takes a string, bytes, a stream or a Blob, not ${describe(body)}`);
}

/** The media type that a body brings along: a Blob, a Response, a request, an object of a bucket. */
function typeOf(body) {
  if (body === null || typeof body !== 'object' || ArrayBuffer.isView(body)) return undefined;
  if (body instanceof BucketObject) return body.contentType;
  if (typeof body.headers?.get === 'function') return body.headers.get('content-type') ?? undefined;
  if (typeof body.headers?.['content-type'] === 'string') return body.headers['content-type'];
  return typeof body.type === 'string' && body.type.includes('/') ? body.type : undefined;
}

/** What put() says of an object, and what it sends. */
function uploadParams(key, body, { contentType = typeOf(body), metadata }) {
  return { params: { key: checkKey(key), contentType, metadata }, upload: uploadOf(body) };
}

async function orNull(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof WakefulError && error.code === 'not_found') return null;
    throw error;
  }
}

class Bucket {
  constructor(name) {
    this.name = name;
  }

  _call(op, params, body) {
    return current.worker.host.call(op, { bucket: this.name, ...params }, body);
  }

  /** The object, or null when there is none. */
  async get(key, options = {}) {
    const params = { key: checkKey(key) };
    if (options.range !== undefined) params.range = rangeOf(options.range);
    const reply = await orNull(this._call('bucket.get', params));
    return reply === null ? null : new BucketObject(key, reply);
  }

  /** Its properties without its bytes, or null. */
  async head(key) {
    const reply = await orNull(this._call('bucket.head', { key: checkKey(key) }));
    return reply === null ? null : { key, ...describeObject(reply.head) };
  }

  /** Writes an object; visible, and an event, once it is whole. */
  async put(key, body, options = {}) {
    const { params, upload } = uploadParams(key, body, options);
    const { head } = await this._call('bucket.put', params, upload);
    return { key, etag: head.etag, size: head.size };
  }

  /** Whether there was one to remove. */
  async remove(key) {
    const { head } = await this._call('bucket.remove', { key: checkKey(key) });
    return head.removed;
  }

  /** One page: `{objects, next}`; `next` goes into `after` of the following page. */
  async page(options = {}) {
    const { prefix, after, limit } = typeof options === 'string' ? { prefix: options } : options;
    const { head } = await this._call('bucket.list', { prefix, after, limit });
    const objects = head.objects.map((one) => ({ ...one, modified: one.modified === undefined ? undefined : new Date(one.modified) }));
    return { objects, next: head.next ?? undefined };
  }

  /** All objects, page by page: `for await (const object of bucket.photos.list('2026/'))`. */
  async *list(options = {}) {
    let { after, ...rest } = typeof options === 'string' ? { prefix: options } : options;
    do {
      const { objects, next } = await this.page({ ...rest, after });
      yield* objects;
      after = next;
    } while (after !== undefined);
  }
}

const bucket = byName('bucket', (name) => new Bucket(name));

module.exports = { bucket, checkKey, uploadParams };
