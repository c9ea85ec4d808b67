'use strict';
// Lambda handlers: `(event, context[, callback])` as AWS documents them for Node.
//
// The answer leaves when the handler's promise resolves or its callback is called, whatever
// `callbackWaitsForEmptyEventLoop` says: workers are not frozen between attempts, so work that
// is left goes on after the answer.

const { Context } = require('../context');
const { deliverResult, openBatch, parseEvent } = require('./events');
const { toLambdaBatch } = require('./lambda-batch');
const { toLambdaEvent, region, ACCOUNT, DEFAULT_REGION } = require('./lambda-events');
const { toGatewayEvent, sendGatewayResponse } = require('./lambda-http');
const { STREAMING, defineStreaming, collectStream } = require('./lambda-stream');
const { Response } = require('./native-response');

const MIB = 1024 * 1024;

/** The variables that Lambda sets for every function. */
function lambdaEnv(settings) {
  const major = process.versions.node.split('.')[0];
  const handler = (settings.handlers ?? []).find((name) => name !== null) ?? 'handler';
  return {
    AWS_LAMBDA_FUNCTION_NAME: settings.function,
    AWS_LAMBDA_FUNCTION_VERSION: settings.version,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: memoryOf(settings),
    AWS_LAMBDA_LOG_GROUP_NAME: logGroup(settings),
    AWS_LAMBDA_LOG_STREAM_NAME: logStream(settings),
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_EXECUTION_ENV: `AWS_Lambda_nodejs${major}.x`,
    AWS_REGION: DEFAULT_REGION,
    AWS_DEFAULT_REGION: DEFAULT_REGION,
    LAMBDA_TASK_ROOT: settings.root,
    _HANDLER: `index.${handler}`,
  };
}

function memoryOf(settings) {
  return String(Math.round((settings.memory ?? 256 * MIB) / MIB));
}

function logGroup(settings) {
  return `/aws/lambda/${settings.function}`;
}

function logStream(settings) {
  return `${settings.version}/${process.pid}`;
}

/** The number of the run in the shape of a UUID (version 8): the same for every attempt. */
function requestId(attempt) {
  const hex = attempt.runHigh.toString(16).padStart(8, '0') + attempt.runLow.toString(16).padStart(8, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(12, 15)}-8${hex.slice(15)}00-000000000000`;
}

/** One call of a handler: takes the first answer, from wherever it comes. */
class Invocation {
  constructor(attempt, deliver) {
    this.attempt = attempt;
    this.deliver = deliver;
    this.answered = false;
  }

  succeed(value) {
    if (this.answered) return;
    this.answered = true;
    try {
      this.deliver(value);
    } catch (error) {
      this.attempt.fail('user_error', error);
    }
    this.attempt.settle();
  }

  fail(error) {
    if (this.answered) return;
    this.answered = true;
    this.attempt.fail('user_error', error);
    this.attempt.settle();
  }

  done(error, value) {
    if (error === null || error === undefined) this.succeed(value);
    else this.fail(error);
  }
}

function makeContext(attempt, invocation) {
  const { settings } = attempt.worker;
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    functionName: settings.function,
    functionVersion: settings.version,
    invokedFunctionArn: `arn:aws:lambda:${region()}:${ACCOUNT}:function:${settings.function}`,
    memoryLimitInMB: memoryOf(settings),
    awsRequestId: requestId(attempt),
    logGroupName: logGroup(settings),
    logStreamName: logStream(settings),
    identity: undefined,
    clientContext: undefined,
    getRemainingTimeInMillis: () => attempt.remaining,
    done: (error, value) => invocation.done(error, value),
    succeed: (value) => invocation.succeed(value),
    fail: (error) => invocation.fail(error ?? new Error('context.fail() was called')),
  };
  // Ours, beyond what Lambda has.
  const own = new Context(attempt, null);
  Object.defineProperties(context, {
    signal: { get: () => own.signal },
    runId: { get: () => own.runId },
    attempt: { value: own.attempt },
    idempotencyKey: { get: () => own.idempotencyKey },
    isBatch: { value: own.isBatch },
    keyOf: { value: (event) => own.keyOf(event) },
    attemptOf: { value: (event) => own.attemptOf(event) },
    once: { value: (...args) => own.once(...args) },
    log: { get: () => own.log },
  });
  return context;
}

function call(fn, event, attempt, deliver) {
  const invocation = new Invocation(attempt, deliver);
  const context = makeContext(attempt, invocation);
  let result;
  try {
    result = fn(event, context, (error, value) => invocation.done(error, value));
  } catch (error) {
    invocation.fail(error);
    return;
  }
  if (result !== null && result !== undefined && typeof result.then === 'function') {
    result.then(
      (value) => invocation.succeed(value),
      (error) => invocation.fail(error),
    );
  }
  // Otherwise the callback answers; what the handler returned is not looked at, as on Lambda.
}

function callStreaming(fn, event, attempt, stream) {
  const invocation = new Invocation(attempt, () => {
    if (!stream.writableEnded) stream.end();
  });
  const context = makeContext(attempt, invocation);
  Promise.resolve()
    .then(() => fn(event, stream, context))
    .then(
      () => invocation.succeed(),
      (error) => invocation.fail(error),
    );
}

/** The functions that start attempts of one handler. */
function lambda(fn) {
  return {
    http: (attempt, request) => startHttp(fn, attempt, request),
    event: (attempt, text) => startEvent(fn, attempt, () => toLambdaEvent(parseEvent(text), attempt.worker.settings)),
    batch: (attempt, items) => startEvent(fn, attempt, () => toLambdaBatch(openBatch(attempt, items), attempt.worker.settings)),
  };
}

function startHttp(fn, attempt, request) {
  if (request.inbound === null) {
    callHttp(fn, attempt, request);
    return;
  }
  request.collect(attempt.worker.bodyLimit).then(
    () => callHttp(fn, attempt, request),
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

function callHttp(fn, attempt, request) {
  const res = new Response(attempt, request.method === 'HEAD');
  attempt.answer = res;
  const event = toGatewayEvent(request, attempt, requestId(attempt));
  if (fn[STREAMING]) {
    callStreaming(fn, event, attempt, res);
    return;
  }
  call(fn, event, attempt, (value) => sendGatewayResponse(res, value));
}

function startEvent(fn, attempt, makeEvent) {
  let event;
  try {
    event = makeEvent();
  } catch (error) {
    attempt.fail('user_error', error);
    attempt.settle();
    return;
  }
  const deliver = (value) => deliverResult(attempt, value);
  if (fn[STREAMING]) {
    callStreaming(fn, event, attempt, collectStream(attempt, deliver));
    return;
  }
  call(fn, event, attempt, deliver);
}

module.exports = { lambda, lambdaEnv, defineStreaming };
