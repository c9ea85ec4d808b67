'use strict';
const { db } = require('wakeful');

const count = (name, key, id) =>
  db.ledger.run('insert into counted (name, key, event) values (?, ?, ?) on conflict do nothing', [name, key, id]);

exports.done = (event) => count('done', event.data.event.data.key, event.id);
exports.once = (event) => count('once', event.data.key, event.id);
