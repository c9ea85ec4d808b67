'use strict';
// The `wakeful` module that user code requires or imports. Types: wakeful.d.ts.

const current = require('./current');
const { storage } = require('./attempts');
const { Context } = require('./context');
const { db } = require('./module-db');
const { bucket } = require('./module-bucket');
const { publish } = require('./module-publish');
const { invoke, InvokeError } = require('./module-invoke');
const { WakefulError } = require('./host');
const { NonRetriableError, RetryAfterError } = require('./retry');

const log = current.worker.logger;

/** The context of the attempt that calls; null outside of any. */
function context() {
  const attempt = storage.getStore();
  return attempt === undefined ? null : new Context(attempt, null);
}

module.exports = { db, bucket, publish, invoke, log, context, WakefulError, InvokeError, NonRetriableError, RetryAfterError };
