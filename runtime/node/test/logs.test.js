'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { start } = require('./harness');

test('levels, formats and multiple lines', async (t) => {
  const { worker } = await start(t, `module.exports = () => {
    console.log('a %s %d %j', 'b', 1, { c: 1 }, [2]);
    console.info({ deep: { er: [1] } });
    console.debug('debug'); console.warn('warn'); console.error(new RangeError('bad').message);
    console.dir({ a: 1 }); console.assert(true, 'no'); console.assert(false, 'yes %s', 1);
    console.group('group'); console.log('inner\\nlines'); console.groupEnd(); console.log('outer');
    console.table([{ a: 1 }]); console.count('n'); console.time('t'); console.timeEnd('t');
    console.log(); console.trace('here');
    return 'x';
  };`);
  const stream = worker.http('/');
  await worker.answer(stream);
  const lines = worker.logs(stream).map((line) => [line.level, line.text]);
  assert.deepEqual(lines.slice(0, 10), [
    [1, 'a b 1 {"c":1} [ 2 ]'], [1, '{ deep: { er: [ 1 ] } }'], [0, 'debug'], [2, 'warn'], [3, 'bad'], [1, '{ a: 1 }'],
    [2, 'Assertion failed: yes 1'], [1, 'group'], [1, '  inner\n  lines'], [1, 'outer'],
  ]);
  assert.match(lines[10][1], /│ \(index\) │ a │/);
  assert.deepEqual(lines[11], [1, 'n: 1']);
  assert.match(lines[12][1], /^t: [\d.]+ms$/);
  assert.deepEqual(lines[13], [1, '']);
  assert.equal(lines[14][0], 3);
  assert.match(lines[14][1], /^Trace: here\n {4}at /);
  assert.equal(lines.length, 15);
});

test('lines belong to their attempts, however these interleave', async (t) => {
  const { worker } = await start(t, `const { setTimeout: wait } = require('node:timers/promises');
    console.log('loading');
    module.exports = async (req) => {
      for (let i = 0; i < 5; i++) { await wait(Math.random() * 5); console.log(req.url + i); }
      await new Promise((resolve) => require('node:fs').stat('.', () => { console.log(req.url + 'fs'); resolve(); }));
      return 'x';
    };`);
  const streams = Array.from({ length: 20 }, (_, i) => worker.http(`/${i}-`));
  for (const stream of streams) await worker.answer(stream);
  streams.forEach((stream, i) => {
    assert.deepEqual(worker.logs(stream).map((line) => line.text), [0, 1, 2, 3, 4, 'fs'].map((what) => `/${i}-${what}`));
  });
  assert.deepEqual(worker.logs(0).map((line) => line.text), ['loading']);
});

test('a line after the end of the attempt names the run', async (t) => {
  const { worker } = await start(t, "module.exports = (req, res) => { res.end(); setTimeout(() => console.log('later'), 1); };");
  await worker.get('/');
  const [line] = await worker.until(() => worker.logs().length > 0 && worker.logs(), 'a line');
  assert.deepEqual(line, { stream: 0, level: 1, text: 'later', fields: { run: 'run_128ggyhyyk08n' } });
});

test('the logger of the module takes fields, and its children inherit them', async (t) => {
  const { worker } = await start(t, `const { log } = require('wakeful');
    module.exports = (event, context) => {
      log.info('plain'); log.warn('with', { a: 1n, when: new Date(0) });
      const child = log.child({ order: 7 }).child({ item: 1 });
      child.error('failed', new TypeError('why')); context.log.debug('also', { deep: { b: [1] } });
      const circular = {}; circular.self = circular; log.info('odd', circular); log.info({ not: 'text' }, 'value');
    };`);
  const stream = worker.event({ id: '1', type: 't' });
  await worker.answer(stream);
  const lines = worker.logs(stream);
  assert.deepEqual(lines[0], { stream, level: 1, text: 'plain', fields: null });
  assert.deepEqual(lines[1], { stream, level: 2, text: 'with', fields: { a: '1', when: '1970-01-01T00:00:00.000Z' } });
  assert.equal(lines[2].level, 3);
  assert.equal(lines[2].fields.order, 7);
  assert.equal(lines[2].fields.item, 1);
  assert.equal(lines[2].fields.error.message, 'why');
  assert.deepEqual(lines[3], { stream, level: 0, text: 'also', fields: { deep: { b: [1] } } });
  assert.match(lines[4].fields.fields, /Circular/);
  assert.deepEqual([lines[5].text, lines[5].fields], ["{ not: 'text' }", { value: 'value' }]);
});

test('a flood of lines is bounded, and what is dropped is counted', async (t) => {
  const { worker } = await start(t, `module.exports = () => { for (let i = 0; i < 40_000; i++) console.log('x'.repeat(1000)); console.log('y'.repeat(100_000)); return 'x'; };`);
  const stream = worker.http('/');
  await worker.answer(stream);
  await worker.get('/');
  const dropped = await worker.until(() => worker.logs(0).find((line) => /log lines were dropped/.test(line.text)), 'the count');
  const kept = worker.logs(stream).length;
  assert.ok(kept > 5000 && kept < 40_000, `${kept}`);
  assert.equal(Number(/^(\d+) /.exec(dropped.text)[1]) + kept, 40_001);
});

test('a line that is too long is cut, and says so', async (t) => {
  const { worker } = await start(t, "module.exports = () => { console.log('y'.repeat(100_000)); return 'x'; };");
  const stream = worker.http('/');
  await worker.answer(stream);
  assert.equal(worker.logs(stream)[0].text, `${'y'.repeat(65_536)} … (cut)`);
});

test('what the server sets off is logged by the attempt it concerns', async (t) => {
  const { worker } = await start(t, `module.exports = (req, res) => {
    req.on('data', (chunk) => console.log('data ' + chunk)).on('end', () => console.log('end'));
    req.signal.addEventListener('abort', () => console.log('abort'));
    res.on('drain', () => console.log('drain')).on('close', () => console.log('close'));
    res.write(Buffer.alloc(400_000));
  };`);
  const stream = worker.http('/', { method: 'POST', open: true, body: '1' });
  const lines = () => worker.logs().map((line) => [line.stream, line.text]);
  const expect = async (text) => {
    await worker.until(() => lines().some(([, one]) => one === text), text);
    assert.deepEqual(lines().find(([, one]) => one === text), [stream, text]);
  };
  await expect('data 1');
  worker.data(stream, '2');
  await expect('data 2');
  worker.end(stream);
  await expect('end');
  worker.credit(stream, 1_000_000);
  await expect('drain');
  worker.cancel(stream, 1);
  await expect('abort');
  await expect('close');
});
