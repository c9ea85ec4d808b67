'use strict';
// `awslambda.streamifyResponse`: handlers `(event, responseStream, context)` that write their
// answer piece by piece.

const { Writable } = require('node:stream');
const { setHead } = require('./lambda-http');

const STREAMING = Symbol.for('wakeful.streamingHandler');

/** The global that Lambda gives to user code. */
function defineStreaming() {
  if (globalThis.awslambda !== undefined) return;
  globalThis.awslambda = {
    streamifyResponse(fn) {
      fn[STREAMING] = true;
      return fn;
    },
    HttpResponseStream: {
      /** Sets status, headers and cookies of the answer; must come before the first write. */
      from(stream, head) {
        if (typeof stream.setHeader === 'function') setHead(stream, head ?? {});
        return stream;
      },
    },
  };
}

/** The stream of an attempt without a caller to stream to: what it takes becomes the result. */
function collectStream(attempt, deliver) {
  const chunks = [];
  const stream = new Writable({
    write(chunk, _, callback) {
      chunks.push(chunk);
      callback();
    },
    final(callback) {
      const text = Buffer.concat(chunks).toString();
      try {
        deliver(asJson(text));
      } catch (error) {
        attempt.fail('user_error', error);
      }
      callback();
    },
  });
  stream.setContentType = () => {};
  return stream;
}

function asJson(text) {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

module.exports = { STREAMING, defineStreaming, collectStream };
