"""Takes events in with the official SDK: prints its port, then a line for each event."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer

from cloudevents.core.bindings import http


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        binary = "ce-id" in headers
        message = http.HTTPMessage(headers=headers, body=body)
        try:
            event = http.from_http_event(message)
            attributes = {k: str(v) for k, v in event.get_attributes().items()}
            mode = "binary" if binary else "structured"
            line = {"mode": mode, "event": {**attributes, "data": event.get_data()}}
            status = 204
        except Exception as error:
            line = {"error": repr(error), "headers": headers}
            status = 400
        print(json.dumps(line), flush=True)
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
