'use strict';
// The packages of test/packages, installed once per lock file into the temporary folder.

const { execFileSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const Module = require('node:module');
const os = require('node:os');
const path = require('node:path');

const FILES = ['package.json', 'package-lock.json'];
const SOURCE = path.join(__dirname, 'packages');

/** The folder that holds `node_modules`. */
function install() {
  const hash = createHash('sha256');
  for (const file of FILES) hash.update(fs.readFileSync(path.join(SOURCE, file)));
  const folder = path.join(os.tmpdir(), `wakeful-test-packages-${hash.digest('hex').slice(0, 12)}`);
  if (fs.existsSync(folder)) return folder;
  const beside = fs.mkdtempSync(`${folder}-`);
  for (const file of FILES) fs.copyFileSync(path.join(SOURCE, file), path.join(beside, file));
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: beside, stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    fs.renameSync(beside, folder);
  } catch (error) {
    // Another test was faster.
    fs.rmSync(beside, { recursive: true, force: true });
    if (!fs.existsSync(folder)) throw error;
  }
  return folder;
}

/** What `require(name)` gives there. */
function load(name) {
  return Module.createRequire(path.join(install(), 'index.js'))(name);
}

module.exports = { install, load };
