'use strict';
// Bodies that come and go in pieces, each direction with its credit. They know the link and a
// stream's number, and nothing of HTTP or events. Who waits for the other side is called back in
// its own context, so that what it logs stays its own.

const { AsyncLocalStorage } = require('node:async_hooks');
const { Readable } = require('node:stream');
const limits = require('./limits');
const { DATA, END, CREDIT } = require('./frames');

/** A body that comes in. One reader takes its pieces; what it takes is granted again. */
class Inbound {
  constructor(link, stream, opening) {
    this.link = link;
    this.stream = stream;
    this.chunks = [];
    this.whole = false;
    this.error = null;
    this.granting = 0;
    /** Somebody began to read it. */
    this.taken = false;
    /** Bytes of `chunks[0]` that used no credit, because they came in the opening frame. */
    this.free = 0;
    /** Who waits for something to take. */
    this.onReady = null;
    if (opening !== null && opening.length > 0) {
      this.chunks.push(opening);
      this.free = opening.length;
    }
  }

  get done() {
    return this.whole || this.error !== null;
  }

  push(chunk) {
    if (this.done || chunk.length === 0) return;
    this.chunks.push(chunk);
    this.ready();
  }

  end() {
    if (this.done) return;
    this.whole = true;
    this.ready();
  }

  /** The rest will not come. */
  fail(error) {
    if (this.done) return;
    this.error = error;
    this.ready();
  }

  /** Calls back once there is something to take again. */
  wait(callback) {
    this.onReady = AsyncLocalStorage.bind(callback);
  }

  ready() {
    const callback = this.onReady;
    this.onReady = null;
    if (callback !== null) callback();
  }

  /** The next piece; null at the end; undefined when the reader has to `wait`. */
  take() {
    this.taken = true;
    if (this.chunks.length > 0) {
      const chunk = this.chunks.shift();
      this.grant(chunk.length);
      return chunk;
    }
    if (this.error !== null) throw this.error;
    return this.whole ? null : undefined;
  }

  grant(bytes) {
    if (this.free > 0) {
      this.free = 0;
      return;
    }
    this.granting += bytes;
    if (this.done || this.granting < limits.CREDIT_STEP) return;
    this.link.sendU32(CREDIT, this.stream, this.granting);
    this.granting = 0;
  }

  /** The whole body. Rejects with `tooLarge(limit)` when it is longer than `limit` bytes. */
  collect(limit, tooLarge) {
    return new Promise((resolve, reject) => {
      const chunks = [];
      let length = 0;
      const pull = () => {
        try {
          for (;;) {
            const chunk = this.take();
            if (chunk === undefined) {
              this.wait(pull);
              return;
            }
            if (chunk === null) break;
            length += chunk.length;
            if (length > limit) throw tooLarge(limit);
            chunks.push(chunk);
          }
          resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, length));
        } catch (error) {
          reject(error);
        }
      };
      pull();
    });
  }

  /** Feeds a Readable: to be called from its `_read`. */
  pump(readable) {
    let more = true;
    while (more) {
      let chunk;
      try {
        chunk = this.take();
      } catch (error) {
        readable.destroy(error);
        return;
      }
      if (chunk === undefined) {
        this.wait(() => this.pump(readable));
        return;
      }
      more = readable.push(chunk) && chunk !== null;
    }
  }

  /** As a stream of Node. `onAbandoned` is told when it is destroyed before its end. */
  readable(onAbandoned) {
    const body = this;
    return new Readable({
      read() {
        body.pump(this);
      },
      destroy(error, callback) {
        if (!body.done) onAbandoned();
        callback(error);
      },
    });
  }
}

/** A body that goes out. One writer: the next `send` waits for the callback of the last. */
class Outbound {
  constructor(link, stream) {
    this.link = link;
    this.stream = stream;
    this.credit = limits.FIRST_CREDIT;
    this.chunk = null;
    this.at = 0;
    this.callback = null;
    this.stopped = null;
    this.resume = () => {
      this.waitingForLink = false;
      this.pump();
    };
    this.waitingForLink = false;
  }

  /** Whether it waits for the other side. */
  get blocked() {
    return this.chunk !== null;
  }

  send(chunk, callback) {
    if (this.stopped !== null) {
      callback(this.stopped);
      return;
    }
    this.chunk = chunk;
    this.at = 0;
    this.callback = callback;
    this.pump();
    if (this.callback === callback) this.callback = AsyncLocalStorage.bind(callback);
  }

  granted(bytes) {
    this.credit += bytes;
    if (this.chunk !== null) this.pump();
  }

  pump() {
    while (this.chunk !== null && this.at < this.chunk.length) {
      if (this.credit <= 0 || this.waitingForLink) return;
      if (this.link.congested) {
        this.waitingForLink = true;
        this.link.whenClear(this.resume);
        return;
      }
      const size = Math.min(limits.MAX_DATA, this.credit, this.chunk.length - this.at);
      // Copied: the writer may use its buffer again once it is called back.
      this.link.send(DATA, this.stream, this.chunk.subarray(this.at, this.at + size));
      this.credit -= size;
      this.at += size;
    }
    this.settle(null);
  }

  settle(error) {
    const callback = this.callback;
    this.chunk = null;
    this.callback = null;
    if (callback !== null) callback(error);
  }

  end() {
    this.link.sendEmpty(END, this.stream);
  }

  /** Nobody takes it any more: what waits is called back with the error. */
  stop(error) {
    if (this.stopped !== null) return;
    this.stopped = error;
    this.settle(error);
  }
}

/** Sends all pieces of a stream, an async iterable or a web stream; the caller ends the body. */
async function sendAll(source, out) {
  for await (const piece of source) {
    const chunk = toBuffer(piece);
    if (chunk.length > 0) {
      await new Promise((resolve, reject) => {
        out.send(chunk, (error) => (error ? reject(error) : resolve()));
      });
    }
  }
}

/** A piece of a body as bytes. */
function toBuffer(piece) {
  if (Buffer.isBuffer(piece)) return piece;
  if (typeof piece === 'string') return Buffer.from(piece);
  if (ArrayBuffer.isView(piece)) return Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
  if (piece instanceof ArrayBuffer) return Buffer.from(piece);
  throw new TypeError(`a piece of a body must be a string, a Buffer or a Uint8Array, not ${describe(piece)}`);
}

function describe(value) {
  if (value === null) return 'null';
  if (typeof value !== 'object') return `${typeof value}`;
  const name = value.constructor && value.constructor.name;
  return name ? `an object of class ${name}` : 'an object';
}

/** Whether it can be read piece by piece: a stream of Node, of the web, an async generator. */
function isStreamed(value) {
  return (
    value !== null && typeof value === 'object' && typeof value[Symbol.asyncIterator] === 'function'
  );
}

module.exports = { Inbound, Outbound, sendAll, toBuffer, isStreamed, describe };
