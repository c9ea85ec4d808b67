'use strict';
const { db } = require('wakeful');
const { journaled } = require('./journal');

// An effect that is idempotent by the key that is the same for every attempt.
module.exports = (event, context) =>
  journaled('clerk', event.data.key, event.data.lane ?? '-', () =>
    db.ledger.run('insert into effects (name, key, times) values (?, ?, 1) on conflict do nothing', [
      'clerk',
      `${event.data.key} ${context.idempotencyKey}`,
    ]),
  );
