'use strict';
const { journaled } = require('./journal');

// Two effects that apply once: a row that is not idempotent by itself, and an event.
module.exports = (event, context) =>
  journaled('notary', event.data.key, '-', () =>
    context.once('seal', { db: 'ledger' }, async (tx) => {
      await tx.db.run('insert into seals (key) values (?)', [event.data.key]);
      await tx.publish('once', { key: event.data.key });
    }),
  );
