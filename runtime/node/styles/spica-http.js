'use strict';
// `req` and `res` of Spica: headers and cookies are maps, methods of `res` give promises.

const { parseCookies } = require('../headers');
const { parseJson } = require('../request');
const { parseMultipart } = require('./multipart');
const { parseNestedForm } = require('./nested-form');

/** Found by name in any case. */
class Headers extends Map {
  get(name) {
    return super.get(String(name).toLowerCase());
  }

  has(name) {
    return super.has(String(name).toLowerCase());
  }

  set(name, value) {
    return super.set(String(name).toLowerCase(), value);
  }

  append(name, value) {
    const before = this.get(name);
    this.set(name, before === undefined ? [value] : [].concat(before, value));
  }
}

class Request {
  constructor(call) {
    const at = call.target.indexOf('?');
    this.method = call.method;
    this.url = call.target;
    this.path = at < 0 ? call.target : call.target.slice(0, at);
    this.headers = new Headers(Object.entries(call.headers));
    this.query = parseNestedForm(call.queryText);
    this.params = call.params;
    this.cookies = new Map(Object.entries(parseCookies(call.headers.cookie)));
    this.body = bodyOf(call);
  }

  get(name) {
    return this.headers.get(name);
  }
}

/** Parsed where the type says exactly this; bytes otherwise; undefined for none. */
function bodyOf({ body, headers }) {
  if (body.length === 0) return undefined;
  const type = headers['content-type'] ?? '';
  if (type === 'application/json') return parseJson(body);
  if (type === 'application/x-www-form-urlencoded') return parseNestedForm(body.toString());
  if (!type.startsWith('multipart/form-data')) return body;
  return parseMultipart(body, type).map(({ name, filename, type: partType, data }) => (filename === undefined ? { name, data } : { filename, type: partType, data }));
}

class Response {
  #res;

  /** @param res the answer in the manner of http.ServerResponse */
  constructor(res) {
    this.#res = res;
    this.statusCode = undefined;
    this.statusMessage = undefined;
    this.headers = new Headers();
  }

  get headersSent() {
    return this.#res.headersSent;
  }

  status(code, message) {
    this.statusCode = code;
    this.statusMessage = message;
    return this;
  }

  async writeHead(statusCode, statusMessage, headers) {
    if (this.headersSent) throw new Error('Headers already sent');
    const given = typeof statusMessage === 'object' ? statusMessage : headers;
    for (const [name, value] of Object.entries(given ?? {})) this.headers.set(name, value);
    this.#res.writeHead(statusCode, Object.fromEntries(this.headers));
  }

  async json(body) {
    return this.#whole('application/json', JSON.stringify(body) ?? 'null');
  }

  /** Bytes are bytes, what is no object is HTML, anything else is JSON. */
  async send(body) {
    if (Buffer.isBuffer(body) || ArrayBuffer.isView(body)) return this.#whole('application/octet-stream', body);
    if (typeof body === 'object') return this.#whole('application/json', JSON.stringify(body));
    return this.#whole('text/html', body === undefined ? '' : String(body));
  }

  async #whole(type, chunk) {
    if (this.headersSent) throw new Error('Headers already sent');
    this.headers.set('Content-type', type);
    this.#head();
    this.#res.end(chunk);
  }

  #head() {
    this.#res.writeHead(this.statusCode || 200, Object.fromEntries(this.headers));
  }

  /** Resolves when there is room for more. */
  async write(chunk, encoding) {
    if (!this.headersSent) this.#head();
    await new Promise((resolve, reject) => {
      this.#res.write(chunk, encoding, (error) => (error ? reject(error) : resolve()));
    });
  }

  async end(data, encoding) {
    if (!this.headersSent) this.#head();
    this.#res.end(data, encoding);
  }
}

module.exports = { Request, Response };
