'use strict';
// `db.shop` and `db('shop')`: one object for each name, made when first asked for.

/** Names that languages and tools ask every object for; no resource is meant. */
const NOT_RESOURCES = new Set(['then', 'toJSON', 'inspect', 'prototype', 'constructor', 'apply', 'call', 'bind', 'default', '__esModule']);

function byName(kind, make) {
  const made = new Map();
  const get = (name) => {
    if (typeof name !== 'string' || name === '') throw new TypeError(`the name of a ${kind} must be a string that is not empty`);
    if (!made.has(name)) made.set(name, make(name));
    return made.get(name);
  };
  return new Proxy(get, {
    get(target, key, receiver) {
      if (typeof key !== 'string' || NOT_RESOURCES.has(key)) return Reflect.get(target, key, receiver);
      return get(key);
    },
  });
}

module.exports = { byName };
