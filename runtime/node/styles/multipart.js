'use strict';
// Bodies of the type multipart/form-data (RFC 7578), whole in memory.

const { RequestError } = require('../request');

const BREAK = Buffer.from('\r\n');
const BLANK = Buffer.from('\r\n\r\n');

/** [{name, filename, type, data}] with undefined for what a part does not say. */
function parseMultipart(body, contentType) {
  const match = /;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(contentType);
  if (match === null) throw new RequestError(400, 'MultipartError', 'the content-type of the request names no boundary of its parts');
  const delimiter = Buffer.from(`--${match[1] ?? match[2]}`);
  const parts = [];
  let at = body.indexOf(delimiter);
  while (at >= 0) {
    const start = at + delimiter.length;
    // `--` behind the delimiter closes the last part.
    if (body[start] === 0x2d && body[start + 1] === 0x2d) return parts;
    const next = body.indexOf(Buffer.concat([BREAK, delimiter]), start);
    const headEnd = body.indexOf(BLANK, start);
    if (next < 0 || headEnd < 0 || headEnd > next) break;
    parts.push(readPart(body.toString('utf8', start, headEnd), body.subarray(headEnd + BLANK.length, next)));
    at = next + BREAK.length;
  }
  throw new RequestError(400, 'MultipartError', 'the body of the request ends before its parts do');
}

function readPart(head, data) {
  const disposition = /^content-disposition:(.*)$/im.exec(head)?.[1] ?? '';
  const parameter = (name) => {
    const found = new RegExp(`;\\s*${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s;]+))`, 'i').exec(disposition);
    return found === null ? undefined : (found[1] ?? found[2]).replace(/%22/g, '"');
  };
  return { name: parameter('name'), filename: parameter('filename'), type: /^content-type:\s*(.*?)\s*$/im.exec(head)?.[1], data };
}

module.exports = { parseMultipart };
