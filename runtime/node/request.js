'use strict';
// A request as it came, taken apart only as far as somebody asks. The styles make of it what
// their handlers expect.

const { EMPTY } = require('./link');
const { splitBlock, requestHeaders } = require('./headers');

/** Media types whose body a handler expects parsed: it is collected before the handler starts. */
const PARSED = /^\s*(?:application\/(?:[^;\s]+\+)?json|application\/x-www-form-urlencoded|text\/[^;\s]+)\s*(?:;|$)/i;

/** What is wrong with a request; unless the handler catches it, it is the answer. */
class RequestError extends Error {
  constructor(status, name, message) {
    super(message);
    this.name = name;
    this.status = status;
    this.statusCode = status;
  }
}

function tooLarge(limit) {
  return new RequestError(413, 'PayloadTooLargeError', `the body of the request is larger than ${limit} bytes`);
}

/** A body as text, in the charset that its type names; UTF-8 without one. */
function decodeText(bytes, type = '') {
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(type)?.[1] ?? 'utf-8';
  if (/^utf-?8$/i.test(charset)) return bytes.toString();
  let decoder;
  try {
    decoder = new TextDecoder(charset);
  } catch {
    throw new RequestError(415, 'UnsupportedMediaTypeError', `the charset ${charset} of the request's body is not known`);
  }
  return decoder.decode(bytes);
}

function parseJson(bytes, type) {
  const text = decodeText(bytes, type);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RequestError(400, 'SyntaxError', `the body of the request is not valid JSON: ${cause.message}`);
  }
}

class HttpCall {
  constructor(method, target, remote, params, block, body, inbound) {
    this.method = method;
    this.target = target;
    this.remote = remote;
    this.paramsBlock = params;
    this.block = block;
    /** The whole body, or null while it is (or was) streamed. */
    this.body = body;
    this.inbound = inbound;
    this._parts = null;
    this._headers = null;
    this._params = null;
    /** The promise of `collect`, the same for all who ask. */
    this._collecting = null;
  }

  /** [name, value, …] as they came. */
  get parts() {
    if (this._parts === null) this._parts = splitBlock(this.block);
    return this._parts;
  }

  get headers() {
    if (this._headers === null) this._headers = requestHeaders(this.parts);
    return this._headers;
  }

  get params() {
    if (this._params === null) {
      const parts = splitBlock(this.paramsBlock);
      this._params = {};
      for (let i = 0; i + 1 < parts.length; i += 2) this._params[parts[i]] = parts[i + 1];
    }
    return this._params;
  }

  get path() {
    const at = this.target.indexOf('?');
    return at < 0 ? this.target : this.target.slice(0, at);
  }

  get queryText() {
    const at = this.target.indexOf('?');
    return at < 0 ? '' : this.target.slice(at + 1);
  }

  /** Whether the body is streamed, but small and of a type that handlers expect parsed. */
  wantsBodyFirst(limit) {
    if (this.inbound === null) return false;
    const length = Number(this.headers['content-length']);
    return length <= limit && PARSED.test(this.headers['content-type'] || '');
  }

  /** Makes a streamed body whole. */
  collect(limit) {
    if (this._collecting === null) this._collecting = this.body === null ? this._collect(limit) : Promise.resolve(this.body);
    return this._collecting;
  }

  async _collect(limit) {
    this.body = await this.inbound.collect(limit, tooLarge);
    this.inbound = null;
    return this.body;
  }
}

/** Repeated names become arrays. */
function parseForm(text) {
  const values = Object.create(null);
  if (text === '') return values;
  for (const [name, value] of new URLSearchParams(text)) {
    const before = values[name];
    if (before === undefined) values[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else values[name] = [before, value];
  }
  return values;
}

/** A number of 16 bits. */
function u16(bytes, at) {
  return bytes[at] | (bytes[at + 1] << 8);
}

/**
 * Reads the part of INVOKE that HTTP adds. One native call makes the text of everything but the
 * params and the body; the rest are slices of it.
 */
function readHttp(bytes, start, end, owned, whole, makeInbound) {
  const methodEnd = start + 1 + bytes[start];
  const targetEnd = methodEnd + 2 + u16(bytes, methodEnd);
  const remoteEnd = targetEnd + 1 + bytes[targetEnd];
  const paramsEnd = remoteEnd + 2 + u16(bytes, remoteEnd);
  const headersStart = paramsEnd + 4;
  const headersEnd = headersStart + (u16(bytes, paramsEnd) | (u16(bytes, paramsEnd + 2) << 16));
  const text = bytes.latin1Slice(start, headersEnd);
  const params = remoteEnd + 2 === paramsEnd ? '' : bytes.utf8Slice(remoteEnd + 2, paramsEnd);
  let body = EMPTY;
  if (headersEnd < end) {
    body = owned ? bytes.subarray(headersEnd, end) : Buffer.from(bytes.subarray(headersEnd, end));
  }
  return new HttpCall(
    text.slice(1, methodEnd - start),
    text.slice(methodEnd + 2 - start, targetEnd - start),
    text.slice(targetEnd + 1 - start, remoteEnd - start),
    params,
    text.slice(headersStart - start),
    whole ? body : null,
    whole ? null : makeInbound(body),
  );
}

module.exports = { HttpCall, RequestError, readHttp, decodeText, parseForm, parseJson };
