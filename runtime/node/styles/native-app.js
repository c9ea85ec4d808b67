'use strict';
// Express apps as handlers. An app gives each request and answer a prototype of its own, which
// ends in Node's HTTP classes; here it ends in ours, as there is no HTTP connection behind them.

const http = require('node:http');
const { Request } = require('./native-request');
const { Response } = require('./native-response');

/** What no request of Node has before middleware of the app sets it. */
const SET_BY_MIDDLEWARE = ['body', 'cookies', 'query', 'params', 'rawBody', 'signedCookies', '_body'];

/** A request of ours that leaves to the app what Express leaves to its middleware. */
const bareRequest = Object.create(Request.prototype);
for (const name of SET_BY_MIDDLEWARE) {
  Object.defineProperty(bareRequest, name, {
    configurable: true,
    get: () => undefined,
    set(value) {
      Object.defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true });
    },
  });
}

/** `fn`; when it is an Express app, as a handler that works with our requests and answers. */
function adoptApp(fn) {
  if (typeof fn.handle !== 'function' || Object(fn.request) !== fn.request || Object(fn.response) !== fn.response) return fn;
  rebase(fn.request, http.IncomingMessage.prototype, bareRequest);
  rebase(fn.response, http.ServerResponse.prototype, Response.prototype);
  return (req, res) => fn(Object.setPrototypeOf(req, bareRequest), res);
}

function rebase(object, from, to) {
  for (let at = object; at !== null; at = Object.getPrototypeOf(at)) {
    if (Object.getPrototypeOf(at) === from) {
      Object.setPrototypeOf(at, to);
      return;
    }
  }
}

module.exports = { adoptApp };
