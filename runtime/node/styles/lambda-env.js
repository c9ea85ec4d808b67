'use strict';
// What Lambda says of a function to its code: the environment and the context object.

const path = require('node:path');
const { Context } = require('../context');
const { ACCOUNT, DEFAULT_REGION, region } = require('./lambda-names');

const MIB = 1024 * 1024;

/** The variables that Lambda sets for every function; `file` is where its code stands. */
function lambdaEnv(settings, file) {
  const major = process.versions.node.split('.')[0];
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
    LAMBDA_RUNTIME_DIR: path.dirname(__dirname),
    TZ: ':UTC',
    _HANDLER: handlerName(settings, file),
  };
}

/** `folder/file.export`, as Lambda's configuration has it. */
function handlerName(settings, file) {
  const name = (settings.handlers ?? []).find((one) => one !== null) ?? 'handler';
  const relative = path.relative(settings.root, file ?? path.join(settings.root, 'index'));
  return `${relative.slice(0, relative.length - path.extname(relative).length)}.${name}`;
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

/**
 * AWS SDKs send this along, so that whom the code calls knows which attempt called. Where several
 * share the process nobody can tell.
 */
function setTrace(attempt) {
  if (attempt.worker.attempts.size > 1) {
    delete process.env._X_AMZN_TRACE_ID;
    return;
  }
  const hex = (number) => number.toString(16).padStart(8, '0');
  const run = hex(attempt.runHigh) + hex(attempt.runLow);
  const seconds = hex(Math.floor(Date.now() / 1000));
  process.env._X_AMZN_TRACE_ID = `Root=1-${seconds}-${run}${hex(attempt.number)};Parent=${run};Sampled=0`;
}

/** The context object; `invocation` takes the answers that are given through it, `clientContext` is the caller's. */
function makeContext(attempt, invocation, clientContext) {
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
    clientContext,
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

module.exports = { lambdaEnv, makeContext, requestId, setTrace };
