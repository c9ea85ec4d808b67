'use strict';
// What the server says about the TypeScript of a copy, and what imports mean by it.

const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const { fileURLToPath } = require('node:url');

const FOLDER = '.wakeful/typescript';
const VERSION = 1;

/** What may stand for a file that is named by what it is compiled to. */
const WRITTEN = { '.js': ['.ts', '.tsx', '.js', '.jsx'], '.mjs': ['.mts', '.mjs'], '.cjs': ['.cts', '.cjs'], '.jsx': ['.tsx', '.jsx'] };
/** What may be left out, first choice first. */
const LEFT_OUT = ['.ts', '.tsx', '.mts', '.cts', '.js', '.mjs', '.cjs', '.jsx', '.json', '.node'];
const NOT_FOUND = new Set(['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND', 'ERR_UNSUPPORTED_DIR_IMPORT']);

class Index {
  /** Reads what lies in a copy; null when nothing of it was compiled. */
  static read(root, shownRoot) {
    let text;
    try {
      text = fs.readFileSync(path.join(root, FOLDER, 'index.json'), 'utf8');
    } catch (error) {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
      throw error;
    }
    const content = JSON.parse(text);
    return content.version === VERSION ? new Index(root, shownRoot, content) : null;
  }

  constructor(root, shownRoot, { files, configs }) {
    this.root = fs.realpathSync(root);
    /** Node names files by where they really are; the server may come by a link. */
    this.prefixes = [this.root + path.sep, path.resolve(root) + path.sep];
    this.shownRoot = shownRoot ? real(path.resolve(shownRoot)) : this.root;
    this.files = new Map(Object.entries(files));
    // The nearest one applies.
    this.configs = configs.sort((a, b) => b.folder.length - a.folder.length);
  }

  relative(file) {
    const prefix = this.prefixes.find((one) => file.startsWith(one));
    return prefix === undefined ? undefined : file.slice(prefix.length);
  }

  /** `{format, error, relative}` of a file that was compiled, or that could not be. */
  entryOf(file) {
    const relative = this.relative(file);
    const entry = relative === undefined ? undefined : this.files.get(relative);
    if (entry === undefined) return undefined;
    return typeof entry === 'string' ? { format: entry, relative } : { format: 'commonjs', error: entry, relative };
  }

  /** What Node runs; throws what is wrong with the file, as Node does with JavaScript. */
  source(file, { error, relative }) {
    if (error !== undefined) throw this.syntaxError(file, error);
    return fs.readFileSync(path.join(this.root, FOLDER, 'files', `${relative}.js`), 'utf8');
  }

  syntaxError(file, { message, line, column, file: other }) {
    const place = other === undefined ? file : path.resolve(other.startsWith('..') ? this.shownRoot : this.root, other);
    const error = new SyntaxError(message);
    let text = '';
    try {
      text = fs.readFileSync(place, 'utf8').replace(/^\uFEFF/, '').split(/\r?\n/)[line - 1] ?? '';
    } catch {
      // The message says enough.
    }
    const blanks = text.slice(0, column - 1).replace(/[^\t]/g, ' ');
    error.stack = `${place}:${line}\n${text}\n${blanks}^\n\nSyntaxError: ${message}`;
    return error;
  }

  /**
   * What `specifier` means in the file `parent`. `usual()` asks Node; `found(file, suffix)` makes
   * an answer like Node's, and `fileOf(answer)` takes the file out of one.
   */
  resolve(specifier, parent, usual, { found, fileOf }) {
    if (Module.isBuiltin(specifier) || !this.owns(parent)) return this.moved(usual(), found, fileOf);
    const meant = () => {
      const [name, suffix] = split(specifier);
      const file = this.find(name, parent);
      return file === undefined ? undefined : found(file, suffix);
    };
    if (this.entryOf(parent) !== undefined) {
      const answer = meant();
      return answer ?? this.moved(usual(), found, fileOf);
    }
    try {
      return this.moved(usual(), found, fileOf);
    } catch (error) {
      // JavaScript among TypeScript: Node's rules first.
      const answer = NOT_FOUND.has(error?.code) ? meant() : undefined;
      if (answer === undefined) throw error;
      return answer;
    }
  }

  /** Whether a file is the user's; so is who has none, such as a data: URL. */
  owns(file) {
    const relative = file === undefined ? undefined : this.relative(file);
    return relative !== undefined && !`/${relative}`.includes('/node_modules/');
  }

  /**
   * A package that is a link into the project, as those of workspaces are, leads to where it is
   * written: its TypeScript is taken from the copy, like all other code.
   */
  moved(answer, found, fileOf) {
    const file = fileOf(answer);
    if (file === undefined || !file.startsWith(this.shownRoot + path.sep)) return answer;
    const relative = file.slice(this.shownRoot.length + 1);
    return this.files.has(relative) ? found(path.join(this.root, relative), '') : answer;
  }

  /** The file that a name means; undefined where Node's rules hold. */
  find(name, parent) {
    if (name.startsWith('file:')) return this.fileAt(fileURLToPath(name));
    if (path.isAbsolute(name)) return this.fileAt(name);
    if (/^\.{1,2}(?:\/|$)/.test(name)) return this.fileAt(path.resolve(path.dirname(parent), name), name);
    return this.alias(name, parent);
  }

  alias(name, parent) {
    const relative = this.relative(parent);
    const config = this.configs.find(({ folder }) => folder === '' || relative.startsWith(`${folder}/`));
    if (config === undefined) return undefined;
    const match = bestMatch(config.patterns ?? [], name);
    for (const target of match?.targets ?? []) {
      const file = this.fileAt(this.place(target.replace('*', () => match.star)));
      if (file !== undefined) return file;
    }
    return config.base === undefined ? undefined : this.fileAt(path.join(this.place(config.base), name));
  }

  place(target) {
    return path.resolve(target.startsWith('..') ? this.shownRoot : this.root, target);
  }

  /** The file at a path, by the rules of TypeScript. */
  fileAt(wanted, name = wanted) {
    if (!name.endsWith('/') && !/(?:^|\/)\.{1,2}$/.test(name)) {
      const extension = path.extname(wanted);
      const stem = wanted.slice(0, wanted.length - extension.length);
      for (const one of WRITTEN[extension] ?? []) {
        if (isFile(stem + one)) return stem + one;
      }
      if (isFile(wanted)) return wanted;
      for (const one of LEFT_OUT) {
        if (isFile(wanted + one)) return wanted + one;
      }
    }
    return isFolder(wanted) ? this.mainOf(wanted) : undefined;
  }

  mainOf(folder) {
    let main;
    try {
      ({ main } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')));
    } catch {
      // None, or one that says nothing.
    }
    const named = typeof main === 'string' && main !== '' ? this.fileAt(path.resolve(folder, main)) : undefined;
    return named ?? LEFT_OUT.map((extension) => path.join(folder, `index${extension}`)).find(isFile);
  }
}

/** `./a.ts?x` is `./a.ts` with the suffix `?x`; a name that is no path has none. */
function split(specifier) {
  const at = /^(?:\.{0,2}\/|file:)/.test(specifier) ? specifier.search(/[?#]/) : -1;
  return at < 0 ? [specifier, ''] : [specifier.slice(0, at), specifier.slice(at)];
}

/** As TypeScript chooses: the name itself, or else the pattern with the longest beginning. */
function bestMatch(patterns, name) {
  let best;
  for (const [pattern, targets] of patterns) {
    const at = pattern.indexOf('*');
    if (at < 0) {
      if (pattern === name) return { targets, star: '' };
      continue;
    }
    const [before, after] = [pattern.slice(0, at), pattern.slice(at + 1)];
    const fits = name.length >= before.length + after.length && name.startsWith(before) && name.endsWith(after);
    if (fits && (best === undefined || before.length > best.before.length)) {
      best = { before, targets, star: name.slice(before.length, name.length - after.length) };
    }
  }
  return best;
}

function real(folder) {
  try {
    return fs.realpathSync(folder);
  } catch {
    // Nothing leads there then.
    return folder;
  }
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isFolder(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

module.exports = { Index };
