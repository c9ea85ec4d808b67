'use strict';
// `invoke` of the `wakeful` module: other functions of the project, called by name.

const current = require('./current');
const { WakefulError } = require('./host');
const limits = require('./limits');
const { invocation } = require('./messages');

/** The function that was invoked failed; `cause` is its error, with its stack. */
class InvokeError extends WakefulError {
  constructor(name, head) {
    const { kind, name: errorName, message, stack } = head.failure;
    super('failed', `the function \`${name}\` failed: ${errorName}: ${message}`, 'invoke');
    this.name = 'InvokeError';
    this.functionName = name;
    this.kind = kind;
    this.runId = head.run;
    const cause = new Error(message);
    Object.defineProperty(cause, 'name', { value: errorName, configurable: true, writable: true });
    Object.defineProperty(cause, 'stack', { value: stack || `${errorName}: ${message}`, configurable: true, writable: true });
    Object.defineProperty(this, 'cause', { value: cause, configurable: true, writable: true });
  }
}

/**
 * Calls a function and waits for its result; with `{wait: false}` only until the call is on disk,
 * and resolves with `{id, duplicates}`.
 */
async function invoke(name, payload, options = {}) {
  const { params, sent, body } = invocation(name, payload, options, ['wait']);
  const wait = options.wait ?? true;
  if (typeof wait !== 'boolean') throw new TypeError('`wait` of invoke() must be true or false');
  const late = wait ? Object.keys(sent)[0] : undefined;
  if (late !== undefined) throw new TypeError(`\`${late === 'delayMs' ? 'delay' : late}\` is for calls that nobody waits for: add wait: false`);
  const reply = await current.worker.host.call('invoke', { ...params, wait }, body);
  const { head } = reply;
  if (!wait) return { id: head.id, duplicates: head.duplicates ?? 0 };
  if (head.failure) throw new InvokeError(name, head);
  const result = await reply.body.collect(limits.MAX_FRAME, (limit) => new RangeError(`the result of \`${name}\` is larger than ${limit} bytes`));
  return result.length === 0 ? undefined : JSON.parse(result.toString());
}

module.exports = { invoke, InvokeError };
