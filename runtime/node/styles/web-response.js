'use strict';
// A Response of the fetch standard as an answer. Does not touch the global `Response`, which
// would load Node's whole fetch for handlers that never use it.

const { toBuffer } = require('../bodies');
const { HeaderList, statusCode } = require('../headers');

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
    if (response.body !== null) await response.body.cancel();
    attempt.respondText(status, headers.block(), '');
    return;
  }
  const reader = response.body.getReader();
  const first = await reader.read();
  const next = first.done ? first : await soon(reader.read());
  if (attempt.ended) return;
  if (next.done) {
    headers.remove('content-length');
    attempt.respondBytes(status, headers.block(), first.done ? Buffer.alloc(0) : toBuffer(first.value));
    return;
  }
  const out = attempt.respondOpen(status, headers.block());
  try {
    await write(out, first.value);
    for (let part = await next.later; !part.done; part = await reader.read()) await write(out, part.value);
    attempt.endBody();
  } catch (error) {
    reader.cancel(error).catch(() => {});
    throw error;
  }
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
