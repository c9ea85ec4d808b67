'use strict';
// LOAD: the user's code comes in, by the usual rules of Node, and its handlers are found.

const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const current = require('./current');
const limits = require('./limits');
const { checkFit } = require('./misfits');
const { betterImported, provideToImports } = require('./provide');
const { lambda } = require('./styles/lambda');
const { lambdaEnv } = require('./styles/lambda-env');
const { defineStreaming } = require('./styles/lambda-stream');
const { native } = require('./styles/native');
const { web } = require('./styles/web');
const { enableTypeScript, fileOf, formatOf, placeError } = require('./typescript');

/** As people write an export `handler`, and as compilers and bundlers do. */
const LAMBDA_SIGNS = /\bexports?\b[^;]{0,2000}\bhandler\b|\bhandler:\s*\(\)\s*=>|\bawslambda\b/;

const EXTENSIONS = ['.js', '.mjs', '.cjs', '.ts', '.tsx', '.mts', '.cts', '.jsx'];

/** Loads the code; resolves with the handlers and what LOADED says. */
async function load(worker, settings) {
  worker.watcher.wake();
  enableTypeScript(settings.root, settings.shownRoot);
  const file = resolveEntry(path.resolve(settings.root, settings.entry));
  const asLambda = settings.style === 'lambda' || (!settings.style && mayBeLambda(file, settings));
  const before = enterFunction(settings, asLambda ? lambdaEnv(settings, file) : {});
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = limits.LOAD_STACK;
  const found = exportsOf(await loadModule(file));
  if (Error.stackTraceLimit === limits.LOAD_STACK) Error.stackTraceLimit = limit;
  const wanted = settings.handlers ?? [null];
  const style = settings.style ?? detectStyle(found, wanted);
  if (style !== 'lambda') restore(before);
  const handlers = wanted.map((name) => findHandler(found, style, name, settings));
  checkFit({ found, style, wanted, handlers, settings, file, registered: registeredNames() });
  writeCompileCacheLater();
  return {
    handlers,
    report: {
      ok: true,
      style,
      exports: style === 'cloudevents' ? [...registeredNames(), ...found.names] : found.names,
      missing: wanted.filter((_, i) => handlers[i] === undefined),
    },
  };
}

/**
 * Whether code whose style nobody names may turn out to be lambda's: it exports `handler`, or
 * uses what Lambda gives. The others load without the variables of Lambda, which libraries take
 * as the sign that they run there.
 */
function mayBeLambda(file, settings) {
  const wanted = settings.handlers ?? [null];
  if (!wanted.every((name) => name === null || name === 'handler')) return false;
  return LAMBDA_SIGNS.test(fs.readFileSync(file, 'utf8'));
}

/**
 * Environment and working directory, before any of the user's code runs. `extra` are variables
 * that only one style has, unless the settings say otherwise; returns what was there before.
 */
function enterFunction(settings, extra) {
  const own = settings.env ?? {};
  const before = new Map();
  for (const [name, value] of Object.entries(extra)) {
    if (Object.hasOwn(own, name)) continue;
    before.set(name, process.env[name]);
    process.env[name] = value;
  }
  if (before.size > 0) defineStreaming();
  for (const [name, value] of Object.entries(own)) process.env[name] = value;
  process.chdir(settings.root);
  return before;
}

function restore(before) {
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}

/** A worker is killed more often than it exits, so the cache is not left to the exit. */
function writeCompileCacheLater() {
  if (typeof Module.flushCompileCache !== 'function') return;
  setTimeout(() => Module.flushCompileCache(), limits.CACHE_FLUSH_DELAY).unref();
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** The file that an entry means: itself, with an extension, or the main file of a folder. */
function resolveEntry(entry) {
  const stat = fs.statSync(entry, { throwIfNoEntry: false });
  if (stat?.isFile()) return entry;
  if (stat?.isDirectory()) {
    const main = mainOf(entry);
    if (main !== undefined) {
      const file = withExtension(path.resolve(entry, main)) ?? withExtension(path.join(entry, main, 'index')) ?? fileOf(path.resolve(entry, main));
      if (file !== undefined) return file;
      throw notFound(`package.json in ${entry} names \`${main}\` as its main file, which does not exist`);
    }
    const index = withExtension(path.join(entry, 'index'));
    if (index !== undefined) return index;
    throw notFound(`${entry} has no package.json with "main" and no index.js`);
  }
  const file = withExtension(entry);
  if (file !== undefined) return file;
  throw notFound(`there is no file or folder ${entry}`);
}

function withExtension(file) {
  if (isFile(file)) return file;
  const extension = EXTENSIONS.find((one) => isFile(file + one));
  return extension === undefined ? undefined : file + extension;
}

function mainOf(folder) {
  const file = path.join(folder, 'package.json');
  if (!isFile(file)) return undefined;
  const { main } = readPackage(file);
  return typeof main === 'string' && main !== '' ? main : undefined;
}

function readPackage(file) {
  const text = fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
  try {
    return JSON.parse(text) ?? {};
  } catch (cause) {
    const error = new SyntaxError(`${file} is not valid JSON: ${cause.message}`);
    error.wakefulFile = file;
    throw error;
  }
}

function notFound(message) {
  const error = new Error(message);
  error.name = 'CodeNotFound';
  return error;
}

/** The nearest package.json decides what a .js file is; '' when none says. */
function packageType(file) {
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const candidate = path.join(folder, 'package.json');
    if (isFile(candidate)) return readPackage(candidate).type ?? '';
    if (folder === path.dirname(folder) || path.basename(folder) === 'node_modules') return '';
  }
}

/** TypeScript, whose kind is known. */
async function loadCompiled(file, format) {
  try {
    return await (format === 'module' ? importFile(file) : Module.createRequire(file)(file));
  } catch (error) {
    placeError(error, file);
    throw error;
  }
}

/** require() where it may serve, as it is the faster one; import() for the rest. */
async function loadModule(file) {
  const compiled = formatOf(file);
  if (compiled !== undefined) return loadCompiled(file, compiled);
  const extension = path.extname(file);
  const isModule = extension === '.mjs' || extension === '.mts';
  const isCommon = extension === '.cjs' || extension === '.cts';
  const type = isModule || isCommon ? '' : packageType(file);
  const mayBeModule = !isCommon && type !== 'commonjs';
  if (isModule || type === 'module' || (mayBeModule && betterImported(file))) return importFile(file);
  provideToImports(file);
  try {
    return Module.createRequire(file)(file);
  } catch (error) {
    if (mayBeModule && wantsImport(error)) return importFile(file);
    throw error;
  }
}

/** Errors of require() that mean: this is an ES module, which it cannot take. */
function wantsImport(error) {
  return (
    error?.code === 'ERR_REQUIRE_ESM' ||
    error?.code === 'ERR_REQUIRE_ASYNC_MODULE' ||
    (error instanceof SyntaxError && /Cannot use import statement|Unexpected token 'export'|await is only valid|import\.meta/.test(error.message))
  );
}

function importFile(file) {
  provideToImports(null);
  return import(pathToFileURL(file).href);
}

/** The exports, whichever way they were written. */
function exportsOf(loaded) {
  const value = loaded ?? {};
  const isNamespace = Object.prototype.toString.call(value) === '[object Module]' || value.__esModule === true;
  const fallback = isNamespace ? value.default : value;
  const get = (name) => {
    if (Object(value) === value && Object.hasOwn(value, name)) return value[name];
    // Methods of an instance count, what every object has does not.
    const inherited = Object(fallback) === fallback ? fallback[name] : undefined;
    return inherited === Object.prototype[name] || inherited === Function.prototype[name] ? undefined : inherited;
  };
  const names = new Set();
  for (const source of [value, fallback]) {
    if (Object(source) !== source) continue;
    for (const name of Object.keys(source)) {
      if (name !== 'module.exports' && typeof source[name] === 'function') names.add(name);
    }
  }
  if (typeof fallback === 'function') names.add('default');
  return { get, default: fallback, names: [...names].sort(), isModule: isNamespace };
}

/**
 * Whether the default export has `fetch`; or, in an ES module, one of the other handlers of
 * Workers, which as names of exports of CommonJS would say nothing.
 */
function isWebTarget(found) {
  const has = (name) => typeof found.default[name] === 'function';
  if (Object(found.default) !== found.default) return false;
  return has('fetch') || (found.isModule && typeof found.default !== 'function' && (has('scheduled') || has('queue')));
}

function registeredNames() {
  return current.functions === null ? [] : [...current.functions.keys()];
}

function detectStyle(found, wanted) {
  if (registeredNames().length > 0) return 'cloudevents';
  if (isWebTarget(found)) return 'web';
  const onlyHandler = wanted.every((name) => name === null || name === 'handler');
  return onlyHandler && typeof found.get('handler') === 'function' ? 'lambda' : 'native';
}

/** What starts attempts of one wanted handler; undefined when there is none. */
function findHandler(found, style, name, settings) {
  if (style === 'lambda') {
    const fn = found.get(name ?? 'handler');
    return typeof fn === 'function' ? lambda(fn, settings) : undefined;
  }
  if (style === 'cloudevents') {
    const registered = registeredFunction(name, settings);
    if (registered !== undefined) return require('./styles/cloudevents').cloudevents(registered);
    if (name === null) return undefined;
  }
  if (style === 'web' && (name === null || name === 'default')) {
    return isWebTarget(found) ? web(found.default) : undefined;
  }
  const fn = name === null || name === 'default' ? defaultFunction(found) : found.get(name);
  if (typeof fn !== 'function') return undefined;
  return style === 'spica' ? require('./styles/spica').spica(fn, settings) : native(fn);
}

/** The one of that name; without a name the only one, or the one that is called like the function. */
function registeredFunction(name, settings) {
  const names = registeredNames();
  if (name !== null) return names.length === 0 ? undefined : current.functions.get(name);
  const only = names.length === 1 ? names[0] : settings.function;
  return names.includes(only) ? current.functions.get(only) : undefined;
}

/** The default export (of CommonJS also `exports.default`), or the only function that is exported. */
function defaultFunction(found) {
  if (typeof found.default === 'function') return found.default;
  const named = found.get('default');
  if (typeof named === 'function') return named;
  return found.names.length === 1 ? found.get(found.names[0]) : undefined;
}

module.exports = { load };
