'use strict';
// What Express adds to an answer. Written against the methods of http.ServerResponse only.

const { statusCode } = require('../headers');
const { describe } = require('../bodies');
const { mediaType, withCharset } = require('./mime');

const COOKIE_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const COOKIE_ATTRIBUTE = /^[\x20-\x3a\x3c-\x7e]*$/;
const SAME_SITE = { true: 'Strict', strict: 'Strict', lax: 'Lax', none: 'None' };

function cookieAttribute(name, value) {
  if (!COOKIE_ATTRIBUTE.test(value)) throw new TypeError(`the option ${name} of a cookie is not valid: ${JSON.stringify(value)}`);
  return value;
}

/** A Set-Cookie line. */
function cookieText(name, value, options) {
  if (typeof name !== 'string' || !COOKIE_NAME.test(name)) {
    throw new TypeError(`${JSON.stringify(String(name))} is not a valid name of a cookie`);
  }
  if (options.signed) throw new TypeError('signed cookies are not supported: sign the value yourself');
  const raw = typeof value === 'object' ? `j:${JSON.stringify(value)}` : String(value);
  const encode = options.encode || encodeURIComponent;
  let text = `${name}=${cookieAttribute('value', encode(raw))}`;
  let { expires } = options;
  if (options.maxAge !== undefined && options.maxAge !== null) {
    const ms = Number(options.maxAge);
    if (!Number.isFinite(ms)) throw new TypeError('the option maxAge of a cookie must be a number of milliseconds');
    expires = new Date(Date.now() + ms);
    text += `; Max-Age=${Math.floor(ms / 1000)}`;
  }
  if (options.domain) text += `; Domain=${cookieAttribute('domain', options.domain)}`;
  text += `; Path=${cookieAttribute('path', options.path || '/')}`;
  if (expires) text += `; Expires=${new Date(expires).toUTCString()}`;
  if (options.httpOnly) text += '; HttpOnly';
  if (options.secure) text += '; Secure';
  if (options.partitioned) text += '; Partitioned';
  if (options.priority) text += `; Priority=${cookieAttribute('priority', options.priority)}`;
  if (options.sameSite) {
    const policy = SAME_SITE[String(options.sameSite).toLowerCase()];
    if (!policy) throw new TypeError('the option sameSite of a cookie must be strict, lax or none');
    text += `; SameSite=${policy}`;
  }
  return text;
}

/** The words for a status. Node's whole HTTP is loaded for them only when somebody asks. */
function statusText(status) {
  return require('node:http').STATUS_CODES[status] || String(status);
}

function hasNoBody(res) {
  return (res.statusCode === 204 || res.statusCode === 304) && !res.headersSent;
}

/** What describes a body would describe none. */
function endWithoutBody(res) {
  for (const name of ['content-type', 'content-length', 'transfer-encoding']) res.removeHeader(name);
  return res.end();
}

const methods = {
  status(code) {
    this.statusCode = statusCode(code);
    return this;
  },

  sendStatus(code) {
    this.status(code);
    if (hasNoBody(this)) return endWithoutBody(this);
    this.setHeader('content-type', 'text/plain; charset=utf-8');
    return this.end(statusText(this.statusCode));
  },

  /** set(name, value) or set({name: value, …}). */
  set(name, value) {
    if (name !== null && typeof name === 'object') {
      for (const key of Object.keys(name)) this.set(key, name[key]);
      return this;
    }
    const isType = typeof name === 'string' && typeof value === 'string' && name.toLowerCase() === 'content-type';
    return this.setHeader(name, isType ? withCharset(value) : value);
  },

  get(name) {
    return this.getHeader(name);
  },

  append(name, value) {
    return this.appendHeader(name, value);
  },

  type(type) {
    return this.setHeader('content-type', mediaType(String(type)));
  },

  vary(field) {
    const before = this.getHeader('vary');
    const names = before === undefined ? [] : String(before).split(',').map((name) => name.trim());
    for (const name of [].concat(field)) {
      if (!names.some((known) => known === '*' || known.toLowerCase() === name.toLowerCase())) names.push(name);
    }
    return this.setHeader('vary', names.join(', '));
  },

  location(url) {
    return this.setHeader('location', encodeUrl(url === 'back' ? this.req?.get('referrer') || '/' : String(url)));
  },

  /** redirect(url) or redirect(status, url). */
  redirect(first, second) {
    const [status, url] = typeof first === 'number' ? [first, second] : [typeof second === 'number' ? second : 302, first];
    if (url === undefined) throw new TypeError('redirect() needs a URL');
    this.status(status);
    this.location(url);
    this.setHeader('content-type', 'text/plain; charset=utf-8');
    return this.end(`${statusText(status)}. Redirecting to ${this.getHeader('location')}`);
  },

  attachment(filename) {
    if (filename === undefined) return this.setHeader('content-disposition', 'attachment');
    if (!this.hasHeader('content-type')) this.type(filename);
    const plain = filename.replace(/[^\x20-\x7e]|["\\]/g, '?');
    const extended = plain === filename ? '' : `; filename*=UTF-8''${encodeURIComponent(filename)}`;
    return this.setHeader('content-disposition', `attachment; filename="${plain}"${extended}`);
  },

  cookie(name, value, options = {}) {
    return this.appendHeader('set-cookie', cookieText(name, value, options));
  },

  clearCookie(name, options = {}) {
    return this.cookie(name, '', { ...options, maxAge: undefined, expires: new Date(1) });
  },

  /** As Lambda's response streams have it. */
  setContentType(type) {
    return this.setHeader('content-type', type);
  },

  json(value) {
    if (hasNoBody(this)) return endWithoutBody(this);
    const text = JSON.stringify(value);
    if (!this.hasHeader('content-type')) this.setHeader('content-type', 'application/json; charset=utf-8');
    return this.end(text === undefined ? '' : text);
  },

  /** A string is HTML, bytes are bytes, anything else is JSON, unless a type is set. */
  send(body) {
    if (hasNoBody(this)) return endWithoutBody(this);
    if (typeof body === 'string') {
      const type = this.getHeader('content-type');
      if (type === undefined) this.setHeader('content-type', 'text/html; charset=utf-8');
      return this.end(body);
    }
    if (body === undefined || body === null) return this.end();
    if (ArrayBuffer.isView(body) || body instanceof ArrayBuffer) {
      if (!this.hasHeader('content-type')) this.setHeader('content-type', 'application/octet-stream');
      return this.end(body);
    }
    if (typeof body === 'function' || typeof body === 'symbol') {
      throw new TypeError(`send() takes a string, bytes or something that JSON can hold, not ${describe(body)}`);
    }
    return this.json(body);
  },
};

/** Encodes what no URL may hold, and leaves what is encoded already. */
function encodeUrl(url) {
  return url
    .replace(/[^\x21-\x7e]+/gu, (part) => encodeURIComponent(part.toWellFormed ? part.toWellFormed() : part))
    .replace(/["<>\\^`{|}]/g, encodeURIComponent);
}

module.exports = { methods };
