'use strict';
// Takes events in with the official SDK: prints its port, then a line for each event.
// REFUSE: so many are refused at first. KEY and CERT: files, for TLS.
const { readFileSync } = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const { HTTP } = require('cloudevents');

let refuse = Number(process.env.REFUSE ?? 0);
const { KEY, CERT } = process.env;
const create = KEY
  ? (answer) => https.createServer({ key: readFileSync(KEY), cert: readFileSync(CERT) }, answer)
  : (answer) => http.createServer(answer);

const server = create((req, res) => {
  const pieces = [];
  req.on('data', (piece) => pieces.push(piece));
  req.on('end', () => {
    try {
      const mode = req.headers['ce-id'] ? 'binary' : 'structured';
      const event = HTTP.toEvent({ headers: req.headers, body: Buffer.concat(pieces).toString() });
      event.validate();
      console.log(JSON.stringify({ mode, event }));
      if (refuse-- > 0) res.writeHead(503, { 'retry-after': '1' }).end('not yet');
      else res.writeHead(204).end();
    } catch (error) {
      console.log(JSON.stringify({ error: String(error), headers: req.headers }));
      res.writeHead(400).end(String(error));
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
