"""What boto3 and raw requests find at Lambda's API."""

import base64
import datetime
import json
import os
import re
import time
import urllib.error
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
MIB = 1024 * 1024
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-0{12}"

once = botocore.config.Config(retries={"total_max_attempts": 1})
client = boto3.client("lambda", config=once)


def fields(answer):
    return answer["ResponseMetadata"]["HTTPHeaders"]


def refused(code, status, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, error.response
        assert error.response["ResponseMetadata"].get("RequestId"), error.response
        return error.response
    raise AssertionError(f"not refused: {arguments}")


def invoke(name, payload=None, **more):
    if payload is not None:
        more["Payload"] = json.dumps(payload)
    answer = client.invoke(FunctionName=name, **more)
    return answer, json.loads(answer["Payload"].read() or "null")


def signed(method, path, body=b"", headers=None, key=None, secret=None, region="eu-central-1", at=None):
    """A request signed by botocore, sent by nobody yet."""
    key = key or os.environ["AWS_ACCESS_KEY_ID"]
    secret = secret or os.environ["AWS_SECRET_ACCESS_KEY"]
    request = botocore.awsrequest.AWSRequest(method=method, url=ENDPOINT + path, data=body, headers=headers or {})
    now = botocore.auth.get_current_datetime
    if at is not None:
        botocore.auth.get_current_datetime = lambda remove_tzinfo=True: at
    try:
        botocore.auth.SigV4Auth(botocore.credentials.Credentials(key, secret), "lambda", region).add_auth(request)
    finally:
        botocore.auth.get_current_datetime = now
    return request


def send(request, **changed):
    headers = {**dict(request.headers.items()), **changed}
    body = request.data or None
    raw = urllib.request.Request(request.url, data=body, method=request.method, headers=headers)
    try:
        with urllib.request.urlopen(raw, timeout=60) as answer:
            return answer.status, dict(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers.items()), error.read()


# Invoke, and what comes with it.
answer, payload = invoke("echo", {"a": [1, "ä"]})
assert answer["StatusCode"] == 200 and "FunctionError" not in answer, answer
assert payload["event"] == {"a": [1, "ä"]}, payload
request_id = answer["ResponseMetadata"]["RequestId"]
assert re.fullmatch(UUID, request_id) and payload["awsRequestId"] == request_id, answer
assert re.fullmatch(r"run_[0-9a-z]{13}", fields(answer)["x-wakeful-run"]), answer
live = answer["ExecutedVersion"]
assert payload["functionVersion"] == live and payload["invokedFunctionArn"].endswith(":function:echo"), payload

# A payload in the shape of a CloudEvent is a payload like any other.
event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": 7}
assert invoke("echo", event)[1]["event"] == event
assert invoke("echo")[1]["event"] == {}
assert invoke("nothing", 1)[1] is None
assert invoke("native", {"n": 1})[1] == {"type": "wakeful.function.invoke", "data": {"n": 1}, "more": []}
assert invoke("web", {"any": "thing"})[1] == {"was": {"any": "thing"}}
assert invoke("stream", {"pieces": ["{\"a\":", "1}"]})[1] == {"a": 1}
raw = client.invoke(FunctionName="stream", Payload=b"{}")["Payload"].read()
assert raw == b"onetwo", raw

# Names and qualifiers.
arn = "arn:aws:lambda:us-west-2:123456789012:function:echo"
for name in ["echo:$LATEST", "123456789012:function:echo", arn, f"{arn}:{live}", f"echo:{live}"]:
    assert invoke(name, {"n": name})[1]["event"] == {"n": name}, name
assert invoke("echo", {}, Qualifier="$LATEST")[0]["ExecutedVersion"] == live
assert invoke("echo", {}, Qualifier=live)[0]["StatusCode"] == 200
told = refused("ResourceNotFoundException", 404, client.invoke, FunctionName="echo", Qualifier="7")
assert live in told["Message"], told
refused("ResourceNotFoundException", 404, client.invoke, FunctionName="nobody")
refused("InvalidParameterValueException", 400, client.invoke, FunctionName="echo:1", Qualifier="2")
told = refused("InvalidParameterValueException", 400, client.invoke, FunctionName="plain")
assert "only woken by HTTP" in told["Error"]["Message"], told

# The client context.
context = {"client": {"app_title": "x"}, "custom": {"k": "v"}}
encoded = base64.b64encode(json.dumps(context).encode()).decode()
assert invoke("echo", {}, ClientContext=encoded)[1]["clientContext"] == context
refused("InvalidParameterValueException", 400, client.invoke, FunctionName="echo", ClientContext="e30x!")

# Errors of functions.
answer, error = invoke("fails", {})
assert answer["StatusCode"] == 200 and answer["FunctionError"] == "Unhandled", answer
assert error["errorType"] == "TypeError" and error["errorMessage"] == "no such book", error
assert error["trace"][0] == "TypeError: no such book" and "fails.js" in error["trace"][1], error
answer, error = invoke("slow", {})
assert answer["FunctionError"] == "Unhandled" and error["errorType"] == "Sandbox.Timedout", error
assert re.fullmatch(f"RequestId: {UUID} Error: Task timed out after 1.00 seconds", error["errorMessage"]), error
answer, error = invoke("crash", {})
assert answer["FunctionError"] == "Unhandled" and error["errorType"] == "Runtime.ExitError", error
answer, error = invoke("broken", {})
assert answer["FunctionError"] == "Unhandled" and error["errorType"] == "Runtime.ImportModuleError", error

# The end of the log.
answer, _ = invoke("echo", {"b": 1}, LogType="Tail")
log = base64.b64decode(answer["LogResult"]).decode().splitlines()
request_id = answer["ResponseMetadata"]["RequestId"]
assert log[0] == f"START RequestId: {request_id} Version: {live}", log
assert re.fullmatch(rf"\S+Z\t{request_id}\tINFO\tseen {{\"b\":1}}", log[1]), log
assert log[2] == f"END RequestId: {request_id}", log
report = rf"REPORT RequestId: {request_id}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 256 MB\tMax Memory Used: \d+ MB\t"
assert re.fullmatch(report, log[3]), log
log = base64.b64decode(invoke("chatty", {}, LogType="Tail")[0]["LogResult"]).decode()
assert 3900 < len(log) <= 4096 and "line 199 x" in log and "line 0 x" not in log, log
log = base64.b64decode(invoke("fails", {}, LogType="Tail")[0]["LogResult"]).decode()
assert "\tERROR\tInvoke Error \t{" in log, log

# Limits and nonsense.
large = {"x": "x" * (6 * MIB)}
refused("RequestTooLargeException", 413, client.invoke, FunctionName="echo", Payload=json.dumps(large))
refused("RequestTooLargeException", 413, client.invoke, FunctionName="echo", InvocationType="Event", Payload=json.dumps("x" * MIB))
told = refused("InvalidRequestContentException", 400, client.invoke, FunctionName="echo", Payload=b"{no")
assert "Could not parse request body into json" in told["Error"]["Message"], told

# DryRun and Event.
answer = client.invoke(FunctionName="echo", InvocationType="DryRun", Payload=b"{}")
assert answer["StatusCode"] == 204, answer
refused("ResourceNotFoundException", 404, client.invoke, FunctionName="nobody", InvocationType="DryRun")
answer = client.invoke(FunctionName="echo", InvocationType="Event", Payload=json.dumps({"e": 1}))
assert answer["StatusCode"] == 202 and answer["Payload"].read() == b"", answer
assert "ExecutedVersion" not in answer and re.fullmatch(UUID, answer["ResponseMetadata"]["RequestId"]), answer

# An SDK that tries again is heard once.
path = "/2015-03-31/functions/echo/invocations"
event = {"X-Amz-Invocation-Type": "Event", "amz-sdk-invocation-id": "5f3f7a0e-repeated"}
first, second = [send(signed("POST", path, b'{"repeated":1}', event)) for _ in range(2)]
assert first[0] == second[0] == 202, (first, second)
assert first[1]["x-wakeful-run"] == second[1]["x-wakeful-run"], (first, second)

# Functions as they stand.
names = [one["FunctionName"] for page in client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3}) for one in page["Functions"]]
assert names == sorted(names) and len(names) == 19 and {"echo", "web", "broken"} <= set(names), names
assert len(client.list_functions()["Functions"]) == 19 and client.list_functions(MaxItems=4)["NextMarker"] == names[3]
refused("InvalidParameterValueException", 400, lambda: client.list_functions(Marker="x", MaxItems=10_001))
got = client.get_function(FunctionName="slow")
assert got["Concurrency"] == {"ReservedConcurrentExecutions": 1000}, got
configuration = got["Configuration"]
expected = {
    "FunctionName": "slow",
    "FunctionArn": "arn:aws:lambda:eu-central-1:000000000000:function:slow",
    "Runtime": "nodejs24.x",
    "Handler": "functions/slow.handler",
    "Timeout": 1,
    "MemorySize": 256,
    "PackageType": "Zip",
    "State": "Active",
    "LastUpdateStatus": "Successful",
}
assert expected.items() <= configuration.items(), configuration
assert len(base64.b64decode(configuration["CodeSha256"])) == 32, configuration
modified = datetime.datetime.strptime(configuration["LastModified"], "%Y-%m-%dT%H:%M:%S.%f%z")
assert abs(modified.timestamp() - time.time()) < 3600, configuration
assert client.get_function_configuration(FunctionName="slow", Qualifier="$LATEST")["Version"] == configuration["Version"]
client.get_waiter("function_active_v2").wait(FunctionName="slow")
broken = client.get_function_configuration(FunctionName="broken")
assert broken["State"] == "Failed" and "not-there-at-all" in broken["StateReason"], broken
refused("ResourceNotFoundException", 404, client.get_function, FunctionName="nobody")
told = refused("UnknownOperationException", 501, client.delete_function, FunctionName="echo")
assert "InvokeWithResponseStream" in told["Error"]["Message"], told

# Signatures.
other = boto3.client("lambda", aws_access_key_id="AKIDNOBODY", aws_secret_access_key="x", config=once)
refused("UnrecognizedClientException", 403, other.list_functions)
other = boto3.client("lambda", aws_secret_access_key="wrong", aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"], config=once)
refused("InvalidSignatureException", 403, other.list_functions)
now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
for minutes, status in [(-6, 403), (6, 403), (-4, 200), (4, 200)]:
    late = send(signed("GET", "/2015-03-31/functions/", at=now + datetime.timedelta(minutes=minutes)))
    assert late[0] == status, (minutes, late)
    assert status == 200 or (late[1]["x-amzn-errortype"] == "InvalidSignatureException" and b"expired" in late[2]), late
request = signed("POST", path, b'{"a":1}')
assert send(request)[0] == 200
request.data = b'{"a":2}'
assert send(request)[0] == 403
event = signed("POST", path, b"{}")
changed = send(event, **{"X-Amz-Invocation-Type": "Event"})
assert changed[0] == 403 and b"x-amz-invocation-type" in changed[2], changed
plain = urllib.request.Request(ENDPOINT + "/2015-03-31/functions/")
try:
    urllib.request.urlopen(plain)
    raise AssertionError("an unsigned request was answered")
except urllib.error.HTTPError as error:
    assert error.code == 403 and error.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException", error

# The same address is S3's, with the same keys.
s3 = boto3.client("s3", config=botocore.config.Config(s3={"addressing_style": "path"}))
s3.put_object(Bucket="notes", Key="a.txt", Body=b"hello")
assert s3.get_object(Bucket="notes", Key="a.txt")["Body"].read() == b"hello"
print("ok")
