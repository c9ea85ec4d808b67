'use strict';
// What is one of a kind in this process: its worker, for the `wakeful` module, which user code
// loads by itself; and the functions that were registered by name, null while nobody has asked for
// the functions-framework.

module.exports = { worker: null, functions: null };
