'use strict';
// `req` of native handlers: in the manner of Express, and a Readable of Node as soon as somebody
// uses it as one.

const { EventEmitter } = require('node:events');
const { Readable } = require('node:stream');
const { decodeText, parseForm, parseJson } = require('../request');
const { parseCookies } = require('../headers');
const { describe } = require('../bodies');
const accepts = require('./accepts');
const { mediaType } = require('./mime');
const { parseMultipart } = require('./multipart');
const { isFresh, parseRange } = require('./native-fresh');

const UNSET = Symbol('unset');
const JSON_TYPE = /^\s*application\/(?:[^;\s]+\+)?json\s*(?:;|$)/i;
const FORM_TYPE = /^\s*application\/x-www-form-urlencoded\s*(?:;|$)/i;
const TEXT_TYPE = /^\s*text\//i;

/** What Express and Node say of a connection, as far as we know it; it closes when the caller leaves. */
class Connection extends EventEmitter {
  constructor(attempt, remote) {
    super();
    Object.defineProperty(this, '_attempt', { value: attempt });
    this.remoteAddress = remote;
    this.remoteFamily = remote.includes(':') ? 'IPv6' : 'IPv4';
    this.encrypted = false;
    this.destroyed = attempt.cancelled !== null;
    this.readable = true;
    this.writable = true;
  }

  /** Ends the answer where it stands: the caller sees it break off. */
  destroy(error) {
    if (!this.destroyed && !this._attempt.ended) {
      this._attempt.fail('user_error', error || new Error('the handler closed the connection'));
    }
    this._close();
    return this;
  }

  _close() {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit('close');
  }

  setTimeout() {
    return this;
  }

  setNoDelay() {
    return this;
  }

  setKeepAlive() {
    return this;
  }
}

function Request(attempt, call, res) {
  this._attempt = attempt;
  this._call = call;
  this.res = res;
  this.method = call.method;
  this.url = call.target;
  this.originalUrl = call.target;
  this._bodyValue = UNSET;
  this._queryValue = UNSET;
  this._paramsValue = UNSET;
  this._cookiesValue = UNSET;
  this._socket = null;
}

Object.setPrototypeOf(Request.prototype, Readable.prototype);
Object.setPrototypeOf(Request, Readable);

/** A property that is made when asked for, and may be set by middleware. */
function lazy(name, slot, make) {
  Object.defineProperty(Request.prototype, name, {
    configurable: true,
    enumerable: true,
    get() {
      if (this[slot] === UNSET) this[slot] = make(this);
      return this[slot];
    },
    set(value) {
      this[slot] = value;
    },
  });
}

lazy('body', '_bodyValue', (req) => parseBody(req._call));
lazy('query', '_queryValue', (req) => parseForm(req._call.queryText));
lazy('params', '_paramsValue', (req) => req._call.params);
lazy('cookies', '_cookiesValue', (req) => parseCookies(req._call.headers.cookie));

/** A whole body as its type says; undefined for one that is streamed, or empty. */
function parseBody(call) {
  const { body } = call;
  if (body === null) return undefined;
  const type = call.headers['content-type'];
  if (body.length === 0) return type === undefined ? undefined : emptyBody(type);
  if (type === undefined) return body;
  if (JSON_TYPE.test(type)) return parseJson(body, type);
  if (FORM_TYPE.test(type)) return parseForm(decodeText(body, type));
  if (TEXT_TYPE.test(type)) return decodeText(body, type);
  return body;
}

function emptyBody(type) {
  if (TEXT_TYPE.test(type)) return '';
  return JSON_TYPE.test(type) || FORM_TYPE.test(type) ? {} : undefined;
}

Object.defineProperties(Request.prototype, {
  constructor: { value: Request, writable: true, configurable: true },

  // The Readable comes to be when its state is first asked for: on(), pipe(), for await, …
  _readableState: {
    configurable: true,
    get() {
      openReadable(this);
      return this._readableState;
    },
    set(state) {
      Object.defineProperty(this, '_readableState', { value: state, writable: true, configurable: true });
    },
  },

  headers: {
    configurable: true,
    get() {
      return this._call.headers;
    },
  },
  rawHeaders: {
    configurable: true,
    get() {
      return this._call.parts.slice();
    },
  },
  /** The bytes of the body, where it is whole before the handler starts. */
  rawBody: {
    configurable: true,
    get() {
      return this._call.body ?? undefined;
    },
  },
  path: {
    configurable: true,
    get() {
      const at = this.url.indexOf('?');
      return at < 0 ? this.url : this.url.slice(0, at);
    },
  },
  ip: {
    configurable: true,
    get() {
      return this._call.remote;
    },
  },
  host: {
    configurable: true,
    get() {
      return this._call.headers.host;
    },
  },
  /** Whether a script of a page asks, as far as it says so. */
  xhr: {
    configurable: true,
    get() {
      return (this._call.headers['x-requested-with'] || '').toLowerCase() === 'xmlhttprequest';
    },
  },
  /** Whether the caller has what the answer, as it stands, would bring. */
  fresh: {
    configurable: true,
    get() {
      if (this.method !== 'GET' && this.method !== 'HEAD') return false;
      const { statusCode } = this.res;
      const good = (statusCode >= 200 && statusCode < 300) || statusCode === 304;
      return good && isFresh(this._call.headers, { etag: this.res.get('etag'), 'last-modified': this.res.get('last-modified') });
    },
  },
  stale: {
    configurable: true,
    get() {
      return !this.fresh;
    },
  },
  /** Where an app is mounted; a function is not. */
  baseUrl: { value: '', writable: true, configurable: true },
  ips: { value: [], writable: true, configurable: true },
  subdomains: {
    configurable: true,
    get() {
      const { hostname } = this;
      return hostname === undefined || /^[\d.]+$|:/.test(hostname) ? [] : hostname.split('.').reverse().slice(2);
    },
  },
  hostname: {
    configurable: true,
    get() {
      const { host } = this._call.headers;
      return host === undefined ? undefined : host.replace(/:\d+$/, '');
    },
  },
  protocol: { value: 'http', writable: true, configurable: true },
  secure: { value: false, writable: true, configurable: true },
  httpVersion: { value: '1.1', writable: true, configurable: true },
  httpVersionMajor: { value: 1, writable: true, configurable: true },
  httpVersionMinor: { value: 1, writable: true, configurable: true },
  trailers: {
    configurable: true,
    get() {
      return {};
    },
  },
  complete: {
    configurable: true,
    get() {
      return this._call.inbound === null || this._call.inbound.whole;
    },
  },
  aborted: {
    configurable: true,
    get() {
      return this._attempt.cancelled !== null;
    },
  },
  signal: {
    configurable: true,
    get() {
      return this._attempt.signal;
    },
  },
  socket: {
    configurable: true,
    get() {
      if (this._socket === null) this._socket = new Connection(this._attempt, this._call.remote);
      return this._socket;
    },
  },
  connection: {
    configurable: true,
    get() {
      return this.socket;
    },
  },
});

function openReadable(req) {
  // Until the constructor has set it, its own look at the state must not come back here.
  Object.defineProperty(req, '_readableState', { value: undefined, writable: true, configurable: true });
  Readable.call(req, { emitClose: true });
}

/** Whether somebody has used it as a stream. */
function isOpen(req) {
  return Object.hasOwn(req, '_readableState');
}

function appendPart(form, { name, filename, type, data }) {
  if (filename === undefined) form.append(name ?? '', data.toString());
  else form.append(name ?? '', new File([data], filename, { type: type ?? 'application/octet-stream' }));
}

/** A type as `is` takes it, in full; '' for one that is none. */
function fullType(type) {
  const lower = type.toLowerCase();
  if (lower === 'urlencoded') return 'application/x-www-form-urlencoded';
  if (lower === 'multipart') return 'multipart/*';
  if (lower.startsWith('+')) return `*/*${lower}`;
  return lower.includes('/') ? lower : mediaType(lower).split(';')[0];
}

function isOfType(actual, wanted) {
  const [kind, name] = actual.split('/');
  const [wantedKind, wantedName] = wanted.split('/');
  if (wantedKind !== '*' && wantedKind !== kind) return false;
  if (wantedName.startsWith('*+')) return name.endsWith(wantedName.slice(1));
  return wantedName === '*' || wantedName === name;
}

const methods = {
  _read() {
    const call = this._call;
    if (call.body !== null) {
      if (call.body.length > 0) this.push(call.body);
      this.push(null);
      return;
    }
    call.inbound.pump(this);
  },

  _destroy(error, callback) {
    // A request that breaks off must not end the process for want of a listener.
    callback(this.listenerCount('error') > 0 ? error : null);
  },

  /** The caller went away, or the time is up; `error` is null when the attempt failed otherwise. */
  _onCancel(error) {
    if (this._socket !== null && error !== null) this._socket._close();
    if (this._events === undefined) return;
    if (error !== null) this.emit('aborted');
    if (isOpen(this)) this.destroy(error);
    else this.emit('close');
  },

  /** The answer is whole: a body that nobody has begun to read is not read any more. */
  _onAnswered() {
    if (isOpen(this) && !this.readableDidRead && this.readableFlowing === null) this.destroy();
  },

  setTimeout() {
    return this;
  },

  /** A header by name, whatever its case. */
  get(name) {
    if (typeof name !== 'string') throw new TypeError(`the name of a header must be a string, not ${describe(name)}`);
    const lower = name.toLowerCase();
    const { headers } = this._call;
    if (lower === 'referer' || lower === 'referrer') return headers.referrer || headers.referer;
    return headers[lower];
  },

  /** Whether the body is of a type: 'json', 'text/*', '+json', 'image/png'. Null without a body. */
  is(...types) {
    const { headers, body } = this._call;
    if (headers['content-length'] === undefined && body !== null && body.length === 0) return null;
    const actual = (headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
    if (!/^[^/\s]+\/[^/\s]+$/.test(actual)) return false;
    const wanted = types.flat();
    if (wanted.length === 0) return actual;
    for (const type of wanted) {
      if (isOfType(actual, fullType(type))) return type.startsWith('+') || type.includes('*') ? actual : type;
    }
    return false;
  },

  /** The ranges of the header, -1 when none can be satisfied, -2 when it is malformed. */
  range(size, options) {
    const header = this._call.headers.range;
    return header === undefined ? undefined : parseRange(size, header, options);
  },

  /** The body of a form, also with files, as the fetch standard has it. */
  async formData() {
    const type = this._call.headers['content-type'] ?? '';
    const body = await this.buffer();
    const form = new FormData();
    if (FORM_TYPE.test(type)) for (const [name, value] of new URLSearchParams(body.toString())) form.append(name, value);
    else for (const part of parseMultipart(body, type)) appendPart(form, part);
    return form;
  },

  /** The whole body as bytes, also of a streamed one. */
  buffer() {
    return this._call.collect(this._attempt.worker.bodyLimit);
  },

  async text() {
    return decodeText(await this.buffer(), this._call.headers['content-type']);
  },

  async json() {
    return parseJson(await this.buffer(), this._call.headers['content-type']);
  },
};
methods.header = methods.get;

for (const [name, value] of Object.entries({ ...methods, ...accepts.methods })) {
  Object.defineProperty(Request.prototype, name, { value, writable: true, configurable: true });
}

/** Middleware that parses bodies takes this as the sign that it is done. */
Object.defineProperty(Request.prototype, '_body', {
  configurable: true,
  get() {
    return this._call.body !== null;
  },
  set(value) {
    Object.defineProperty(this, '_body', { value, writable: true, configurable: true });
  },
});

module.exports = { Request };
