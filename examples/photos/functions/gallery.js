'use strict';
// Native style over HTTP: (req, res), in the manner of Express. wakeful.toml says which route
// calls which export.

const { pipeline } = require('node:stream/promises');
const { bucket } = require('wakeful');
const { page } = require('./lib/page');
const { typeOf } = require('./lib/types');

/** GET /photos: a page for browsers, JSON for everybody else. */
exports.list = async (req, res) => {
  const thumbnails = new Set();
  for await (const { key } of bucket.thumbnails.list()) thumbnails.add(key);

  const photos = [];
  for await (const { key, size, modified } of bucket.photos.list()) {
    const name = encodeURIComponent(key);
    const thumbnail = thumbnails.has(key) ? `/thumbnails/${name}` : null;
    photos.push({ name: key, size, modified, url: `/photos/${name}`, thumbnail });
  }

  res.set('vary', 'accept');
  if ((req.get('accept') ?? '').includes('text/html')) res.send(page(photos));
  else res.json({ photos });
};

/** GET /photos/{name} */
exports.photo = (req, res) => stream(bucket.photos, req, res);

/** GET /thumbnails/{name} */
exports.thumbnail = (req, res) => stream(bucket.thumbnails, req, res);

/** PUT /photos/{name}: the body goes into the bucket as it comes, whatever its size. */
exports.upload = async (req, res) => {
  const { name } = req.params;
  const contentType = typeOf(name);
  if (!contentType) {
    res.status(415).json({ error: 'the name must end in .jpg, .jpeg or .png' });
    return;
  }
  await bucket.photos.put(name, req, { contentType });
  res.status(201).set('location', `/photos/${encodeURIComponent(name)}`).json({ name });
};

/** Answers with an object of a bucket, piece by piece, or with 404. */
async function stream(from, req, res) {
  const { name } = req.params;
  const object = await from.get(name);
  if (!object) {
    res.status(404).json({ error: `there is no ${name}` });
    return;
  }
  res.set('content-type', object.contentType ?? typeOf(name) ?? 'application/octet-stream');
  res.set('content-length', String(object.size));
  // What people upload is shown as what it says it is, and never run as a page.
  res.set('x-content-type-options', 'nosniff');
  await pipeline(object.body, res);
}
