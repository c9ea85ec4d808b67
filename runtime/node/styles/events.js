'use strict';
// Events as handlers get them, and results as they leave.

const { Batch, Entry, checkBatchResult } = require('../batch');
const limits = require('../limits');

/** A CloudEvent with its data: `data` as JSON, bytes for `data_base64`. */
function parseEvent(text) {
  const event = JSON.parse(text);
  if (event !== null && typeof event === 'object' && typeof event.data_base64 === 'string') {
    event.data = Buffer.from(event.data_base64, 'base64');
    delete event.data_base64;
  }
  return event;
}

/** The events of a batch, which from now on is the attempt's. */
function openBatch(attempt, items) {
  attempt.batch = new Batch(items.map(({ runId, attempt: number, text }) => new Entry(runId, number, parseEvent(text))));
  return attempt.batch;
}

/** The result of an attempt for events, as JSON. */
function deliverResult(attempt, value) {
  let result = value;
  if (attempt.batch !== null) {
    checkBatchResult(attempt.batch, value);
    result = attempt.batch.named(value);
  }
  attempt.result(jsonResult(result, limits.BODY));
}

/** A result as JSON; empty for undefined. Throws a TypeError that says what is wrong with it. */
function jsonResult(value, limit) {
  if (value === undefined) return '';
  let text;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new TypeError(`the result of the handler cannot be written as JSON: ${cause.message.replace(/\s*\n\s*/g, ' ')}`, { cause });
  }
  if (text === undefined) return '';
  if (text.length > limit || Buffer.byteLength(text) > limit) {
    throw new RangeError(`the result of the handler is larger than ${limit} bytes`);
  }
  return text;
}

module.exports = { parseEvent, openBatch, deliverResult };
