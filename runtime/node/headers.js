'use strict';
// Header blocks (`name NUL value NUL …`) and the rules for what may stand in them.

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// eslint-disable-next-line no-control-regex
const FORBIDDEN = /[^\t\x20-\x7e\x80-\xff]/;
/** The server frames the body itself; these would contradict it. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'te', 'trailer']);
/** Of these Node keeps the first when a request repeats them. */
const SINGLE = new Set([
  'age', 'authorization', 'content-length', 'content-type', 'etag', 'expires', 'from', 'host',
  'if-modified-since', 'if-unmodified-since', 'last-modified', 'location', 'max-forwards',
  'proxy-authorization', 'referer', 'retry-after', 'server', 'user-agent',
]);
const KNOWN_NAMES = new Map();
const MAX_KNOWN_NAMES = 1000;

function codeError(Type, code, message) {
  const error = new Type(message);
  error.code = code;
  return error;
}

/** The lower-case name; throws a TypeError when it is none. */
function headerName(name) {
  const known = KNOWN_NAMES.get(name);
  if (known !== undefined) return known;
  if (typeof name !== 'string' || !TOKEN.test(name)) {
    throw codeError(TypeError, 'ERR_INVALID_HTTP_TOKEN', `${JSON.stringify(String(name))} is not a valid header name`);
  }
  const lower = name.toLowerCase();
  if (KNOWN_NAMES.size < MAX_KNOWN_NAMES) KNOWN_NAMES.set(name, lower);
  return lower;
}

/** The value as text; throws a TypeError when no header can hold it. */
function headerValue(name, value) {
  if (value === undefined || value === null) {
    throw codeError(TypeError, 'ERR_HTTP_INVALID_HEADER_VALUE', `the header ${name} has the value ${value}`);
  }
  const text = typeof value === 'string' ? value : String(value);
  if (FORBIDDEN.test(text)) {
    throw codeError(
      TypeError,
      'ERR_INVALID_CHAR',
      `the value of the header ${name} holds a character that no header may hold: ${JSON.stringify(text.slice(0, 100))}`,
    );
  }
  return text;
}

/** The status as a number; throws a TypeError for what no answer can have. */
function statusCode(status) {
  const code = typeof status === 'string' && status !== '' ? Number(status) : status;
  if (Number.isInteger(code) && code >= 200 && code <= 999) return code;
  throw codeError(
    TypeError,
    'ERR_HTTP_INVALID_STATUS_CODE',
    `${typeof status === 'object' ? typeof status : String(status)} is not a valid status: expected a whole number from 200 to 999`,
  );
}

/** Headers of an answer, few as they are, as pairs one after the other: [name, value, …]. */
class HeaderList {
  constructor() {
    this.pairs = [];
  }

  find(lower) {
    const pairs = this.pairs;
    for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === lower) return i;
    return -1;
  }

  get(name) {
    const at = this.find(String(name).toLowerCase());
    return at < 0 ? undefined : this.pairs[at + 1];
  }

  has(name) {
    return this.find(String(name).toLowerCase()) >= 0;
  }

  set(name, value) {
    const lower = headerName(name);
    // Numbers stay such for whoever asks, as with Node.
    if (typeof value === 'number') this.put(lower, value);
    else this.put(lower, Array.isArray(value) ? value.map((one) => headerValue(name, one)) : headerValue(name, value));
  }

  /** Sets a name and value that are known to be right. */
  put(lower, value) {
    const at = this.find(lower);
    if (at < 0) this.pairs.push(lower, value);
    else this.pairs[at + 1] = value;
  }

  append(name, value) {
    const before = this.get(name);
    if (before === undefined) this.set(name, value);
    else this.set(name, [].concat(before, value));
  }

  remove(name) {
    const at = this.find(String(name).toLowerCase());
    if (at >= 0) this.pairs.splice(at, 2);
  }

  names() {
    return this.pairs.filter((_, i) => i % 2 === 0);
  }

  toObject() {
    const all = Object.create(null);
    for (let i = 0; i < this.pairs.length; i += 2) all[this.pairs[i]] = this.pairs[i + 1];
    return all;
  }

  /** The header block, without what the server decides. */
  block() {
    const pairs = this.pairs;
    let block = '';
    for (let i = 0; i < pairs.length; i += 2) {
      const name = pairs[i];
      if (HOP_BY_HOP.has(name)) continue;
      const value = pairs[i + 1];
      if (!Array.isArray(value)) block += `${name}\0${value}\0`;
      else for (const one of value) block += `${name}\0${one}\0`;
    }
    return block;
  }
}

/** [name, value, …] of a block. */
function splitBlock(block) {
  if (block === '') return [];
  const parts = block.split('\0');
  parts.pop();
  return parts;
}

/** The headers of a request, repeated ones joined as Node does. */
function requestHeaders(parts) {
  const headers = {};
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const name = parts[i];
    const value = parts[i + 1];
    const before = headers[name];
    if (name === 'set-cookie') {
      if (before === undefined) headers[name] = [value];
      else before.push(value);
    } else if (before === undefined || !Object.hasOwn(headers, name)) {
      // `__proto__` is a valid header name, and no way to reach a prototype.
      if (name === '__proto__') Object.defineProperty(headers, name, { value, enumerable: true, writable: true, configurable: true });
      else headers[name] = value;
    } else if (!SINGLE.has(name)) {
      headers[name] = before + (name === 'cookie' ? '; ' : ', ') + value;
    }
  }
  return headers;
}

/** The cookies of a request; the first of a name counts, as everywhere. */
function parseCookies(header) {
  const cookies = Object.create(null);
  if (!header) return cookies;
  for (const part of header.split(';')) {
    const at = part.indexOf('=');
    if (at < 0) continue;
    const name = part.slice(0, at).trim();
    if (name === '' || name in cookies) continue;
    let value = part.slice(at + 1).trim();
    if (value.startsWith('"') && value.endsWith('"') && value.length > 1) value = value.slice(1, -1);
    try {
      cookies[name] = value.includes('%') ? decodeURIComponent(value) : value;
    } catch {
      cookies[name] = value;
    }
  }
  return cookies;
}

module.exports = { HeaderList, headerName, headerValue, statusCode, splitBlock, requestHeaders, parseCookies, codeError };
