'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const { start, project, TestWorker } = require('./harness');

/** Code that loads: what LOADED says, and what the handler answers. */
function loads(name, files, settings, expected, answer = 'ok') {
  test(`loads: ${name}`, async (t) => {
    const { worker, loaded } = await start(t, files, settings);
    assert.deepEqual(loaded, { ok: true, missing: [], ...expected });
    assert.equal((await worker.get('/')).text, answer);
  });
}

const BOM = '\uFEFF';
loads('CommonJS', { 'index.js': "exports.a = () => 'ok';" }, { handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('a function as module.exports', { 'index.js': "module.exports = () => 'ok';" }, {}, { style: 'native', exports: ['default'] });
loads('the only export', { 'index.js': "exports.anything = () => 'ok';" }, {}, { style: 'native', exports: ['anything'] });
loads('exports.default among other exports', { 'index.js': "exports.default = () => 'ok'; exports.other = () => 'no';" }, {}, { style: 'native', exports: ['default', 'other'] });
loads('compiled ES modules', { 'index.js': "Object.defineProperty(exports, '__esModule', { value: true }); exports.default = () => 'ok';" }, {}, { style: 'native', exports: ['default'] });
loads('.cjs', { 'a.cjs': "exports.a = () => 'ok';" }, { file: 'a.cjs', handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('.mjs', { 'a.mjs': "export default () => 'ok'; export const b = () => 1;" }, { file: 'a.mjs' }, { style: 'native', exports: ['b', 'default'] });
loads('type module', { 'package.json': '{"type":"module"}', 'index.js': "export const a = () => 'ok';" }, { handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('ES module syntax without a type', { 'index.js': "export const a = () => 'ok';" }, { handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('top-level await', { 'index.mjs': "const v = await new Promise((r) => setTimeout(r, 5, 'ok')); export default () => v;" }, { file: 'index.mjs' }, { style: 'native', exports: ['default'] });
loads('top-level await without a type', { 'index.js': "const v = await Promise.resolve('ok'); export default () => v;" }, {}, { style: 'native', exports: ['default'] });
loads('a byte order mark in CommonJS', { 'index.js': `${BOM}exports.a = () => 'ok';` }, { handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('a byte order mark in an ES module', { 'index.mjs': `${BOM}export const a = () => 'ok';` }, { file: 'index.mjs', handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('a byte order mark in JSON', { 'index.js': "const { v } = require('./v.json'); exports.a = () => v;", 'v.json': `${BOM}{"v":"ok"}`, 'package.json': `${BOM}{}` }, { handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('JSON in an ES module', { 'index.mjs': "import v from './v.json' with { type: 'json' }; export default () => v.v;", 'v.json': '{"v":"ok"}' }, { file: 'index.mjs' }, { style: 'native', exports: ['default'] });
loads('a folder with main', { 'package.json': '{"main":"lib/main"}', 'lib/main.js': "exports.a = () => 'ok';" }, { file: '', handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('a folder with index.mjs', { 'index.mjs': "export const a = () => 'ok';" }, { file: '', handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('a dependency', { 'index.js': "exports.a = () => require('dep');", 'node_modules/dep/index.js': "module.exports = 'ok';" }, { handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('the environment and the folder', { 'index.js': "const fs = require('node:fs'); exports.a = () => process.env.WORD + fs.readFileSync('file.txt') + process.env.WAKEFUL_PROTOCOL + process.env.AWS_LAMBDA_FUNCTION_NAME + process.env.AWS_REGION;", 'file.txt': 'k' }, {
  handlers: ['a'], env: { WORD: 'o', AWS_REGION: 'eu-west-1' },
}, { style: 'native', exports: ['a'] }, 'okundefinedundefinedeu-west-1');
loads('methods of a default export', { 'index.mjs': "export default { a() { return 'ok'; } };" }, { file: 'index.mjs', handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('lambda, detected', { 'index.js': "exports.handler = async () => 'ok'; exports.util = () => 1;" }, {}, { style: 'lambda', exports: ['handler', 'util'] });
loads('lambda, an export by its name', { 'index.js': "exports.main = async () => 'ok';" }, { style: 'lambda', handlers: ['main'] }, { style: 'lambda', exports: ['main'] });
loads('native, in spite of an export `handler`', { 'index.js': "exports.handler = 1; exports.a = () => 'ok';" }, { handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('web, detected', { 'index.mjs': "export default { fetch: () => new Response('ok') };" }, { file: 'index.mjs' }, { style: 'web', exports: ['fetch'] });

/** Code that does not load: the error of LOADED. */
function fails(name, files, settings, expected) {
  test(`does not load: ${name}`, async (t) => {
    const { loaded, root } = await start(t, files, settings);
    assert.equal(loaded.ok, false, JSON.stringify(loaded));
    const { error } = loaded;
    assert.match(error.message, expected.message);
    for (const key of ['name', 'file', 'line', 'column', 'excerpt']) {
      if (key in expected) assert.deepEqual(error[key], expected[key], `${key} of ${JSON.stringify(error)}`);
    }
    assert.ok(!JSON.stringify(error).includes(root), JSON.stringify(error));
  });
}

const SHOWN = 'functions/books';
fails('a syntax error in CommonJS', { 'index.js': "'use strict';\nconst a = 1;\n\tfoo(;\nmodule.exports = a;\n" }, {}, {
  name: 'SyntaxError', message: /Unexpected token/, file: `${SHOWN}/index.js`, line: 3, column: 6,
  excerpt: "  1 | 'use strict';\n  2 | const a = 1;\n> 3 | \tfoo(;\n    | \t    ^\n  4 | module.exports = a;",
});
fails('a syntax error in an ES module', { 'a.mjs': "import fs from 'node:fs';\nconst b = ;\n" }, { file: 'a.mjs' }, {
  name: 'SyntaxError', message: /Unexpected token/, file: `${SHOWN}/a.mjs`, line: 2, column: 11, excerpt: "  1 | import fs from 'node:fs';\n> 2 | const b = ;\n    |           ^",
});
fails('a syntax error in a file without a type', { 'index.js': 'export const a = 1;\nconst b = ;\n' }, {}, {
  name: 'SyntaxError', message: /Unexpected token/, file: `${SHOWN}/index.js`, line: 2, column: 11,
});
fails('a syntax error in what an ES module imports', { 'a.mjs': "import './lib/b.mjs';\n", 'lib/b.mjs': "import './c.mjs';\n", 'lib/c.mjs': 'let x = 1;\nlet x = 2;\n' }, { file: 'a.mjs' }, {
  name: 'SyntaxError', message: /already been declared/, file: `${SHOWN}/lib/c.mjs`, line: 2, column: 5,
});
fails('an import of a name that is not exported', { 'a.mjs': "import { nope } from './b.mjs';\n", 'b.mjs': 'export const a = 1;\n' }, { file: 'a.mjs' }, {
  name: 'SyntaxError', message: /does not provide an export named 'nope'/, file: `${SHOWN}/a.mjs`, line: 1, column: 10,
});
fails('a throw while loading', { 'index.js': "const b = require('./b');\n", 'b.js': "function f() {\n  throw new TypeError('at import');\n}\nf();\n" }, {}, {
  name: 'TypeError', message: /^at import$/, file: `${SHOWN}/b.js`, line: 2, column: 9,
});
fails('a throw while loading an ES module', { 'a.mjs': "await 1;\nnull.x;\n" }, { file: 'a.mjs' }, {
  name: 'TypeError', message: /Cannot read properties of null/, file: `${SHOWN}/a.mjs`, line: 2, column: 6,
});
fails('a throw of undefined', { 'index.js': 'throw undefined;' }, {}, { name: 'Error', message: /^undefined$/, file: null });
fails('a missing package', { 'index.js': "const a = 1;\nconst sharp = require('@img/sharp/lib');\n" }, {}, {
  message: /^the package `@img\/sharp`, which functions\/books\/index\.js asks for, is not installed: run `npm install @img\/sharp` in functions\/books, or add it to the dependencies in package\.json$/,
  file: `${SHOWN}/index.js`, line: 2, column: 15,
});
fails('a missing package of an ES module', { 'a.mjs': "const a = 1;\nimport sharp from 'sharp';\n" }, { file: 'a.mjs' }, {
  message: /^the package `sharp`, which functions\/books\/a\.mjs asks for, is not installed: run `npm install sharp`/, file: `${SHOWN}/a.mjs`, line: 2, column: 20,
});
fails('a missing file', { 'index.js': "require('./nope');\n" }, {}, {
  message: /^there is no file \.\/nope, which functions\/books\/index\.js asks for$/, file: `${SHOWN}/index.js`, line: 1,
});
fails('a missing file of an ES module', { 'a.mjs': "import './nope.mjs';\n" }, { file: 'a.mjs' }, {
  message: /^there is no file functions\/books\/nope\.mjs, which functions\/books\/a\.mjs asks for$/, file: `${SHOWN}/a.mjs`, line: 1,
});
fails('no such entry', { 'other.js': '' }, { file: 'index.js' }, { message: /^there is no file or folder functions\/books\/index\.js$/ });
fails('an empty folder', { 'a/b.txt': '' }, { file: 'a' }, { message: /functions\/books\/a has no package\.json with "main" and no index\.js/ });
fails('a main file that is not there', { 'package.json': '{"main":"x.js"}' }, { file: '' }, { message: /names `x\.js` as its main file, which does not exist/ });
fails('a package.json that is no JSON', { 'package.json': '{', 'index.js': '' }, {}, { message: /functions\/books\/package\.json is not valid JSON/, file: `${SHOWN}/package.json` });
fails('process.exit while loading', { 'index.js': "if (1) process.exit(2);" }, {}, { message: /^process\.exit\(2\) was called while the code was loading$/, file: `${SHOWN}/index.js`, line: 1 });
fails('a top-level await that never ends', { 'a.mjs': 'await new Promise(() => {});' }, { file: 'a.mjs' }, { message: /a top-level await waits for something that cannot happen/ });
fails('an exception in a callback while loading', { 'a.mjs': "setTimeout(() => { throw new Error('early'); }, 1); await new Promise((r) => setTimeout(r, 5000));" }, { file: 'a.mjs' }, { message: /^early$/ });

test('handlers that are not there are listed', async (t) => {
  const { loaded } = await start(t, 'exports.a = () => 1; exports.b = 2; exports.c = class {};', { handlers: ['a', 'nothing', null, 'toString'] });
  assert.deepEqual(loaded, { ok: true, style: 'native', exports: ['a', 'c'], missing: ['nothing', null, 'toString'] });
});

test('READY tells the process and its Node', async (t) => {
  const worker = new TestWorker();
  t.after(() => worker.stop());
  assert.deepEqual(await worker.ready(), { pid: worker.child.pid, node: process.versions.node });
});

test('another protocol is refused', async (t) => {
  const worker = new TestWorker({ env: { WAKEFUL_PROTOCOL: '2' } });
  t.after(() => worker.stop());
  assert.equal((await worker.exited).code, 70);
  assert.match(worker.stderr, /speaks protocol 1, the server 2/);
});

test('the compile cache is used where Node has one', async (t) => {
  const cache = path.join(project(t, { 'keep.txt': '' }), 'cache');
  const { worker, root } = await start(t, `exports.a = () => 'ok';${'\n// a comment that makes it worth caching'.repeat(100)}`, {
    handlers: ['a'], spawn: { env: { WAKEFUL_COMPILE_CACHE: cache } },
  });
  assert.equal((await worker.get('/')).text, 'ok');
  assert.ok(fs.existsSync(root));
  if (typeof require('node:module').enableCompileCache !== 'function') return;
  await worker.until(() => fs.existsSync(cache) && fs.readdirSync(cache, { recursive: true }).length > 1, 'files in the cache').catch((error) => {
    // The look above is repeated only when frames come: here none does.
    if (fs.readdirSync(cache, { recursive: true }).length <= 1) throw error;
  });
});

const ENV = 'process.env.AWS_LAMBDA_FUNCTION_NAME';
loads('what is not lambda sees nothing of it while it loads', { 'index.js': `const seen = ${ENV} === undefined && globalThis.awslambda === undefined; exports.a = () => (seen ? 'ok' : 'lambda');` }, { handlers: ['a'] }, { style: 'native', exports: ['a'] });
loads('nor does code whose style is still open', { 'index.js': `const seen = ${ENV}; module.exports = () => (seen ?? 'ok');` }, {}, { style: 'native', exports: ['default'] });
for (const [how, code] of [
  ['exports.handler', 'exports.handler = async () => seen;'],
  ['a list of exports', 'const handler = async () => seen;\nmodule.exports = {\n  handler,\n};'],
  ['a bundle', 'const x = {}; const h = async () => seen; for (const [k, get] of Object.entries({handler:()=>h})) Object.defineProperty(x, k, { get, enumerable: true }); module.exports = x;'],
]) {
  loads(`lambda sees its variables while it loads: ${how}`, { 'index.js': `const seen = ${ENV} === 'books' ? 'ok' : 'none';\n${code}` }, {}, { style: 'lambda', exports: ['handler'] });
}
