'use strict';
// Mistakes that only V8 finds, such as a name that is declared twice: it finds them in what was
// compiled, they are said of what was written.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const { SourceMap } = require('node:module');
const path = require('node:path');
const { fileURLToPath } = require('node:url');
const limits = require('./limits');

const IMPORTS = /\b(?:from|import|require)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g;

/** Rewrites the stack of an error that loading `entry` ended with, if it is such a mistake. */
function placeSyntaxError(error, index, entry) {
  if (!(error instanceof SyntaxError) || typeof error.stack !== 'string') return;
  const found = headOf(error.stack) ?? search(index, entry);
  const compiled = found === null ? undefined : index.entryOf(found.file);
  // What the compiler found has its place already.
  if (compiled === undefined || compiled.error !== undefined) return;
  const { line, column } = written(index.source(found.file, compiled), found);
  const text = fs.readFileSync(found.file, 'utf8').replace(/^\uFEFF/, '').split(/\r?\n/)[line - 1] ?? '';
  const blanks = text.slice(0, column - 1).replace(/[^\t]/g, ' ');
  error.stack = `${found.file}:${line}\n${text}\n${blanks}^\n\nSyntaxError: ${error.message}`;
}

/** Of CommonJS, V8 says the place first: `file:line`, the line, and a caret below it. */
function headOf(stack) {
  const lines = stack.split('\n');
  const head = /^((?:file:\/\/)?\/.*):(\d+)$/.exec(lines[0]);
  if (head === null) return null;
  const file = head[1].startsWith('file:') ? fileURLToPath(head[1]) : head[1];
  return { file, line: Number(head[2]), column: Math.max(0, (lines[2] ?? '').indexOf('^')) + 1 };
}

/** Of ES modules it says nothing: they are checked one by one, from the entry on. */
function search(index, entry) {
  const queue = [entry];
  const seen = new Set(queue);
  for (let i = 0; i < queue.length && i < limits.SYNTAX_CHECKS; i++) {
    const compiled = index.entryOf(queue[i]);
    if (compiled === undefined || compiled.error !== undefined) continue;
    const source = index.source(queue[i], compiled);
    const place = check(source, compiled.format);
    if (place !== null) return { file: queue[i], ...place };
    for (const [, name] of source.matchAll(IMPORTS)) {
      const file = index.fileAt(path.resolve(path.dirname(queue[i]), name));
      if (file === undefined || seen.has(file)) continue;
      seen.add(file);
      queue.push(file);
    }
  }
  return null;
}

function check(source, format) {
  const { status, stderr } = spawnSync(process.execPath, ['--check', `--input-type=${format}`, '-'], {
    input: source,
    env: {},
    encoding: 'utf8',
    timeout: 5000,
  });
  if (status === 0 || typeof stderr !== 'string') return null;
  const lines = stderr.split('\n');
  const at = lines.findIndex((line) => /\[(?:stdin|eval1?)\]:\d+$/.test(line));
  if (at < 0) return null;
  return { line: Number(/:(\d+)$/.exec(lines[at])[1]), column: Math.max(0, (lines[at + 2] ?? '').indexOf('^')) + 1 };
}

/** The place in what was written, by the map at the end of what was compiled. */
function written(source, { line, column }) {
  const map = /\/\/# sourceMappingURL=data:application\/json;base64,(\S+)\s*$/.exec(source);
  if (map === null) return { line, column };
  const entry = new SourceMap(JSON.parse(Buffer.from(map[1], 'base64').toString())).findEntry(line - 1, column - 1);
  if (entry.originalLine === undefined) return { line, column };
  return { line: entry.originalLine + 1, column: entry.originalColumn + 1 };
}

module.exports = { placeSyntaxError };
