'use strict';
// The events of an attempt that serves several: whose delivery each is, and which of them failed.

const { describeError } = require('./errors');
const { retryAdvice } = require('./retry');

/** What INVOKE says about one event of a batch. */
class Entry {
  constructor(runId, attempt, event) {
    this.runId = runId;
    this.attempt = attempt;
    this.event = event;
  }
}

class Batch {
  /** @param {Entry[]} entries */
  constructor(entries) {
    this.entries = entries;
    this.byObject = new WeakMap();
    for (const entry of entries) this.know(entry.event, entry);
    this.byId = null;
    this.aliases = new Map();
  }

  get events() {
    return this.entries.map((entry) => entry.event);
  }

  /** `object` is another form of an entry's event. */
  know(object, entry) {
    if (Object(object) === object) this.byObject.set(object, entry);
  }

  /** `name` is what a form of an entry's event has for an id. */
  alias(name, entry) {
    this.aliases.set(name, entry);
  }

  find(id) {
    this.byId ??= new Map(this.entries.map((entry) => [entry.event.id, entry]));
    return this.byId.get(id) ?? this.aliases.get(id);
  }

  /** A result with the ids of events for whatever else it calls them by. */
  named(value) {
    if (this.aliases.size === 0 || !Array.isArray(value?.batchItemFailures)) return value;
    const name = (one) => ({ ...one, itemIdentifier: this.find(one.itemIdentifier).event.id });
    return { ...value, batchItemFailures: value.batchItemFailures.map(name) };
  }

  /** The entry of an event, of the record made of it, of a copy of either, or of its id. */
  entryOf(event) {
    const known = Object(event) === event ? this.byObject.get(event) : undefined;
    const entry = known ?? this.find(idOf(event));
    if (entry === undefined) throw new TypeError('this is no event of this batch: give one of its events, or the id of one');
    return entry;
  }

  /** Has `work` handle each event, so many at a time. Resolves with a result that names the failed ones. */
  async each(attempt, work, options = {}) {
    const { concurrency = 1 } = options;
    if (typeof work !== 'function') throw new TypeError('each() takes a function: each(async (event) => …)');
    if (!Number.isSafeInteger(concurrency) || concurrency < 1) throw new TypeError('`concurrency` must be a whole number, at least 1');
    const failed = new Map();
    const waiting = this.entries.values();
    const lane = async () => {
      for (const entry of waiting) {
        try {
          await work(entry.event);
        } catch (error) {
          failed.set(entry, failureOf(attempt, entry, error));
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, this.entries.length) }, lane));
    return { batchItemFailures: this.entries.filter((entry) => failed.has(entry)).map((entry) => failed.get(entry)) };
  }
}

function failureOf(attempt, entry, error) {
  const { id } = entry.event;
  attempt.worker.logError(attempt, `Event ${id} of the batch failed`, error);
  return { itemIdentifier: id, error: { ...describeError(error, attempt.worker.paths), retry: retryAdvice(error) } };
}

/** As events and the records that Lambda handlers get have it. */
function idOf(event) {
  if (Object(event) !== event) return event;
  return event.id ?? event.messageId ?? event.eventID ?? event.Sns?.MessageId ?? event.responseElements?.['x-amz-request-id'];
}

/** Throws where a result says of its events what cannot be understood. */
function checkBatchResult(batch, value) {
  const failures = Object(value) === value ? value.batchItemFailures : undefined;
  if (failures === undefined || failures === null) return;
  const rest = 'all of the batch counts as failed';
  if (!Array.isArray(failures)) throw new TypeError(`batchItemFailures must be a list of { itemIdentifier }: ${rest}`);
  for (const one of failures) {
    const id = one?.itemIdentifier;
    if (typeof id !== 'string' || id === '') throw new TypeError(`an entry of batchItemFailures has no itemIdentifier: ${rest}`);
    if (batch.find(id) === undefined) throw new TypeError(`batchItemFailures names \`${id}\`, which is no event of this batch: ${rest}`);
  }
}

module.exports = { Batch, Entry, checkBatchResult };
