'use strict';
// Makes `require('wakeful')` and `import … from 'wakeful'` find our module from anywhere, with
// nothing installed, and the same for what stands in for the functions-framework.

const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const current = require('./current');

/** The names that code asks for, and what it gets. */
const FILES = {
  wakeful: path.join(__dirname, 'module.js'),
  '@google-cloud/functions-framework': path.join(__dirname, 'functions-framework.js'),
};
const FOUND = Object.fromEntries(
  Object.entries(FILES).map(([name, file]) => [name, { url: pathToFileURL(file).href, format: 'commonjs', shortCircuit: true }]),
);
const MENTIONED = new RegExp(`\\bimport\\b[^;]*['"](?:${Object.keys(FILES).join('|')})['"]`);
/** Before Node 22.15, hooks of imports live in a thread of their own, started only if needed. */
const HOOKS_IN_THREAD = typeof Module.registerHooks !== 'function';

let registered = false;

function provideModule(worker) {
  current.worker = worker;
  const original = Module._resolveFilename;
  Module._resolveFilename = function resolveFilename(request, ...rest) {
    return Object.hasOwn(FILES, request) ? FILES[request] : original.call(this, request, ...rest);
  };
  if (HOOKS_IN_THREAD) return;
  registered = true;
  Module.registerHooks({
    resolve: (specifier, context, next) => (Object.hasOwn(FOUND, specifier) ? FOUND[specifier] : next(specifier, context)),
  });
}

/**
 * Before code is imported, or before a CommonJS `file` is required that might import: what old
 * versions of Node need.
 */
function provideToImports(file) {
  if (registered || (file !== null && !mentionsImport(file))) return;
  registered = true;
  const source = `const found = ${JSON.stringify(FOUND)};
  export function resolve(specifier, context, next) {
    return Object.hasOwn(found, specifier) ? found[specifier] : next(specifier, context);
  }`;
  Module.register(`data:text/javascript,${encodeURIComponent(source)}`);
}

function mentionsImport(file) {
  return MENTIONED.test(fs.readFileSync(file, 'utf8'));
}

/**
 * Whether a file that may be either kind had better be imported: there, an ES module that is
 * required sees no hooks. Taking a CommonJS file for a module by mistake does no harm.
 */
function betterImported(file) {
  return HOOKS_IN_THREAD && /^\s*(?:import|export)\b/m.test(fs.readFileSync(file, 'utf8'));
}

module.exports = { provideModule, provideToImports, betterImported };
