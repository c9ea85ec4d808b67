'use strict';
// TypeScript in a copy of a project: what was compiled is loaded instead of what was written, and
// imports find it as `tsc` finds it. The server compiles (crates/typescript) and leaves an index.

const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const { fileURLToPath, pathToFileURL } = require('node:url');

/** What the server leaves in a copy; typescript-index.js knows what is in it. */
const INDEX = '.wakeful/typescript/index.json';
/** What require() asks by, for files that are no .js. */
const EXTENSIONS = ['.ts', '.tsx', '.mts', '.cts', '.jsx'];

let current = null;

/** Before any of the user's code runs: does nothing where there is nothing that was compiled. */
function enableTypeScript(root, shownRoot) {
  if (!fs.existsSync(path.join(root, INDEX))) return;
  // Functions in JavaScript do not wait for this.
  const { Index } = require('./typescript-index');
  current = Index.read(root, shownRoot);
  if (current === null) return;
  mapStacks();
  // Also with hooks: require.resolve() asks them from Node 24 on only.
  patchResolve();
  if (typeof Module.registerHooks === 'function') {
    Module.registerHooks({ resolve, load });
    return;
  }
  // Older versions of Node: require() by its own functions, imports by a thread.
  patchExtensions();
  Module.register(pathToFileURL(path.join(__dirname, 'typescript-thread.js')).href, { data: { root, shownRoot } });
}

/** Stacks name lines as they were written. */
function mapStacks() {
  if (typeof Module.setSourceMapsSupport === 'function') {
    Module.setSourceMapsSupport(true, { nodeModules: false, generatedCode: false });
  } else {
    process.setSourceMapsEnabled(true);
  }
}

/** `'module'` or `'commonjs'` for a file that was compiled; undefined for all others. */
function formatOf(file) {
  return current?.entryOf(file)?.format;
}

/** Loading `entry` ended with this error: says where it is, if V8 found it in what was compiled. */
function placeError(error, entry) {
  if (current === null) return;
  try {
    require('./typescript-errors').placeSyntaxError(error, current, entry);
  } catch {
    // The place is a help; without it the error stands.
  }
}

/** The file that TypeScript means by a path that does not exist as it stands; undefined if none. */
function fileOf(wanted) {
  return current?.fileAt(wanted);
}

function resolve(specifier, context, next) {
  const parent = parentFile(context.parentURL);
  return current.resolve(specifier, parent, () => usual(specifier, context, next, parent), {
    found: (file, suffix) => answer(file, suffix, context),
    fileOf: (result) => parentFile(result.url),
  });
}

/**
 * Node's own answer. What was written as `import` and became require() also finds packages that
 * can only be imported: require() takes their modules.
 */
function usual(specifier, context, next, parent) {
  try {
    return next(specifier, context);
  } catch (error) {
    const requires = context.conditions?.includes('require') && parent !== undefined && formatOf(parent) === 'commonjs';
    if (error?.code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED' || !requires) throw error;
    const conditions = context.conditions.map((one) => (one === 'require' ? 'import' : one));
    return next(specifier, { ...context, conditions });
  }
}

function answer(file, suffix, context) {
  const format = current.entryOf(file)?.format;
  const url = pathToFileURL(file).href + suffix;
  const found = { url, shortCircuit: true };
  if (format !== undefined) found.format = format;
  if (context.importAttributes !== undefined) found.importAttributes = context.importAttributes;
  return found;
}

function load(url, context, next) {
  const file = parentFile(url);
  const entry = file === undefined ? undefined : current.entryOf(file);
  if (entry === undefined) return next(url, context);
  return { format: entry.format, source: current.source(file, entry), shortCircuit: true };
}

function parentFile(url) {
  if (typeof url !== 'string') return undefined;
  if (path.isAbsolute(url)) return url;
  return url.startsWith('file:') ? fileURLToPath(url.replace(/[?#].*$/, '')) : undefined;
}

function patchResolve() {
  const original = Module._resolveFilename;
  Module._resolveFilename = function resolveFilename(request, parent, ...rest) {
    return current.resolve(request, parent?.filename ?? undefined, () => original.call(this, request, parent, ...rest), {
      found: (file) => file,
      fileOf: (result) => result,
    });
  };
}

function patchExtensions() {
  for (const extension of EXTENSIONS) {
    const usual = Module._extensions[extension] ?? Module._extensions['.js'];
    Module._extensions[extension] = (module, filename) => {
      const entry = current.entryOf(filename);
      if (entry === undefined) {
        usual(module, filename);
        return;
      }
      const source = current.source(filename, entry);
      if (entry.format === 'module') {
        const error = new Error(`require() of ES Module ${filename} is not supported by Node ${process.versions.node}: import it`);
        error.code = 'ERR_REQUIRE_ESM';
        throw error;
      }
      module._compile(source, filename);
    };
  }
}

module.exports = { enableTypeScript, formatOf, fileOf, placeError };
