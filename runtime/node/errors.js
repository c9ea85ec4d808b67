'use strict';
// What is told about an error: its name, message and stack, bounded, with paths as the user
// knows them and without our own frames.

const fs = require('node:fs');
const util = require('node:util');
const { pathToFileURL } = require('node:url');
const limits = require('./limits');

/** Causes of causes that are shown; a cause may be its own. */
const MAX_CAUSES = 5;
const FRAME = /^\s+at /;
const INSIDE = /node:(?:internal\/|async_hooks|diagnostics_channel)|data:text\/javascript/;

/** Shows the paths of one function: `root` as `shownRoot`, also when it is a link. */
class Paths {
  constructor(root, shownRoot) {
    const shown = shownRoot || root;
    let real = root;
    try {
      real = fs.realpathSync(root);
    } catch {
      // It does not exist: loading says so.
    }
    this.root = root;
    this.real = real;
    this.pairs = [];
    for (const path of new Set([real, root])) {
      this.pairs.push([pathToFileURL(path).href, shown], [path, shown]);
    }
  }

  show(text) {
    let shown = text;
    for (const [from, to] of this.pairs) {
      if (from.length > 1 && shown.includes(from)) shown = shown.split(from).join(to);
    }
    return shown;
  }

  /** Whether a file is the user's own: below the root and no dependency. */
  owns(file) {
    const inside = file.startsWith(`${this.real}/`) || file.startsWith(`${this.root}/`);
    return inside && !file.includes('/node_modules/');
  }
}

function cut(text, length) {
  return text.length <= length ? text : `${text.slice(0, length)} … (cut)`;
}

/** A property of whatever was thrown; reading it may throw too. */
function read(error, key) {
  try {
    return error[key];
  } catch {
    return undefined;
  }
}

function isError(value) {
  try {
    return value instanceof Error || util.types.isNativeError(value);
  } catch {
    return false;
  }
}

/** Whether a line of a stack says something to the user: no frame of ours or of Node's inside. */
function isTelling(line) {
  if (!FRAME.test(line)) return true;
  return !line.includes(__dirname) && !INSIDE.test(line);
}

function stackOf(error, causes = MAX_CAUSES) {
  const stack = read(error, 'stack');
  if (typeof stack !== 'string') return '';
  const own = stack.split('\n').filter(isTelling).join('\n');
  const cause = read(error, 'cause');
  return isError(cause) && causes > 0 ? `${own}\nCaused by: ${stackOf(cause, causes - 1)}` : own;
}

function messageOf(error) {
  const message = read(error, 'message');
  return typeof message === 'string' ? message : util.inspect(message, { depth: 1 });
}

/** `{name, message, stack}` of anything that was thrown. */
function describeError(error, paths) {
  const show = (text) => (paths ? paths.show(text) : text);
  if (!isError(error)) {
    let text;
    try {
      text = typeof error === 'string' ? error : util.inspect(error, { depth: 3 });
    } catch {
      text = 'a value that cannot be shown';
    }
    return { name: 'Error', message: cut(show(text), limits.MAX_ERROR_MESSAGE), stack: '' };
  }
  const name = read(error, 'name');
  return {
    name: typeof name === 'string' && name !== '' ? name : 'Error',
    message: cut(show(messageOf(error)), limits.MAX_ERROR_MESSAGE),
    stack: cut(show(stackOf(error)), limits.MAX_ERROR_STACK),
  };
}

module.exports = { Paths, describeError, isError, read, cut };
