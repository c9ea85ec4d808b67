'use strict';
const { db } = require('wakeful');
const { journaled } = require('./journal');

module.exports = async (req, res) => {
  await journaled('later', req.body.key, '-', () =>
    db.ledger.run('insert into effects (name, key, times) values (?, ?, 1) on conflict do nothing', ['later', req.body.key]),
  );
  res.status(204).end();
};
