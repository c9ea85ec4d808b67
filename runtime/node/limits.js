'use strict';
// Every number that bounds something in a worker, with its unit and its reason.

const KIB = 1024;
const MIB = 1024 * KIB;

module.exports = {
  /** Bytes after the length field; the protocol's own bound. */
  MAX_FRAME: 16 * MIB + 64 * KIB,
  /** Bytes of body each side may send on a stream before the first CREDIT (protocol). */
  FIRST_CREDIT: 256 * KIB,
  /** A reader's bytes are granted back in steps of this size, so that CREDIT frames are few. */
  CREDIT_STEP: 64 * KIB,
  /** Bytes of one DATA frame: large bodies of several streams take turns in such pieces. */
  MAX_DATA: 64 * KIB,
  /** A whole body up to this many bytes goes out in the opening frame. */
  MAX_OPENING: MIB,
  /** Bytes of the parameters of a call to the server; its frame holds them whole. */
  MAX_PARAMS: 8 * MIB,
  /** Bodies above this are written by reference, below they are copied into the outgoing buffer. */
  COPY_BELOW: 32 * KIB,
  /** Bytes read from the socket at once. */
  READ_BUFFER: 256 * KIB,
  /** Bytes of one outgoing buffer; two are kept. */
  WRITE_BUFFER: 128 * KIB,
  /** Streamed bodies wait while more than this many bytes wait for the socket. */
  CONGESTED: 2 * MIB,
  /** Log lines are dropped, and counted, while more than this many bytes wait for the socket. */
  LOG_BACKLOG: 8 * MIB,
  /** Characters of one log line; the rest is cut, and said so. */
  MAX_LOG_TEXT: 64 * KIB,
  /** Characters of an error's message, and of its stack. */
  MAX_ERROR_MESSAGE: 8 * KIB,
  MAX_ERROR_STACK: 32 * KIB,
  /** Bytes of a body collected for a handler that wants it whole, unless LOAD says otherwise, and
   * of an event's result; AWS Lambda has the same. */
  BODY: 6 * MIB,
  /** Events in one `publish`; the server has the same bound. */
  MAX_EVENTS: 1000,
  /** Milliseconds for which an event may be held back; the server has the same bound. */
  MAX_DELAY: 30 * 24 * 3600 * 1000,
  /** Characters of the name of what happens once. */
  MAX_ONCE_NAME: 128,
  /** Bytes of what its callback returns: it may be kept in a row of the user's database. */
  MAX_ONCE_RESULT: 256 * KIB,
  /** Objects in each other that are looked through for what JSON cannot hold; JSON.stringify itself
   * ends at some thousand. */
  MAX_JSON_DEPTH: 1000,
  /** Milliseconds between two looks for attempts that nothing can finish any more. */
  QUIET_CHECK: 500,
  /** That many looks in a row must find nothing left to do before an attempt is given up. */
  QUIET_CHECKS: 3,
  /** Milliseconds that a process about to exit spends on handing over its last frames. */
  LAST_WORDS: 1000,
  /** Frames of a stack while code loads: the loader's own take most of the usual ten. */
  LOAD_STACK: 50,
  /** Files looked at to find the place of a syntax error in an ES module. */
  SYNTAX_CHECKS: 20,
  /** Milliseconds after loading until the compile cache is written to disk. */
  CACHE_FLUSH_DELAY: 1000,
};
