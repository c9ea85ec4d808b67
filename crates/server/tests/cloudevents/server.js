'use strict';
// Takes events in with the official SDK: prints its port, then a line for each event.
const http = require('node:http');
const { HTTP } = require('cloudevents');

const server = http.createServer((req, res) => {
  const pieces = [];
  req.on('data', (piece) => pieces.push(piece));
  req.on('end', () => {
    try {
      const mode = req.headers['ce-id'] ? 'binary' : 'structured';
      const event = HTTP.toEvent({ headers: req.headers, body: Buffer.concat(pieces).toString() });
      event.validate();
      console.log(JSON.stringify({ mode, event }));
      res.writeHead(204).end();
    } catch (error) {
      console.log(JSON.stringify({ error: String(error), headers: req.headers }));
      res.writeHead(400).end(String(error));
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
