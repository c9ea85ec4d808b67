'use strict';
// `scheduled(controller, env, ctx)` and `queue(batch, env, ctx)` of web handlers, as Workers have
// them: ticks of a schedule, and all other events as messages.

const { describeError } = require('../errors');
const { deliverResult, openBatch, parseEvent } = require('./events');
const { WebContext } = require('./web-context');

const ASKED = 'the handler asked to have the event tried again';

function failWith(attempt, error, retry) {
  attempt.failWith({ kind: 'user_error', ...describeError(error, attempt.worker.paths), retry });
}

/** Runs one handler; `then` gets the error that left it, or undefined. */
async function run(attempt, work, then) {
  let failure;
  try {
    try {
      await work();
    } catch (error) {
      failure = { error };
    }
    then(failure);
  } catch (error) {
    attempt.fail('user_error', error);
  }
  attempt.settle();
}

function startScheduled(target, env, attempt, event) {
  let retries = true;
  const controller = {
    type: 'scheduled',
    cron: event.data?.schedule,
    scheduledTime: Date.parse(event.data?.scheduledTime ?? event.time),
    noRetry() {
      retries = false;
    },
  };
  const ctx = new WebContext(attempt, event.id ?? null, null);
  return run(attempt, () => target.scheduled(controller, env, ctx), (failure) => {
    if (failure === undefined) deliverResult(attempt, undefined);
    else if (retries) attempt.fail('user_error', failure.error);
    else failWith(attempt, failure.error, { never: true });
  });
}

/** A message of a queue. What is said of it last before the handler ends counts. */
class Message {
  constructor(event, attempts) {
    this.id = event.id;
    this.timestamp = new Date(event.time);
    this.body = isBare(event) ? event.data : event;
    this.attempts = attempts;
    Object.defineProperty(this, '_verdict', { value: null, writable: true });
  }

  ack() {
    this._verdict = { ok: true };
  }

  /** @param {{delaySeconds?: number}} [options] */
  retry(options) {
    this._verdict = retryVerdict(options);
  }
}

/** What was published or sent comes as it is; what a source of ours tells as the CloudEvent. */
function isBare({ type }) {
  return !String(type).startsWith('wakeful.') || type === 'wakeful.function.invoke';
}

function retryVerdict({ delaySeconds } = {}) {
  if (delaySeconds === undefined) return { ok: false };
  if (typeof delaySeconds !== 'number' || !(delaySeconds >= 0)) throw new TypeError('`delaySeconds` must be a number of seconds');
  return { ok: false, retry: { afterMs: Math.round(delaySeconds * 1000) } };
}

class MessageBatch {
  constructor(queue, messages) {
    this.queue = queue;
    this.messages = messages;
    Object.defineProperty(this, '_verdict', { value: null, writable: true });
  }

  ackAll() {
    this._verdict = { ok: true };
  }

  retryAll(options) {
    this._verdict = retryVerdict(options);
  }
}

/** The topic, when all are of one; else the name of the function. */
function queueName(events, settings) {
  const [{ type }] = events;
  return events.every((event) => event.type === type) ? type : settings.function;
}

/** `entries` are of a batch; or the one event that is none. */
function startQueue(target, env, attempt, entries) {
  const messages = entries.map((entry) => new Message(entry.event, entry.attempt));
  const batch = new MessageBatch(queueName(entries.map(({ event }) => event), attempt.worker.settings), messages);
  const ctx = new WebContext(attempt, attempt.batch === null ? (entries[0].event.id ?? null) : null, null);
  return run(attempt, () => target.queue(batch, env, ctx), (failure) => settleQueue(attempt, batch, failure));
}

function settleQueue(attempt, batch, failure) {
  const verdicts = batch.messages.map((message) => message._verdict ?? batch._verdict ?? { ok: failure === undefined });
  // Nothing was said of any of them: the error is that of the whole.
  if (failure !== undefined && verdicts.every(({ ok, retry }) => !ok && retry === undefined)) {
    attempt.fail('user_error', failure.error);
    return;
  }
  if (failure !== undefined) attempt.worker.logError(attempt, 'queue() failed; what it had acknowledged stays so', failure.error);
  const error = failure?.error ?? Object.assign(new Error(ASKED), { name: 'Retry', stack: '' });
  const failed = batch.messages.filter((_, i) => !verdicts[i].ok);
  if (attempt.batch === null) {
    if (failed.length === 0) deliverResult(attempt, undefined);
    else failWith(attempt, error, verdicts[0].retry);
    return;
  }
  const report = describeError(error, attempt.worker.paths);
  const batchItemFailures = batch.messages.flatMap((message, i) =>
    verdicts[i].ok ? [] : [{ itemIdentifier: message.id, error: { ...report, retry: verdicts[i].retry } }],
  );
  deliverResult(attempt, { batchItemFailures });
}

function refuse(attempt, wanted) {
  const message = `this function has no \`${wanted}\` in its default export: add one, or name an export as the handler of the event`;
  attempt.fail('user_error', new TypeError(message));
  attempt.settle();
}

/** The functions that start attempts for events. */
function webEvents(target, env) {
  const has = (name) => typeof target[name] === 'function';
  return {
    event(attempt, text) {
      const event = parseEvent(text);
      const isTick = String(event.type).startsWith('wakeful.schedule.');
      if (isTick && has('scheduled')) startScheduled(target, env, attempt, event);
      else if (!isTick && has('queue')) startQueue(target, env, attempt, [{ event, attempt: attempt.number }]);
      else refuse(attempt, isTick ? 'scheduled' : 'queue');
    },
    batch(attempt, items) {
      if (has('queue')) startQueue(target, env, attempt, openBatch(attempt, items).entries);
      else refuse(attempt, 'queue');
    },
  };
}

module.exports = { webEvents };
