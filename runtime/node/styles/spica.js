'use strict';
// Handlers of Spica: `(req, res)`, `(change)`, or nothing, by the source. Events of sources that
// Spica has not come as to native handlers.

const { Context } = require('../context');
const { RequestError } = require('../request');
const { openBatch, parseEvent } = require('./events');
const { refuse, startEvent } = require('./native');
const { Response: NativeResponse } = require('./native-response');
const { Request, Response } = require('./spica-http');

const KINDS = { insert: 'insert', update: 'update', replace: 'replace', delete: 'delete' };
const OBJECT_KINDS = { 'wakeful.bucket.created': 'insert', 'wakeful.bucket.changed': 'update', 'wakeful.bucket.removed': 'delete' };
/** What `spica.database` of LOAD may be, the default first. */
const ROW_FORMS = ['change', 'bucket'];

function spica(fn, settings) {
  const rows = settings.spica?.database ?? ROW_FORMS[0];
  if (!ROW_FORMS.includes(rows)) throw new TypeError(`\`database\` of \`spica\` must be \`change\` or \`bucket\`, not \`${rows}\``);
  return {
    http: (attempt, call) => startHttp(fn, attempt, call),
    event: (attempt, text) => startEvent(attempt, () => fn(...argumentsOf(attempt, parseEvent(text), rows))),
    batch: (attempt, items) =>
      startEvent(attempt, () => {
        const batch = openBatch(attempt, items);
        const changes = batch.entries.map((entry) => {
          const change = changeOf(entry.event, rows) ?? entry.event;
          batch.know(change, entry);
          return change;
        });
        return fn(changes, new Context(attempt, null));
      }),
  };
}

function argumentsOf(attempt, event, rows) {
  if (String(event.type).startsWith('wakeful.schedule.')) return [];
  const change = changeOf(event, rows);
  return change === null ? [event, new Context(attempt, event.id ?? null)] : [change];
}

/** What Spica tells of a change; null for events of other sources. */
function changeOf(event, rows) {
  const type = String(event.type);
  if (type.startsWith('wakeful.database.')) return rows === 'bucket' ? bucketChange(event.data) : databaseChange(event.data);
  return Object.hasOwn(OBJECT_KINDS, type) ? objectChange(OBJECT_KINDS[type], event.data) : null;
}

/** A row as a document of a collection. */
function databaseChange({ table, operation, key, before, after }) {
  const change = { kind: KINDS[operation], collection: table, documentKey: documentKey(key) };
  if (after) change.document = after;
  if (operation === 'update') change.updateDescription = updateDescription(before ?? {}, after ?? {});
  return change;
}

function updateDescription(before, after) {
  const updatedFields = {};
  for (const [name, value] of Object.entries(after)) {
    if (JSON.stringify(value) !== JSON.stringify(before[name])) updatedFields[name] = value;
  }
  return { removedFields: Object.keys(before).filter((name) => !Object.hasOwn(after, name)), updatedFields };
}

/** A row as an entry of one of Spica's buckets. */
function bucketChange({ table, operation, key, before, after }) {
  const change = { kind: KINDS[operation], bucket: table, documentKey: documentKey(key) };
  if (before) change.previous = before;
  if (after) change.current = after;
  return change;
}

/** An object of one of our buckets. What it was before is not kept. */
function objectChange(kind, { bucket, key, ...rest }) {
  const change = { kind, bucket, documentKey: key };
  if (kind !== 'delete') change.current = { key, ...rest };
  return change;
}

/** A text, as Spica's ids are; of several columns their values as JSON. */
function documentKey(key) {
  const values = Object.values(key ?? {}).map((value) => value?.$int ?? value);
  return values.length === 1 ? String(values[0]) : JSON.stringify(values);
}

function startHttp(fn, attempt, call) {
  call.collect(attempt.worker.bodyLimit).then(
    () => callHttp(fn, attempt, call),
    (error) => failHttp(attempt, error),
  );
}

async function callHttp(fn, attempt, call) {
  try {
    const native = new NativeResponse(attempt, call.method === 'HEAD');
    attempt.answer = native;
    const req = new Request(call);
    const res = new Response(native);
    const result = await fn(req, res);
    if (result !== undefined && result !== null && !res.headersSent && !attempt.ended) await res.send(result);
    attempt.settle();
  } catch (error) {
    failHttp(attempt, error);
  }
}

function failHttp(attempt, error) {
  if (error instanceof RequestError && !attempt.responded && !attempt.ended) refuse(attempt, error);
  else attempt.fail('user_error', error);
  attempt.settle();
}

module.exports = { spica };
