'use strict';
// A journal beside the product: which handler began and ended what, one line each, in files that
// are only appended to. What it says does not depend on anything that is under test.
const fs = require('node:fs');

const file = fs.openSync(`${process.env.TORTURE_JOURNAL}/${process.pid}-${Date.now()}.log`, 'a');

function write(word, name, key, more = '') {
  fs.writeSync(file, `${process.hrtime.bigint()} ${word} ${name} ${key} ${more}\n`);
}

/** Runs `work` between a line for its begin and one for its end. */
exports.journaled = async (name, key, lane, work) => {
  write('begin', name, key, lane);
  try {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 8));
    if (Math.random() < 0.05) throw new Error('a mishap, on purpose');
    const result = await work();
    write('end', name, key, lane);
    return result;
  } catch (error) {
    write('fail', name, key, lane);
    throw error;
  }
};
