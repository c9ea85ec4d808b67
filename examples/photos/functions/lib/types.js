'use strict';

const TYPES = { jpg: 'image/jpeg', jpeg: 'image/jpeg', png: 'image/png' };

/** The content type of a photo by its name; undefined for anything else. */
function typeOf(name) {
  const ending = /\.([a-z]+)$/i.exec(name)?.[1].toLowerCase();
  return Object.hasOwn(TYPES, ending ?? '') ? TYPES[ending] : undefined;
}

module.exports = { typeOf };
