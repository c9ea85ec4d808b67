'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start, frames } = require('./harness');

const EVENT = { specversion: '1.0', id: '1', type: 't', data: null };
const REFUSED = { flags: frames.FLAG_END | frames.FLAG_ERROR };

/**
 * Runs a handler against a server that answers each op with `replies[op]`: a head, a function of
 * the call, or an Error's {code, message}. Resolves with what was asked, in order, and the result.
 */
async function run(t, code, replies = {}, begin = (worker) => worker.event(EVENT)) {
  const { worker, loaded } = await start(t, `const { publish } = require('wakeful'); module.exports = async (event, context) => { ${code} };`);
  assert.equal(loaded.ok, true, JSON.stringify(loaded));
  const stream = begin(worker);
  let seen = 0;
  let ids = 0;
  const serve = () => {
    for (const call of worker.calls().slice(seen)) {
      seen += 1;
      const given = replies[call.op];
      const head = typeof given === 'function' ? given(call) : given ?? (call.op === 'once.begin' ? { done: false, id: (ids += 1) } : {});
      if (head !== null) worker.reply(call.stream, head, head.code === undefined ? {} : REFUSED);
    }
  };
  worker.waiters.add(serve);
  serve();
  const answer = await worker.answer(stream);
  worker.waiters.delete(serve);
  const asked = worker.calls().map(({ op, params, body, attempt }) => {
    assert.equal(attempt, stream);
    return body.length > 0 ? [op, params, body.toString()] : [op, params];
  });
  return { asked, worker, fail: answer.fail, result: answer.fail || answer.text === '' ? undefined : JSON.parse(answer.text) };
}

test('effects are asked for one by one, and committed when the callback has resolved', async (t) => {
  const { asked, result } = await run(
    t,
    `return await context.once('order', async (tx) => {
      const values = [await tx.publish('orders.paid', { id: 7 }, { key: 'k' }), await tx.publish([{ topic: 'a' }]), await tx.publish([]), await tx.invoke('mail', { to: 'x' }, { delay: '1m' })];
      const put = await tx.bucket.photos.put('k', 'text', { contentType: 'text/x' });
      await tx.bucket('photos').remove('old');
      return { values: values.filter((value) => value !== undefined), put };
    });`,
    { 'once.put': { etag: 'e', size: 4 } },
  );
  assert.deepEqual(asked, [
    ['once.begin', { name: 'order' }],
    ['once.publish', { once: 1, events: [{ topic: 'orders.paid', contentType: 'application/json', length: 8, key: 'k' }] }, '{"id":7}'],
    ['once.publish', { once: 1, events: [{ topic: 'a' }] }],
    ['once.invoke', { once: 1, function: 'mail', contentType: 'application/json', delayMs: 60_000 }, '{"to":"x"}'],
    ['once.put', { once: 1, bucket: 'photos', key: 'k', contentType: 'text/x' }, 'text'],
    ['once.remove', { once: 1, bucket: 'photos', key: 'old' }],
    ['once.commit', { once: 1, result: { values: [], put: { key: 'k', etag: 'e', size: 4 } } }],
  ]);
  assert.deepEqual(result, { values: [], put: { key: 'k', etag: 'e', size: 4 } });
});

test('with a database its transaction is the callback\'s', async (t) => {
  const { asked, result } = await run(
    t,
    `return await context.once('order', { db: 'shop' }, async (tx) => {
      await tx.db.run('insert into orders values (?)', [7]);
      await tx.publish('orders.paid');
      return (await tx.db.get('select 1')).a;
    });`,
    { 'once.begin': { done: false, id: 5, tx: 9 }, 'db.query': { columns: ['a'], rows: [[3]], changes: 1, lastInsertRowid: 1 } },
  );
  assert.deepEqual(asked, [
    ['once.begin', { name: 'order', database: 'shop' }],
    ['db.query', { database: 'shop', sql: 'insert into orders values (?)', params: [7], tx: 9 }],
    ['once.publish', { once: 5, events: [{ topic: 'orders.paid' }] }],
    ['db.query', { database: 'shop', sql: 'select 1', params: [], tx: 9 }],
    ['once.commit', { once: 5, result: 3 }],
  ]);
  assert.equal(result, 3);
});

test('what an earlier attempt did is not done again', async (t) => {
  const { asked, result } = await run(
    t,
    "const get = (name) => context.once(name, { db: 'shop' }, () => { throw new Error('ran again'); }); return [await get('a'), (await get('b')) === undefined];",
    { 'once.begin': ({ params }) => (params.name === 'a' ? { done: true, result: { n: 1 } } : { done: true }) },
  );
  assert.deepEqual(asked.map(([op]) => op), ['once.begin', 'once.begin']);
  assert.deepEqual(result, [{ n: 1 }, true]);
});

test('a callback that throws applies nothing, and may be tried again', async (t) => {
  const { asked, result } = await run(
    t,
    `let n = 0;
     const work = async (tx) => { await tx.publish('a', ++n); if (n === 1) throw new Error('no'); return n; };
     const message = await context.once('x', work).catch((error) => error.message);
     return [message, await context.once('x', work)];`,
  );
  assert.deepEqual(asked.map(([op, params]) => [op, params.once ?? params.name]), [
    ['once.begin', 'x'], ['once.publish', 1], ['once.abort', 1], ['once.begin', 'x'], ['once.publish', 2], ['once.commit', 2],
  ]);
  assert.deepEqual(result, ['no', 2]);
});

test('the same name in one attempt gives the same result, also at the same time', async (t) => {
  const { asked, result } = await run(t, "let n = 0; const one = () => context.once('x', async () => ++n); const both = await Promise.all([one(), one()]); return [...both, await one(), n];");
  assert.deepEqual(asked.map(([op]) => op), ['once.begin', 'once.commit']);
  assert.deepEqual(result, [1, 1, 1, 1]);
});

test('different ones may be open at the same time', async (t) => {
  const { asked } = await run(t, "await Promise.all(['a', 'b'].map((name) => context.once(name, (tx) => tx.publish(name))));");
  assert.deepEqual(asked.filter(([op]) => op === 'once.publish').map(([, params]) => [params.once, params.events[0].topic]).sort(), [[1, 'a'], [2, 'b']]);
  assert.equal(asked.filter(([op]) => op === 'once.commit').length, 2);
});

test('results are as a later attempt would get them', async (t) => {
  const { result } = await run(t, "const value = await context.once('x', () => ({ at: new Date(0), none: undefined })); return [value, typeof value.at];");
  assert.deepEqual(result, [{ at: '1970-01-01T00:00:00.000Z' }, 'string']);
});

test('effects that nobody awaits are gathered before the commit', async (t) => {
  const { asked } = await run(t, "await context.once('x', (tx) => { tx.publish('a'); tx.bucket.b.remove('k'); });");
  assert.deepEqual(asked.map(([op]) => op), ['once.begin', 'once.publish', 'once.remove', 'once.commit']);
});

test('the commit waits for the answers to all effects', async (t) => {
  const { worker } = await start(t, "module.exports = (event, context) => context.once('x', (tx) => { tx.publish('a'); return 1; });");
  const stream = worker.event(EVENT);
  worker.reply((await worker.call(0)).stream, { done: false, id: 1 });
  const effect = await worker.call(1);
  const before = worker.frames.length;
  worker.send(frames.PING, 0, Buffer.alloc(4));
  await worker.frame(frames.PONG, 0, before);
  assert.equal(worker.calls().length, 2);
  worker.reply(effect.stream, {});
  const commit = await worker.call(2);
  assert.equal(commit.op, 'once.commit');
  worker.reply(commit.stream, {});
  assert.equal((await worker.answer(stream)).text, '1');
});

test('an effect that is refused fails all of it, awaited or not', async (t) => {
  const denied = { 'once.publish': { code: 'denied', message: 'no access to topic a' } };
  for (const call of ["tx.publish('a');", "await tx.publish('a').catch(() => {});", "await tx.publish('a');"]) {
    const { asked, fail } = await run(t, `await context.once('x', async (tx) => { ${call} });`, denied);
    assert.deepEqual([fail.name, fail.message], ['WakefulError', 'no access to topic a']);
    assert.deepEqual(asked.map(([op]) => op), ['once.begin', 'once.publish', 'once.abort']);
  }
});

test('a commit that fails fails the attempt', async (t) => {
  const { asked, fail } = await run(t, "await context.once('x', () => 1);", { 'once.commit': { code: 'conflict', message: 'another attempt was faster' } });
  assert.equal(fail.message, 'another attempt was faster');
  assert.deepEqual(asked.map(([op]) => op), ['once.begin', 'once.commit']);
});

test('an abort that fails hides nothing', async (t) => {
  const { fail } = await run(t, "await context.once('x', () => { throw new Error('the cause'); });", { 'once.abort': { code: 'failed', message: 'm' } });
  assert.equal(fail.message, 'the cause');
});

test('nothing goes through it once it is over', async (t) => {
  const { asked, result } = await run(
    t,
    `let kept; await context.once('x', { db: 'shop' }, (tx) => { kept = tx; });
     const messages = []; for (const late of [() => kept.publish('a'), () => kept.db.run('b'), () => kept.invoke('c')]) await late().catch((error) => messages.push(error.message));
     return messages;`,
    { 'once.begin': { done: false, id: 1, tx: 2 } },
  );
  assert.deepEqual(asked.map(([op]) => op), ['once.begin', 'once.commit']);
  assert.match(result[0], /this once\(\) is over/);
  assert.match(result[1], /the transaction is over/);
  assert.match(result[2], /this once\(\) is over/);
});

test('outside of it, the module acts at once', async (t) => {
  const { asked } = await run(t, "await context.once('x', async () => { await publish('now'); });", { publish: { ids: ['1'], duplicates: 0 } });
  assert.deepEqual(asked.map(([op]) => op), ['once.begin', 'publish', 'once.commit']);
});

test('reached through context() of the module, and in Lambda style', async (t) => {
  const code = "const { context } = require('wakeful'); exports.handler = async (event, ctx) => [await context().once('a', () => 1), await ctx.once('b', () => 2)];";
  const { worker } = await start(t, code);
  const stream = worker.event(EVENT);
  for (let i = 0; i < 4; i++) worker.reply((await worker.call(i)).stream, i % 2 === 0 ? { done: false, id: i } : {});
  assert.deepEqual(JSON.parse((await worker.answer(stream)).text), [1, 2]);
});

test('in a batch it is for one of the events', async (t) => {
  const items = [{ run: 1n, event: { ...EVENT, id: 'a' } }, { run: 2n, event: { ...EVENT, id: 'b' } }];
  const { asked, result } = await run(
    t,
    "const all = []; for (const one of event) all.push(await context.once('x', { event: one }, () => one.id)); return [all, await context.once('x', () => 1).catch((error) => error.message)];",
    {},
    (worker) => worker.batch(items),
  );
  assert.deepEqual(asked.filter(([op]) => op === 'once.begin').map(([, params]) => params), [{ name: 'x', run: 'run_0000000000001' }, { name: 'x', run: 'run_0000000000002' }]);
  assert.deepEqual(result, [['a', 'b'], "in a batch once() is for one of its events: once('name', { event }, work)"]);
});

for (const [name, code, message] of [
  ['no name', 'context.once(() => 1)', /once\(\) takes a name of 1 to 128 characters, not function/],
  ['an empty name', "context.once('', () => 1)", /takes a name of 1 to 128 characters, not one of 0/],
  ['a long name', "context.once('x'.repeat(129), () => 1)", /not one of 129/],
  ['no function', "context.once('x')", /once\(\) takes a function/],
  ['an unknown option', "context.once('x', { database: 'shop' }, () => 1)", /once\(\) has no option `database`: there are db, event/],
  ['a database that is none', "context.once('x', { db: 5 }, () => 1)", /`db` of once\(\) must be the name of a database/],
]) {
  test(`refused without asking the server: ${name}`, async (t) => {
    const { asked, fail } = await run(t, `await ${code};`);
    assert.deepEqual([fail.name, asked], ['TypeError', []]);
    assert.match(fail.message, message);
  });
}

for (const [name, code, message] of [
  ['another once inside', "(tx) => context.once('y', () => 1)", /once\(\) cannot stand inside of another one/],
  ['a database without a name', "(tx) => tx.db.run('x')", /this once\(\) has no database: name it/],
  ['a result that is no JSON', '() => new Map()', /the result of once\('x'\) cannot be written as JSON: it is a Map/],
  ['a large result', "() => 'x'.repeat(300_000)", /the result of once\('x'\) is larger than 262144 bytes/],
  ['a wait', "(tx) => tx.invoke('f', 1, { wait: true })", /invoke\(\) has no option `wait`/],
]) {
  test(`fails, and is aborted: ${name}`, async (t) => {
    const { asked, fail } = await run(t, `await context.once('x', ${code});`);
    assert.deepEqual(asked.map(([op]) => op), ['once.begin', 'once.abort']);
    assert.match(fail.message, message);
  });
}

test('bytes of objects do not go with a database', async (t) => {
  const { asked, fail } = await run(t, "await context.once('x', { db: 'shop' }, (tx) => tx.bucket.b.put('k', 'v'));", { 'once.begin': { done: false, id: 1, tx: 2 } });
  assert.deepEqual(asked.map(([op]) => op), ['once.begin', 'once.abort']);
  assert.match(fail.message, /a once\(\) with a database keeps no bytes of objects/);
});

test('after the end of the attempt there is nothing it could apply with', async (t) => {
  const { worker } = await start(t, "let late; exports.first = (event, context) => { late = context; }; exports.second = () => late.once('x', () => 1).catch((error) => error.message);", { handlers: ['first', 'second'] });
  await worker.result(EVENT);
  assert.equal(await worker.result(EVENT, { handler: 1 }), 'the attempt is over: nothing can apply with its success any more');
  assert.deepEqual(worker.calls(), []);
});
