'use strict';

const { bucket, db } = require('./wakeful');
const assert = require('node:assert/strict');
const { readFile } = require('node:fs/promises');
const path = require('node:path');
const { Readable, Writable } = require('node:stream');
const { buffer } = require('node:stream/consumers');
const { test } = require('node:test');
const { S3Client } = require('@aws-sdk/client-s3');
const sharp = require('sharp');

// The S3 client, answered from the same buckets.
S3Client.prototype.send = async ({ constructor, input }) => {
  const objects = bucket[input.Bucket].objects;
  switch (constructor.name) {
    case 'GetObjectCommand': {
      const { body, contentType } = objects.get(input.Key);
      return { Body: { transformToByteArray: async () => body }, ContentType: contentType };
    }
    case 'PutObjectCommand':
      objects.set(input.Key, { body: input.Body, contentType: input.ContentType });
      return {};
    case 'DeleteObjectCommand':
      objects.delete(input.Key);
      return {};
    default:
      throw new Error(`unexpected ${constructor.name}`);
  }
};

const catalog = require('../functions/catalog');
const gallery = require('../functions/gallery');
const report = require('../functions/report');
const thumbnail = require('../functions/thumbnail');

const NAMES = ['Grüne Wiese.jpg', 'harbour.png', 'sunrise.jpg'];

/** An S3 event, with the key as AWS encodes it. */
function s3Event(...names) {
  const encode = (name) => encodeURIComponent(name).replace(/%20/g, '+');
  return { Records: names.map((name) => ({ s3: { bucket: { name: 'photos' }, object: { key: encode(name) } } })) };
}

/** Calls an HTTP handler and gives its answer. */
async function call(handler, { name, headers = {}, body = '' } = {}) {
  const chunks = [];
  const res = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  const answer = { status: 200, headers: {} };
  Object.assign(res, {
    status: (code) => ((answer.status = code), res),
    set: (key, value) => ((answer.headers[key] = value), res),
    json: (value) => res.end(JSON.stringify(value)),
    send: (value) => res.end(value),
  });
  const req = Object.assign(Readable.from([Buffer.from(body)]), { params: { name }, get: (key) => headers[key] });
  await handler(req, res);
  return { ...answer, body: Buffer.concat(chunks) };
}

async function readCatalog() {
  await catalog({ type: 'wakeful.database.insert', data: {} });
  return JSON.parse(bucket.thumbnails.objects.get('catalog.json').body);
}

async function put(name) {
  const file = await readFile(path.join(__dirname, '../images', name));
  await bucket.photos.put(name, file, { contentType: 'image/test' });
}

test.beforeEach(() => {
  bucket.photos.objects.clear();
  bucket.thumbnails.objects.clear();
  db.shop.sqlite.exec('drop table if exists photos');
  // The table is made once per worker; the tests make it anew.
  delete require.cache[require.resolve('../functions/lib/photos')];
  delete require.cache[require.resolve('../functions/thumbnail')];
  Object.assign(thumbnail, require('../functions/thumbnail'));
});

test('a photo gets a thumbnail and one row, however often its event comes', async () => {
  for (const name of NAMES) await put(name);
  await thumbnail.handler(s3Event(...NAMES));
  await thumbnail.handler(s3Event(NAMES[0]));

  for (const name of NAMES) {
    const object = bucket.thumbnails.objects.get(name);
    const { width, height, format } = await sharp(object.body).metadata();
    assert.deepEqual({ width, height }, { width: 200, height: 133 }, name);
    assert.equal(format, name.endsWith('png') ? 'png' : 'jpeg');
    assert.equal(object.contentType, 'image/test');
  }
  const rows = await db.shop.query('select * from photos order by name');
  assert.deepEqual(rows.map((row) => row.name), NAMES);
  assert.deepEqual([rows[0].width, rows[0].height], [640, 427]);
  assert.match(rows[0].updated_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});

test('what is no image is an error, so that it ends as a dead letter', async () => {
  await bucket.photos.put('broken.jpg', Buffer.from('no image'));
  await assert.rejects(thumbnail.handler(s3Event('broken.jpg')), /unsupported image format/);
  assert.equal(bucket.thumbnails.objects.size, 0);
});

test('a removed photo loses its thumbnail and its row', async () => {
  for (const name of NAMES) await put(name);
  await thumbnail.handler(s3Event(...NAMES));
  await thumbnail.removed(s3Event(NAMES[0]));
  assert.deepEqual([...bucket.thumbnails.objects.keys()], NAMES.slice(1));
  assert.deepEqual((await readCatalog()).photos.map((photo) => photo.name), NAMES.slice(1));
  await thumbnail.removed(s3Event(NAMES[0]));
});

test('the catalog is what the table says, whatever the event', async () => {
  await put(NAMES[0]);
  await thumbnail.handler(s3Event(NAMES[0]));
  const first = await readCatalog();
  assert.equal(first.count, 1);
  assert.deepEqual(await readCatalog(), first);
  await db.shop.run("update photos set name = 'other.png'");
  assert.equal((await readCatalog()).photos[0].name, 'other.png');
});

test('an upload can be fetched again', async () => {
  const put = await call(gallery.upload, { name: 'a b.png', body: 'bytes' });
  assert.equal(put.status, 201);
  assert.equal(put.headers.location, '/photos/a%20b.png');
  const got = await call(gallery.photo, { name: 'a b.png' });
  assert.equal(got.headers['content-type'], 'image/png');
  assert.equal(got.headers['content-length'], '5');
  assert.equal(String(got.body), 'bytes');
});

test('what is not there is 404, and what is no photo 415', async () => {
  assert.equal((await call(gallery.photo, { name: 'none.jpg' })).status, 404);
  assert.equal((await call(gallery.thumbnail, { name: 'none.jpg' })).status, 404);
  assert.equal((await call(gallery.upload, { name: 'page.html' })).status, 415);
  assert.equal((await call(gallery.upload, { name: 'x.constructor' })).status, 415);
  assert.equal(bucket.photos.objects.size, 0);
});

test('the list is JSON, or a page for browsers, in which names are only text', async () => {
  await bucket.photos.put('<b>.jpg', Buffer.from('x'));
  await bucket.thumbnails.put('<b>.jpg', Buffer.from('x'));
  const { photos } = JSON.parse((await call(gallery.list)).body);
  assert.deepEqual(photos, [{
    name: '<b>.jpg',
    size: 1,
    modified: '2026-01-01T00:00:00.000Z',
    url: '/photos/%3Cb%3E.jpg',
    thumbnail: '/thumbnails/%3Cb%3E.jpg',
  }]);
  const page = String((await call(gallery.list, { headers: { accept: 'text/html,*/*' } })).body);
  assert.ok(page.includes('&lt;b&gt;.jpg') && !page.includes('<b>'));
  assert.ok(page.includes('src="/thumbnails/%3Cb%3E.jpg"'));
});

test('the report counts what came in since the last time', async () => {
  const lines = [];
  require('./wakeful').log.info = (line) => lines.push(line);
  const tick = (lastTime, time) => report({ time, data: { lastTime } });
  await tick(null, '2026-01-01T00:01:00Z');
  await put(NAMES[0]);
  await thumbnail.handler(s3Event(NAMES[0]));
  await db.shop.run("update photos set updated_at = '2026-01-01T00:01:00.500Z'");
  await tick(null, '2026-01-01T00:02:00Z');
  await tick('2026-01-01T00:01:00Z', '2026-01-01T00:02:00Z');
  await tick('2026-01-01T00:02:00Z', '2026-01-01T00:03:00Z');
  assert.deepEqual(lines, [
    'no photos yet',
    '1 new or changed until now',
    '1 new or changed since 2026-01-01T00:01:00.000Z',
    'no new photos since 2026-01-01T00:02:00.000Z',
  ]);
});
