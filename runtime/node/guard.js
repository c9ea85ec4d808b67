'use strict';
// What user code can do to the process as a whole, and whose doing it was: errors that nobody
// caught, process.exit, and attempts that nothing can finish any more.

const limits = require('./limits');
const { storage } = require('./attempts');

const CRASH_EXIT = 1;
const SHIELDED = ['SIGTERM', 'SIGINT'];

function guard(worker) {
  process.exit = (code) => exitCalled(worker, code);
  process.on('uncaughtException', (error) => crashed(worker, error));
  process.on('unhandledRejection', (reason) => rejected(worker, reason));
  worker.watcher = new QuietWatch(worker);
  worker.signals = new SignalShield();
  // For the server's debugger, when the loop is blocked: on whose behalf does this code run?
  Object.defineProperty(globalThis, Symbol.for('wakeful.current'), { value: () => worker.streamOf(storage.getStore()) });
}

/**
 * A stop of the whole service signals its workers too, while the server lets them finish what
 * runs: until it says that it is over, the signals change nothing. Handlers of user code stay.
 */
class SignalShield {
  constructor() {
    this.ignore = () => {};
  }

  raise() {
    for (const signal of SHIELDED) process.on(signal, this.ignore);
  }

  lower() {
    for (const signal of SHIELDED) process.removeListener(signal, this.ignore);
  }
}

/** process.exit: the attempt that called it is named, then the process really ends. */
function exitCalled(worker, code) {
  const shown = `process.exit(${code === undefined ? '' : String(code)})`;
  if (worker.phase === 'loading') {
    worker.loadFailed(new Error(`${shown} was called while the code was loading`));
  } else {
    worker.crash(storage.getStore(), new Error(`${shown} was called`));
  }
  worker.link.flushSync();
  worker.exit(code);
}

/** After an uncaught exception the state of the process is anybody's guess: it ends. */
function crashed(worker, error) {
  if (worker.phase === 'loading') worker.loadFailed(error);
  else worker.crash(storage.getStore(), error);
  worker.link.flushSync();
  worker.leave(CRASH_EXIT);
}

/** A rejection that nobody handles fails the attempt it belongs to; the worker goes on. */
function rejected(worker, reason) {
  const attempt = storage.getStore();
  if (attempt !== undefined && !attempt.ended) {
    attempt.fail('user_error', reason);
    attempt.settle();
  } else if (worker.phase === 'loading') {
    worker.loadFailed(reason);
  } else {
    worker.logError(attempt, 'A promise was rejected outside of a running attempt, and nobody handled it', reason);
  }
}

/**
 * Finds attempts whose promise can never resolve, because nothing is left in the loop that could
 * do it. Node itself tells so: with our socket not counted, it announces that it would end
 * (`beforeExit`). That covers the thread pool and addons, which lists of active resources omit.
 * Only after several such looks in a row, with nothing from the server between them, and never
 * while the server owes something, an attempt is given up.
 */
class QuietWatch {
  constructor(worker) {
    this.worker = worker;
    this.timer = null;
    this.looking = false;
    /** Who wants to know when nothing is left in the loop: {attempt, then, alone}. */
    this.waiting = new Set();
    this.quiet = 0;
    this.seen = 0;
    this.look = () => this.onTimer();
    process.on('beforeExit', () => this.onNothingLeft());
  }

  /** There is something to watch. */
  wake() {
    if (this.timer === null) this.timer = setTimeout(this.look, limits.QUIET_CHECK).unref();
  }

  /**
   * Calls back, in the context of `attempt`, once nothing is left in the loop; returns what calls
   * it off. With `alone`, also as soon as another attempt runs beside it, since then nobody can
   * tell whose the rest is.
   */
  whenEmpty(attempt, then, { alone = false } = {}) {
    const waiter = { attempt, then, alone };
    this.waiting.add(waiter);
    if (alone && this.worker.running > 1) setImmediate(() => this.release((one) => one === waiter));
    else this.worker.link.socket.unref();
    return () => {
      this.waiting.delete(waiter);
      this.hold();
    };
  }

  /** Something came from the server. What it sets off runs before the next look. */
  resume() {
    if (this.waiting.size === 0) return;
    if (this.worker.running > 1) this.release((one) => one.alone);
    if (this.waiting.size > 0) this.worker.link.socket.unref();
  }

  release(matches) {
    for (const waiter of [...this.waiting].filter(matches)) {
      this.waiting.delete(waiter);
      if (!waiter.attempt.ended) storage.run(waiter.attempt, waiter.then);
    }
    this.hold();
  }

  /** The link keeps the loop alive again, unless somebody waits for its end. */
  hold() {
    if (!this.looking && this.waiting.size === 0) this.worker.link.socket.ref();
  }

  get needed() {
    return this.worker.attempts.size > 0 || this.worker.phase === 'loading';
  }

  onTimer() {
    this.timer = null;
    // Not told since the last look that nothing is left: something is.
    if (this.looking) this.quiet = 0;
    if (!this.needed) {
      this.stopLooking();
      this.quiet = 0;
      return;
    }
    this.wake();
    if (this.worker.activity !== this.seen || this.serverOwes()) {
      this.seen = this.worker.activity;
      this.quiet = 0;
      this.stopLooking();
      return;
    }
    if (this.looking) return;
    this.looking = true;
    this.worker.link.socket.unref();
  }

  stopLooking() {
    this.looking = false;
    this.hold();
  }

  onNothingLeft() {
    this.looking = false;
    // Whatever this comes to: without it, the process would end.
    this.worker.link.socket.ref();
    if (this.waiting.size > 0 && !this.serverOwes()) {
      this.release(() => true);
      return;
    }
    if (!this.needed || this.worker.activity !== this.seen || this.serverOwes()) {
      this.quiet = 0;
      return;
    }
    this.quiet += 1;
    if (this.quiet < limits.QUIET_CHECKS) return;
    this.quiet = 0;
    this.giveUp();
  }

  /** Whether somebody waits for the server, which then may finish the attempt. */
  serverOwes() {
    const { worker } = this;
    if (worker.link.pending > 0 || worker.host.waits()) return true;
    for (const { inbound, outbound } of worker.attempts.values()) {
      if (inbound !== null && inbound.onReady !== null) return true;
      if (outbound !== null && outbound.blocked) return true;
    }
    return false;
  }

  giveUp() {
    const { worker } = this;
    if (worker.phase === 'loading') {
      worker.loadFailed(new Error('the code never finished loading: a top-level await waits for something that cannot happen any more'));
    }
    for (const attempt of [...worker.attempts.values()]) {
      const what = attempt.responded
        ? 'The handler began an answer and did not end it'
        : 'The handler gave no answer';
      attempt.failWith({
        kind: 'missing_response',
        name: 'MissingResponse',
        message: `${what}, and nothing is left running that could: a callback that is never called, or a promise that never resolves`,
        stack: '',
      });
      attempt.settle();
    }
  }
}

module.exports = { guard };
