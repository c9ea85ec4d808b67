'use strict';
// `awslambda.streamifyResponse`: handlers `(event, responseStream, context)` that write their
// answer piece by piece.

const { Writable, finished } = require('node:stream');
const { setHead } = require('./lambda-http');

/** The marks that Lambda itself sets, and that libraries set by hand. */
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

/** The global that Lambda gives to user code. */
function defineStreaming() {
  if (globalThis.awslambda !== undefined) return;
  globalThis.awslambda = {
    streamifyResponse(fn, options) {
      if (typeof fn !== 'function') throw new TypeError('streamifyResponse() takes a function (event, responseStream, context)');
      fn[STREAMING] = 'response';
      if (typeof options?.highWaterMark === 'number') fn[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
      return fn;
    },
    HttpResponseStream: {
      /** Sets status, headers and cookies of the answer; must come before the first write. */
      from(stream, head) {
        if (typeof stream.setHeader === 'function') setHead(stream, head ?? {});
        else if (typeof stream.setPrelude === 'function') stream.setPrelude(head ?? {});
        return stream;
      },
    },
  };
}

function isStreaming(fn) {
  return Boolean(fn[STREAMING]);
}

/** The stream of an attempt without a caller to stream to: `result()` is what it took. */
function collectStream() {
  const chunks = [];
  const stream = new Writable({
    write(chunk, _, callback) {
      chunks.push(chunk);
      callback();
    },
  });
  stream.setContentType = () => {};
  stream.result = () => asJson(Buffer.concat(chunks).toString());
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

/** Resolves when all of a stream is handed over; rejects when it breaks off. */
function whole(stream) {
  return new Promise((resolve, reject) => {
    finished(stream, { readable: false }, (error) => (error ? reject(error) : resolve()));
  });
}

module.exports = { defineStreaming, isStreaming, collectStream, whole };
