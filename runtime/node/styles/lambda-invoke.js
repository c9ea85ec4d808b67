'use strict';
// What callers of Lambda's own API may ask for beyond the payload: a client context, and the
// answer of a streaming handler as it is written.

const { Writable } = require('node:stream');
const limits = require('../limits');

/** Nothing asked for. */
const PLAIN = { clientContext: undefined, streams: false };

/** What an event asks for; see docs/worker-protocol.md, "Invocations through Lambda's API". */
function askedOf(event) {
  if (event.type !== 'wakeful.function.invoke') return PLAIN;
  const { lambdacontext: context, lambdastream: streams } = event;
  return { clientContext: typeof context === 'string' ? JSON.parse(context) : undefined, streams: streams === true };
}

/** The stream of a handler whose caller takes the answer in pieces, byte by byte as written. */
class PayloadStream extends Writable {
  constructor(attempt) {
    super({ highWaterMark: limits.MAX_DATA });
    this.attempt = attempt;
    this.opened = false;
    this.prelude = null;
  }

  setContentType() {}

  /** The head of an HTTP answer, which goes before the body as Lambda sends it: JSON and eight NULs. */
  setPrelude(head) {
    this.prelude = Buffer.concat([Buffer.from(JSON.stringify(head)), Buffer.alloc(8)]);
  }

  open() {
    if (this.opened) return;
    this.opened = true;
    this.attempt.respondOpen(0, '');
  }

  _write(chunk, _, callback) {
    const { attempt, prelude } = this;
    if (attempt.ended) {
      callback();
      return;
    }
    this.open();
    this.prelude = null;
    if (attempt.ended) callback();
    else attempt.outbound.send(prelude === null ? chunk : Buffer.concat([prelude, chunk]), callback);
  }

  _final(callback) {
    const { attempt } = this;
    const end = () => {
      if (!attempt.ended) attempt.endBody();
    };
    if (attempt.ended) {
      callback();
      return;
    }
    this.open();
    if (this.prelude === null || attempt.ended) {
      end();
      callback();
      return;
    }
    attempt.outbound.send(this.prelude, (error) => {
      if (!error) end();
      callback(error);
    });
  }

  _destroy(error, callback) {
    const { attempt } = this;
    if (attempt.cancelled !== null) attempt.abandon(attempt.cancelled);
    else if (!attempt.ended) attempt.fail('user_error', error ?? new Error('the answer was destroyed before its end'));
    // Without a listener an error would end the process; the attempt carries it already.
    callback(this.listenerCount('error') > 0 ? error : null);
  }

  /** The attempt was cancelled, or ended otherwise than by its answer. */
  _onCancel() {
    if (!this.destroyed) this.destroy();
  }
}

module.exports = { PLAIN, PayloadStream, askedOf };
