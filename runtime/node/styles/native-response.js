'use strict';
// `res` of native handlers: in the manner of http.ServerResponse and Express. An answer that is
// sent at once leaves as one frame; a Writable comes to be only when somebody writes piecemeal.

const { Writable } = require('node:stream');
const { HeaderList, statusCode, codeError } = require('../headers');
const { storage } = require('../attempts');
const { toBuffer } = require('../bodies');
const { EMPTY } = require('../link');
const limits = require('../limits');
const express = require('./native-express');

function Response(attempt, withoutBody) {
  this._attempt = attempt;
  /** The caller wants no body (HEAD). */
  this._withoutBody = withoutBody;
  this._headers = null;
  /** writeHead() fixed status and headers. */
  this._fixed = false;
  this._sent = false;
  this._ended = false;
  this._opened = false;
  this._closed = false;
  this.req = null;
  this.statusCode = 200;
  this.statusMessage = undefined;
  this.sendDate = true;
}

Object.setPrototypeOf(Response.prototype, Writable.prototype);
Object.setPrototypeOf(Response, Writable);

function openWritable(res) {
  res._opened = true;
  Object.defineProperty(res, '_writableState', { value: undefined, writable: true, configurable: true });
  Writable.call(res, { highWaterMark: limits.MAX_DATA });
  if (res._ended) Writable.prototype.end.call(res);
}

Object.defineProperties(Response.prototype, {
  constructor: { value: Response, writable: true, configurable: true },
  _writableState: {
    configurable: true,
    get() {
      openWritable(this);
      return this._writableState;
    },
    set(state) {
      Object.defineProperty(this, '_writableState', { value: state, writable: true, configurable: true });
    },
  },
  headersSent: {
    configurable: true,
    get() {
      return this._sent || this._fixed;
    },
  },
  // Middleware looks here for whether the head is written.
  _header: {
    configurable: true,
    get() {
      return this.headersSent ? 'sent' : null;
    },
  },
  writableEnded: {
    configurable: true,
    get() {
      return this._ended;
    },
  },
  finished: {
    configurable: true,
    get() {
      return this._ended;
    },
  },
  writableFinished: {
    configurable: true,
    get() {
      return this._ended && this._attempt.ended;
    },
  },
  /** What handlers hand on to each other, as with Express. */
  locals: {
    configurable: true,
    get() {
      const locals = Object.create(null);
      this.locals = locals;
      return locals;
    },
    set(value) {
      Object.defineProperty(this, 'locals', { value, writable: true, enumerable: true, configurable: true });
    },
  },
  socket: {
    configurable: true,
    get() {
      return this.req === null ? null : this.req.socket;
    },
  },
  connection: {
    configurable: true,
    get() {
      return this.socket;
    },
  },
});

function list(res) {
  if (res._headers === null) res._headers = new HeaderList();
  return res._headers;
}

/** The list, for a change. */
function open(res, what) {
  if (res._sent || res._fixed) {
    throw codeError(Error, 'ERR_HTTP_HEADERS_SENT', `cannot ${what}: the headers have been sent`);
  }
  return list(res);
}

/** Answers of these never have a body. */
function isBodiless(status) {
  return status === 204 || status === 304;
}

/** Middleware that replaced writeHead() wants to set headers at the last moment, as with Node. */
function announceHead(res) {
  if (res.writeHead !== methods.writeHead && !res._fixed) res.writeHead(res.statusCode);
}

/** Sends the answer as a whole. `body` is a string or bytes. */
function sendWhole(res, body) {
  const attempt = res._attempt;
  announceHead(res);
  const status = statusCode(res.statusCode);
  res._sent = true;
  res._ended = true;
  if (res._withoutBody || isBodiless(status)) {
    // Of HEAD without a body nobody knows how long that of GET is.
    if (!isBodiless(status) && body.length > 0 && !list(res).has('content-length')) {
      res._headers.put('content-length', Buffer.byteLength(body));
    }
    if (status === 204 && res._headers !== null) res._headers.remove('content-length');
    attempt.respondText(status, res._headers === null ? '' : res._headers.block(), '');
    return;
  }
  // The frame says how long the body is; a length that says otherwise would break the answer.
  if (res._headers !== null) res._headers.remove('content-length');
  const block = res._headers === null ? '' : res._headers.block();
  if (body.length <= limits.MAX_OPENING) {
    if (typeof body === 'string') attempt.respondText(status, block, body);
    else attempt.respondBytes(status, block, body);
    return;
  }
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const length = `content-length\0${bytes.length}\0`;
  const out = attempt.respondOpen(status, block + length);
  out.send(bytes, (error) => {
    if (error) broken(res, error);
    else attempt.endBody();
  });
}

/** Begins an answer that follows piece by piece. */
function sendHead(res) {
  announceHead(res);
  const status = statusCode(res.statusCode);
  res._sent = true;
  if (isBodiless(status)) res._withoutBody = true;
  res._attempt.respondOpen(status, res._headers === null ? '' : res._headers.block());
}

/** The answer breaks off. */
function broken(res, error) {
  if (!res._attempt.ended) res._attempt.fail('user_error', error);
}

/** Answers that ended during this tick: one look at all of them costs less than one for each. */
let ended = [];

/** Listeners may be added until the tick is over: `res.end(); await once(res, 'finish')`. */
function endLater(res) {
  if (ended.push(res) === 1) process.nextTick(emitEnds);
}

function emitEnds() {
  const all = ended;
  ended = [];
  for (const res of all) {
    const heard = res._events !== undefined || (res.req !== null && res.req._events !== undefined);
    if (heard) storage.run(res._attempt, emitEnd, res);
  }
}

function emitEnd(res) {
  if (res.req !== null) res.req._onAnswered();
  if (res._opened || res._closed) return;
  res._closed = true;
  res.emit('finish');
  res.emit('close');
}

const methods = {
  setHeader(name, value) {
    open(this, `set the header ${String(name)}`).set(name, value);
    return this;
  },
  setHeaders(headers) {
    for (const [name, value] of headers) this.setHeader(name, value);
    return this;
  },
  appendHeader(name, value) {
    open(this, `append to the header ${String(name)}`).append(name, value);
    return this;
  },
  getHeader(name) {
    return this._headers === null ? undefined : this._headers.get(name);
  },
  getHeaders() {
    return this._headers === null ? Object.create(null) : this._headers.toObject();
  },
  getHeaderNames() {
    return this._headers === null ? [] : this._headers.names();
  },
  hasHeader(name) {
    return this._headers !== null && this._headers.has(name);
  },
  removeHeader(name) {
    open(this, `remove the header ${String(name)}`).remove(name);
  },

  /** writeHead(status[, message][, headers]) as http.ServerResponse has it. */
  writeHead(status, message, headers) {
    const headerList = open(this, 'write the head');
    const given = typeof message === 'string' ? headers : message;
    this.statusCode = statusCode(status);
    if (Array.isArray(given)) {
      const flat = given.length > 0 && Array.isArray(given[0]) ? given.flat() : given;
      const seen = new Set();
      for (let i = 0; i + 1 < flat.length; i += 2) {
        const lower = String(flat[i]).toLowerCase();
        if (seen.has(lower)) headerList.append(flat[i], flat[i + 1]);
        else headerList.set(flat[i], flat[i + 1]);
        seen.add(lower);
      }
    } else if (given) {
      for (const name of Object.keys(given)) headerList.set(name, given[name]);
    }
    this._fixed = true;
    return this;
  },
  _implicitHeader() {
    if (!this._fixed) this.writeHead(this.statusCode);
  },
  flushHeaders() {
    if (!this._sent && !this._attempt.ended) sendHead(this);
  },
  writeContinue() {},
  writeEarlyHints(_, callback) {
    if (typeof callback === 'function') process.nextTick(callback);
  },
  setTimeout() {
    return this;
  },
  addTrailers() {},
  assignSocket() {},
  detachSocket() {},

  write(chunk, encoding, callback) {
    if (this._ended) return refuseWrite(this, typeof encoding === 'function' ? encoding : callback);
    return Writable.prototype.write.call(this, chunk, encoding, callback);
  },

  end(chunk, encoding, callback) {
    let body = chunk;
    let charset = encoding;
    let done = callback;
    if (typeof body === 'function') [body, charset, done] = [undefined, undefined, body];
    else if (typeof charset === 'function') [charset, done] = [undefined, charset];
    if (this._ended) {
      if (done) process.nextTick(done, codeError(Error, 'ERR_STREAM_ALREADY_FINISHED', 'the answer has ended'));
      return this;
    }
    if (!this._sent && (!this._opened || this._writableState.length === 0)) return endAtOnce(this, body, charset, done);
    if (body !== undefined && body !== null) Writable.prototype.write.call(this, body, charset);
    this._ended = true;
    return Writable.prototype.end.call(this, done);
  },

  _write(chunk, _, callback) {
    if (this._attempt.ended) {
      callback();
      return;
    }
    try {
      if (!this._sent) sendHead(this);
    } catch (error) {
      callback(error);
      return;
    }
    if (this._withoutBody || this._attempt.ended) callback();
    else this._attempt.outbound.send(chunk, callback);
  },

  _final(callback) {
    if (!this._attempt.ended) {
      if (!this._sent) sendHead(this);
      this._attempt.endBody();
      endLater(this);
    }
    callback();
  },

  _destroy(error, callback) {
    const attempt = this._attempt;
    if (attempt.cancelled !== null) attempt.abandon(attempt.cancelled);
    else broken(this, error || new Error('the answer was destroyed before its end'));
    // Without a listener an error would end the process; the attempt carries it already.
    callback(this.listenerCount('error') > 0 ? error : null);
  },

  /** The attempt was cancelled, or ended otherwise than by its answer. */
  _onCancel() {
    const attempt = this._attempt;
    // Who began to answer, or asked to be told, has nothing to do for a caller that left.
    const told = this.headersSent || hearsOfLeaving(this) || (this.req !== null && hearsOfLeaving(this.req));
    if (this.req !== null) this.req._onCancel(attempt.cancelled);
    if (this._opened) {
      if (!this.destroyed) this.destroy();
    } else if (this._events !== undefined && !this._closed) {
      this._closed = true;
      this.emit('close');
    }
    if (told && attempt.cancelled !== null) attempt.abandon(attempt.cancelled);
  },
};

function endAtOnce(res, chunk, encoding, done) {
  let body = chunk;
  if (body === undefined || body === null) body = '';
  else if (typeof body !== 'string') body = toBuffer(body);
  else if (encoding !== undefined && encoding !== null && encoding !== 'utf8' && encoding !== 'utf-8') {
    body = Buffer.from(body, encoding);
  }
  if (res._attempt.ended) res._ended = true;
  else sendWhole(res, body === '' ? EMPTY : body);
  if (res._opened) {
    Writable.prototype.end.call(res, done);
    return res;
  }
  if (done) res.once('finish', done);
  endLater(res);
  return res;
}

function hearsOfLeaving(stream) {
  return stream._events !== undefined && (stream.listenerCount('close') > 0 || stream.listenerCount('aborted') > 0);
}

function refuseWrite(res, callback) {
  const error = codeError(Error, 'ERR_STREAM_WRITE_AFTER_END', 'write after end');
  if (callback) process.nextTick(callback, error);
  else res._attempt.worker.logError(res._attempt, 'res.write() was called after the end of the answer', error);
  return false;
}


for (const [name, value] of Object.entries({ ...methods, ...express.methods })) {
  Object.defineProperty(Response.prototype, name, { value, writable: true, configurable: true });
}

module.exports = { Response };
