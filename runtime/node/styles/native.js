'use strict';
// Native handlers: `(req, res)` for HTTP, `(event, context)` for everything else.

const { Readable, pipeline } = require('node:stream');
const { Context } = require('../context');
const { isStreamed } = require('../bodies');
const { RequestError } = require('../request');
const { deliverResult, openBatch, parseEvent } = require('./events');
const { Request } = require('./native-request');
const { Response } = require('./native-response');
const { sendWebResponse, isWebResponse } = require('./web-response');

/** The functions that start attempts of one handler. */
function native(given) {
  const fn = given.request !== undefined && given.response !== undefined ? require('./native-app').adoptApp(given) : given;
  return {
    http: (attempt, call) => startHttp(fn, attempt, call),
    event: (attempt, text) => startEvent(attempt, () => {
      const event = parseEvent(text);
      return fn(event, new Context(attempt, event.id ?? null));
    }),
    batch: (attempt, items) => startEvent(attempt, () => {
      const { events } = openBatch(attempt, items);
      return fn(events, new Context(attempt, null));
    }),
  };
}

function startHttp(fn, attempt, call) {
  if (call.inbound !== null && call.wantsBodyFirst(attempt.worker.bodyLimit)) {
    call.collect(attempt.worker.bodyLimit).then(
      () => callHttp(fn, attempt, call),
      (error) => failHttp(attempt, error),
    );
    return;
  }
  callHttp(fn, attempt, call);
}

function callHttp(fn, attempt, call) {
  const res = new Response(attempt, call.method === 'HEAD');
  const req = new Request(attempt, call, res);
  res.req = req;
  attempt.answer = res;
  let result;
  try {
    result = fn(req, res);
  } catch (error) {
    failHttp(attempt, error);
    return;
  }
  if (result === undefined || result === res) {
    attempt.settle();
  } else if (result !== null && typeof result.then === 'function') {
    result.then(
      (value) => settleHttp(attempt, res, value),
      (error) => failHttp(attempt, error),
    );
  } else {
    settleHttp(attempt, res, result);
  }
}

/** The handler is through; what it returned is the answer if it sent none. */
function settleHttp(attempt, res, value) {
  if (value !== undefined && value !== res && !res.headersSent && !attempt.ended) {
    try {
      sendValue(attempt, res, value);
    } catch (error) {
      failHttp(attempt, error);
      return;
    }
  }
  attempt.settle();
}

function sendValue(attempt, res, value) {
  if (isWebResponse(value)) {
    sendWebResponse(attempt, value, res._withoutBody, res._headers).catch((error) => attempt.fail('user_error', error));
    return;
  }
  if (value !== null && typeof value === 'object' && !ArrayBuffer.isView(value)) {
    if (isStreamed(value)) {
      // A stream that flows already has a reader, which writes the answer itself.
      if (value.readableFlowing !== true) sendStream(res, value);
      return;
    }
    if (isHandle(value)) return;
  }
  if (value === null) res.json(null);
  else if (typeof value !== 'function') res.send(value);
}

/** Sends all of it; when either side ends early, the other one is closed too. */
function sendStream(res, source) {
  let bytes = source;
  if (typeof source.getReader === 'function') bytes = Readable.fromWeb(source, { objectMode: false });
  else if (source.readableObjectMode !== false) bytes = Readable.from(source, { objectMode: false });
  pipeline(bytes, res, () => {
    if (bytes !== source && typeof source.destroy === 'function') source.destroy();
  });
}

/** `return setTimeout(…)`, `return emitter.on(…)`: what short arrow functions return by the way. */
function isHandle(value) {
  return typeof value.on === 'function' || (typeof value.ref === 'function' && typeof value.unref === 'function');
}

/** The handler failed. Without an answer yet, a bad request that it did not catch is the answer. */
function failHttp(attempt, error) {
  if (error instanceof RequestError && !attempt.responded && !attempt.ended) refuse(attempt, error);
  else attempt.fail('user_error', error);
  attempt.settle();
}

function refuse(attempt, error) {
  const body = JSON.stringify({ error: error.message });
  attempt.respondText(error.status, 'content-type\0application/json; charset=utf-8\0', body);
}

function startEvent(attempt, run) {
  let result;
  try {
    result = run();
  } catch (error) {
    attempt.fail('user_error', error);
    attempt.settle();
    return;
  }
  if (result !== null && result !== undefined && typeof result.then === 'function') {
    result.then(
      (value) => settleEvent(attempt, value),
      (error) => {
        attempt.fail('user_error', error);
        attempt.settle();
      },
    );
  } else {
    settleEvent(attempt, result);
  }
}

function settleEvent(attempt, value) {
  try {
    deliverResult(attempt, value);
  } catch (error) {
    attempt.fail('user_error', error);
  }
  attempt.settle();
}

module.exports = { native, callHttp, failHttp, refuse, startEvent };
