'use strict';
// A Response of the fetch standard as an answer. Does not touch the global `Response`, which
// would load Node's whole fetch for handlers that never use it.

const { toBuffer } = require('../bodies');
const { HeaderList, statusCode } = require('../headers');
const { EMPTY } = require('../link');
const limits = require('../limits');

/** What fetch() decodes by itself. */
const DECODED = new Set(['gzip', 'x-gzip', 'deflate', 'br']);
if (Number.parseInt(process.versions.node, 10) >= 24) DECODED.add('zstd');

function isDecoded(encoding) {
  return encoding !== undefined && encoding.split(',').every((coding) => DECODED.has(coding.trim().toLowerCase()));
}

function isWebResponse(value) {
  return (
    value !== null &&
    typeof value === 'object' &&
    typeof value.status === 'number' &&
    typeof value.arrayBuffer === 'function' &&
    value.headers !== null &&
    typeof value.headers === 'object' &&
    typeof value.headers.entries === 'function'
  );
}

function blockOf(response, extra) {
  const list = new HeaderList();
  if (extra !== null) for (let i = 0; i < extra.pairs.length; i += 2) list.put(extra.pairs[i], extra.pairs[i + 1]);
  for (const [name, value] of response.headers) {
    if (name === 'set-cookie') list.append(name, value);
    else list.set(name, value);
  }
  // The body of a fetched answer is decoded; its headers still say what it was on the wire.
  if (response.url && response.body !== null && isDecoded(list.get('content-encoding'))) {
    list.remove('content-encoding');
    list.remove('content-length');
  }
  return list;
}

/**
 * Sends the answer and resolves when all of it is handed over. `extra` are headers that were set
 * on `res` before; those of the response win.
 */
async function sendWebResponse(attempt, response, withoutBody, extra = null) {
  const status = statusCode(response.status);
  const headers = blockOf(response, extra);
  if (response.body === null || withoutBody || status === 204 || status === 304) {
    if (response.body !== null) response.body.cancel().catch(() => {});
    attempt.respondText(status, headers.block(), '');
    return;
  }
  const reader = response.body.getReader();
  cancelWith(attempt, reader);
  try {
    await sendBody(attempt, reader, status, headers);
  } catch (error) {
    reader.cancel(error).catch(() => {});
    throw error;
  }
}

/** A read that waits must not outlast its caller. */
function cancelWith(attempt, reader) {
  const before = attempt.answer;
  attempt.answer = {
    _onCancel() {
      reader.cancel(attempt.cancelled).catch(() => {});
      if (before !== null) before._onCancel();
    },
  };
}

async function sendBody(attempt, reader, status, headers) {
  const read = async () => {
    const part = await reader.read();
    // A cancelled reader says that the body is whole.
    if (attempt.cancelled !== null) throw attempt.cancelled;
    return part;
  };
  const first = await read();
  const next = first.done ? first : await soon(read());
  if (attempt.ended) return;
  if (next.done) {
    await sendPiece(attempt, status, headers, first.done ? EMPTY : toBuffer(first.value));
    return;
  }
  const out = attempt.respondOpen(status, headers.block());
  await write(out, first.value);
  for (let part = await next.later; !part.done; part = await read()) await write(out, part.value);
  attempt.endBody();
}

/** A body that came in one piece. */
async function sendPiece(attempt, status, headers, bytes) {
  headers.remove('content-length');
  if (bytes.length <= limits.MAX_OPENING) {
    attempt.respondBytes(status, headers.block(), bytes);
    return;
  }
  headers.put('content-length', String(bytes.length));
  await write(attempt.respondOpen(status, headers.block()), bytes);
  attempt.endBody();
}

/**
 * What a read gives when it gives it at once; else `{done: false, later}`. Tells a body that is
 * whole with its first piece from one that goes on, without keeping the first piece waiting.
 */
async function soon(read) {
  let result = null;
  read.then(
    (value) => {
      result = value;
    },
    () => {},
  );
  await new Promise((resolve) => setImmediate(resolve));
  return result !== null && result.done ? result : { done: false, later: read };
}

function write(out, piece) {
  return new Promise((resolve, reject) => {
    out.send(toBuffer(piece), (error) => (error ? reject(error) : resolve()));
  });
}

module.exports = { sendWebResponse, isWebResponse };
