'use strict';
// `res.sendFile` and `res.download`: files with conditions and ranges, as the package send serves
// them for Express.

const fs = require('node:fs');
const path = require('node:path');
const { pipeline } = require('node:stream');
const { RequestError } = require('../request');
const { parseDuration } = require('../durations');
const { fileTag, failsPrecondition, isFresh, isNotAfter, parseRange } = require('./native-fresh');
const { mediaType } = require('./mime');

const MAX_AGE = 365 * 24 * 3600 * 1000;
const DESCRIBES_BODY = ['content-encoding', 'content-language', 'content-length', 'content-range', 'content-type'];

function sendFile(res, file, options, callback) {
  serve(res, file, options).then(
    () => callback?.(),
    (error) => {
      if (callback !== undefined) callback(error);
      else fail(res, error);
    },
  );
}

function fail(res, error) {
  if (res.headersSent || res._attempt.ended) res.destroy(error);
  else if (error instanceof RequestError) res.status(error.status).json({ error: error.message });
  else res._attempt.fail('user_error', error);
}

function refusal(status, message) {
  const error = new RequestError(status, 'FileError', message);
  if (status === 404) error.code = 'ENOENT';
  return error;
}

/** The file that is meant; one outside of `root`, or a hidden one, is refused. */
function resolveFile(file, { root, dotfiles = 'ignore' }) {
  if (file.includes('\0')) throw refusal(400, 'Bad Request');
  const parts = file.split(/[/\\]/);
  if (root !== undefined && parts.includes('..')) throw refusal(403, 'Forbidden');
  const shown = root === undefined ? [] : parts;
  if (shown.some((part) => part.length > 1 && part.startsWith('.')) && dotfiles !== 'allow') {
    throw dotfiles === 'deny' ? refusal(403, 'Forbidden') : refusal(404, 'Not Found');
  }
  return root === undefined ? path.resolve(file) : path.join(path.resolve(root), file);
}

async function statOf(file) {
  let stat;
  try {
    stat = await fs.promises.stat(file);
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(cause.code)) throw refusal(404, 'Not Found');
    throw cause;
  }
  if (!stat.isFile()) throw refusal(404, 'Not Found');
  return stat;
}

async function serve(res, file, options) {
  const full = resolveFile(file, options);
  const stat = await statOf(full);
  if (res.headersSent || res._attempt.ended) return;
  describeFile(res, full, stat, options);
  const { headers } = res.req;
  const answer = { etag: res.get('etag'), 'last-modified': res.get('last-modified') };
  if (isConditional(headers)) {
    if (failsPrecondition(headers, answer)) throw refusal(412, 'Precondition Failed');
    if (isFresh(headers, answer)) {
      for (const name of DESCRIBES_BODY) res.removeHeader(name);
      res.statusCode = 304;
      res.end();
      return;
    }
  }
  const range = rangeOf(res, stat.size, answer, options);
  res.setHeader('content-length', range.end - range.start + 1);
  await sendPart(res, full, range);
}

function isConditional(headers) {
  return ['if-match', 'if-unmodified-since', 'if-none-match', 'if-modified-since'].some((name) => headers[name] !== undefined);
}

function describeFile(res, file, stat, options) {
  const { acceptRanges = true, cacheControl = true, lastModified = true, etag = true, immutable = false, headers = {} } = options;
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  const unset = (name) => !res.hasHeader(name);
  if (acceptRanges && unset('accept-ranges')) res.setHeader('accept-ranges', 'bytes');
  if (cacheControl && unset('cache-control')) {
    const seconds = Math.floor(Math.min(Math.max(0, milliseconds(options.maxAge)), MAX_AGE) / 1000);
    res.setHeader('cache-control', `public, max-age=${seconds}${immutable ? ', immutable' : ''}`);
  }
  if (lastModified && unset('last-modified')) res.setHeader('last-modified', stat.mtime.toUTCString());
  if (etag && unset('etag')) res.setHeader('etag', fileTag(stat));
  if (unset('content-type')) res.setHeader('content-type', mediaType(path.basename(file)));
}

function milliseconds(maxAge = 0) {
  const ms = typeof maxAge === 'string' ? parseDuration(maxAge) : Number(maxAge);
  return Number.isFinite(ms) ? ms : 0;
}

/** What of the file is sent: the range that was asked for, if it is a single one; else all. */
function rangeOf(res, size, answer, { acceptRanges = true }) {
  const whole = { start: 0, end: size - 1 };
  const header = res.req.headers.range;
  if (!acceptRanges || header === undefined || !/^ *bytes=/.test(header) || !holdsIfRange(res.req.headers['if-range'], answer)) return whole;
  const ranges = parseRange(size, header, { combine: true });
  if (ranges === -1) {
    for (const name of DESCRIBES_BODY) res.removeHeader(name);
    res.setHeader('content-range', `bytes */${size}`);
    throw refusal(416, 'Range Not Satisfiable');
  }
  if (ranges === -2 || ranges.length !== 1) return whole;
  res.statusCode = 206;
  res.setHeader('content-range', `bytes ${ranges[0].start}-${ranges[0].end}/${size}`);
  return ranges[0];
}

/** Whether the part still belongs to what the caller has. */
function holdsIfRange(header, answer) {
  if (header === undefined) return true;
  if (header.includes('"')) return answer.etag !== undefined && header.includes(answer.etag);
  return isNotAfter(answer['last-modified'], header);
}

function sendPart(res, file, { start, end }) {
  if (end < start || res.req.method === 'HEAD') {
    res.end();
    return Promise.resolve();
  }
  return new Promise((resolve, reject) => {
    pipeline(fs.createReadStream(file, { start, end }), res, (error) => (error ? reject(error) : resolve()));
  });
}

module.exports = { sendFile };
