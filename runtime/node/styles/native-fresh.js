'use strict';
// Whether a caller has an answer already: entity tags, dates, and ranges (RFC 9110, sections 13
// and 14), as Express and its packages etag, fresh and range-parser decide it.

const crypto = require('node:crypto');

const NO_CACHE = /(?:^|,)\s*?no-cache\s*?(?:,|$)/;

function sha1(body) {
  if (typeof crypto.hash === 'function') return crypto.hash('sha1', body, 'base64');
  return crypto.createHash('sha1').update(body).digest('base64');
}

/** The weak tag of a body: a string or bytes. */
function entityTag(body) {
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length;
  return `W/"${length.toString(16)}-${sha1(body).slice(0, 27)}"`;
}

/** The weak tag of a file. */
function fileTag({ size, mtime }) {
  return `W/"${size.toString(16)}-${mtime.getTime().toString(16)}"`;
}

const tagsOf = (header) => header.split(',').map((tag) => tag.trim());
const opaque = (tag) => tag.replace(/^W\//, '');

/** Whether what the caller has, by its headers, is what an answer with these headers would bring. */
function isFresh(request, answer) {
  const since = request['if-modified-since'];
  const tags = request['if-none-match'];
  if (since === undefined && tags === undefined) return false;
  if (NO_CACHE.test(request['cache-control'] ?? '')) return false;
  if (tags !== undefined) {
    if (tags === '*') return true;
    return answer.etag !== undefined && tagsOf(tags).some((tag) => opaque(tag) === opaque(answer.etag));
  }
  return isNotAfter(answer['last-modified'], since);
}

/** Whether one date of HTTP is not after another; false when either is none. */
function isNotAfter(first, second) {
  return Date.parse(first) <= Date.parse(second);
}

/** Whether the conditions for doing anything at all do not hold (If-Match, If-Unmodified-Since). */
function failsPrecondition(request, answer) {
  const match = request['if-match'];
  if (match !== undefined) {
    return match !== '*' && (answer.etag === undefined || !tagsOf(match).some((tag) => opaque(tag) === opaque(answer.etag)));
  }
  const since = request['if-unmodified-since'];
  return since !== undefined && !Number.isNaN(Date.parse(since)) && !isNotAfter(answer['last-modified'], since);
}

/**
 * The ranges of a header, [{start, end}] with its unit as `type`; -1 when none can be satisfied,
 * -2 when it is malformed.
 */
function parseRange(size, header, { combine = false } = {}) {
  const at = header.indexOf('=');
  if (at < 0) return -2;
  const ranges = [];
  for (const [index, part] of header.slice(at + 1).split(',').entries()) {
    const [, first, last] = /^\s*(\d*)\s*-\s*(\d*)\s*$/.exec(part) ?? [undefined, '', ''];
    if (first === '' && last === '') return -2;
    const start = first === '' ? size - Number(last) : Number(first);
    const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
    if (start > end || start < 0) continue;
    ranges.push({ start, end, index });
  }
  if (ranges.length === 0) return -1;
  const result = (combine ? combined(ranges) : ranges).map(({ start, end }) => ({ start, end }));
  result.type = header.slice(0, at);
  return result;
}

/** Ranges that touch or overlap as one, in the order in which they were asked for. */
function combined(ranges) {
  const sorted = ranges.map((range) => ({ ...range })).sort((a, b) => a.start - b.start);
  const joined = [sorted[0]];
  for (const range of sorted.slice(1)) {
    const current = joined.at(-1);
    if (range.start > current.end + 1) {
      joined.push(range);
      continue;
    }
    current.end = Math.max(current.end, range.end);
    current.index = Math.min(current.index, range.index);
  }
  return joined.sort((a, b) => a.index - b.index);
}

module.exports = { entityTag, fileTag, isFresh, failsPrecondition, isNotAfter, parseRange };
