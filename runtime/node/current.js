'use strict';
// The worker of this process, for the `wakeful` module, which user code loads by itself.

module.exports = { worker: null };
