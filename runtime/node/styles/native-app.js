'use strict';
// Express apps as handlers. An app gives each request and answer a prototype of its own, which
// ends in Node's HTTP classes; here it ends in ours, as there is no HTTP connection behind them.

const http = require('node:http');
const { Request } = require('./native-request');
const { Response } = require('./native-response');

/** Makes `fn`, if it is an Express app, work with our requests and answers. */
function adoptApp(fn) {
  if (typeof fn.handle !== 'function' || Object(fn.request) !== fn.request || Object(fn.response) !== fn.response) return;
  rebase(fn.request, http.IncomingMessage.prototype, Request.prototype);
  rebase(fn.response, http.ServerResponse.prototype, Response.prototype);
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
