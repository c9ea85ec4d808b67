'use strict';
// Web handlers: `fetch(request, env, ctx)` of a default export, with the Request and Response of
// the fetch standard.

const { describe } = require('../bodies');
const { makeEnv, WebContext } = require('./web-context');
const { webEvents } = require('./web-events');
const { isWebResponse, sendWebResponse } = require('./web-response');

const NO_BODY = new Set(['GET', 'HEAD']);

function web(target) {
  const env = makeEnv();
  return { http: (attempt, call) => start(target, env, attempt, call), ...webEvents(target, env) };
}

function start(target, env, attempt, call) {
  answer(target, env, attempt, call).then(
    () => attempt.settle(),
    (error) => {
      attempt.fail('user_error', error);
      attempt.settle();
    },
  );
}

async function answer(target, env, attempt, call) {
  if (typeof target.fetch !== 'function') throw new TypeError('this function has no `fetch` in its default export: it cannot answer requests');
  const response = await target.fetch(makeRequest(attempt, call), env, new WebContext(attempt, null, call));
  if (!isWebResponse(response)) {
    throw new TypeError(`fetch() must return a Response, not ${describe(response)}`);
  }
  await sendWebResponse(attempt, response, call.method === 'HEAD');
}

function makeRequest(attempt, call) {
  const headers = new Headers();
  const { parts } = call;
  for (let i = 0; i + 1 < parts.length; i += 2) headers.append(parts[i], parts[i + 1]);
  const init = { method: call.method, headers, signal: attempt.signal };
  if (!NO_BODY.has(call.method)) {
    if (call.inbound !== null) {
      init.body = webStream(call.inbound);
      init.duplex = 'half';
    } else if (call.body.length > 0) {
      init.body = call.body;
    }
  }
  return new Request(urlOf(call), init);
}

function urlOf(call) {
  const host = call.headers.host || 'localhost';
  const target = call.target.startsWith('/') ? call.target : `/${call.target}`;
  return URL.canParse(`http://${host}`) ? `http://${host}${target}` : `http://localhost${target}`;
}

/** A body that comes in as a stream of the web: it reads on only when it is read. */
function webStream(inbound) {
  return new ReadableStream(
    {
      type: 'bytes',
      pull(controller) {
        return new Promise((resolve) => {
          const pull = () => {
            try {
              const chunk = inbound.take();
              if (chunk === undefined) {
                inbound.wait(pull);
                return;
              }
              if (chunk === null) {
                controller.close();
                controller.byobRequest?.respond(0);
              } else {
                controller.enqueue(new Uint8Array(chunk));
              }
            } catch (error) {
              controller.error(error);
            }
            resolve();
          };
          pull();
        });
      },
    },
    { highWaterMark: 0 },
  );
}

module.exports = { web, webStream };
