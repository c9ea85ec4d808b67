'use strict';
// One start of user code: who it is, how long it may take, and how it ended. The attempt in
// whose context code runs is found through AsyncLocalStorage.

const { AsyncLocalStorage } = require('node:async_hooks');
const { Outbound } = require('./bodies');
const { describeError } = require('./errors');
const { retryAdvice } = require('./retry');
const { FAIL, FLAG_END, CANCEL_TIMEOUT, CANCEL_SHUTDOWN } = require('./frames');
const limits = require('./limits');
const { EMPTY } = require('./link');

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const storage = new AsyncLocalStorage();
/** Bytes of header block and body that a RESPONSE can hold beside its fixed part. */
const MAX_RESPONSE = limits.MAX_FRAME - 64;
const OVER = new Error('the attempt is over: no more of its bodies crosses');

/** The text of a run's id, from the two halves of its number. */
function runText(high, low) {
  let rest = (BigInt(high) << 32n) | BigInt(low);
  let text = '';
  for (let i = 0; i < 13; i++) {
    text = ALPHABET[Number(rest & 31n)] + text;
    rest >>= 5n;
  }
  return `run_${text}`;
}

function cancelError(reason) {
  if (reason === CANCEL_TIMEOUT) return new DOMException('The attempt ran out of its time', 'TimeoutError');
  const why = reason === CANCEL_SHUTDOWN ? 'The server stops' : 'The caller went away';
  return new DOMException(why, 'AbortError');
}

class Attempt {
  constructor(worker, stream, runHigh, runLow, number, timeout) {
    this.worker = worker;
    this.stream = stream;
    this.runHigh = runHigh;
    this.runLow = runLow;
    this.number = number;
    this.deadlineMs = Date.now() + timeout;
    /** Its answer is whole, or it failed: the stream is over on this side. */
    this.ended = false;
    /** Its handler has returned, or its promise settled. */
    this.settled = false;
    /** Nothing of it is left to do. */
    this.through = false;
    /** Its answer has begun. */
    this.responded = false;
    /** Promises that go on after the answer (`waitUntil`). */
    this.background = 0;
    /** The body that comes in, unless it came whole. */
    this.inbound = null;
    /** The body that goes out, unless it goes whole. */
    this.outbound = null;
    /** Its `_onCancel` is told when the attempt is cancelled or its answer breaks off. */
    this.answer = null;
    this.cancelled = null;
    /** Nobody is left for its answer, for this reason. */
    this.abandoned = null;
    /** Calls to the server whose replies are still open. */
    this.calls = null;
    /** The events it serves, when they are several. */
    this.batch = null;
    /** What it did `once`, by its full name: promises of the results. */
    this.onces = null;
    /** Indentation of console.group. */
    this.indent = '';
    this._run = null;
    this._controller = null;
  }

  get runId() {
    if (this._run === null) this._run = runText(this.runHigh, this.runLow);
    return this._run;
  }

  get signal() {
    if (this._controller === null) {
      this._controller = new AbortController();
      if (this.cancelled !== null) this._controller.abort(this.cancelled);
    }
    return this._controller.signal;
  }

  get remaining() {
    return Math.max(0, this.deadlineMs - Date.now());
  }

  /** The result of an event, as JSON; empty for undefined. */
  result(json) {
    if (this.ended) return;
    this.responded = true;
    this.worker.link.respondText(this.stream, 0, '', json);
    this.end();
  }

  /** Failed: before the answer as a whole, after its start its body breaks off. */
  fail(kind, error) {
    if (this.ended) {
      this.worker.logError(this, 'An error after the end of the attempt', error);
      return;
    }
    this.failWith({ kind, ...describeError(error, this.worker.paths), retry: retryAdvice(error) });
  }

  failWith(report) {
    if (this.ended) return;
    const { answer } = this;
    this.worker.link.sendJson(FAIL, this.stream, report);
    this.end();
    if (answer !== null) storage.run(this, () => answer._onCancel());
  }

  /** Nobody is left for its answer: it ends as soon as its handler has returned. */
  abandon(reason) {
    if (this.ended || this.abandoned !== null) return;
    this.abandoned = reason;
    if (this.settled) this.endAbandoned();
  }

  endAbandoned() {
    // What its listeners do now still belongs to it.
    setImmediate(() => {
      if (!this.ended) this.fail('user_error', this.abandoned);
    });
  }

  /** Whether an answer fits into its frame; if not, the attempt has failed. */
  fits(block, bytes) {
    if (block.length + bytes <= MAX_RESPONSE) return true;
    const message = `the headers of the answer take ${block.length} bytes, more than can be sent`;
    this.fail('user_error', new RangeError(message));
    return false;
  }

  /** Answers with a text, whole. */
  respondText(status, block, text) {
    if (this.ended || !this.fits(block, text.length * 3)) return;
    this.responded = true;
    this.worker.link.respondText(this.stream, status, block, text);
    this.end();
  }

  /** Answers with bytes, whole. */
  respondBytes(status, block, bytes) {
    if (this.ended || !this.fits(block, bytes.length)) return;
    this.responded = true;
    this.worker.link.respond(this.stream, status, block, bytes, FLAG_END);
    this.end();
  }

  /** Begins an answer whose body follows through the returned Outbound. */
  respondOpen(status, block) {
    const out = new Outbound(this.worker.link, this.stream);
    this.outbound = out;
    if (!this.fits(block, 0)) return out;
    this.responded = true;
    this.worker.link.respond(this.stream, status, block, EMPTY, 0);
    if (this.cancelled !== null) out.stop(this.cancelled);
    return out;
  }

  /** The streamed answer is whole. */
  endBody() {
    if (this.ended) return;
    this.outbound.end();
    this.end();
  }

  end() {
    this.ended = true;
    // The server sends no more of the request, and takes no more of the answer.
    if (this.outbound !== null) this.outbound.stop(OVER);
    if (this.inbound !== null) this.inbound.fail(OVER);
    this.worker.onEnded(this);
  }

  /** The handler is through with it. */
  settle() {
    if (this.settled) return;
    this.settled = true;
    if (this.abandoned !== null && !this.ended) this.endAbandoned();
    this.worker.onSettled(this);
  }

  /**
   * Nothing of it is left to do. What user code keeps open holds the context it was opened in,
   * and so the attempt; that must not hold the bodies too.
   */
  release() {
    this.through = true;
    this.answer = null;
    this.inbound = null;
    this.outbound = null;
    this.batch = null;
    this.onces = null;
    this._controller = null;
  }

  /** Work that goes on after the answer: the worker does not retire before it is done. */
  waitUntil(promise) {
    this.background += 1;
    Promise.resolve(promise)
      .catch((error) => this.worker.logError(this, 'A promise given to waitUntil failed', error))
      .finally(() => {
        this.background -= 1;
        this.worker.onSettled(this);
      });
  }

  /** What this sets off runs in the attempt's own context. */
  cancel(reason) {
    if (this.cancelled !== null || this.ended) return;
    this.cancelled = cancelError(reason);
    storage.run(this, () => this.spreadCancel(this.cancelled));
  }

  spreadCancel(error) {
    if (this.inbound !== null) this.inbound.fail(error);
    if (this.outbound !== null) this.outbound.stop(error);
    // Before the answer closes, which may end the attempt.
    if (this._controller !== null) this._controller.abort(error);
    if (this.answer !== null) this.answer._onCancel();
  }
}

module.exports = { Attempt, storage, runText };
