'use strict';
// Calls back to the server: CALL and REPLY, with bodies both ways. Knows no operation.

const { storage } = require('./attempts');
const { Inbound, Outbound, isStreamed, sendAll } = require('./bodies');
const { describeError } = require('./errors');
const { CALL, FAIL, FLAG_END, FLAG_ERROR, CALL_BIT } = require('./frames');
const { u32, putU32, EMPTY } = require('./link');
const limits = require('./limits');

/** What the server answers when it does not do what was asked. `code` says why. */
class WakefulError extends Error {
  constructor(code, message, op) {
    super(message);
    this.name = 'WakefulError';
    this.code = code;
    this.op = op;
  }
}

class Call {
  constructor(stream, op, attempt) {
    this.stream = stream;
    this.op = op;
    this.attempt = attempt;
    /** Where user code made the call: no later stack leads there. */
    this.site = {};
    Error.captureStackTrace(this.site, Call);
    this.outbound = null;
    this.inbound = null;
    this.resolve = null;
    this.reject = null;
  }
}

/** An error of a call, with the stack of user code that made it. */
function callError(call, code, message) {
  const error = new WakefulError(code, message, call.op);
  const { stack } = call.site;
  if (typeof stack === 'string') {
    const frames = stack.split('\n').filter((line) => /^\s+at /.test(line) && !line.includes(__dirname));
    error.stack = [`${error.name}: ${message}`, ...frames].join('\n');
  }
  return error;
}

class Host {
  constructor(worker) {
    this.worker = worker;
    this.calls = new Map();
    this.last = 0;
  }

  /**
   * Asks the server. Resolves with `{head, body}`, where `body` is an Inbound.
   * @param {string} op
   * @param {object} params
   * @param {Buffer | AsyncIterable | null} body
   * @param {Attempt | undefined} attempt who calls
   */
  call(op, params, body = null, attempt = storage.getStore()) {
    const open = attempt !== undefined && !attempt.ended ? attempt : null;
    const call = new Call(this.nextStream(), op, open);
    return new Promise((resolve, reject) => {
      const text = Buffer.from(JSON.stringify(params));
      if (text.length > limits.MAX_PARAMS) {
        throw new WakefulError('too_large', `the parameters of ${op} are larger than ${limits.MAX_PARAMS} bytes`, op);
      }
      call.resolve = resolve;
      call.reject = reject;
      this.calls.set(call.stream, call);
      if (open !== null) (open.calls ??= new Set()).add(call);
      if (body === null || (Buffer.isBuffer(body) && body.length <= limits.MAX_OPENING)) {
        this.open(call, text, body ?? EMPTY, FLAG_END);
      } else {
        this.open(call, text, EMPTY, 0);
        call.outbound = new Outbound(this.worker.link, call.stream);
        this.upload(call, body);
      }
    });
  }

  nextStream() {
    do this.last = (this.last + 1) & 0x7fffffff;
    while (this.calls.has((this.last | CALL_BIT) >>> 0));
    return (this.last | CALL_BIT) >>> 0;
  }

  open(call, paramBytes, body, flags) {
    const front = Buffer.allocUnsafe(10 + call.op.length + paramBytes.length);
    front[0] = flags;
    putU32(front, 1, call.attempt === null ? 0 : call.attempt.stream);
    front[5] = call.op.length;
    front.write(call.op, 6, 'latin1');
    putU32(front, 6 + call.op.length, paramBytes.length);
    paramBytes.copy(front, 10 + call.op.length);
    this.worker.link.sendWithBody(CALL, call.stream, front, body);
  }

  async upload(call, body) {
    const out = call.outbound;
    try {
      await sendAll(isStreamed(body) ? body : [body], out);
      if (out.stopped === null) out.end();
    } catch (error) {
      // The server's refusal, if that stopped it, has been told already.
      if (out.stopped === null) this.giveUp(call, error);
    }
  }

  outbound(stream) {
    return this.calls.get(stream)?.outbound ?? null;
  }

  inbound(stream) {
    const call = this.calls.get(stream);
    if (call === undefined || call.inbound === null) return null;
    return new ClosingBody(this, call);
  }

  onReply(stream, bytes, start, end, owned) {
    const call = this.calls.get(stream);
    if (call === undefined) return;
    const flags = bytes[start];
    const headEnd = start + 5 + u32(bytes, start + 1);
    const head = JSON.parse(bytes.toString('utf8', start + 5, headEnd) || '{}');
    if (flags & FLAG_ERROR) {
      this.finish(call);
      const error = callError(call, head.code, head.message);
      call.outbound?.stop(error);
      call.reject(error);
      return;
    }
    const rest = bytes.subarray(headEnd, end);
    call.inbound = new Inbound(this.worker.link, stream, owned ? rest : Buffer.from(rest));
    if (flags & FLAG_END) {
      call.inbound.end();
      this.finish(call);
    }
    call.resolve({ head, body: call.inbound, abandon: () => this.abandon(call) });
  }

  /** The server will not complete it. */
  onCancel(stream) {
    const call = this.calls.get(stream);
    if (call === undefined) return;
    const error = callError(call, 'failed', `the server broke off ${call.op}`);
    this.finish(call);
    call.outbound?.stop(error);
    if (call.inbound === null) call.reject(error);
    else call.inbound.fail(error);
  }

  /** The worker will not complete it. */
  giveUp(call, error) {
    if (!this.calls.has(call.stream)) return;
    this.finish(call);
    call.outbound?.stop(error);
    this.worker.link.sendJson(FAIL, call.stream, { kind: 'user_error', ...describeError(error, this.worker.paths) });
    if (call.inbound === null) call.reject(error);
    else call.inbound.fail(error);
  }

  /** Nobody reads the body of the reply to its end. */
  abandon(call) {
    this.giveUp(call, callError(call, 'failed', `the body of ${call.op} was not read to its end`));
  }

  /** An attempt is over: replies that nobody began to read are given up. */
  forget(attempt) {
    for (const call of [...attempt.calls]) {
      if (call.inbound !== null && !call.inbound.taken) this.abandon(call);
    }
  }

  finish(call) {
    this.calls.delete(call.stream);
    call.attempt?.calls?.delete(call);
  }

  /** Whether somebody waits for the server. */
  waits() {
    for (const call of this.calls.values()) {
      if (call.inbound === null || call.inbound.onReady !== null) return true;
    }
    return false;
  }
}

/** The body of a reply, whose end also ends the call. */
class ClosingBody {
  constructor(host, call) {
    this.host = host;
    this.call = call;
  }

  push(chunk) {
    this.call.inbound.push(chunk);
  }

  end() {
    this.host.finish(this.call);
    this.call.inbound.end();
  }
}

module.exports = { Host, WakefulError };
