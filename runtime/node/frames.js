'use strict';
// The numbers of docs/worker-protocol.md.

module.exports = {
  PROTOCOL: '1',

  LOAD: 0x01,
  INVOKE: 0x02,
  DATA: 0x03,
  END: 0x04,
  CREDIT: 0x05,
  CANCEL: 0x06,
  REPLY: 0x07,
  PING: 0x08,
  RETIRE: 0x09,

  READY: 0x81,
  LOADED: 0x82,
  RESPONSE: 0x83,
  FAIL: 0x84,
  LOG: 0x85,
  CALL: 0x86,
  PONG: 0x88,

  /** Flags of frames that open a direction. */
  FLAG_END: 1,
  FLAG_ERROR: 2,

  /** Reasons of CANCEL. */
  CANCEL_TIMEOUT: 0,
  CANCEL_CALLER_GONE: 1,
  CANCEL_SHUTDOWN: 2,

  /** Streams with this bit are calls to the server, picked by the worker. */
  CALL_BIT: 0x80000000,

  /** What INVOKE asks for. */
  HTTP: 0,
  EVENT: 1,
  BATCH: 2,
};
