'use strict';
// What the frames mean: takes them from the link, starts attempts and keeps count of them.

const frames = require('./frames');
const limits = require('./limits');
const { Attempt, runText, storage } = require('./attempts');
const { Inbound } = require('./bodies');
const { Paths, describeError } = require('./errors');
const { Link, u32 } = require('./link');
const { load } = require('./load');
const { describeLoadError } = require('./load-errors');
const { LogSender, Logger, captureConsole, ERROR } = require('./logs');
const { Host } = require('./host');
const { readHttp } = require('./request');

/** The events of a batch: the run and attempt of each, and its text. */
function readBatch(bytes, start, end) {
  const items = [];
  for (let at = start; at < end; ) {
    const textEnd = at + 16 + u32(bytes, at + 12);
    items.push({
      runId: runText(u32(bytes, at + 4), u32(bytes, at)),
      attempt: u32(bytes, at + 8),
      text: bytes.toString('utf8', at + 16, textEnd),
    });
    at = textEnd;
  }
  return items;
}

class Worker {
  constructor(fd) {
    this.link = new Link(fd, (kind, stream, bytes, start, end, owned) => this.onFrame(kind, stream, bytes, start, end, owned), () => this.leave(0));
    this.logs = new LogSender(this.link);
    this.logger = new Logger(this.logs, null);
    this.host = new Host(this);
    /** LOAD, once it came. */
    this.settings = null;
    this.paths = null;
    this.bodyLimit = limits.BODY;
    /** 'blank', 'loading', 'ready' or 'failed'. */
    this.phase = 'blank';
    /** Handlers in the order of LOAD; undefined for those that are missing. */
    this.handlers = [];
    /** Attempts whose stream is open, by its number. */
    this.attempts = new Map();
    /** How many attempts run or have work left. */
    this.running = 0;
    this.retiring = false;
    /** Counts everything that crosses the link: two looks that find it unchanged saw silence. */
    this.activity = 0;
    this.watcher = null;
    this.signals = null;
    this.exit = process.exit.bind(process);
  }

  start() {
    captureConsole(this.logs);
    this.link.sendJson(frames.READY, 0, { pid: process.pid, node: process.versions.node });
  }

  onFrame(kind, stream, bytes, start, end, owned) {
    // Being asked for a sign of life is none.
    if (kind !== frames.PING) this.activity += 1;
    switch (kind) {
      case frames.INVOKE:
        this.invoke(stream, bytes, start, end, owned);
        break;
      case frames.DATA: {
        const body = this.inbound(stream);
        if (body !== null) body.push(owned ? bytes.subarray(start, end) : Buffer.from(bytes.subarray(start, end)));
        break;
      }
      case frames.END: {
        const body = this.inbound(stream);
        if (body !== null) body.end();
        break;
      }
      case frames.CREDIT: {
        const body = stream >= frames.CALL_BIT ? this.host.outbound(stream) : this.attempts.get(stream)?.outbound;
        if (body) body.granted(u32(bytes, start));
        break;
      }
      case frames.REPLY:
        this.host.onReply(stream, bytes, start, end, owned);
        break;
      case frames.CANCEL:
        if (stream >= frames.CALL_BIT) this.host.onCancel(stream);
        else this.cancel(stream, bytes[start]);
        break;
      case frames.PING:
        this.link.sendU32(frames.PONG, 0, u32(bytes, start));
        break;
      case frames.LOAD:
        this.load(JSON.parse(bytes.toString('utf8', start, end)));
        break;
      case frames.RETIRE:
        this.retiring = true;
        this.signals.lower();
        this.leaveIfDone();
        break;
      default:
        throw new Error(`the server sent a frame of the unknown kind ${kind}`);
    }
    if (this.watcher.waiting.size > 0) this.watcher.resume();
  }

  cancel(stream, reason) {
    if (reason === frames.CANCEL_SHUTDOWN) this.signals.lower();
    this.attempts.get(stream)?.cancel(reason);
  }

  inbound(stream) {
    if (stream >= frames.CALL_BIT) return this.host.inbound(stream);
    return this.attempts.get(stream)?.inbound ?? null;
  }

  load(settings) {
    this.settings = settings;
    this.paths = new Paths(settings.root, settings.shownRoot);
    this.bodyLimit = settings.bodyLimit || limits.BODY;
    this.phase = 'loading';
    this.signals.raise();
    load(this, settings).then(
      ({ handlers, report }) => {
        if (this.phase !== 'loading') return;
        this.handlers = handlers;
        this.phase = 'ready';
        this.link.sendJson(frames.LOADED, 0, report);
      },
      (error) => this.loadFailed(error),
    );
  }

  /** Loading did not succeed, for whatever reason: said once. */
  loadFailed(error) {
    if (this.phase !== 'loading') return;
    this.phase = 'failed';
    const report = describeLoadError(error, this.settings, this.paths);
    this.link.sendJson(frames.LOADED, 0, { ok: false, error: report });
  }

  /** INVOKE: see docs/worker-protocol.md for the offsets. */
  invoke(stream, bytes, start, end, owned) {
    const whole = (bytes[start] & frames.FLAG_END) !== 0;
    const low = u32(bytes, start + 4);
    const high = u32(bytes, start + 8);
    const attempt = new Attempt(this, stream, high, low, u32(bytes, start + 12), u32(bytes, start + 16));
    this.attempts.set(stream, attempt);
    this.running += 1;
    const rest = start + 20;
    const handler = this.handlers[bytes[start + 2] | (bytes[start + 3] << 8)];
    if (handler === undefined) {
      this.refuse(attempt, bytes[start + 2] | (bytes[start + 3] << 8));
      return;
    }
    this.watcher.wake();
    if (bytes[start + 1] === frames.HTTP) {
      const call = readHttp(bytes, rest, end, owned, whole, (opening) => this.openInbound(attempt, opening));
      storage.run(attempt, handler.http, attempt, call);
      return;
    }
    const isBatch = bytes[start + 1] === frames.BATCH;
    const begin = (payload, from, to) => {
      if (isBatch) storage.run(attempt, handler.batch, attempt, readBatch(payload, from, to));
      else storage.run(attempt, handler.event, attempt, payload.toString('utf8', from, to));
    };
    if (whole) {
      begin(bytes, rest, end);
      return;
    }
    const opening = Buffer.from(bytes.subarray(rest, end));
    this.openInbound(attempt, opening)
      .collect(limits.MAX_FRAME, (limit) => new Error(`the event is larger than ${limit} bytes`))
      .then(
        (payload) => begin(payload, 0, payload.length),
        (error) => {
          attempt.fail('user_error', error);
          attempt.settle();
        },
      );
  }

  openInbound(attempt, opening) {
    attempt.inbound = new Inbound(this.link, attempt.stream, opening);
    return attempt.inbound;
  }

  refuse(attempt, index) {
    const name = this.settings?.handlers?.[index] ?? null;
    const what = name === null ? 'the default handler' : `an export \`${name}\``;
    const message =
      this.phase === 'ready'
        ? `${this.paths.show(this.settings.entry)} has no function as ${what}`
        : 'the code of this function is not loaded';
    attempt.failWith({ kind: 'load', name: 'MissingHandler', message, stack: '' });
    attempt.settle();
  }

  onEnded(attempt) {
    this.activity += 1;
    this.attempts.delete(attempt.stream);
    if (attempt.settled) this.onSettled(attempt);
  }

  onSettled(attempt) {
    if (!attempt.ended || !attempt.settled || attempt.background > 0 || attempt.through) return;
    attempt.release();
    this.running -= 1;
    if (attempt.calls !== null) this.host.forget(attempt);
    if (this.retiring) this.leaveIfDone();
  }

  /** The stream that names an attempt; 0 for none, or when another one has its number by now. */
  streamOf(attempt) {
    if (attempt === undefined) return 0;
    const owner = this.attempts.get(attempt.stream);
    return owner === undefined || owner === attempt ? attempt.stream : 0;
  }

  /** The process is about to end, and this attempt (undefined: nobody knows who) is the cause. */
  crash(attempt, error) {
    if (attempt !== undefined && !attempt.ended) {
      attempt.fail('crash', error);
      return;
    }
    this.logError(attempt, 'The worker ends', error);
    this.link.sendJson(frames.FAIL, this.streamOf(attempt), { kind: 'crash', ...describeError(error, this.paths) });
  }

  logError(attempt, what, error) {
    const { name, message, stack } = describeError(error, this.paths);
    const text = `${what}: ${stack === '' ? `${name}: ${message}` : stack}`;
    if (attempt === undefined || attempt === null) this.logs.send(0, ERROR, text);
    else this.logs.writeFor(attempt, ERROR, text);
  }

  leaveIfDone() {
    if (this.running > 0) return;
    // What was said last gets through before the socket closes.
    if (this.link.pending === 0) this.leave(0);
    else setTimeout(() => this.leaveIfDone(), 1);
  }

  /** Ends the process at once, with nothing of the user's run any more. */
  leave(code) {
    if (typeof process.reallyExit === 'function') process.reallyExit(code);
    this.exit(code);
  }
}

module.exports = { Worker };
