'use strict';
// Media types by the short names that `res.type()` takes.

const TYPES = {
  html: 'text/html', htm: 'text/html', txt: 'text/plain', text: 'text/plain', css: 'text/css',
  csv: 'text/csv', md: 'text/markdown', js: 'text/javascript', mjs: 'text/javascript',
  json: 'application/json', map: 'application/json', xml: 'application/xml', pdf: 'application/pdf',
  zip: 'application/zip', gz: 'application/gzip', wasm: 'application/wasm', bin: 'application/octet-stream',
  form: 'application/x-www-form-urlencoded', urlencoded: 'application/x-www-form-urlencoded',
  png: 'image/png', jpg: 'image/jpeg', jpeg: 'image/jpeg', gif: 'image/gif', webp: 'image/webp',
  yaml: 'text/yaml', yml: 'text/yaml', rtf: 'application/rtf', webmanifest: 'application/manifest+json', jsonld: 'application/ld+json',
  tar: 'application/x-tar', bmp: 'image/bmp', tif: 'image/tiff', tiff: 'image/tiff', mov: 'video/quicktime', otf: 'font/otf', ics: 'text/calendar',
  avif: 'image/avif', svg: 'image/svg+xml', ico: 'image/x-icon', mp3: 'audio/mpeg', wav: 'audio/wav',
  ogg: 'audio/ogg', mp4: 'video/mp4', webm: 'video/webm', woff: 'font/woff', woff2: 'font/woff2', ttf: 'font/ttf',
};

/** `json`, `.json`, `file.json` or a media type → the media type, texts with their charset. */
function mediaType(name) {
  if (name.includes('/')) return withCharset(name);
  const short = name.slice(name.lastIndexOf('.') + 1).toLowerCase();
  return withCharset(TYPES[short] || 'application/octet-stream');
}

/** Texts are UTF-8 unless they say otherwise. */
function withCharset(type) {
  const isText = /^(?:text\/|application\/(?:json|javascript)\b)/i.test(type);
  return isText && !/charset=/i.test(type) ? `${type}; charset=utf-8` : type;
}

/** A type whose text is sent in UTF-8, whatever it said before. */
function withUtf8(type) {
  return `${type.replace(/\s*;\s*charset=(?:"[^"]*"|[^;\s]*)/i, '')}; charset=utf-8`;
}

module.exports = { mediaType, withCharset, withUtf8 };
