'use strict';
// Native style, on a schedule: logs what came in since the last time.

const { db, log } = require('wakeful');

module.exports = async (event) => {
  // As the table has them, with milliseconds, so that they compare as texts.
  const until = new Date(event.time).toISOString();
  const since = event.data.lastTime ? new Date(event.data.lastTime).toISOString() : '';

  // The first photo makes the table.
  const tables = await db.shop.query("select 1 from sqlite_master where type = 'table' and name = 'photos'");
  if (tables.length === 0) {
    log.info('no photos yet');
    return;
  }
  const [{ photos, bytes }] = await db.shop.query(
    `select count(*) as photos, coalesce(sum(bytes), 0) as bytes from photos
     where updated_at > ? and updated_at <= ?`,
    [since, until],
  );
  const when = since ? `since ${since}` : 'until now';
  log.info(photos === 0 ? `no new photos ${when}` : `${photos} new or changed ${when}`, { photos, bytes });
};
