'use strict';
// The `wakeful` module that user code requires or imports. Types: wakeful.d.ts.

const current = require('./current');
const { Context, storage } = require('./attempts');
const { db } = require('./module-db');
const { bucket } = require('./module-bucket');
const { WakefulError } = require('./host');

const log = current.worker.logger;

/** The context of the attempt that calls; null outside of any. */
function context() {
  const attempt = storage.getStore();
  return attempt === undefined ? null : new Context(attempt, null);
}

module.exports = { db, bucket, log, context, WakefulError };
