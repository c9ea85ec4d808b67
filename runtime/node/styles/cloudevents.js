'use strict';
// Functions that were registered through the functions-framework: for requests, for CloudEvents,
// and typed ones. Each also understands what the others are for, as far as it can be meant.

const { RequestError, parseJson } = require('../request');
const { openBatch, parseEvent } = require('./events');
const { callHttp, failHttp, startEvent } = require('./native');

const STRUCTURED = /^\s*application\/cloudevents\+json\s*(?:;|$)/i;
const JSON_TYPE = /^\s*application\/(?:[^;\s]+\+)?json\s*(?:;|$)/i;
const TEXT_TYPE = /^\s*text\//i;

/** The functions that start attempts of one registered function: `{kind, handler, format?}`. */
function cloudevents(registered) {
  switch (registered.kind) {
    case 'http':
      return requests(registered.handler);
    case 'typed':
      return typed(registered);
    default:
      return events(registered.handler);
  }
}

function collected(attempt, call, then) {
  call.collect(attempt.worker.bodyLimit).then(then, (error) => failHttp(attempt, error));
}

function requests(handler) {
  const { event, batch } = refusing('it is registered with functions.http(): register it with functions.cloudEvent()');
  // `rawBody` and `body` are there, whatever the type and the length.
  return { http: (attempt, call) => collected(attempt, call, () => callHttp(handler, attempt, call)), event, batch };
}

function refusing(why) {
  const refuse = (attempt) => {
    attempt.fail('user_error', new TypeError(`this function answers requests only: ${why}`));
    attempt.settle();
  };
  return { event: refuse, batch: refuse };
}

/** A function with a second parameter calls back, as with the framework. */
function invoke(handler, event) {
  if (handler.length < 2) return handler(event);
  return new Promise((resolve, reject) => {
    const result = handler(event, (error, value) => (error ? reject(error) : resolve(value)));
    // Its own promise tells of errors only: the callback answers.
    if (typeof result?.then === 'function') result.then(undefined, reject);
  });
}

function events(handler) {
  const onRequest = async (call, res) => {
    const result = await invoke(handler, cloudEventOf(call));
    if (result === undefined || result === null) res.sendStatus(204);
    else if (typeof result === 'number') res.json(result);
    else res.send(result);
  };
  return {
    http: (attempt, call) => collected(attempt, call, () => callHttp((req, res) => onRequest(call, res), attempt, call)),
    event: (attempt, text) => startEvent(attempt, () => invoke(handler, parseEvent(text))),
    // One after the other; the result names those that failed.
    batch: (attempt, items) =>
      startEvent(attempt, () => openBatch(attempt, items).each(attempt, (event) => invoke(handler, event))),
  };
}

/** The CloudEvent that a request carries, in binary or structured mode. */
function cloudEventOf({ headers, body }) {
  const type = headers['content-type'];
  const event = type !== undefined && STRUCTURED.test(type) ? structured(parseJson(body)) : binary(headers, body, type);
  if (headers.traceparent !== undefined) event.traceparent ??= headers.traceparent;
  return event;
}

function structured(event) {
  if (event === null || typeof event !== 'object' || typeof event.type !== 'string') throw noEvent();
  const { data_base64: bytes, ...rest } = event;
  return typeof bytes === 'string' ? { ...rest, data: Buffer.from(bytes, 'base64') } : event;
}

function binary(headers, body, type) {
  if (headers['ce-type'] === undefined) throw noEvent();
  const event = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith('ce-')) event[name.slice(3)] = decode(value);
  }
  if (type !== undefined) event.datacontenttype = type;
  if (body.length > 0) event.data = dataOf(body, type ?? 'application/json');
  return event;
}

function noEvent() {
  return new RequestError(400, 'CloudEventError', 'the request carries no CloudEvent: it has neither ce-type nor a body of application/cloudevents+json');
}

/** Attributes in headers are percent-encoded (HTTP binding, section 3.1.3.2). */
function decode(value) {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function dataOf(body, type) {
  if (JSON_TYPE.test(type)) return parseJson(body);
  return TEXT_TYPE.test(type) ? body.toString() : body;
}

/** A typed function maps a value to a value; requests hold them as JSON, or as its format says. */
function typed({ handler, format }) {
  return {
    http: (attempt, call) => collected(attempt, call, () => callHttp((req, res) => answerTyped(handler, format, call, res), attempt, call)),
    event: (attempt, text) => startEvent(attempt, () => handler(parseEvent(text).data)),
    batch: (attempt, items) =>
      startEvent(attempt, () => openBatch(attempt, items).each(attempt, (event) => handler(event.data))),
  };
}

async function answerTyped(handler, format, call, res) {
  let input;
  try {
    input = format.deserializeRequest({ body: () => call.body.toString(), header: (name) => call.headers[String(name).toLowerCase()] });
  } catch (cause) {
    throw new RequestError(400, 'RequestError', `the body of the request cannot be read: ${cause.message}`);
  }
  format.serializeResponse(responseFor(res), await handler(input));
}

function responseFor(res) {
  return {
    setHeader: (name, value) => res.setHeader(name, value),
    write: (data) => res.write(data),
    end: (data) => res.end(data),
  };
}

module.exports = { cloudevents };
