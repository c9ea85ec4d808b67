'use strict';
// Why code that loaded cannot be called: exports that are no functions, and styles that do not fit
// what there is. What merely lacks a name is reported as missing instead.

const fs = require('node:fs');
const path = require('node:path');
const { describe } = require('./bodies');

/** An error that names its place in the user's file, for `describeLoadError`. */
class Misfit extends Error {
  constructor(message, file, line) {
    super(message);
    this.name = 'HandlerError';
    this.stack = '';
    this.wakefulFile = file;
    this.wakefulLine = line;
  }
}

/** Throws for the first wanted handler of which more can be said than that it is missing. */
function checkFit({ found, style, wanted, handlers, settings, file, registered }) {
  for (const [i, name] of wanted.entries()) {
    if (handlers[i] !== undefined) continue;
    const shown = path.basename(file);
    const value = valueOf(found, style, name);
    if (value !== undefined && typeof value !== 'function') {
      throw new Misfit(`${nameOf(style, name)} of ${shown} is ${kindOf(value)}, not a function`, file, lineOf(file, name ?? defaultName(style)));
    }
    const why = whyNot(found, style, name, settings, registered);
    if (why !== null) throw new Misfit(`${why}; ${whatThereIs(found, shown, registered)}`, file, null);
  }
}

/** What stands where the handler should. A default that is an object with methods is no mistake. */
function valueOf(found, style, name) {
  if (style === 'web' && (name === null || name === 'default')) return undefined;
  if (name !== null) return found.get(name);
  if (style === 'lambda') return found.get('handler');
  return Object(found.default) === found.default ? undefined : found.default;
}

function defaultName(style) {
  return style === 'lambda' ? 'handler' : 'default';
}

function nameOf(style, name) {
  const wanted = name ?? defaultName(style);
  return wanted === 'default' ? 'the default export' : `the export \`${wanted}\``;
}

function kindOf(value) {
  if (value === null || typeof value === 'object') return describe(value);
  return typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`;
}

/** Why a style that was set cannot be; null when the code may be meant for it. */
function whyNot(found, style, name, settings, registered) {
  if (settings.style === 'cloudevents' && registered.length === 0) {
    return 'style `cloudevents` needs functions that are registered through @google-cloud/functions-framework';
  }
  if (name !== null && name !== 'default') return null;
  if (settings.style === 'web') return 'style `web` needs a default export with `fetch(request, env, ctx)`, `scheduled` or `queue`';
  if (settings.style === 'lambda' && name === null) return 'style `lambda` needs an export `handler`, or a `handler` in the trigger';
  return found.names.length === 0 && registered.length === 0 ? 'there is no function to call' : null;
}

function whatThereIs(found, shown, registered) {
  if (registered.length > 0) return `${shown} registers ${listed(registered)}`;
  if (found.names.length > 0) return `${shown} exports ${listed(found.names)}`;
  return `${shown} exports none: write \`module.exports = …\`, \`exports.name = …\` or \`export default …\``;
}

function listed(names) {
  return names.map((name) => `\`${name}\``).join(', ');
}

/** The line on which a file seems to export a name; null when none does. */
function lineOf(file, name) {
  const word = name.replace(/[^\w]/g, '\\$&');
  const patterns =
    name === 'default'
      ? [/\bmodule\.exports\s*=/, /\bexport\s+default\b/, /\bexports\.default\s*=/]
      : [new RegExp(`\\bexports\\.${word}\\s*=`), new RegExp(`\\bexport\\s+(?:const|let|var|class|enum)\\s+${word}\\b`), new RegExp(`\\bexport\\s*\\{[^}]*\\b${word}\\b`), new RegExp(`^\\s*${word}\\s*[:,]`)];
  const lines = fs.readFileSync(file, 'utf8').split('\n');
  for (const pattern of patterns) {
    const at = lines.findIndex((line) => pattern.test(line));
    if (at >= 0) return at + 1;
  }
  return null;
}

module.exports = { checkFit };
