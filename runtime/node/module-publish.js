'use strict';
// `publish` of the `wakeful` module: events for topics.

const current = require('./current');
const { outgoing } = require('./messages');

/**
 * `publish(topic, data, options)`, `publish(event, options)`, `publish(events, options)`. Resolves
 * when all of it is on disk: with `{id, duplicates}`, for a list with `{ids, duplicates}`.
 */
async function publish(first, second, third) {
  const out = outgoing(first, second, third);
  if (out.messages.length === 0) return { ids: [], duplicates: 0 };
  const { head } = await current.worker.host.call('publish', out.params, out.body);
  const { ids, duplicates = 0 } = head;
  return out.isList ? { ids, duplicates } : { id: ids[0], duplicates };
}

module.exports = { publish };
