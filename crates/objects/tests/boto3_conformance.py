"""What S3 clients do, done with boto3 and by hand against the endpoint in S3_ENDPOINT.

Every function whose name begins with `check_` is one case. Prints a line for each and exits with
1 when one of them failed. The buckets `photos` and `other` are declared; `photos` starts empty.
"""

import base64
import datetime
import hashlib
import hmac
import http.client
import io
import os
import socket
import sys
import threading
import traceback
import urllib.parse
import urllib.request
import zlib

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

ENDPOINT = os.environ["S3_ENDPOINT"]
HOST = ENDPOINT.removeprefix("http://")
MIB = 1024 * 1024
ODD_KEYS = [
    "../x", "../../../../etc/passwd", "/", "//", "/abs", ".", "..", "a", "a/b", "a/", "a//b", "a/./b",
    "%2e%2e/x", "ü/ñ/漢字/🦀", "tab\tkey", "new\nline", "\x01\x7f", " ", "a b+c&d?e#f", "=;:@!$'()*,",
    "k" * 1024, "<>&\"'", "a%20b", "~-_.",
]


def client(access="admin", secret="admin-secret", **config):
    options = {"s3": {"addressing_style": "path"}, "retries": {"max_attempts": 1}}
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(**{**options, **config}),
    )


s3 = client()
v4 = client(signature_version="s3v4")


def noise(length):
    return (hashlib.sha256(b"noise").digest() * (length // 32 + 1))[:length]


def fails(code, status, call, **arguments):
    """The call fails with this code and status; returns the message."""
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        found_status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert (found, found_status) == (code, status), (found, found_status, error)
        return error.response["Error"].get("Message", "")
    raise AssertionError(f"{call.__name__} did not fail with {code}")


def body_of(key, bucket="photos", **arguments):
    return s3.get_object(Bucket=bucket, Key=key, **arguments)["Body"].read()


def fetch(method, url, body=None, headers=None):
    """A request without any SDK; returns (status, headers, body)."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


# --- buckets ---------------------------------------------------------------------------------


def check_buckets():
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert names == ["other", "photos"], names
    page = s3.list_buckets(MaxBuckets=1)
    assert [b["Name"] for b in page["Buckets"]] == ["other"]
    rest = s3.list_buckets(ContinuationToken=page["ContinuationToken"])
    assert [b["Name"] for b in rest["Buckets"]] == ["photos"]
    assert s3.head_bucket(Bucket="photos")["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket="photos")["LocationConstraint"] is None
    assert "Status" not in s3.get_bucket_versioning(Bucket="photos")
    fails("404", 404, s3.head_bucket, Bucket="nothing")
    message = fails("NoSuchBucket", 404, s3.put_object, Bucket="nothing", Key="k", Body=b"x")
    assert "[bucket.nothing]" in message, message


def check_buckets_are_declared_not_created():
    fails("BucketAlreadyOwnedByYou", 409, s3.create_bucket, Bucket="photos")
    message = fails("MethodNotAllowed", 405, s3.create_bucket, Bucket="nothing")
    assert "[bucket.nothing]" in message, message


def check_what_is_not_there_is_said():
    s3.put_object(Bucket="photos", Key="tags", Body=b"x")
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    fails("NotImplemented", 501, s3.put_object_tagging, Bucket="photos", Key="tags", Tagging=tags)
    fails("NotImplemented", 501, s3.put_object, Bucket="photos", Key="tags", Body=b"y", Tagging="a=b")
    fails("NotImplemented", 501, s3.put_bucket_versioning, Bucket="photos",
          VersioningConfiguration={"Status": "Enabled"})
    fails("NotImplemented", 501, s3.put_object, Bucket="photos", Key="tags", Body=b"y",
          SSECustomerAlgorithm="AES256", SSECustomerKey=b"k" * 32)
    fails("NoSuchVersion", 404, s3.get_object, Bucket="photos", Key="tags", VersionId="7")
    assert body_of("tags") == b"x"
    assert body_of("tags", VersionId="null") == b"x"


# --- objects ---------------------------------------------------------------------------------


def check_put_get_head():
    for size in [0, 1, 262144, 262145, 3 * MIB + 5]:
        body = noise(size)
        put = s3.put_object(Bucket="photos", Key="put", Body=body)
        assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"', put
        got = s3.get_object(Bucket="photos", Key="put")
        assert got["Body"].read() == body
        assert got["ContentLength"] == size and got["AcceptRanges"] == "bytes"
        head = s3.head_object(Bucket="photos", Key="put")
        assert (head["ContentLength"], head["ETag"]) == (size, put["ETag"])
        age = datetime.datetime.now(datetime.timezone.utc) - head["LastModified"]
        assert abs(age.total_seconds()) < 120, age
    fails("NoSuchKey", 404, s3.get_object, Bucket="photos", Key="none")
    fails("404", 404, s3.head_object, Bucket="photos", Key="none")
    assert head["ResponseMetadata"]["RequestId"], head


def check_headers_and_metadata_come_back():
    expires = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    sent = {
        "ContentType": "image/jpeg", "CacheControl": "max-age=5", "ContentDisposition": 'attachment; filename="a"',
        "ContentEncoding": "gzip", "ContentLanguage": "de-AT", "Expires": expires,
        "Metadata": {"author": "someone", "mixed-case": "Value With Spaces"},
    }
    s3.put_object(Bucket="photos", Key="meta", Body=b"x", **sent)
    for found in [s3.head_object(Bucket="photos", Key="meta"), s3.get_object(Bucket="photos", Key="meta")]:
        for name, value in sent.items():
            if name == "Expires":
                assert found["ExpiresString"] == "Wed, 02 Jan 2030 03:04:05 GMT", found["ExpiresString"]
            else:
                assert found[name] == value, (name, found[name])
    s3.put_object(Bucket="photos", Key="meta", Body=b"x")
    found = s3.head_object(Bucket="photos", Key="meta")
    assert found["ContentType"] == "binary/octet-stream" and found["Metadata"] == {}, found
    fails("MetadataTooLarge", 400, s3.put_object, Bucket="photos", Key="meta", Body=b"y",
          Metadata={"a": "x" * 2048})


def check_response_overrides():
    s3.put_object(Bucket="photos", Key="override", Body=b"x", ContentType="text/plain")
    got = s3.get_object(Bucket="photos", Key="override", ResponseContentType="text/html",
                        ResponseContentDisposition="inline", ResponseCacheControl="no-cache")
    assert got["ContentType"] == "text/html" and got["ContentDisposition"] == "inline"
    assert got["CacheControl"] == "no-cache"


def check_ranges():
    body = noise(700_000)
    s3.put_object(Bucket="photos", Key="ranges", Body=body)
    for text, expected in [
        ("bytes=0-0", body[:1]), ("bytes=262143-262144", body[262143:262145]), ("bytes=699990-", body[699990:]),
        ("bytes=-5", body[-5:]), ("bytes=1-99999999", body[1:]),
    ]:
        got = s3.get_object(Bucket="photos", Key="ranges", Range=text)
        assert got["Body"].read() == expected, text
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
        first = len(body) - len(expected) if text == "bytes=-5" else int(text[6:].split("-")[0])
        assert got["ContentRange"] == f"bytes {first}-{first + len(expected) - 1}/{len(body)}", got["ContentRange"]
    fails("InvalidRange", 416, s3.get_object, Bucket="photos", Key="ranges", Range="bytes=700000-")


def check_conditions_of_reads():
    etag = s3.put_object(Bucket="photos", Key="read-if", Body=b"x")["ETag"]
    at = {"Bucket": "photos", "Key": "read-if"}
    now = datetime.datetime.now(datetime.timezone.utc)
    before, after = now - datetime.timedelta(hours=1), now + datetime.timedelta(hours=1)
    for call in [s3.get_object, s3.head_object]:
        failed = "PreconditionFailed" if call.__name__ == "get_object" else "412"
        call(**at, IfMatch=etag)
        call(**at, IfNoneMatch='"other"')
        call(**at, IfModifiedSince=before)
        call(**at, IfUnmodifiedSince=after)
        fails(failed, 412, call, **at, IfMatch='"other"')
        fails(failed, 412, call, **at, IfUnmodifiedSince=before)
        fails("304", 304, call, **at, IfNoneMatch=etag)
        fails("304", 304, call, **at, IfNoneMatch="*")
        fails("304", 304, call, **at, IfModifiedSince=after)


def check_conditional_put():
    at = {"Bucket": "photos", "Key": "put-if"}
    etag = s3.put_object(**at, Body=b"one", IfNoneMatch="*")["ETag"]
    fails("PreconditionFailed", 412, s3.put_object, **at, Body=b"two", IfNoneMatch="*")
    fails("PreconditionFailed", 412, s3.put_object, **at, Body=b"two", IfMatch='"other"')
    assert body_of("put-if") == b"one"
    s3.put_object(**at, Body=b"two", IfMatch=etag)
    assert body_of("put-if") == b"two"
    fails("NoSuchKey", 404, s3.put_object, Bucket="photos", Key="none", Body=b"x", IfMatch=etag)


def check_delete():
    s3.put_object(Bucket="photos", Key="delete", Body=b"x")
    assert s3.delete_object(Bucket="photos", Key="delete")["ResponseMetadata"]["HTTPStatusCode"] == 204
    fails("NoSuchKey", 404, s3.get_object, Bucket="photos", Key="delete")
    assert s3.delete_object(Bucket="photos", Key="delete")["ResponseMetadata"]["HTTPStatusCode"] == 204


def check_delete_many():
    keys = [f"many/{n}" for n in range(40)] + ["many/<&>", "many/ü"]
    for key in keys:
        s3.put_object(Bucket="photos", Key=key, Body=b"x")
    objects = [{"Key": key} for key in keys + ["many/never"]]
    result = s3.delete_objects(Bucket="photos", Delete={"Objects": objects})
    assert sorted(d["Key"] for d in result["Deleted"]) == sorted(keys + ["many/never"])
    assert "Errors" not in result
    assert s3.list_objects_v2(Bucket="photos", Prefix="many/")["KeyCount"] == 0
    s3.put_object(Bucket="photos", Key="many/a", Body=b"x")
    quiet = s3.delete_objects(Bucket="photos", Delete={"Objects": [{"Key": "many/a"}], "Quiet": True})
    assert "Deleted" not in quiet
    error = s3.delete_objects(Bucket="photos", Delete={"Objects": [{"Key": "x" * 1025}]})["Errors"][0]
    assert error["Code"] == "KeyTooLongError", error


def check_events():
    """The test that started this looks at the events of these keys."""
    s3.put_object(Bucket="photos", Key="events/life", Body=b"one")
    s3.put_object(Bucket="photos", Key="events/life", Body=b"three")
    s3.delete_object(Bucket="photos", Key="events/life")
    s3.delete_object(Bucket="photos", Key="events/never")
    s3.delete_objects(Bucket="photos", Delete={"Objects": [{"Key": "events/never"}]})


def check_copy():
    s3.put_object(Bucket="photos", Key="copy/ä b+c", Body=noise(400_000), ContentType="image/gif", Metadata={"a": "b"})
    source = {"Bucket": "photos", "Key": "copy/ä b+c"}
    copied = s3.copy_object(Bucket="other", Key="copied", CopySource=source)["CopyObjectResult"]
    head = s3.head_object(Bucket="other", Key="copied")
    assert head["ETag"] == copied["ETag"] and head["Metadata"] == {"a": "b"} and head["ContentType"] == "image/gif"
    assert body_of("copied", "other") == noise(400_000)
    s3.copy_object(Bucket="other", Key="copied", CopySource=source, MetadataDirective="REPLACE",
                   Metadata={"c": "d"}, ContentType="text/css")
    head = s3.head_object(Bucket="other", Key="copied")
    assert head["Metadata"] == {"c": "d"} and head["ContentType"] == "text/css"
    fails("InvalidRequest", 400, s3.copy_object, Bucket="photos", Key=source["Key"], CopySource=source)
    s3.copy_object(Bucket="photos", Key=source["Key"], CopySource=source, MetadataDirective="REPLACE")
    assert body_of(source["Key"]) == noise(400_000)
    fails("NoSuchKey", 404, s3.copy_object, Bucket="other", Key="x", CopySource="photos/none")
    fails("NoSuchBucket", 404, s3.copy_object, Bucket="other", Key="x", CopySource="nothing/none")
    fails("PreconditionFailed", 412, s3.copy_object, Bucket="other", Key="x", CopySource=source,
          CopySourceIfMatch='"other"')
    s3.delete_object(Bucket="other", Key="copied")


# --- keys and listings -----------------------------------------------------------------------


def check_odd_keys():
    for key in ODD_KEYS:
        s3.put_object(Bucket="other", Key=key, Body=key.encode())
    for key in ODD_KEYS:
        assert body_of(key, "other") == key.encode(), repr(key)
    listed = [o["Key"] for o in s3.list_objects_v2(Bucket="other")["Contents"]]
    assert listed == sorted(ODD_KEYS, key=str.encode), listed
    listed = [o["Key"] for o in s3.list_objects(Bucket="other")["Contents"]]
    assert listed == sorted(ODD_KEYS, key=str.encode), listed
    for key in ODD_KEYS:
        s3.delete_object(Bucket="other", Key=key)
    assert s3.list_objects_v2(Bucket="other")["KeyCount"] == 0
    fails("KeyTooLongError", 400, s3.put_object, Bucket="other", Key="k" * 1025, Body=b"x")


def check_listing_pages():
    keys = [f"page/{n:03}" for n in range(57)]
    for key in keys:
        s3.put_object(Bucket="photos", Key=key, Body=b"xy")
    for size in [1000, 57, 56, 10, 1]:
        for name in ["list_objects_v2", "list_objects"]:
            pages = s3.get_paginator(name).paginate(
                Bucket="photos", Prefix="page/", PaginationConfig={"PageSize": size})
            found = [o["Key"] for page in pages for o in page["Contents"]]
            assert found == keys, (name, size, found)
    page = s3.list_objects_v2(Bucket="photos", Prefix="page/", StartAfter="page/054")
    assert [o["Key"] for o in page["Contents"]] == keys[55:] and page["KeyCount"] == 2
    entry = page["Contents"][0]
    assert entry["Size"] == 2 and entry["StorageClass"] == "STANDARD", entry
    assert entry["ETag"] == f'"{hashlib.md5(b"xy").hexdigest()}"'
    none = s3.list_objects_v2(Bucket="photos", Prefix="page/", MaxKeys=0)
    assert none["KeyCount"] == 0 and not none["IsTruncated"]
    fails("InvalidArgument", 400, s3.list_objects_v2, Bucket="photos", ContinuationToken="!")
    fails("NoSuchBucket", 404, s3.list_objects_v2, Bucket="nothing")


def check_listing_with_delimiter():
    for key in ["fold/a", "fold/b/1", "fold/b/2", "fold/c", "fold/ü/1", "fold/z/y/x"]:
        s3.put_object(Bucket="photos", Key=key, Body=b"x")
    for size in [1, 2, 1000]:
        for name in ["list_objects_v2", "list_objects"]:
            pages = list(s3.get_paginator(name).paginate(
                Bucket="photos", Prefix="fold/", Delimiter="/", PaginationConfig={"PageSize": size}))
            keys = [o["Key"] for page in pages for o in page.get("Contents", [])]
            prefixes = [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])]
            assert keys == ["fold/a", "fold/c"], (name, size, keys)
            assert prefixes == ["fold/b/", "fold/z/", "fold/ü/"], (name, size, prefixes)


# --- integrity and signatures ----------------------------------------------------------------


def check_wrong_checksums_leave_the_old_object():
    at = {"Bucket": "photos", "Key": "integrity"}
    s3.put_object(**at, Body=b"good")
    wrong = base64.b64encode(b"\0" * 16).decode()
    fails("BadDigest", 400, s3.put_object, **at, Body=b"evil", ContentMD5=wrong)
    fails("InvalidDigest", 400, s3.put_object, **at, Body=b"evil", ContentMD5="x")
    for name, width in [("CRC32", 4), ("CRC32C", 4), ("CRC64NVME", 8), ("SHA1", 20), ("SHA256", 32)]:
        value = base64.b64encode(b"\7" * width).decode()
        fails("BadDigest", 400, s3.put_object, **at, Body=b"evil", **{f"Checksum{name}": value})
        fails("InvalidRequest", 400, s3.put_object, **at, Body=b"evil", **{f"Checksum{name}": "AAA="})
    assert body_of("integrity") == b"good"
    s3.put_object(**at, Body=b"better", ContentMD5=base64.b64encode(hashlib.md5(b"better").digest()).decode())
    assert body_of("integrity") == b"better"


def check_checksums_come_back():
    for name, value in [
        ("CRC32", base64.b64encode(zlib.crc32(b"123456789").to_bytes(4, "big")).decode()), ("CRC32C", "4waSgw=="),
        ("CRC64NVME", "rosUhgp5mIg="), ("SHA1", base64.b64encode(hashlib.sha1(b"123456789").digest()).decode()),
        ("SHA256", base64.b64encode(hashlib.sha256(b"123456789").digest()).decode()),
    ]:
        put = s3.put_object(Bucket="photos", Key="sum", Body=b"123456789", **{f"Checksum{name}": value})
        assert put[f"Checksum{name}"] == value, put
        head = s3.head_object(Bucket="photos", Key="sum", ChecksumMode="ENABLED")
        assert head[f"Checksum{name}"] == value and head["ChecksumType"] == "FULL_OBJECT", head
        assert body_of("sum", ChecksumMode="ENABLED") == b"123456789"
        ranged = s3.get_object(Bucket="photos", Key="sum", ChecksumMode="ENABLED", Range="bytes=0-3")
        assert f"Checksum{name}" not in ranged, "a checksum of the whole is none of a range"


def check_wrong_credentials():
    fails("SignatureDoesNotMatch", 403, client(secret="wrong").put_object, Bucket="photos", Key="k", Body=b"x")
    fails("InvalidAccessKeyId", 403, client(access="nobody").put_object, Bucket="photos", Key="k", Body=b"x")
    status, _, body = fetch("GET", f"{ENDPOINT}/photos")
    assert status == 403 and b"AccessDenied" in body, body
    status, _, body = fetch("PUT", f"{ENDPOINT}/photos/anonymous", b"x")
    assert status == 403 and b"AccessDenied" in body, body
    fails("404", 404, s3.head_object, Bucket="photos", Key="anonymous")


def check_a_refused_upload_hears_why():
    """A client that does not wait for 100 Continue gets its answer, and may go on."""
    for size in [10, 3 * MIB]:
        connection = http.client.HTTPConnection(HOST)
        for _ in range(3):
            connection.request("PUT", "/photos/refused", noise(size))
            response = connection.getresponse()
            assert response.status == 403 and b"AccessDenied" in response.read()
            assert response.headers["Connection"] != "close"
        connection.close()


def check_grants():
    reader = client("reader", "reader-secret")
    s3.put_object(Bucket="photos", Key="granted", Body=b"x")
    assert reader.get_object(Bucket="photos", Key="granted")["Body"].read() == b"x"
    reader.list_objects_v2(Bucket="photos")
    assert [b["Name"] for b in reader.list_buckets()["Buckets"]] == ["photos"]
    line = 'access = { bucket.photos = "write" }'
    for call, arguments in [
        (reader.put_object, {"Key": "granted", "Body": b"y"}), (reader.delete_object, {"Key": "granted"}),
        (reader.delete_objects, {"Delete": {"Objects": [{"Key": "granted"}]}}),
        (reader.create_multipart_upload, {"Key": "granted"}),
        (reader.copy_object, {"Key": "b", "CopySource": "photos/granted"}),
    ]:
        message = fails("AccessDenied", 403, call, Bucket="photos", **arguments)
        assert line in message and "`photos`" in message, message
    message = fails("AccessDenied", 403, reader.get_object, Bucket="other", Key="k")
    assert 'access = { bucket.other = "read" }' in message, message
    assert body_of("granted") == b"x"
    writer = client("writer", "writer-secret")
    writer.put_object(Bucket="other", Key="w", Body=b"x")
    message = fails("AccessDenied", 403, writer.copy_object, Bucket="other", Key="w", CopySource="photos/granted")
    assert 'access = { bucket.photos = "read" }' in message, message
    writer.delete_object(Bucket="other", Key="w")
    lenient = client("lenient", "lenient-secret")
    lenient.put_object(Bucket="photos", Key="lenient", Body=b"x")


def check_presigned():
    for name, signer in [("default", s3), ("s3v4", v4)]:
        url = signer.generate_presigned_url("put_object", Params={"Bucket": "photos", "Key": f"presigned/{name} ü"})
        # The older signature covers the type, and urllib sends one of its own accord.
        status, _, body = fetch("PUT", url, b"by url", {"Content-Type": ""})
        assert status == 200, (name, body)
        url = signer.generate_presigned_url("get_object", Params={"Bucket": "photos", "Key": f"presigned/{name} ü"})
        status, headers, body = fetch("GET", url)
        assert (status, body) == (200, b"by url"), (name, body)
        status, _, body = fetch("GET", url.replace("presigned/", "presigned2/"))
        assert status == 403 and b"SignatureDoesNotMatch" in body, body
    url = v4.generate_presigned_url("get_object", Params={"Bucket": "photos", "Key": "x"}, ExpiresIn=-10)
    status, _, body = fetch("GET", url)
    assert status in (400, 403), body


def check_virtual_host_style():
    """`bucket.localhost` names the bucket; every other host is the endpoint."""
    s3.put_object(Bucket="photos", Key="virtual/ü", Body=b"by host")
    port = HOST.split(":")[1]
    virtual = boto3.client(
        "s3", endpoint_url=f"http://localhost:{port}", region_name="us-east-1",
        aws_access_key_id="admin", aws_secret_access_key="admin-secret",
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}))
    url = virtual.generate_presigned_url("get_object", Params={"Bucket": "photos", "Key": "virtual/ü"})
    host, target = url.removeprefix("http://").split("/", 1)
    assert host == f"photos.localhost:{port}", url
    connection = http.client.HTTPConnection(HOST)
    connection.request("GET", "/" + target, headers={"Host": host})
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"by host")


def check_form_upload():
    post = v4.generate_presigned_post("photos", "form/${filename}", Conditions=[["content-length-range", 1, 1000]])
    post["fields"]["key"] = "form/a"
    signed = v4.generate_presigned_post("photos", "form/a")

    def send(fields, body):
        boundary = "----boundary"
        out = io.BytesIO()
        for field, value in fields.items():
            out.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode())
        out.write(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
                  f"Content-Type: text/plain\r\n\r\n".encode())
        out.write(body + f"\r\n--{boundary}--\r\n".encode())
        return fetch("POST", f"{ENDPOINT}/photos", out.getvalue(),
                     {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    status, _, body = send(signed["fields"], b"by form")
    assert status == 204, (status, body)
    assert body_of("form/a") == b"by form"
    forged = {**signed["fields"], "x-amz-signature": "0" * 64}
    status, _, body = send(forged, b"forged")
    assert status == 403, (status, body)
    status, _, body = send(signed["fields"], b"x" * (17 * MIB))
    assert status in (400, 413), (status, body)
    status, _, body = send({"key": "form/a"}, b"anonymous")
    assert status == 403, (status, body)
    assert body_of("form/a") == b"by form"


class Fixed(S3SigV4Auth):
    """Signs with a payload hash of our choice."""

    def __init__(self, payload):
        super().__init__(Credentials("admin", "admin-secret"), "s3", "us-east-1")
        self.text = payload

    def payload(self, request):
        return self.text


def send_signed(key, payload, body, headers):
    """PUTs bytes as they are under a signature that claims `payload` about them."""
    request = AWSRequest("PUT", f"{ENDPOINT}/photos/{key}", data=b"", headers=headers)
    Fixed(payload).add_auth(request)
    connection = http.client.HTTPConnection(HOST)
    connection.request("PUT", f"/photos/{key}", body(request) if callable(body) else body, dict(request.headers))
    response = connection.getresponse()
    return response.status, response.read()


def check_payload_hash():
    s3.put_object(Bucket="photos", Key="hash", Body=b"good")
    sha256 = hashlib.sha256(b"evil").hexdigest()
    status, body = send_signed("hash", sha256, b"live", {"Content-Length": "4"})
    assert status == 400 and b"XAmzContentSHA256Mismatch" in body, body
    assert body_of("hash") == b"good"
    status, body = send_signed("hash", sha256, b"evil", {"Content-Length": "4"})
    assert status == 200 and body_of("hash") == b"evil", body
    status, body = send_signed("hash", "UNSIGNED-PAYLOAD", b"free", {"Content-Length": "4"})
    assert status == 200 and body_of("hash") == b"free", body


def unsigned_chunks(chunks, trailer):
    out = b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks)
    return out + b"0\r\n" + trailer + b"\r\n"


def check_unsigned_trailer():
    chunks = [noise(300_000), noise(70_000)]
    whole = b"".join(chunks)
    right = base64.b64encode(zlib.crc32(whole).to_bytes(4, "big")).decode()
    s3.put_object(Bucket="photos", Key="trailer", Body=b"old")

    def send(checksum, length=len(whole)):
        trailer = f"x-amz-checksum-crc32:{checksum}\r\n".encode() if checksum else b""
        body = unsigned_chunks(chunks, trailer)
        return send_signed("trailer", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", body, {
            "Content-Length": str(len(body)), "x-amz-decoded-content-length": str(length),
            "x-amz-trailer": "x-amz-checksum-crc32", "Content-Encoding": "aws-chunked",
        })

    for wrong in ["AAAAAA==", None, "x"]:
        status, body = send(wrong)
        assert status == 400, (wrong, status, body)
        assert body_of("trailer") == b"old", wrong
    status, body = send(right, len(whole) + 1)
    assert status == 400 and body_of("trailer") == b"old", body
    status, body = send(right)
    assert status == 200, body
    got = s3.get_object(Bucket="photos", Key="trailer", ChecksumMode="ENABLED")
    assert got["Body"].read() == whole and got["ChecksumCRC32"] == right
    assert "ContentEncoding" not in got, got["ContentEncoding"]


def signed_chunks(request, chunks, spoil):
    """The body of STREAMING-AWS4-HMAC-SHA256-PAYLOAD that follows the request's signature."""
    stamp = request.headers["X-Amz-Date"]
    scope = f"{stamp[:8]}/us-east-1/s3/aws4_request"
    key = b"AWS4admin-secret"
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    before = request.headers["Authorization"].rsplit("Signature=", 1)[1]
    out = b""
    for chunk in chunks + [b""]:
        text = "\n".join(["AWS4-HMAC-SHA256-PAYLOAD", stamp, scope, before, hashlib.sha256(b"").hexdigest(),
                          hashlib.sha256(chunk).hexdigest()])
        before = hmac.digest(key, text.encode(), "sha256").hex()
        sent = b"\0" + chunk[1:] if spoil and chunk else chunk
        out += f"{len(chunk):x};chunk-signature={before}\r\n".encode() + sent + b"\r\n"
    return out


def check_signed_chunks():
    chunks = [noise(65536), noise(65536), b"the end"]
    whole = b"".join(chunks)
    s3.put_object(Bucket="photos", Key="chunks", Body=b"old")

    def send(spoil):
        framing = sum(len(f"{len(c):x};chunk-signature=") + 64 + 4 for c in chunks + [b""])
        return send_signed("chunks", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                           lambda request: signed_chunks(request, chunks, spoil), {
                               "Content-Length": str(framing + len(whole)),
                               "x-amz-decoded-content-length": str(len(whole)), "Content-Encoding": "aws-chunked"})

    status, body = send(spoil=True)
    assert status == 403 and b"SignatureDoesNotMatch" in body, (status, body)
    assert body_of("chunks") == b"old"
    status, body = send(spoil=False)
    assert status == 200, body
    assert body_of("chunks") == whole


def check_a_body_that_breaks_off():
    s3.put_object(Bucket="photos", Key="broken", Body=b"old")
    for sent in [10, 600_000]:
        request = AWSRequest("PUT", f"{ENDPOINT}/photos/broken", data=b"", headers={"Content-Length": "1000000"})
        Fixed("UNSIGNED-PAYLOAD").add_auth(request)
        host, port = HOST.split(":")
        with socket.create_connection((host, int(port))) as raw:
            head = "PUT /photos/broken HTTP/1.1\r\nHost: " + HOST + "\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
            raw.sendall(head.encode() + b"\r\n" + noise(sent))
        assert body_of("broken") == b"old"


def check_malformed_requests():
    host, port = HOST.split(":")
    for request, statuses in [
        (b"nonsense\r\n\r\n", (b"400",)),
        (b"GET /photos HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 500_000 + b"\r\n\r\n", (b"431", b"400")),
        (b"GET /photos/%ff HTTP/1.1\r\nHost: x\r\n\r\n", (b"400",)),
        (b"GET /UPPER/k HTTP/1.1\r\nHost: x\r\n\r\n", (b"400",)),
    ]:
        with socket.create_connection((host, int(port))) as raw:
            raw.settimeout(20)
            try:
                raw.sendall(request)
                answer = raw.recv(4096)
            except (ConnectionResetError, BrokenPipeError):
                continue
            assert answer.split(b" ")[1] in statuses, (request[:40], answer)
    status, _, body = fetch("DELETE", f"{ENDPOINT}/photos")
    assert status in (403, 501), body
    assert s3.list_buckets()["Buckets"], "the endpoint goes on"


# --- multipart -------------------------------------------------------------------------------


def check_transfers():
    """The transfer manager uploads parts and downloads ranges in parallel."""
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    body = noise(17 * MIB + 12345)
    s3.upload_fileobj(io.BytesIO(body), "photos", "transfer", Config=config,
                      ExtraArgs={"ContentType": "video/mp4", "Metadata": {"a": "b"}})
    head = s3.head_object(Bucket="photos", Key="transfer")
    assert head["ContentLength"] == len(body) and head["ETag"].endswith('-4"'), head
    assert head["ContentType"] == "video/mp4" and head["Metadata"] == {"a": "b"}
    out = io.BytesIO()
    s3.download_fileobj("photos", "transfer", out, Config=config)
    assert out.getvalue() == body
    assert body_of("transfer", Range="bytes=5242870-5242889") == body[5242870:5242890]
    s3.copy({"Bucket": "photos", "Key": "transfer"}, "other", "transfer", Config=config)
    assert body_of("transfer", "other") == body
    s3.delete_object(Bucket="other", Key="transfer")


def upload(key, bodies, **arguments):
    begun = s3.create_multipart_upload(Bucket="photos", Key=key, **arguments)
    at = {"Bucket": "photos", "Key": key, "UploadId": begun["UploadId"]}
    parts = []
    for number, body in enumerate(bodies, 1):
        part = s3.upload_part(**at, PartNumber=number, Body=body)
        assert part["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    return at, parts


def check_multipart_rules():
    at, parts = upload("rules", [noise(100), noise(200)])
    done = s3.complete_multipart_upload
    fails("EntityTooSmall", 400, done, **at, MultipartUpload={"Parts": parts})
    fails("InvalidPartOrder", 400, done, **at, MultipartUpload={"Parts": parts[::-1]})
    wrong = [{"PartNumber": 1, "ETag": parts[1]["ETag"]}]
    fails("InvalidPart", 400, done, **at, MultipartUpload={"Parts": wrong})
    fails("InvalidPart", 400, done, **at, MultipartUpload={"Parts": [{"PartNumber": 9, "ETag": '"x"'}]})
    fails("MalformedXML", 400, done, **at, MultipartUpload={"Parts": []})
    fails("NoSuchUpload", 404, done, **{**at, "UploadId": "0000000000000001"}, MultipartUpload={"Parts": parts})
    fails("NoSuchUpload", 404, done, **{**at, "UploadId": "../x"}, MultipartUpload={"Parts": parts})
    fails("InvalidArgument", 400, s3.upload_part, **at, PartNumber=10001, Body=b"x")
    fails("NoSuchKey", 404, s3.get_object, Bucket="photos", Key="rules")
    first = done(**at, MultipartUpload={"Parts": parts[:1]})
    again = done(**at, MultipartUpload={"Parts": parts[:1]})
    assert first["ETag"] == again["ETag"], "a completion whose answer was lost can be repeated"
    assert body_of("rules") == noise(100)


def check_multipart_conditional():
    s3.put_object(Bucket="photos", Key="multi-if", Body=b"old")
    at, parts = upload("multi-if", [noise(10)])
    fails("PreconditionFailed", 412, s3.complete_multipart_upload, **at, MultipartUpload={"Parts": parts},
          IfNoneMatch="*")
    assert body_of("multi-if") == b"old"
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
    assert body_of("multi-if") == noise(10)


def check_multipart_listings():
    uploads = [upload(f"listed/{n}", [noise(10), noise(20)])[0] for n in range(3)]
    found = s3.list_multipart_uploads(Bucket="photos", Prefix="listed/")["Uploads"]
    assert [(u["Key"], u["UploadId"]) for u in found] == [(u["Key"], u["UploadId"]) for u in uploads]
    page = s3.list_multipart_uploads(Bucket="photos", Prefix="listed/", MaxUploads=2)
    assert page["IsTruncated"] and len(page["Uploads"]) == 2
    rest = s3.list_multipart_uploads(Bucket="photos", Prefix="listed/", KeyMarker=page["NextKeyMarker"],
                                     UploadIdMarker=page["NextUploadIdMarker"])
    assert [u["Key"] for u in rest["Uploads"]] == ["listed/2"] and not rest["IsTruncated"]
    parts = s3.list_parts(**uploads[0])["Parts"]
    assert [(p["PartNumber"], p["Size"]) for p in parts] == [(1, 10), (2, 20)]
    page = s3.list_parts(**uploads[0], MaxParts=1)
    assert page["IsTruncated"] and page["NextPartNumberMarker"] == 1
    page = s3.list_parts(**uploads[0], PartNumberMarker=1)
    assert [p["PartNumber"] for p in page["Parts"]] == [2] and not page["IsTruncated"]
    for at in uploads:
        s3.abort_multipart_upload(**at)
    fails("NoSuchUpload", 404, s3.abort_multipart_upload, **uploads[0])
    fails("NoSuchUpload", 404, s3.list_parts, **uploads[0])
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="photos", Prefix="listed/")


def check_multipart_checksums():
    for algorithm, kind in [("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("SHA256", "COMPOSITE")]:
        begun = s3.create_multipart_upload(Bucket="photos", Key="multi-sum", ChecksumAlgorithm=algorithm,
                                           ChecksumType=kind)
        at = {"Bucket": "photos", "Key": "multi-sum", "UploadId": begun["UploadId"]}
        name, parts = f"Checksum{algorithm}", []
        bodies = [noise(5 * MIB), noise(77)]
        for number, body in enumerate(bodies, 1):
            part = s3.upload_part(**at, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
            parts.append({"PartNumber": number, "ETag": part["ETag"], name: part[name]})
        value = base64.b64encode(b"\0" * (4 if algorithm == "CRC32" else 32)).decode()
        fails("InvalidPart", 400, s3.complete_multipart_upload, **at,
              MultipartUpload={"Parts": [{**parts[0], name: value}, parts[1]]})
        done = s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
        assert done["ChecksumType"] == kind, done
        whole = b"".join(bodies)
        if kind == "FULL_OBJECT":
            assert done[name] == base64.b64encode(zlib.crc32(whole).to_bytes(4, "big")).decode(), done
        else:
            raw = b"".join(base64.b64decode(part[name]) for part in parts)
            digest = zlib.crc32(raw).to_bytes(4, "big") if algorithm == "CRC32" else hashlib.sha256(raw).digest()
            assert done[name] == base64.b64encode(digest).decode() + "-2", done
        assert body_of("multi-sum", ChecksumMode="ENABLED") == whole
    wrong = base64.b64encode(b"\0" * 4).decode()
    at, _ = upload("multi-sum", [])
    fails("BadDigest", 400, s3.upload_part, **at, PartNumber=1, Body=b"x", ChecksumCRC32=wrong)
    s3.abort_multipart_upload(**at)


def check_part_copy():
    s3.put_object(Bucket="photos", Key="part/source", Body=noise(6 * MIB))
    at, _ = upload("part/copy", [])
    parts = []
    for number, span in enumerate([(0, 5 * MIB - 1), (100, 199)], 1):
        result = s3.upload_part_copy(**at, PartNumber=number, CopySource="photos/part/source",
                                     CopySourceRange=f"bytes={span[0]}-{span[1]}")["CopyPartResult"]
        parts.append({"PartNumber": number, "ETag": result["ETag"]})
    fails("NoSuchKey", 404, s3.upload_part_copy, **at, PartNumber=3, CopySource="photos/none")
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": parts})
    assert body_of("part/copy") == noise(6 * MIB)[: 5 * MIB] + noise(6 * MIB)[100:200]


def check_many_at_once():
    errors = []

    def work(worker):
        try:
            own = client()
            for n in range(10):
                body = noise(1000 + worker * 100 + n)
                own.put_object(Bucket="photos", Key=f"busy/{worker}", Body=body)
                assert own.get_object(Bucket="photos", Key=f"busy/{worker}")["Body"].read() == body
        except Exception as error:  # noqa: BLE001 - reported below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def main():
    checks = [(name, check) for name, check in globals().items() if name.startswith("check_")]
    only = sys.argv[1:]
    failed = 0
    for name, check in checks:
        if only and name not in only:
            continue
        try:
            check()
            print(f"ok    {name}")
        except Exception:  # noqa: BLE001 - every case is reported
            failed += 1
            print(f"FAIL  {name}")
            traceback.print_exc(file=sys.stdout)
    print(f"{len(checks)} cases, {failed} failed, boto3 {boto3.__version__}")
    sys.exit(1 if failed else 0)


main()
