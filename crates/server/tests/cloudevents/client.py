"""Sends events with the official SDK, in every mode, and prints the answers: client.py URL"""

import json
import sys
import urllib.request
from datetime import datetime, timezone

from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent

URL = sys.argv[1]


def post(headers, body):
    request = urllib.request.Request(URL, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request) as answer:
        print(json.dumps({"status": answer.status, "body": json.load(answer)}))


def event(id, data, **more):
    attributes = {
        "id": id,
        "source": "/sdk/py",
        "type": "orders.paid",
        "specversion": "1.0",
        "time": datetime(2026, 11, 20, 12, 0, 0, 123000, tzinfo=timezone.utc),
        "subject": 'Euro € 😀 100% "quoted"',
        **more,
    }
    return CloudEvent(attributes, data)


def body_of(message):
    return message.headers, message.body


JSON = {"datacontenttype": "application/json", "tenant": "acme"}
BYTES = {"datacontenttype": "application/octet-stream"}
ORDER = {"total": 7, "name": "Größe 😀"}

post(*body_of(http.to_binary_event(event("py-json", ORDER, **JSON))))
post(*body_of(http.to_structured_event(event("py-structured", ORDER, **JSON))))
post(*body_of(http.to_binary_event(event("py-bytes", b"\x00\xff\x80", **BYTES))))
batch = [
    http.to_structured_event(event("py-batch-1", ORDER, **JSON)).body,
    http.to_structured_event(event("py-batch-2", b"\x00\xff\x80", **BYTES)).body,
]
headers = {"content-type": "application/cloudevents-batch+json"}
post(headers, b"[" + b",".join(batch) + b"]")
