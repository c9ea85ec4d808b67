'use strict';
// `env` and `ctx` of web handlers.

const { Context } = require('../context');

/** What of the `wakeful` module stands in `env` beside the variables, unless one has that name. */
const BINDINGS = ['db', 'bucket', 'publish', 'invoke'];

/** The function's variables as they are once its code is loaded, and what it may reach of ours. */
function makeEnv() {
  const env = { ...process.env };
  for (const name of BINDINGS) {
    if (Object.hasOwn(env, name)) continue;
    // Not listed, so that who logs or copies `env` has the variables only.
    Object.defineProperty(env, name, { get: () => require('../module')[name], enumerable: false, configurable: true });
  }
  return env;
}

/** Our context, and what other runtimes have on theirs. */
class WebContext extends Context {
  /** @param call the request; null for events */
  constructor(attempt, id, call) {
    super(attempt, id);
    Object.defineProperty(this, '_call', { value: call });
    /** Workers: properties of the caller. */
    this.props = {};
  }

  /** The captures of the route's path. */
  get params() {
    return this._call === null ? {} : this._call.params;
  }

  /** The address of the caller. */
  get ip() {
    return this._call === null ? undefined : this._call.remote;
  }

  /** Workers hand a failed request to the origin; here is none, and the failure is the answer. */
  passThroughOnException() {}
}

module.exports = { makeEnv, WebContext };
