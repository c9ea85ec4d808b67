'use strict';
// The table `photos`: one row for each photo.

const { db } = require('wakeful');

const TABLE = `create table if not exists photos (
  name            text primary key,
  width           integer not null,
  height          integer not null,
  bytes           integer not null,
  thumbnail_bytes integer not null,
  updated_at      text not null
)`;

let table;

/** Makes the table when it is first needed. */
async function ready() {
  table ??= db.shop.run(TABLE);
  try {
    await table;
  } catch (error) {
    table = undefined; // The next call tries again.
    throw error;
  }
}

/** Writes the row of a photo. An event that is delivered twice leaves one row. */
async function save({ name, width, height, bytes, thumbnailBytes }) {
  await ready();
  await db.shop.run(
    `insert into photos (name, width, height, bytes, thumbnail_bytes, updated_at)
     values (?, ?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%fZ'))
     on conflict (name) do update set
       width = excluded.width,
       height = excluded.height,
       bytes = excluded.bytes,
       thumbnail_bytes = excluded.thumbnail_bytes,
       updated_at = excluded.updated_at`,
    [name, width, height, bytes, thumbnailBytes],
  );
}

/** Removes the row of a photo, if it has one. */
async function forget(name) {
  await ready();
  await db.shop.run('delete from photos where name = ?', [name]);
}

module.exports = { save, forget };
