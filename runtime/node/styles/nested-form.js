'use strict';
// Forms and queries with names such as `a[b]` and `a[]`, as the package qs reads them for Express 4.

const MAX_PAIRS = 1000;
const MAX_DEPTH = 5;
/** Above this an index is a key, or `a[999999]=` would make a huge list. */
const MAX_INDEX = 20;

function makeNode() {
  return { values: [], children: new Map() };
}

/** `a[b][c]` → ['a', 'b', 'c']; what is deeper, or not closed, stands in the last one as it came. */
function pathOf(name) {
  let open = name.indexOf('[');
  const path = open === 0 ? [] : [open < 0 ? name : name.slice(0, open)];
  while (open >= 0) {
    const close = name.indexOf(']', open);
    if (close < 0 || path.length > MAX_DEPTH) {
      path.push(name.slice(open));
      break;
    }
    path.push(name.slice(open + 1, close));
    open = name.indexOf('[', close);
  }
  return path;
}

/** Names that every object has anyway are left out: they would hide its methods. */
function isForbidden(key) {
  return Object.hasOwn(Object.prototype, key);
}

function parseNestedForm(text) {
  const root = makeNode();
  let pairs = 0;
  for (const [name, value] of new URLSearchParams(text)) {
    pairs += 1;
    if (pairs > MAX_PAIRS) break;
    const path = pathOf(name);
    if (path.some(isForbidden)) continue;
    let node = root;
    for (const key of path) {
      if (!node.children.has(key)) node.children.set(key, makeNode());
      node = node.children.get(key);
    }
    node.values.push(value);
  }
  return asObject(root);
}

function asObject(node) {
  const object = {};
  for (const [key, child] of node.children) object[key] = valueOf(child);
  return object;
}

function valueOf(node) {
  const { values, children } = node;
  if (children.size === 0) return values.length === 1 ? values[0] : values;
  const keys = [...children.keys()];
  const isList = keys.every((key) => key === '' || (/^(?:0|[1-9]\d*)$/.test(key) && Number(key) <= MAX_INDEX));
  if (!isList) return values.length === 0 ? asObject(node) : [...values, asObject(node)];
  const list = [...values];
  const indexed = keys.filter((key) => key !== '').sort((a, b) => a - b);
  for (const key of [...indexed, ...keys.filter((one) => one === '')]) {
    const value = valueOf(children.get(key));
    if (key === '' && Array.isArray(value)) list.push(...value);
    else list.push(value);
  }
  return list;
}

module.exports = { parseNestedForm };
