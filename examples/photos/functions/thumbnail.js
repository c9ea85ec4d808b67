'use strict';
// Lambda style, as AWS documents it: works on AWS Lambda the same way, but for the row.

const { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, S3Client } = require('@aws-sdk/client-s3');
const sharp = require('sharp');
const photos = require('./lib/photos');

const s3 = new S3Client();
const THUMBNAILS = 'thumbnails';
const SIZE = Number(process.env.SIZE ?? 200);

/** A photo was added or overwritten: makes its thumbnail and its row. */
exports.handler = async (event) => {
  for (const record of event.Records) {
    const { bucket, object } = record.s3;
    const key = keyOf(object);
    const original = await s3.send(new GetObjectCommand({ Bucket: bucket.name, Key: key }));
    const bytes = await original.Body.transformToByteArray();

    // An error here (this is no image, say) is tried again, and ends as a dead letter.
    const image = sharp(bytes);
    const { width, height } = (await image.metadata()).autoOrient;
    const thumbnail = await image.autoOrient().resize({ width: SIZE, height: SIZE, fit: 'inside' }).toBuffer();

    await s3.send(new PutObjectCommand({
      Bucket: THUMBNAILS,
      Key: key,
      Body: thumbnail,
      ContentType: original.ContentType,
    }));
    await photos.save({ name: key, width, height, bytes: bytes.length, thumbnailBytes: thumbnail.length });
    console.log(`${key}: ${width}×${height}, ${bytes.length} bytes; thumbnail ${thumbnail.length} bytes`);
  }
};

/** A photo was removed: so are its thumbnail and its row. */
exports.removed = async (event) => {
  for (const record of event.Records) {
    const key = keyOf(record.s3.object);
    await s3.send(new DeleteObjectCommand({ Bucket: THUMBNAILS, Key: key }));
    await photos.forget(key);
    console.log(`${key}: removed`);
  }
};

/** Keys come URL-encoded in S3 events, with + for a space. */
function keyOf(object) {
  return decodeURIComponent(object.key.replace(/\+/g, ' '));
}
