'use strict';
// What errors say about trying again: ours, and those of anybody who says it the same way.

const { parseDuration } = require('./durations');
const { isError, read } = require('./errors');
const limits = require('./limits');

/** Dates as in ISO 8601 and in the header Retry-After; Date.parse itself finds one in nearly any text. */
const DATE = /^(?:\d{4}-\d\d-\d\d|[A-Z][a-z]{2}, )/;

/** Trying again is of no use: the delivery becomes a dead letter at once. */
class NonRetriableError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = 'NonRetriableError';
    this.retryable = false;
  }
}

/** Not before some time has passed. */
class RetryAfterError extends Error {
  /**
   * @param {string} message
   * @param {number | string | Date} after milliseconds, a duration such as '5m', or a time
   */
  constructor(message, after, options) {
    super(message, options);
    this.name = 'RetryAfterError';
    this.retryAfter = timeOf(after);
  }
}

function timeOf(after) {
  if (after instanceof Date && !Number.isNaN(after.getTime())) return after;
  if (typeof after === 'number' && Number.isFinite(after) && after >= 0) return new Date(Date.now() + Math.min(after, limits.MAX_DELAY));
  if (typeof after === 'string') {
    const ms = parseDuration(after);
    if (ms !== undefined) return new Date(Date.now() + Math.min(ms, limits.MAX_DELAY));
  }
  throw new TypeError("RetryAfterError takes a message, and then milliseconds, a duration such as '5m', or a Date");
}

/** What FAIL says about trying again; undefined for nothing. */
function retryAdvice(error) {
  if (!isError(error)) return undefined;
  if (read(error, 'retryable') === false) return { never: true };
  const wait = waitOf(read(error, 'retryAfter'));
  if (wait === undefined) return undefined;
  return { afterMs: Math.min(Math.max(0, Math.ceil(wait)), limits.MAX_DELAY) };
}

/** Milliseconds from now. A number means seconds, as in the header Retry-After. */
function waitOf(after) {
  if (typeof after === 'number') return Number.isFinite(after) ? after * 1000 : undefined;
  if (after instanceof Date) return finite(after.getTime() - Date.now());
  if (typeof after !== 'string' || after === '') return undefined;
  if (/^\d+(?:\.\d+)?$/.test(after)) return finite(Number(after) * 1000);
  return parseDuration(after) ?? (DATE.test(after) ? finite(Date.parse(after) - Date.now()) : undefined);
}

function finite(number) {
  return Number.isFinite(number) ? number : undefined;
}

module.exports = { NonRetriableError, RetryAfterError, retryAdvice };
