'use strict';
// `context.once(name, work)`: effects that are gathered while `work` runs, and applied with the
// success of the attempt, or not at all. With a database, `work` also commits a transaction there,
// which remembers the effects: a later attempt does not run it again.

const { AsyncLocalStorage } = require('node:async_hooks');
const { describe } = require('./bodies');
const limits = require('./limits');
const { invocation, outgoing } = require('./messages');
const { Queries } = require('./module-db');
const { checkKey, uploadParams } = require('./module-bucket');
const { byName } = require('./module-names');
const { toJson } = require('./payload');

const OPTIONS = ['db', 'event'];
/** The Gathering of the `once` in whose callback code runs. */
const inside = new AsyncLocalStorage();

/** What the callback gets. Each effect is asked for at once; whoever forgets to await it loses nothing. */
class Gathering {
  constructor(attempt, head, database) {
    Object.defineProperty(this, '_attempt', { value: attempt });
    Object.defineProperty(this, '_once', { value: head.id });
    Object.defineProperty(this, '_asked', { value: new Set() });
    Object.defineProperty(this, '_failure', { value: null, writable: true });
    Object.defineProperty(this, '_closed', { value: false, writable: true });
    Object.defineProperty(this, '_queries', { value: database === undefined ? null : new Queries(database, head.tx) });
    this.bucket = byName('bucket', (name) => new GatheringBucket(this, name));
  }

  /** The transaction, when `once` was given a database. */
  get db() {
    if (this._queries === null) throw new TypeError("this once() has no database: name it, as in once('name', { db: 'shop' }, work)");
    return this._queries;
  }

  async publish(first, second, third) {
    const out = outgoing(first, second, third);
    if (out.messages.length > 0) await this._ask('once.publish', out.params, out.body);
  }

  async invoke(name, payload, options = {}) {
    const { params, body } = invocation(name, payload, options, []);
    await this._ask('once.invoke', params, body);
  }

  /** Asks the server. What it refuses fails the whole of it, awaited or not. */
  _ask(op, params, body = null) {
    if (this._closed) throw new Error('this once() is over: ask for its effects inside of the callback');
    const asked = this._attempt.worker.host.call(op, { once: this._once, ...params }, body, this._attempt);
    const done = asked.then(
      () => {},
      (error) => {
        this._failure ??= error;
      },
    );
    this._asked.add(done);
    return asked;
  }

  /** No more effects. */
  close() {
    this._closed = true;
    if (this._queries !== null) this._queries._closed = true;
  }

  /** Resolves when all effects that were asked for are gathered. */
  async gathered() {
    await Promise.all(this._asked);
    if (this._failure !== null) throw this._failure;
  }
}

class GatheringBucket {
  constructor(gathering, name) {
    this.name = name;
    Object.defineProperty(this, '_gathering', { value: gathering });
  }

  /** Stores the bytes; they become the object with the success of the attempt. */
  async put(key, body, options = {}) {
    if (this._gathering._queries !== null) {
      throw new TypeError('a once() with a database keeps no bytes of objects: put the object before it, under a key that stays the same');
    }
    const { params, upload } = uploadParams(key, body, options);
    const { head } = await this._gathering._ask('once.put', { bucket: this.name, ...params }, upload);
    return { key, etag: head.etag, size: head.size };
  }

  async remove(key) {
    await this._gathering._ask('once.remove', { bucket: this.name, key: checkKey(key) });
  }
}

function readArguments(name, options, work) {
  if (typeof name !== 'string' || name === '' || name.length > limits.MAX_ONCE_NAME) {
    throw new TypeError(`once() takes a name of 1 to ${limits.MAX_ONCE_NAME} characters, not ${typeof name === 'string' ? `one of ${name.length}` : describe(name)}`);
  }
  const [given, callback] = typeof options === 'function' && work === undefined ? [{}, options] : [options, work];
  if (typeof callback !== 'function') throw new TypeError("once() takes a function: once('name', async (tx) => …)");
  if (given === null || typeof given !== 'object') throw new TypeError(`the options of once() must be an object, not ${describe(given)}`);
  const unknown = Object.keys(given).find((one) => !OPTIONS.includes(one));
  if (unknown !== undefined) throw new TypeError(`once() has no option \`${unknown}\`: there are ${OPTIONS.join(', ')}`);
  const { db: database, event } = given;
  if (database !== undefined && (typeof database !== 'string' || database === '')) throw new TypeError('`db` of once() must be the name of a database');
  return { database, event, callback };
}

/** The delivery it is for, where the attempt has several. */
function runOf(attempt, event) {
  if (attempt.batch === null) return undefined;
  if (event === undefined) throw new TypeError("in a batch once() is for one of its events: once('name', { event }, work)");
  return attempt.batch.entryOf(event).runId;
}

/**
 * Runs `work`, unless an earlier attempt has; resolves with its result as JSON has it. Called again
 * with the same name it gives the same result.
 */
async function once(attempt, name, options, work) {
  const { database, event, callback } = readArguments(name, options, work);
  if (attempt.ended) throw new Error('the attempt is over: nothing can apply with its success any more');
  const around = inside.getStore();
  if (around !== undefined && around._attempt === attempt && !around._closed) throw new Error('once() cannot stand inside of another one: they succeed one by one');
  const run = runOf(attempt, event);
  const known = `${run ?? ''}/${name}`;
  attempt.onces ??= new Map();
  const earlier = attempt.onces.get(known);
  if (earlier !== undefined) return earlier;
  const result = perform(attempt, { name, run, database }, callback);
  attempt.onces.set(known, result);
  // What failed may be tried again.
  result.catch(() => attempt.onces?.delete(known));
  return result;
}

async function perform(attempt, params, callback) {
  const { host } = attempt.worker;
  const { head } = await host.call('once.begin', params, null, attempt);
  if (head.done) return head.result;
  const gathering = new Gathering(attempt, head, params.database);
  let result;
  try {
    const value = await inside.run(gathering, callback, gathering);
    gathering.close();
    await gathering.gathered();
    result = resultOf(params.name, value);
  } catch (error) {
    gathering.close();
    // The cause matters more than an abort that failed; the server aborts with the attempt's end.
    await host.call('once.abort', { once: head.id }, null, attempt).catch(() => {});
    throw error;
  }
  await host.call('once.commit', { once: head.id, result }, null, attempt);
  return result;
}

/** As a later attempt would get it back. */
function resultOf(name, value) {
  if (value === undefined) return undefined;
  const text = toJson(value, `the result of once('${name}')`);
  if (Buffer.byteLength(text) > limits.MAX_ONCE_RESULT) {
    throw new RangeError(`the result of once('${name}') is larger than ${limits.MAX_ONCE_RESULT} bytes: return a key to it`);
  }
  return JSON.parse(text);
}

module.exports = { once };
