'use strict';
// Imports of TypeScript on versions of Node whose hooks of imports run in a thread of their own.

const { fileURLToPath, pathToFileURL } = require('node:url');
const { Index } = require('./typescript-index');

let index = null;

function initialize({ root, shownRoot }) {
  index = Index.read(root, shownRoot);
}

async function resolve(specifier, context, next) {
  // Node answers later, the index at once: it is asked for both answers in turn.
  const usual = await next(specifier, context).then(
    (answer) => () => answer,
    (error) => () => {
      throw error;
    },
  );
  return index.resolve(specifier, fileOf(context.parentURL), usual, {
    found: (file, suffix) => {
      const format = index.entryOf(file)?.format;
      return { url: pathToFileURL(file).href + suffix, ...(format && { format }), importAttributes: context.importAttributes, shortCircuit: true };
    },
    fileOf: (answer) => fileOf(answer.url),
  });
}

async function load(url, context, next) {
  const file = fileOf(url);
  const entry = file === undefined ? undefined : index.entryOf(file);
  if (entry === undefined) return next(url, context);
  return { format: entry.format, source: index.source(file, entry), shortCircuit: true };
}

function fileOf(url) {
  return typeof url === 'string' && url.startsWith('file:') ? fileURLToPath(url.replace(/[?#].*$/, '')) : undefined;
}

module.exports = { initialize, resolve, load };
