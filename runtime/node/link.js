'use strict';
// The socket to the server: takes frames apart and gathers frames to send. It knows their
// layout, not what they mean.
//
// What is written during one turn of the loop leaves in one write: a write per reply costs
// three quarters of the throughput. At most one write is under way, so that the rest of it is
// known should the process have to end at once.

const fs = require('node:fs');
const net = require('node:net');
const limits = require('./limits');
const { RESPONSE, FLAG_END } = require('./frames');

/** Bytes before a frame's payload: length, kind, stream. */
const HEAD = 9;
/** Payload bytes of RESPONSE before its header block. */
const RESPONSE_HEAD = 7;
const EMPTY = Buffer.alloc(0);

function u32(bytes, at) {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

function putU32(bytes, at, value) {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

class Link {
  /**
   * @param {number} fd the socket
   * @param {(kind, stream, bytes, start, end, owned) => void} onFrame called for each frame; its
   *   payload is `bytes[start..end]`, which may be kept only when `owned`
   * @param {() => void} onClosed the server went away
   */
  constructor(fd, onFrame, onClosed) {
    this.fd = fd;
    this.onFrame = onFrame;
    this.closed = false;
    /** Bytes that the socket has not taken yet. */
    this.pending = 0;
    this.lengthBytes = Buffer.alloc(4);
    this.lengthFilled = 0;
    this.partial = null;
    this.partialFilled = 0;
    this.out = Buffer.allocUnsafeSlow(limits.WRITE_BUFFER);
    this.from = 0;
    this.at = 0;
    this.used = [];
    this.spares = [];
    this.queue = [];
    this.writing = null;
    this.scheduled = false;
    this.waiters = [];
    this.flushNow = () => this.flush();
    this.written = (error) => this.onWritten(error);
    this.socket = new net.Socket({
      fd,
      readable: true,
      writable: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(limits.READ_BUFFER),
        callback: (count, bytes) => {
          this.feed(bytes, count);
          return true;
        },
      },
    });
    const gone = () => {
      if (this.closed) return;
      this.closed = true;
      onClosed();
    };
    this.socket.on('error', gone);
    this.socket.on('end', gone);
    this.socket.on('close', gone);
  }

  // Reading.

  /** Takes the frames apart in place; only a frame that is cut off is copied, once. */
  feed(bytes, count) {
    let at = 0;
    if (this.partial !== null || this.lengthFilled > 0) at = this.fill(bytes, count);
    while (count - at >= 4) {
      const length = this.checkLength(u32(bytes, at));
      const end = at + 4 + length;
      if (end > count) break;
      const start = at;
      at = end;
      this.onFrame(bytes[start + 4], u32(bytes, start + 5), bytes, start + HEAD, end, false);
    }
    if (at < count) this.keep(bytes, at, count);
  }

  checkLength(length) {
    if (length >= HEAD - 4 && length <= limits.MAX_FRAME) return length;
    throw new Error(`the server sent a frame of ${length} bytes, which the protocol does not allow`);
  }

  keep(bytes, at, count) {
    if (count - at < 4) {
      bytes.copy(this.lengthBytes, 0, at, count);
      this.lengthFilled = count - at;
      return;
    }
    this.partial = Buffer.allocUnsafeSlow(this.checkLength(u32(bytes, at)));
    this.partialFilled = bytes.copy(this.partial, 0, at + 4, count);
  }

  /** Completes the frame that was cut off; returns where the next one starts. */
  fill(bytes, count) {
    let at = 0;
    if (this.partial === null) {
      while (this.lengthFilled < 4 && at < count) this.lengthBytes[this.lengthFilled++] = bytes[at++];
      if (this.lengthFilled < 4) return at;
      this.partial = Buffer.allocUnsafeSlow(this.checkLength(u32(this.lengthBytes, 0)));
      this.partialFilled = 0;
      this.lengthFilled = 0;
    }
    const frame = this.partial;
    const taken = Math.min(frame.length - this.partialFilled, count - at);
    bytes.copy(frame, this.partialFilled, at, at + taken);
    this.partialFilled += taken;
    if (this.partialFilled === frame.length) {
      this.partial = null;
      this.onFrame(frame[0], u32(frame, 1), frame, HEAD - 4, frame.length, true);
    }
    return at + taken;
  }

  // Writing.

  /** Whether streamed bodies had better wait. */
  get congested() {
    return this.pending > limits.CONGESTED;
  }

  /** Calls back once the socket has taken enough for streamed bodies to go on. */
  whenClear(callback) {
    this.waiters.push(callback);
  }

  /** Makes room for `bytes` bytes in `this.out`, which begin at the returned offset. */
  reserve(bytes) {
    if (this.at + bytes > this.out.length) this.rotate(bytes);
    return this.at;
  }

  rotate(bytes) {
    this.queueOut();
    this.used.push(this.out);
    this.out =
      bytes <= limits.WRITE_BUFFER
        ? this.spares.pop() || Buffer.allocUnsafeSlow(limits.WRITE_BUFFER)
        : Buffer.allocUnsafeSlow(bytes);
    this.from = 0;
    this.at = 0;
  }

  queueOut() {
    if (this.at === this.from) return;
    this.queue.push(this.out.subarray(this.from, this.at));
    this.from = this.at;
  }

  /** Writes length, kind and stream of a frame whose payload of `length` bytes follows. */
  head(at, kind, stream, length) {
    const out = this.out;
    putU32(out, at, length + HEAD - 4);
    out[at + 4] = kind;
    putU32(out, at + 5, stream);
    return at + HEAD;
  }

  /** What was written up to `end` goes out. */
  commit(end) {
    this.pending += end - this.at;
    this.at = end;
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.flushNow);
  }

  /** A frame with these bytes as its payload, copied. */
  send(kind, stream, payload) {
    const at = this.reserve(HEAD + payload.length);
    const start = this.head(at, kind, stream, payload.length);
    payload.copy(this.out, start);
    this.commit(start + payload.length);
  }

  sendEmpty(kind, stream) {
    this.commit(this.head(this.reserve(HEAD), kind, stream, 0));
  }

  sendU32(kind, stream, value) {
    const start = this.head(this.reserve(HEAD + 4), kind, stream, 4);
    putU32(this.out, start, value);
    this.commit(start + 4);
  }

  sendJson(kind, stream, value) {
    this.send(kind, stream, Buffer.from(JSON.stringify(value)));
  }

  /** A frame of `front`, copied, and `body`, which may go out by reference. */
  sendWithBody(kind, stream, front, body) {
    if (body.length <= limits.COPY_BELOW) {
      const total = front.length + body.length;
      const start = this.head(this.reserve(HEAD + total), kind, stream, total);
      front.copy(this.out, start);
      body.copy(this.out, start + front.length);
      this.commit(start + total);
      return;
    }
    const start = this.head(this.reserve(HEAD + front.length), kind, stream, front.length + body.length);
    front.copy(this.out, start);
    this.commit(start + front.length);
    this.queueOut();
    this.queue.push(body);
    this.pending += body.length;
  }

  /** RESPONSE with a header block (Latin-1) and a body, the whole of it or its start. */
  respond(stream, status, block, body, flags) {
    const front = RESPONSE_HEAD + block.length;
    const copied = body.length <= limits.COPY_BELOW;
    const at = this.reserve(HEAD + front + (copied ? body.length : 0));
    let end = this.responseHead(at, stream, status, block, body.length, flags);
    if (copied) {
      if (body.length > 0) end += body.copy(this.out, end);
      this.commit(end);
      return;
    }
    this.commit(end);
    this.queueOut();
    this.queue.push(body);
    this.pending += body.length;
  }

  /** The same for a text, whole: encoded where it leaves, with no buffer of its own. */
  respondText(stream, status, block, text) {
    if (text.length * 3 > limits.COPY_BELOW) {
      this.respond(stream, status, block, Buffer.from(text), FLAG_END);
      return;
    }
    const at = this.reserve(HEAD + RESPONSE_HEAD + block.length + text.length * 3);
    let end = this.responseHead(at, stream, status, block, 0, FLAG_END);
    end += this.out.write(text, end, 'utf8');
    putU32(this.out, at, end - at - 4);
    this.commit(end);
  }

  responseHead(at, stream, status, block, bodyLength, flags) {
    const out = this.out;
    let end = this.head(at, RESPONSE, stream, RESPONSE_HEAD + block.length + bodyLength);
    out[end] = flags;
    out[end + 1] = status;
    out[end + 2] = status >>> 8;
    putU32(out, end + 3, block.length);
    end += RESPONSE_HEAD;
    if (block.length > 0) end += out.write(block, end, 'latin1');
    return end;
  }

  flush() {
    this.scheduled = false;
    if (this.writing !== null || this.closed) return;
    if (this.queue.length === 0 && this.used.length === 0) this.flushOut();
    else this.flushQueue();
  }

  /** All that waits stands in `out`. Mostly the system takes it at once, and `out` is free again. */
  flushOut() {
    if (this.at === this.from) return;
    const bytes = this.out.subarray(this.from, this.at);
    this.socket.write(bytes, this.written);
    if (this.socket.writableLength === 0) {
      this.pending = 0;
      this.from = 0;
      this.at = 0;
      return;
    }
    this.writing = { buffers: [bytes], used: [this.out], pending: this.pending };
    this.freshOut();
  }

  flushQueue() {
    this.queueOut();
    const buffers = this.queue;
    if (buffers.length === 0) return;
    this.used.push(this.out);
    this.writing = { buffers, used: this.used, pending: this.pending };
    this.queue = [];
    this.used = [];
    this.freshOut();
    this.socket.cork();
    for (let i = 0; i < buffers.length - 1; i++) this.socket.write(buffers[i]);
    this.socket.write(buffers[buffers.length - 1], this.written);
    this.socket.uncork();
  }

  freshOut() {
    this.out = this.spares.pop() || Buffer.allocUnsafeSlow(limits.WRITE_BUFFER);
    this.from = 0;
    this.at = 0;
  }

  onWritten(error) {
    if (error) return; // The socket reports it too, and the process ends.
    if (this.writing === null) {
      // It was taken at once. More may wait since, and nobody is told of less.
      this.wakeWaiters();
      return;
    }
    const { used, pending } = this.writing;
    this.writing = null;
    this.pending -= pending;
    for (const buffer of used) {
      if (buffer.length === limits.WRITE_BUFFER && this.spares.length < 2) this.spares.push(buffer);
    }
    if (this.pending > 0 && !this.scheduled) this.flush();
    this.wakeWaiters();
  }

  wakeWaiters() {
    if (this.waiters.length === 0 || this.congested) return;
    const waiters = this.waiters;
    this.waiters = [];
    for (const waiter of waiters) waiter();
  }

  /** Hands over what is pending without the loop, for a process that is about to exit. */
  flushSync() {
    if (this.closed) return;
    const rest = this.unwritten();
    this.queueOut();
    rest.push(...this.queue);
    this.queue = [];
    const until = Date.now() + limits.LAST_WORDS;
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (const buffer of rest) {
      let at = 0;
      while (at < buffer.length) {
        try {
          at += fs.writeSync(this.fd, buffer, at);
        } catch (error) {
          if (error.code !== 'EAGAIN' || Date.now() > until) return;
          Atomics.wait(pause, 0, 0, 1);
        }
      }
    }
  }

  /** What the system has not taken of the write under way. */
  unwritten() {
    if (this.writing === null) return [];
    let left = this.socket._handle ? this.socket._handle.writeQueueSize : 0;
    const rest = [];
    const { buffers } = this.writing;
    for (let i = buffers.length - 1; i >= 0 && left > 0; i--) {
      const part = buffers[i].subarray(Math.max(0, buffers[i].length - left));
      rest.unshift(part);
      left -= part.length;
    }
    return rest;
  }
}

module.exports = { Link, u32, putU32, EMPTY };
