'use strict';
// `db` of the `wakeful` module: SQL with bound parameters on the databases of the project.

const current = require('./current');
const { describe } = require('./bodies');
const { byName } = require('./module-names');

/** A parameter as it crosses: see "Calls back to the server" in docs/worker-protocol.md. */
function encodeParam(value, where) {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (Number.isFinite(value)) return value;
      if (!Number.isNaN(value)) return { $real: String(value) };
      break;
    case 'bigint':
      return { $int: value.toString() };
    case 'object':
      if (value === null) return null;
      if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
      if (ArrayBuffer.isView(value)) {
        return { $bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') };
      }
      if (value instanceof ArrayBuffer) return { $bytes: Buffer.from(value).toString('base64') };
      break;
    default:
  }
  const what = typeof value === 'number' ? String(value) : describe(value);
  throw new TypeError(
    `the SQL parameter ${where} is ${what}: expected a string, a number, a bigint, a boolean, null, bytes or a Date` +
      (typeof value === 'object' ? ' (use JSON.stringify to store an object)' : ''),
  );
}

function encodeParams(params) {
  if (params === undefined) return [];
  if (Array.isArray(params)) return params.map((value, i) => encodeParam(value, i + 1));
  if (params === null || typeof params !== 'object' || ArrayBuffer.isView(params)) {
    throw new TypeError(`SQL parameters must be a list or an object of names, not ${describe(params)}`);
  }
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, encodeParam(value, name)]));
}

function decodeValue(value) {
  if (value === null || typeof value !== 'object') return value;
  if (typeof value.$int === 'string') return BigInt(value.$int);
  if (typeof value.$bytes === 'string') return Buffer.from(value.$bytes, 'base64');
  if (typeof value.$real === 'string') return Number(value.$real);
  return value;
}

function decodeRow(row, columns) {
  const object = {};
  for (let i = 0; i < columns.length; i++) {
    const name = columns[i];
    const value = decodeValue(Array.isArray(row) ? row[i] : row[name]);
    if (name === '__proto__') Object.defineProperty(object, name, { value, enumerable: true });
    else object[name] = value;
  }
  return object;
}

/** A database, or a transaction on it. */
class Queries {
  constructor(database, tx) {
    this.database = database;
    Object.defineProperty(this, '_tx', { value: tx });
    Object.defineProperty(this, '_closed', { value: false, writable: true });
  }

  async _ask(sql, params, script) {
    if (typeof sql !== 'string') throw new TypeError(`SQL must be a string, not ${describe(sql)}`);
    if (this._closed) throw new Error('the transaction is over: use the database itself, or do it inside of the callback');
    const request = { database: this.database, sql, params: encodeParams(params), tx: this._tx };
    if (script) request.script = true;
    const { head } = await current.worker.host.call('db.query', request);
    return head;
  }

  /** All rows, as objects. */
  async query(sql, params) {
    const { columns, rows } = await this._ask(sql, params, false);
    return rows.map((row) => decodeRow(row, columns));
  }

  /** The first row, or undefined. */
  async get(sql, params) {
    return (await this.query(sql, params))[0];
  }

  /** For statements that change something: `{changes, lastInsertRowid}`. */
  async run(sql, params) {
    const { changes, lastInsertRowid } = await this._ask(sql, params, false);
    return { changes, lastInsertRowid: decodeValue(lastInsertRowid) };
  }

  /** One or several statements without parameters, such as a schema. */
  async exec(sql) {
    await this._ask(sql, undefined, true);
  }

  /** sql`select … where id = ${id}`: rows; every value is a bound parameter. */
  sql(strings, ...values) {
    if (!Array.isArray(strings) || !Array.isArray(strings.raw)) {
      throw new TypeError('sql is for tagged templates: sql`select …`; use query(text, params) for a text');
    }
    return this.query(strings.join('?'), values);
  }
}

class Database extends Queries {
  constructor(name) {
    super(name);
    // So that `const { sql } = db.shop` works.
    Object.defineProperty(this, 'sql', { value: (strings, ...values) => Queries.prototype.sql.call(this, strings, ...values) });
  }

  /** Commits what the callback did once it has resolved; rolls back when it throws. */
  async transaction(work) {
    if (typeof work !== 'function') throw new TypeError('transaction() takes a function: transaction(async (tx) => …)');
    const { host } = current.worker;
    const { database } = this;
    const { head } = await host.call('db.begin', { database });
    const tx = new Queries(database, head.tx);
    let result;
    try {
      result = await work(tx);
    } catch (error) {
      tx._closed = true;
      // The cause matters more than a rollback that failed; the server rolls back by itself then.
      await host.call('db.rollback', { database, tx: head.tx }).catch(() => {});
      throw error;
    }
    tx._closed = true;
    await host.call('db.commit', { database, tx: head.tx });
    return result;
  }
}

const db = byName('database', (name) => new Database(name));

module.exports = { db, Queries };
