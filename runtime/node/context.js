'use strict';
// What handlers get as `context`: who the attempt is, and what it may do as such.

/** Of an attempt for one event, a request, or a batch of events. */
class Context {
  constructor(attempt, id) {
    Object.defineProperty(this, '_attempt', { value: attempt });
    Object.defineProperty(this, '_id', { value: id });
    // The attempt lets go of its batch when it is over; who still has this context asks here.
    Object.defineProperty(this, '_batch', { value: attempt.batch });
  }

  /** The id of the event; of a request or a batch the id of its run. */
  get id() {
    return this._id === null ? this._attempt.runId : this._id;
  }

  get runId() {
    return this._attempt.runId;
  }

  /** 1 for the first start of this run; of a batch that of the event that was started most often. */
  get attempt() {
    return this._attempt.number;
  }

  /** The same for every attempt of one delivery. */
  get idempotencyKey() {
    if (this._batch !== null) throw new TypeError('each event of a batch has a key of its own: use context.keyOf(event)');
    return this._attempt.runId;
  }

  /** Whether the attempt serves several events. */
  get isBatch() {
    return this._batch !== null;
  }

  /** The idempotency key of one event, in a batch and outside of it. */
  keyOf(event) {
    return this._batch === null ? this._attempt.runId : this._batch.entryOf(event).runId;
  }

  /** Which start of its run this is for one event, in a batch and outside of it. */
  attemptOf(event) {
    return this._batch === null ? this._attempt.number : this._batch.entryOf(event).attempt;
  }

  /** Handles the events of a batch one by one; the result says which of them failed. */
  each(work, options) {
    if (this._batch === null) throw new TypeError('each() is for batches: this handler has one event');
    return this._batch.each(this._attempt, work, options);
  }

  /** Effects that apply once, with the success of the attempt or not at all. */
  once(name, options, work) {
    return require('./once').once(this._attempt, name, options, work);
  }

  get deadline() {
    return new Date(this._attempt.deadlineMs);
  }

  getRemainingTimeInMillis() {
    return this._attempt.remaining;
  }

  get signal() {
    return this._attempt.signal;
  }

  get log() {
    return this._attempt.worker.logger;
  }

  get functionName() {
    return this._attempt.worker.settings.function;
  }

  get functionVersion() {
    return this._attempt.worker.settings.version;
  }

  waitUntil(promise) {
    this._attempt.waitUntil(promise);
  }
}

module.exports = { Context };
