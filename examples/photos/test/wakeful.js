'use strict';
// A stand-in for the `wakeful` module, so that functions can be tested without a server: buckets
// in memory, the database `shop` as a SQLite database in memory (Node 22.13 or later), no log.

const Module = require('node:module');
const { Readable } = require('node:stream');
const { buffer } = require('node:stream/consumers');
const { DatabaseSync } = require('node:sqlite');

class Bucket {
  constructor() {
    this.objects = new Map();
  }

  async put(key, body, { contentType } = {}) {
    this.objects.set(key, { body: Buffer.isBuffer(body) ? body : await buffer(body), contentType });
  }

  async get(key) {
    const object = this.objects.get(key);
    if (!object) return null;
    return { body: Readable.from([object.body]), size: object.body.length, contentType: object.contentType };
  }

  async *list() {
    for (const [key, { body }] of this.objects) yield { key, size: body.length, modified: '2026-01-01T00:00:00.000Z' };
  }
}

class Database {
  constructor() {
    this.sqlite = new DatabaseSync(':memory:');
  }

  async query(sql, params = []) {
    return this.sqlite.prepare(sql).all(...params);
  }

  async run(sql, params = []) {
    return this.sqlite.prepare(sql).run(...params);
  }
}

const wakeful = {
  bucket: { photos: new Bucket(), thumbnails: new Bucket() },
  db: { shop: new Database() },
  log: { info() {} },
};

const load = Module._load;
Module._load = (name, ...rest) => (name === 'wakeful' ? wakeful : load(name, ...rest));

module.exports = wakeful;
