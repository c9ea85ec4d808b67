// The peer: the server one would have written with nothing but Node.
'use strict';
const http = require('node:http');

const server = http.createServer((req, res) => {
  res.setHeader('content-type', 'text/html; charset=utf-8');
  res.end('Hello, world!\n');
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
