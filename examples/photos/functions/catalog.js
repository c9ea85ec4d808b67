'use strict';
// Native style: (event, context). Keeps `catalog.json` in the bucket `thumbnails` up to date.

const { bucket, db, log } = require('wakeful');

/**
 * A row of `photos` was inserted, updated or deleted. The event says which, but what is written
 * comes from the table as it is now: so a late or repeated event never makes the catalog wrong.
 */
module.exports = async (event) => {
  const photos = await db.shop.query(
    'select name, width, height, bytes, thumbnail_bytes, updated_at from photos order by name',
  );
  const catalog = JSON.stringify({ count: photos.length, photos }, null, 2);
  await bucket.thumbnails.put('catalog.json', Buffer.from(catalog), { contentType: 'application/json' });
  log.info('catalog.json written', { photos: photos.length, because: event.type });
};
