'use strict';
// Lambda handlers: `(event, context[, callback])` as AWS documents them for Node.
//
// Workers are not frozen between attempts: work that is left goes on after the answer.

const { deliverResult, openBatch, parseEvent } = require('./events');
const { makeContext, requestId, setTrace } = require('./lambda-env');
const { toLambdaBatch, toLambdaEvent } = require('./lambda-events');
const { toGatewayEvent, sendGatewayResponse } = require('./lambda-http');
const { PLAIN, PayloadStream, askedOf } = require('./lambda-invoke');
const { formsOf } = require('./lambda-names');
const { isStreaming, collectStream, whole } = require('./lambda-stream');
const { Response } = require('./native-response');

/** One call of a handler: takes the first answer, from wherever it comes. */
class Invocation {
  constructor(attempt, deliver) {
    this.attempt = attempt;
    this.deliver = deliver;
    this.context = null;
    this.answered = false;
    /** Ends the wait for an empty loop. */
    this.stopWaiting = null;
  }

  succeed(value) {
    if (!this.takesAnswer()) return;
    this.send(value);
  }

  fail(error) {
    if (!this.takesAnswer()) return;
    this.attempt.fail('user_error', error);
    this.attempt.settle();
  }

  done(error, value) {
    if (error === null || error === undefined) this.succeed(value);
    else this.fail(error);
  }

  /** The third argument of handlers: a success counts once nothing is left in the event loop. */
  callback(error, value) {
    const fails = error !== null && error !== undefined;
    if (fails || !this.context.callbackWaitsForEmptyEventLoop) {
      this.done(error, value);
      return;
    }
    if (!this.takesAnswer()) return;
    const { attempt } = this;
    const { watcher } = attempt.worker;
    this.stopWaiting = watcher.whenEmpty(attempt, () => this.send(value), { alone: true });
    attempt.signal.addEventListener('abort', () => this.cancelWait(value), { once: true });
  }

  /** A function that neither called back nor gave a promise has succeeded once nothing is left. */
  endsWithLoop() {
    this.stopWaiting = this.attempt.worker.watcher.whenEmpty(this.attempt, () => this.succeed(undefined));
  }

  takesAnswer() {
    if (this.answered) return false;
    this.answered = true;
    if (this.stopWaiting !== null) this.stopWaiting();
    return true;
  }

  cancelWait(value) {
    const { attempt } = this;
    if (attempt.ended) return;
    this.stopWaiting();
    if (attempt.cancelled.name !== 'TimeoutError') {
      this.send(value);
      return;
    }
    attempt.fail('user_error', stillRunning(attempt.cancelled));
    attempt.settle();
  }

  send(value) {
    try {
      this.deliver(value);
    } catch (error) {
      this.attempt.fail('user_error', error);
    }
    this.attempt.settle();
  }
}

function stillRunning(cause) {
  const message =
    'the handler has called back, but its answer waits for an empty event loop, in which a timer or a connection is left: ' +
    'close it, or set `context.callbackWaitsForEmptyEventLoop = false`';
  return new Error(message, { cause });
}

function call(fn, event, attempt, deliver, asked = PLAIN) {
  const invocation = new Invocation(attempt, deliver);
  const context = makeContext(attempt, invocation, asked.clientContext);
  invocation.context = context;
  setTrace(attempt);
  let result;
  try {
    result = fn(event, context, (error, value) => invocation.callback(error, value));
  } catch (error) {
    invocation.fail(error);
    return;
  }
  if (result !== null && result !== undefined && typeof result.then === 'function') {
    result.then(
      (value) => invocation.succeed(value),
      (error) => invocation.fail(error),
    );
    return;
  }
  // The callback answers; what the handler returned is not looked at, as on Lambda.
  if (!invocation.answered) invocation.endsWithLoop();
}

function callStreaming(fn, event, attempt, stream, deliver, asked = PLAIN) {
  const invocation = new Invocation(attempt, deliver);
  const context = makeContext(attempt, invocation, asked.clientContext);
  for (const name of ['done', 'succeed', 'fail']) delete context[name];
  setTrace(attempt);
  const end = whole(stream).catch((error) => {
    throw attempt.cancelled ?? error;
  });
  // Whoever breaks it off is told by the attempt.
  end.catch(() => {});
  Promise.resolve()
    .then(() => {
      const result = fn(event, stream, context);
      if (typeof result?.then !== 'function') throw new TypeError('a handler of streamifyResponse() must be async: it returned no promise');
      return result;
    })
    // What is piped into the stream may outlast the handler; the answer is whole when the stream is.
    .then(() => end)
    .then(
      () => invocation.succeed(),
      (error) => invocation.fail(error),
    );
}

/** The functions that start attempts of one handler. */
function lambda(fn, settings) {
  const { payload } = formsOf(settings);
  return {
    http: (attempt, request) => startHttp(fn, attempt, request, payload),
    event: (attempt, text) =>
      startEvent(fn, attempt, () => {
        const given = parseEvent(text);
        const event = toLambdaEvent(given, settings, { runId: attempt.runId, attempt: attempt.number });
        return { event, asked: askedOf(given) };
      }),
    batch: (attempt, items) => startEvent(fn, attempt, () => ({ event: toLambdaBatch(openBatch(attempt, items), settings), asked: PLAIN })),
  };
}

function startHttp(fn, attempt, request, payload) {
  if (request.inbound === null) {
    callHttp(fn, attempt, request, payload);
    return;
  }
  request.collect(attempt.worker.bodyLimit).then(
    () => callHttp(fn, attempt, request, payload),
    (error) => {
      if (error.status === 413) refuse(attempt, error);
      else attempt.fail('user_error', error);
      attempt.settle();
    },
  );
}

function refuse(attempt, error) {
  const body = JSON.stringify({ message: error.message });
  attempt.respondText(413, 'content-type\0application/json\0', body);
}

function callHttp(fn, attempt, request, payload) {
  const res = new Response(attempt, request.method === 'HEAD');
  attempt.answer = res;
  const event = toGatewayEvent(request, attempt, requestId(attempt), payload);
  if (isStreaming(fn)) {
    callStreaming(fn, event, attempt, res, () => {});
    return;
  }
  call(fn, event, attempt, (value) => sendGatewayResponse(res, value, payload));
}

function startEvent(fn, attempt, open) {
  let event;
  let asked;
  try {
    ({ event, asked } = open());
  } catch (error) {
    attempt.fail('user_error', error);
    attempt.settle();
    return;
  }
  const deliver = (value) => deliverResult(attempt, value);
  if (!isStreaming(fn)) {
    call(fn, event, attempt, deliver, asked);
  } else if (asked.streams) {
    const stream = new PayloadStream(attempt);
    attempt.answer = stream;
    callStreaming(fn, event, attempt, stream, () => {}, asked);
  } else {
    const stream = collectStream();
    callStreaming(fn, event, attempt, stream, () => deliver(stream.result()), asked);
  }
}

module.exports = { lambda };
