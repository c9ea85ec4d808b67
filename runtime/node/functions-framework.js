'use strict';
// What code gets for `@google-cloud/functions-framework`, whether it is installed or not: it
// registers functions here, where the loader finds them, and no server of its own is loaded.

const current = require('./current');

const NAME = /^[A-Za-z](?:[-_A-Za-z0-9]{0,61}[A-Za-z0-9])?$/;

/** Name → {kind, handler, format?}. */
const registered = new Map();
current.functions = registered;

function register(name, kind, handler, more = {}) {
  if (typeof name !== 'string' || !NAME.test(name)) throw new Error(`Invalid function name: ${name}`);
  if (typeof handler !== 'function') throw new TypeError(`functions.${kind}('${name}', …) takes a function, not ${handler === null ? 'null' : typeof handler}`);
  registered.set(name, { kind, handler, ...more });
}

function http(name, handler) {
  register(name, 'http', handler);
}

function cloudEvent(name, handler) {
  register(name, 'cloudEvent', handler);
}

/** JSON in, JSON out. */
class JsonInvocationFormat {
  deserializeRequest(request) {
    const body = request.body();
    return body === '' ? undefined : JSON.parse(body);
  }

  serializeResponse(response, value) {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(value) ?? 'null');
  }
}

/** typed(name, handler), or typed(name, {handler, format}). */
function typed(name, given) {
  const { handler, format = new JsonInvocationFormat() } = typeof given === 'function' ? { handler: given } : (given ?? {});
  register(name, 'typed', handler, { format });
}

module.exports = { http, cloudEvent, typed, JsonInvocationFormat };
