'use strict';
// What Express adds to an answer. Written against the methods of http.ServerResponse only.

const path = require('node:path');
const { statusCode } = require('../headers');
const { describe, toBuffer } = require('../bodies');
const { RequestError } = require('../request');
const { mediaType, withCharset, withUtf8 } = require('./mime');
const { entityTag } = require('./native-fresh');

const COOKIE_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const COOKIE_ATTRIBUTE = /^[\x20-\x3a\x3c-\x7e]*$/;
const SAME_SITE = { true: 'Strict', strict: 'Strict', lax: 'Lax', none: 'None' };

function cookieAttribute(name, value) {
  if (!COOKIE_ATTRIBUTE.test(value)) throw new TypeError(`the option ${name} of a cookie is not valid: ${JSON.stringify(value)}`);
  return value;
}

/** A value with its signature, as cookie-parser takes it apart again. */
function signed(value, secret) {
  if (typeof secret !== 'string' || secret === '') {
    throw new TypeError('a signed cookie needs a secret: set `req.secret` before, as cookie-parser does');
  }
  const signature = require('node:crypto').createHmac('sha256', secret).update(value).digest('base64').replace(/=+$/, '');
  return `s:${value}.${signature}`;
}

/** A Set-Cookie line. */
function cookieText(name, value, options, secret) {
  if (typeof name !== 'string' || !COOKIE_NAME.test(name)) {
    throw new TypeError(`${JSON.stringify(String(name))} is not a valid name of a cookie`);
  }
  const plain = typeof value === 'object' ? `j:${JSON.stringify(value)}` : String(value);
  const raw = options.signed ? signed(plain, secret) : plain;
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

/** Sends a whole body, text or bytes; 304 instead when the caller has it already. */
function sendBody(res, body) {
  if (res.headersSent) return res.end(body);
  if (!res.hasHeader('etag')) res.setHeader('etag', entityTag(body));
  if (res.req !== null && res.req.fresh) res.statusCode = 304;
  if (hasNoBody(res)) return endWithoutBody(res);
  return res.end(res.statusCode === 205 ? '' : body);
}

function asJson(value) {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw new TypeError(`the answer cannot be written as JSON: ${cause.message.replace(/\s*\n\s*/g, ' ')}`, { cause });
  }
}

function endEmpty(res) {
  return hasNoBody(res) ? endWithoutBody(res) : res.end();
}

/** As the header of a download names it (RFC 6266): what is not Latin-1 also in UTF-8. */
function dispositionOf(filename) {
  const name = String(filename).replace(/^.*[\\/]/s, '');
  const fallback = name.replace(/[^\x20-\x7e\xa0-\xff]/g, '?');
  const quoted = `attachment; filename="${fallback.replace(/(["\\])/g, '\\$1')}"`;
  if (fallback === name && !/%[0-9A-Fa-f]{2}/.test(name)) return quoted;
  const hex = (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
  return `${quoted}; filename*=UTF-8''${encodeURIComponent(name).replace(/['()*]/g, hex)}`;
}

function escapeHtml(text) {
  const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (char) => entities[char]);
}

const methods = {
  status(code) {
    this.statusCode = statusCode(code);
    return this;
  },

  sendStatus(code) {
    this.status(code);
    this.setHeader('content-type', 'text/plain; charset=utf-8');
    return sendBody(this, statusText(this.statusCode));
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
    this.location(url);
    const to = this.getHeader('location');
    const says = `${statusText(status)}. Redirecting to`;
    let body = '';
    this.format({
      text: () => (body = `${says} ${to}`),
      html: () => (body = `<p>${says} ${escapeHtml(to)}</p>`),
      default: () => {},
    });
    this.status(status);
    return this.end(body);
  },

  /** format({json: (req, res) => …, html: …, default: …}): what the caller likes best; else 406. */
  format(choices) {
    const { req } = this;
    const types = Object.keys(choices).filter((type) => type !== 'default');
    const chosen = types.length > 0 ? req.accepts(types) : false;
    this.vary('Accept');
    if (chosen) {
      this.type(chosen);
      choices[chosen](req, this);
    } else if (choices.default) {
      choices.default(req, this);
    } else {
      throw new RequestError(406, 'NotAcceptableError', 'Not Acceptable');
    }
    return this;
  },

  /** links({next: url, …}) */
  links(links) {
    const all = Object.entries(links).flatMap(([rel, urls]) => [].concat(urls).map((url) => `<${url}>; rel="${rel}"`));
    const before = this.getHeader('link');
    return this.setHeader('link', (before === undefined ? all : [before, ...all]).join(', '));
  },

  attachment(filename) {
    if (filename === undefined) return this.setHeader('content-disposition', 'attachment');
    this.type(path.extname(filename));
    return this.setHeader('content-disposition', dispositionOf(filename));
  },

  /** sendFile(path[, options][, callback]): the path is absolute, or below `options.root`. */
  sendFile(file, options, callback) {
    const [given, done] = typeof options === 'function' ? [{}, options] : [options ?? {}, callback];
    if (typeof file !== 'string' || file === '') throw new TypeError(`sendFile() needs the path of a file, not ${describe(file)}`);
    if (given.root === undefined && !path.isAbsolute(file)) throw new TypeError('sendFile() needs an absolute path, or the option `root`');
    require('./native-file').sendFile(this, file, given, done);
    return this;
  },

  /** download(path[, filename][, options][, callback]) */
  download(file, ...rest) {
    const callback = rest.find((one) => typeof one === 'function');
    const name = rest.find((one) => typeof one === 'string') ?? file;
    const options = rest.find((one) => one !== null && typeof one === 'object') ?? {};
    const headers = Object.entries(options.headers ?? {}).filter(([key]) => key.toLowerCase() !== 'content-disposition');
    const own = { ...options, headers: { ...Object.fromEntries(headers), 'Content-Disposition': dispositionOf(name) } };
    if (options.root === undefined) return this.sendFile(path.resolve(file), own, callback);
    return this.sendFile(file, own, callback);
  },

  cookie(name, value, options = {}) {
    return this.appendHeader('set-cookie', cookieText(name, value, options, this.req?.secret));
  },

  clearCookie(name, options = {}) {
    return this.cookie(name, '', { ...options, maxAge: undefined, expires: new Date(1) });
  },

  /** As Lambda's response streams have it. */
  setContentType(type) {
    return this.setHeader('content-type', type);
  },

  json(value) {
    const text = asJson(value);
    if (!this.hasHeader('content-type')) this.setHeader('content-type', 'application/json; charset=utf-8');
    return text === undefined ? endEmpty(this) : sendBody(this, text);
  },

  /** A string is HTML, bytes are bytes, anything else is JSON, unless a type is set. */
  send(body) {
    if (typeof body === 'string') {
      const type = this.getHeader('content-type');
      if (!this.headersSent) this.setHeader('content-type', type === undefined ? 'text/html; charset=utf-8' : withUtf8(String(type)));
      return sendBody(this, body);
    }
    if (body === undefined) return endEmpty(this);
    if (body === null) return sendBody(this, '');
    if (ArrayBuffer.isView(body) || body instanceof ArrayBuffer) {
      if (!this.hasHeader('content-type')) this.setHeader('content-type', 'application/octet-stream');
      return sendBody(this, toBuffer(body));
    }
    if (typeof body === 'function' || typeof body === 'symbol') {
      throw new TypeError(`send() takes a string, bytes or something that JSON can hold, not ${describe(body)}`);
    }
    return this.json(body);
  },
};
methods.header = methods.set;
methods.contentType = methods.type;

/** Encodes what no URL may hold, and leaves what is encoded already. */
function encodeUrl(url) {
  return url
    .replace(/[^\x21-\x7e]+/gu, (part) => encodeURIComponent(part.toWellFormed ? part.toWellFormed() : part))
    .replace(/["<>\\^`{|}]/g, encodeURIComponent);
}

module.exports = { methods };
