'use strict';
// Why the user's code did not load, at the place in the user's own file.

const fs = require('node:fs');
const path = require('node:path');
const { fileURLToPath } = require('node:url');
const limits = require('./limits');
const { describeError, read } = require('./errors');

/** The error of LOADED: `{name, message, stack, file, line, column, excerpt}`; unknown is null. */
function describeLoadError(error, settings, paths) {
  const report = describeError(error, paths);
  let place = null;
  try {
    place = findPlace(error, settings, paths);
  } catch {
    // The place is a help; without it the message stands.
  }
  const missing = missingModule(error, place, paths);
  return {
    name: report.name,
    message: missing ?? report.message,
    stack: report.stack,
    file: place === null ? null : paths.show(place.file),
    line: place?.line ?? null,
    column: place?.column ?? null,
    excerpt: place === null ? null : excerptOf(place),
  };
}

function findPlace(error, settings, paths) {
  const stack = String(read(error, 'stack') ?? '');
  const file = read(error, 'wakefulFile');
  if (typeof file === 'string') return { file, line: read(error, 'wakefulLine') ?? null, column: null };
  return (
    placeAtHead(stack) ??
    placeOfImport(error, paths) ??
    (error instanceof SyntaxError ? placeOfModuleSyntax(settings, paths) : null) ??
    placeInFrames(stack, paths)
  );
}

function toPath(text) {
  return text.startsWith('file://') ? fileURLToPath(text) : text;
}

/** Node prints a syntax error's place first: `file:line`, the line, and a caret below it. */
function placeAtHead(stack) {
  const lines = stack.split('\n');
  const head = /^((?:file:\/\/)?\/.*):(\d+)$/.exec(lines[0]);
  if (head === null) return null;
  const caret = (lines[2] ?? '').search(/\^/);
  return { file: toPath(head[1]), line: Number(head[2]), column: caret < 0 ? null : caret + 1 };
}

/** The first frame in the user's own code. */
function placeInFrames(stack, paths) {
  for (const line of stack.split('\n')) {
    const frame = /(?:\(|at (?:async )?)((?:file:\/\/)?\/[^()]*):(\d+):(\d+)\)?$/.exec(line);
    if (frame === null) continue;
    const file = toPath(frame[1].replace(/\?.*$/, ''));
    if (paths.owns(file)) return { file, line: Number(frame[2]), column: Number(frame[3]) };
  }
  return null;
}

/** `Cannot find package 'x' imported from FILE` has no frame: the line is looked up. */
function placeOfImport(error, paths) {
  if (read(error, 'code') !== 'ERR_MODULE_NOT_FOUND') return null;
  const match = /^Cannot find (?:package|module) '(.+?)' imported from (.+)$/m.exec(String(read(error, 'message')));
  if (match === null) return null;
  const file = toPath(match[2]);
  if (!paths.owns(file)) return null;
  const lines = fs.readFileSync(file, 'utf8').split('\n');
  const wanted = path.isAbsolute(match[1]) ? path.basename(match[1]) : match[1];
  const at = lines.findIndex((line) => /\b(?:import|from|export)\b/.test(line) && line.includes(wanted));
  return at < 0 ? { file, line: null, column: null } : { file, line: at + 1, column: lines[at].lastIndexOf(wanted) + 1 };
}

/** Node does not say where an ES module fails to parse, so the files are checked one by one. */
function placeOfModuleSyntax(settings, paths) {
  const start = entryFile(path.resolve(settings.root, settings.entry));
  const queue = start === null ? [] : [start];
  const seen = new Set(queue);
  for (let i = 0; i < queue.length && i < limits.SYNTAX_CHECKS; i++) {
    const source = fs.readFileSync(queue[i], 'utf8');
    const place = checkSyntax(queue[i], source);
    if (place !== null) return place;
    for (const [, name] of source.matchAll(/\b(?:from|import|require)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g)) {
      const file = path.resolve(path.dirname(queue[i]), name);
      if (!seen.has(file) && paths.owns(file) && fs.existsSync(file)) {
        seen.add(file);
        queue.push(file);
      }
    }
  }
  return null;
}

function entryFile(entry) {
  const isFile = (file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
  const candidates = [entry, `${entry}.mjs`, `${entry}.js`, path.join(entry, 'index.js'), path.join(entry, 'index.mjs')];
  try {
    candidates.push(path.join(entry, JSON.parse(fs.readFileSync(path.join(entry, 'package.json'), 'utf8')).main));
  } catch {
    // No package.json, or none that names a file.
  }
  return candidates.find(isFile) ?? null;
}

function checkSyntax(file, source) {
  if (!/\.[cm]?js$/.test(file)) return null;
  const type = file.endsWith('.cjs') ? 'commonjs' : 'module';
  const { spawnSync } = require('node:child_process');
  const { status, stderr } = spawnSync(process.execPath, ['--check', `--input-type=${type}`, '-'], {
    input: source,
    env: {},
    encoding: 'utf8',
    timeout: 5000,
  });
  if (status === 0 || typeof stderr !== 'string') return null;
  const lines = stderr.split('\n');
  const at = lines.findIndex((line) => /\[stdin\]:\d+$/.test(line) || /\[eval1?\]:\d+$/.test(line));
  if (at < 0) return null;
  const caret = (lines[at + 2] ?? '').search(/\^/);
  return { file, line: Number(/:(\d+)$/.exec(lines[at])[1]), column: caret < 0 ? null : caret + 1 };
}

/** What to do about a module that is not there; null for other errors. */
function missingModule(error, place, paths) {
  const code = read(error, 'code');
  if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_MODULE_NOT_FOUND') return null;
  const message = String(read(error, 'message'));
  const match = /Cannot find (?:package|module) '(.+?)'/.exec(message);
  if (match === null) return null;
  const name = match[1];
  const where = place === null ? '' : `, which ${paths.show(place.file)} asks for`;
  if (/^(?:\.{0,2}\/|file:)/.test(name)) return `there is no file ${paths.show(name)}${where}`;
  const parts = name.split('/');
  const wanted = name.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
  return (
    `the package \`${wanted}\`${where}${where === '' ? '' : ','} is not installed: run \`npm install ${wanted}\` in ${paths.show(paths.root)}, ` +
    'or add it to the dependencies in package.json'
  );
}

/** The lines around the place, with a caret below it. */
function excerptOf({ file, line, column }) {
  if (line === null) return null;
  let lines;
  try {
    lines = fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, '').split(/\r?\n/);
  } catch {
    return null;
  }
  if (line > lines.length) return null;
  const first = Math.max(1, line - 2);
  const last = Math.min(lines.length, line + 1);
  const width = String(last).length;
  const shown = [];
  for (let i = first; i <= last; i++) {
    const text = lines[i - 1].slice(0, 200);
    if (i === last && i !== line && text === '') break;
    shown.push(`${i === line ? '>' : ' '} ${String(i).padStart(width)} | ${text}`.trimEnd());
    if (i === line && column !== null && column <= 200) {
      const before = lines[i - 1].slice(0, column - 1).replace(/[^\t]/g, ' ');
      shown.push(`  ${' '.repeat(width)} | ${before}^`);
    }
  }
  return shown.join('\n');
}

module.exports = { describeLoadError };
