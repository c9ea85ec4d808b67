'use strict';
// The entry of a worker process: file descriptor 3 is the socket to the server.

const { PROTOCOL } = require('./frames');

if (process.env.WAKEFUL_PROTOCOL !== PROTOCOL) {
  process.stderr.write(
    `this worker speaks protocol ${PROTOCOL}, the server ${process.env.WAKEFUL_PROTOCOL || 'none'}: ` +
      'the runtime folder is of another version; remove it and start again\n',
  );
  process.exit(70);
}
delete process.env.WAKEFUL_PROTOCOL;
// For our own files too, so before they are loaded.
useCompileCache();

const { Worker } = require('./worker');
const { guard } = require('./guard');
const { provideModule } = require('./provide');

const worker = new Worker(3);
guard(worker);
provideModule(worker);
worker.start();

/** V8's compile cache (Node 22.1 and later), in the folder that the server gives. */
function useCompileCache() {
  const folder = process.env.WAKEFUL_COMPILE_CACHE;
  delete process.env.WAKEFUL_COMPILE_CACHE;
  const { enableCompileCache } = require('node:module');
  if (folder && typeof enableCompileCache === 'function') enableCompileCache(folder);
}
