'use strict';
// console.* and the logger of the `wakeful` module, as LOG frames of the attempt they belong to.

const util = require('node:util');
const limits = require('./limits');
const { storage } = require('./attempts');
const { cut } = require('./errors');
const { LOG } = require('./frames');
const { putU32 } = require('./link');

const DEBUG = 0;
const INFO = 1;
const WARN = 2;
const ERROR = 3;
const LEVELS = { debug: DEBUG, info: INFO, warn: WARN, error: ERROR };

/** Sends log lines; those that find too much waiting for the socket are dropped and counted. */
class LogSender {
  constructor(link) {
    this.link = link;
    this.dropped = 0;
  }

  /** A line of the attempt in whose context this is called. */
  write(level, text, fields) {
    const attempt = storage.getStore();
    if (attempt === undefined) this.send(0, level, text, fields);
    else this.writeFor(attempt, level, text, fields);
  }

  writeFor(attempt, level, text, fields) {
    // The number of an ended stream may belong to another attempt by now.
    if (attempt.ended) this.send(0, level, text, { ...fields, run: attempt.runId });
    else this.send(attempt.stream, level, text, fields);
  }

  send(stream, level, text, fields) {
    if (this.link.pending > limits.LOG_BACKLOG) {
      this.dropped += 1;
      return;
    }
    if (this.dropped > 0) {
      const count = this.dropped;
      this.dropped = 0;
      this.frame(0, WARN, `${count} log lines were dropped: they came faster than they could be handed over`, '');
    }
    this.frame(stream, level, cut(text, limits.MAX_LOG_TEXT), fieldsText(fields));
  }

  frame(stream, level, text, fields) {
    const textBytes = Buffer.from(text);
    const fieldBytes = Buffer.from(fields);
    const payload = Buffer.allocUnsafe(5 + textBytes.length + fieldBytes.length);
    payload[0] = level;
    putU32(payload, 1, textBytes.length);
    textBytes.copy(payload, 5);
    fieldBytes.copy(payload, 5 + textBytes.length);
    this.link.send(LOG, stream, payload);
  }
}

/** Fields as JSON; what JSON cannot hold is shown as console.log would. */
function fieldsText(fields) {
  if (fields === undefined || fields === null) return '';
  let text;
  try {
    text = JSON.stringify(fields, (_, value) => {
      if (typeof value === 'bigint') return value.toString();
      if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack };
      return value;
    });
  } catch {
    text = undefined;
  }
  const isObject = text !== undefined && text.startsWith('{') && text.length <= limits.MAX_LOG_TEXT;
  return isObject ? text : JSON.stringify({ fields: cut(util.inspect(fields), limits.MAX_LOG_TEXT / 4) });
}

/** `log.info(message, fields)`, with fields of its own that children inherit. */
class Logger {
  constructor(sender, fields) {
    Object.defineProperty(this, '_sender', { value: sender });
    Object.defineProperty(this, '_fields', { value: fields });
  }

  child(fields) {
    return new Logger(this._sender, { ...this._fields, ...fields });
  }
}

for (const [name, level] of Object.entries(LEVELS)) {
  Logger.prototype[name] = function write(message, fields) {
    let own = fields;
    if (fields instanceof Error) own = { error: fields };
    else if (fields !== undefined && (fields === null || typeof fields !== 'object')) own = { value: fields };
    const all = this._fields === null ? own : { ...this._fields, ...own };
    this._sender.write(level, typeof message === 'string' ? message : util.inspect(message), all);
  };
}

/** Makes console.* write log lines. What Node builds on these (table, time, count, …) follows. */
function captureConsole(sender) {
  let outside = '';
  const indent = () => {
    const attempt = storage.getStore();
    return attempt === undefined ? outside : attempt.indent;
  };
  const setIndent = (value) => {
    const attempt = storage.getStore();
    if (attempt === undefined) outside = value;
    else attempt.indent = value;
  };
  const write = (level, text) => {
    const prefix = indent();
    sender.write(level, prefix === '' ? text : prefix + text.replaceAll('\n', `\n${prefix}`));
  };
  const at = (level) => (...args) => write(level, util.format(...args));
  console.log = at(INFO);
  console.info = console.log;
  console.debug = at(DEBUG);
  console.warn = at(WARN);
  console.error = at(ERROR);
  console.dirxml = console.log;
  console.dir = (value, options) => write(INFO, util.inspect(value, { customInspect: false, ...options }));
  console.assert = (condition, ...args) => {
    if (condition) return;
    if (typeof args[0] === 'string') args[0] = `Assertion failed: ${args[0]}`;
    else args.unshift('Assertion failed');
    write(WARN, util.format(...args));
  };
  console.trace = function trace(...args) {
    const here = { name: 'Trace', message: util.format(...args) };
    Error.captureStackTrace(here, trace);
    write(ERROR, here.stack);
  };
  console.group = (...args) => {
    if (args.length > 0) console.log(...args);
    setIndent(`${indent()}  `);
  };
  console.groupCollapsed = console.group;
  console.groupEnd = () => setIndent(indent().slice(2));
}

module.exports = { LogSender, Logger, captureConsole, DEBUG, INFO, WARN, ERROR };
