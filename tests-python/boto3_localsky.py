"""Drives a localsky store with boto3 and checks that it answers as Amazon S3 does.

    python boto3_localsky.py --endpoint http://127.0.0.1:9001 --access-key skyfresh --secret-key … [--region us-east-1]

The store must accept parts of 1 KiB (`minimum_part_bytes`). Prints one line per check and `N passed, M failed` at the
end; exits 1 if a check failed.
"""

import argparse
import base64
import concurrent.futures
import datetime
import hashlib
import os
import sys
import traceback
import urllib.error
import urllib.request
import zlib

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

CHECKS = []
PART = 1024
WHOLE = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}


def check(function):
    CHECKS.append(function)
    return function


class Sky:
    """What every check works with: clients and a bucket of its own."""

    def __init__(self, arguments, name):
        self.arguments = arguments
        self.s3 = self.client()
        self.bucket = "check-" + name.replace("_", "-")[:50]
        self.s3.create_bucket(Bucket=self.bucket)

    def client(self, **overrides):
        settings = {
            "endpoint_url": self.arguments.endpoint,
            "aws_access_key_id": self.arguments.access_key,
            "aws_secret_access_key": self.arguments.secret_key,
            "region_name": self.arguments.region,
        }
        config = {"s3": {"addressing_style": "path"}, "retries": {"max_attempts": 0}}
        config.update(overrides.pop("config", {}))
        settings.update(overrides)
        return boto3.client("s3", config=Config(**config), **settings)

    def put(self, key, body=b"", **more):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, **more)

    def get(self, key, **more):
        return self.s3.get_object(Bucket=self.bucket, Key=key, **more)["Body"].read()

    def head(self, key, **more):
        return self.s3.head_object(Bucket=self.bucket, Key=key, **more)

    def keys(self, **more):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, **more)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def begin(self, key, **more):
        return self.s3.create_multipart_upload(Bucket=self.bucket, Key=key, **more)["UploadId"]

    def part(self, key, upload, number, body, **more):
        return self.s3.upload_part(
            Bucket=self.bucket, Key=key, UploadId=upload, PartNumber=number, Body=body, **more
        )

    def complete(self, key, upload, parts, **more):
        return self.s3.complete_multipart_upload(
            Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **more
        )

    def multipart(self, key, bodies, create=None, complete=None):
        """Uploads `bodies` as parts the way the SDK's transfer manager does: with every checksum it was given."""
        upload = self.begin(key, **(create or {}))
        parts = []
        for number, body in enumerate(bodies, 1):
            answer = self.part(key, upload, number, body, **algorithm_of(create))
            parts.append(claim(number, answer))
        return upload, parts, self.complete(key, upload, parts, **(complete or {}))


def algorithm_of(create):
    name = (create or {}).get("ChecksumAlgorithm")
    return {"ChecksumAlgorithm": name} if name else {}


def claim(number, answer):
    fields = {name: value for name, value in answer.items() if name.startswith("Checksum")}
    return {"PartNumber": number, "ETag": answer["ETag"], **fields}


def md5(body):
    return hashlib.md5(body).hexdigest()


def b64(digest):
    return base64.b64encode(digest).decode()


def crc32(body):
    return b64(zlib.crc32(body).to_bytes(4, "big"))


def crc64nvme(body):
    """Bitwise CRC-64/NVME, for short bodies: polynomial 0xad93d23594c93659, reflected."""
    crc = 0xFFFFFFFFFFFFFFFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x9A6C9329AC4BC9B5 if crc & 1 else 0)
    return b64((crc ^ 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big"))


def crc32c(body):
    crc = 0xFFFFFFFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return b64((crc ^ 0xFFFFFFFF).to_bytes(4, "big"))


def fails(code, status, function, *positional, **named):
    try:
        function(*positional, **named)
    except ClientError as error:
        found = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
        assert found == (code, status), f"expected {(code, status)}, got {found}: {error}"
        return error.response
    raise AssertionError(f"expected {code}, but it succeeded")


def equal(found, expected):
    assert found == expected, f"expected {expected!r}, got {found!r}"


# --- buckets --------------------------------------------------------------------------------------------------------


@check
def bucket_lifecycle(sky):
    s3 = sky.s3
    equal(s3.head_bucket(Bucket=sky.bucket)["ResponseMetadata"]["HTTPStatusCode"], 200)
    assert sky.bucket in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    fails("BucketAlreadyOwnedByYou", 409, s3.create_bucket, Bucket=sky.bucket)
    sky.put("a")
    # A refused body must not spoil the connection for the next request.
    fails("NoSuchBucket", 404, s3.put_object, Bucket="no-such-bucket-here", Key="k", Body=b"x" * 100_000)
    sky.head("a")
    fails("BucketNotEmpty", 409, s3.delete_bucket, Bucket=sky.bucket)
    s3.delete_object(Bucket=sky.bucket, Key="a")
    s3.delete_bucket(Bucket=sky.bucket)
    fails("404", 404, s3.head_bucket, Bucket=sky.bucket)
    fails("NoSuchBucket", 404, s3.list_objects_v2, Bucket=sky.bucket)
    s3.create_bucket(Bucket=sky.bucket)


@check
def bucket_location(sky):
    constraint = sky.s3.get_bucket_location(Bucket=sky.bucket)["LocationConstraint"]
    equal(constraint, None if sky.arguments.region == "us-east-1" else sky.arguments.region)


@check
def missing_bucket_is_not_a_missing_key(sky):
    fails("NoSuchBucket", 404, sky.s3.get_object, Bucket="no-such-bucket-here", Key="k")
    fails("NoSuchBucket", 404, sky.s3.put_object, Bucket="no-such-bucket-here", Key="k", Body=b"x")
    fails("NoSuchKey", 404, sky.s3.get_object, Bucket=sky.bucket, Key="k")
    fails("404", 404, sky.s3.head_object, Bucket=sky.bucket, Key="k")


# --- objects --------------------------------------------------------------------------------------------------------


@check
def put_get_head_delete(sky):
    body = os.urandom(100_000)
    answer = sky.put("k", body)
    equal(answer["ETag"], f'"{md5(body)}"')
    assert "VersionId" not in answer
    equal(sky.get("k"), body)
    head = sky.head("k")
    equal((head["ContentLength"], head["ETag"]), (len(body), f'"{md5(body)}"'))
    equal(head["ContentType"], "binary/octet-stream")
    equal(head["AcceptRanges"], "bytes")
    age = datetime.datetime.now(datetime.timezone.utc) - head["LastModified"]
    assert abs(age) < datetime.timedelta(seconds=60), age
    equal(sky.s3.delete_object(Bucket=sky.bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"], 204)
    fails("NoSuchKey", 404, sky.get, "k")
    equal(sky.s3.delete_object(Bucket=sky.bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"], 204)


@check
def empty_object(sky):
    equal(sky.put("empty", b"")["ETag"], '"d41d8cd98f00b204e9800998ecf8427e"')
    equal(sky.get("empty"), b"")
    equal(sky.head("empty")["ContentLength"], 0)
    fails("InvalidRange", 416, sky.get, "empty", Range="bytes=0-0")


@check
def large_object(sky):
    body = os.urandom(1 << 20) * 12
    sky.put("large", body)
    equal(sky.get("large"), body)
    equal(sky.get("large", Range="bytes=5000000-5000009"), body[5_000_000:5_000_010])


@check
def system_headers(sky):
    expires = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    given = {
        "ContentType": "text/plain; charset=utf-8",
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentDisposition": 'attachment; filename="a.txt"',
        "CacheControl": "max-age=60",
        "WebsiteRedirectLocation": "/elsewhere",
        "StorageClass": "STANDARD_IA",
    }
    sky.put("k", b"x", Expires=expires, **given)
    head = sky.head("k")
    equal({name: head.get(name) for name in given}, given)
    equal(head["ExpiresString"], "Wed, 02 Jan 2030 03:04:05 GMT")
    overridden = sky.s3.get_object(Bucket=sky.bucket, Key="k", ResponseContentType="x/y")
    equal(overridden["ContentType"], "x/y")


@check
def default_storage_class_is_not_shown(sky):
    sky.put("k", b"x", StorageClass="STANDARD")
    assert "StorageClass" not in sky.head("k")
    equal(sky.s3.list_objects_v2(Bucket=sky.bucket)["Contents"][0]["StorageClass"], "STANDARD")


@check
def user_metadata(sky):
    sky.put("k", b"x", Metadata={"Some-Name": "a value", "other": ""})
    equal(sky.head("k")["Metadata"], {"some-name": "a value", "other": ""})
    sky.put("limit", b"x", Metadata={"n": "v" * 2047})
    equal(len(sky.head("limit")["Metadata"]["n"]), 2047)
    fails("MetadataTooLarge", 400, sky.put, "over", b"x", Metadata={"n": "v" * 2048})
    fails("MetadataTooLarge", 400, sky.begin, "over", Metadata={"n": "v" * 2048})


@check
def ranges(sky):
    sky.put("k", b"0123456789")
    for given, expected in [
        ("bytes=0-0", b"0"),
        ("bytes=2-4", b"234"),
        ("bytes=7-", b"789"),
        ("bytes=-3", b"789"),
        ("bytes=-20", b"0123456789"),
        ("bytes=5-500", b"56789"),
    ]:
        answer = sky.s3.get_object(Bucket=sky.bucket, Key="k", Range=given)
        equal(answer["Body"].read(), expected)
        equal(answer["ResponseMetadata"]["HTTPStatusCode"], 206)
        equal(answer["ContentLength"], len(expected))
    equal(answer["ContentRange"], "bytes 5-9/10")
    equal(sky.head("k", Range="bytes=2-4")["ContentLength"], 3)
    fails("InvalidRange", 416, sky.get, "k", Range="bytes=10-")


ODD_KEYS = [
    "a",
    "a/b",
    "a//b",
    "//",
    "/",
    "/leading",
    "trailing/",
    "trailing//",
    ".",
    "..",
    "./x",
    "../x",
    "x/../y",
    "x/./y",
    "with space",
    "plus+sign",
    "percent%41",
    "amp&eq=q?hash#",
    "quote'\"<>",
    "ünïcode/☃/𝄞",
    "e\u0301",
    "\u00e9",
    "tab\there",
    "back\\slash",
    "*(),;:@$!~",
    "y" * 1024,
    "é" * 512,
]


@check
def odd_keys(sky):
    for key in ODD_KEYS:
        sky.put(key, key.encode())
    for key in ODD_KEYS:
        equal(sky.get(key), key.encode())
    equal(sky.keys(), sorted(ODD_KEYS, key=lambda key: key.encode()))
    for key in ODD_KEYS:
        copied = {"Bucket": sky.bucket, "Key": key}
        sky.s3.copy_object(Bucket=sky.bucket, Key="copied", CopySource=copied)
        equal(sky.get("copied"), key.encode())
    for key in ODD_KEYS[:4]:
        sky.s3.delete_object(Bucket=sky.bucket, Key=key)
        fails("NoSuchKey", 404, sky.get, key)
    answer = sky.s3.delete_objects(
        Bucket=sky.bucket, Delete={"Objects": [{"Key": key} for key in ODD_KEYS + ["copied"]]}
    )
    assert "Errors" not in answer
    equal(sky.keys(), [])


@check
def keys_beyond_the_limit(sky):
    fails("KeyTooLongError", 400, sky.put, "y" * 1025, b"x")
    fails("KeyTooLongError", 400, sky.put, "é" * 512 + "y", b"x")


@check
def delete_many(sky):
    for number in range(5):
        sky.put(f"k{number}", b"x")
    objects = [{"Key": "k0"}, {"Key": "k1"}, {"Key": "missing"}]
    answer = sky.s3.delete_objects(Bucket=sky.bucket, Delete={"Objects": objects})
    equal([item["Key"] for item in answer["Deleted"]], ["k0", "k1", "missing"])
    answer = sky.s3.delete_objects(Bucket=sky.bucket, Delete={"Objects": [{"Key": "k2"}], "Quiet": True})
    assert "Deleted" not in answer and "Errors" not in answer
    etag = sky.head("k3")["ETag"]
    objects = [{"Key": "k3", "ETag": '"0"'}, {"Key": "k4", "ETag": etag}]
    answer = sky.s3.delete_objects(Bucket=sky.bucket, Delete={"Objects": objects})
    equal([(error["Key"], error["Code"]) for error in answer["Errors"]], [("k3", "PreconditionFailed")])
    equal(sky.keys(), ["k3"])


# --- conditions -----------------------------------------------------------------------------------------------------


@check
def conditional_put(sky):
    etag = sky.put("k", b"1", IfNoneMatch="*")["ETag"]
    fails("PreconditionFailed", 412, sky.put, "k", b"2", IfNoneMatch="*")
    fails("PreconditionFailed", 412, sky.put, "k", b"2", IfMatch='"0"')
    fails("NoSuchKey", 404, sky.put, "absent", b"2", IfMatch=etag)
    fails("NotImplemented", 501, sky.put, "k", b"2", IfNoneMatch=etag)
    equal(sky.get("k"), b"1")
    sky.put("k", b"3", IfMatch=etag)
    equal(sky.get("k"), b"3")


@check
def conditional_put_race(sky):
    """Exactly one of many simultaneous creators, and one of many simultaneous updaters, wins."""
    clients = [sky.client() for _ in range(8)]

    def attempt(number, **condition):
        try:
            clients[number].put_object(Bucket=sky.bucket, Key=key, Body=str(number).encode(), **condition)
            return number
        except ClientError as error:
            equal(error.response["Error"]["Code"], "PreconditionFailed")
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for round_number in range(20):
            key = f"k{round_number}"
            won = [n for n in pool.map(lambda n: attempt(n, IfNoneMatch="*"), range(8)) if n is not None]
            equal(len(won), 1)
            equal(sky.get(key), str(won[0]).encode())
            etag = sky.put(key, b"base")["ETag"]
            won = [n for n in pool.map(lambda n: attempt(n, IfMatch=etag), range(8)) if n is not None]
            equal(len(won), 1)
            equal(sky.get(key), str(won[0]).encode())


@check
def conditional_get_and_head(sky):
    etag = sky.put("k", b"x")["ETag"]
    modified = sky.head("k")["LastModified"]
    day = datetime.timedelta(days=1)
    for function, name_of_412 in [(sky.get, "PreconditionFailed"), (sky.head, "412")]:
        function("k", IfMatch=etag)
        fails(name_of_412, 412, function, "k", IfMatch='"0"')
        function("k", IfNoneMatch='"0"')
        fails("304", 304, function, "k", IfNoneMatch=etag)
        fails("304", 304, function, "k", IfModifiedSince=modified)
        function("k", IfModifiedSince=modified - day)
        function("k", IfUnmodifiedSince=modified)
        fails(name_of_412, 412, function, "k", IfUnmodifiedSince=modified - day)
        function("k", IfMatch=etag, IfUnmodifiedSince=modified - day)


@check
def conditional_delete(sky):
    delete = sky.s3.delete_object
    etag = sky.put("k", b"x")["ETag"]
    fails("PreconditionFailed", 412, delete, Bucket=sky.bucket, Key="k", IfMatch='"0"')
    equal(sky.get("k"), b"x")
    delete(Bucket=sky.bucket, Key="k", IfMatch=etag)
    fails("NoSuchKey", 404, sky.get, "k")
    delete(Bucket=sky.bucket, Key="k", IfMatch=etag)
    fails("PreconditionFailed", 412, delete, Bucket=sky.bucket, Key="k", IfMatch="*")


@check
def conditional_complete(sky):
    key, body = "k", b"p" * PART

    def uploaded():
        upload = sky.begin(key, **WHOLE)
        return upload, [claim(1, sky.part(key, upload, 1, body, ChecksumAlgorithm="CRC32"))]

    upload, parts = uploaded()
    first = sky.complete(key, upload, parts, IfNoneMatch="*")
    upload, parts = uploaded()
    fails("PreconditionFailed", 412, sky.complete, key, upload, parts, IfNoneMatch="*")
    fails("PreconditionFailed", 412, sky.complete, key, upload, parts, IfMatch='"0"')
    # A failed condition leaves the upload open.
    sky.complete(key, upload, parts, IfMatch=first["ETag"])


@check
def conditional_copy(sky):
    etag = sky.put("source", b"x")["ETag"]
    modified = sky.head("source")["LastModified"]
    source = {"Bucket": sky.bucket, "Key": "source"}
    copy = lambda **more: sky.s3.copy_object(Bucket=sky.bucket, Key="k", CopySource=source, **more)
    copy(CopySourceIfMatch=etag)
    fails("PreconditionFailed", 412, copy, CopySourceIfMatch='"0"')
    fails("PreconditionFailed", 412, copy, CopySourceIfNoneMatch=etag)
    day = datetime.timedelta(days=1)
    fails("PreconditionFailed", 412, copy, CopySourceIfUnmodifiedSince=modified - day)
    copy(CopySourceIfModifiedSince=modified - day)


# --- checksums ------------------------------------------------------------------------------------------------------

DIGESTS = {
    "CRC32": crc32,
    "CRC32C": crc32c,
    "CRC64NVME": crc64nvme,
    "SHA1": lambda body: b64(hashlib.sha1(body).digest()),
    "SHA256": lambda body: b64(hashlib.sha256(body).digest()),
}


@check
def checksums_in_headers(sky):
    body = b"checksummed"
    for name, digest in DIGESTS.items():
        field = f"Checksum{name}"
        answer = sky.put("k", body, **{field: digest(body)})
        equal((answer[field], answer["ChecksumType"]), (digest(body), "FULL_OBJECT"))
        head = sky.head("k", ChecksumMode="ENABLED")
        equal((head[field], head["ChecksumType"]), (digest(body), "FULL_OBJECT"))
        assert field not in sky.head("k")
        fails("BadDigest", 400, sky.put, "bad", body, **{field: digest(b"other")})
    fails("InvalidRequest", 400, sky.put, "bad", body, ChecksumCRC32="AAAA")
    equal(sky.keys(), ["k"])


@check
def checksums_in_trailers(sky):
    body = os.urandom(200_000)
    for name in ["CRC32", "SHA1", "SHA256"]:
        sky.put("k", body, ChecksumAlgorithm=name)
        equal(sky.head("k", ChecksumMode="ENABLED")[f"Checksum{name}"], DIGESTS[name](body))
        equal(sky.get("k"), body)
        assert "ContentEncoding" not in sky.head("k")


@check
def crc64nvme_by_default(sky):
    plain = sky.client(config={"request_checksum_calculation": "when_required"})
    answer = plain.put_object(Bucket=sky.bucket, Key="k", Body=b"123456789")
    equal((answer["ChecksumCRC64NVME"], answer["ChecksumType"]), ("rosUhgp5mIg=", "FULL_OBJECT"))
    equal(sky.head("k", ChecksumMode="ENABLED")["ChecksumCRC64NVME"], "rosUhgp5mIg=")


@check
def content_md5(sky):
    right = b64(hashlib.md5(b"x").digest())
    sky.put("k", b"x", ContentMD5=right)
    fails("BadDigest", 400, sky.put, "bad", b"y", ContentMD5=right)
    fails("InvalidDigest", 400, sky.put, "bad", b"y", ContentMD5="nonsense")
    equal(sky.keys(), ["k"])


@check
def object_attributes(sky):
    sky.put("k", b"123456789", ChecksumAlgorithm="SHA256")
    names = ["ETag", "Checksum", "ObjectSize", "StorageClass", "ObjectParts"]
    read = lambda key: sky.s3.get_object_attributes(Bucket=sky.bucket, Key=key, ObjectAttributes=names)
    answer = read("k")
    equal(answer["ETag"].strip('"'), md5(b"123456789"))
    equal((answer["ObjectSize"], answer["StorageClass"]), (9, "STANDARD"))
    equal(answer["Checksum"]["ChecksumSHA256"], DIGESTS["SHA256"](b"123456789"))
    sky.multipart("m", [b"a" * PART, b"b"], create={"ChecksumAlgorithm": "SHA256"})
    parts = read("m")["ObjectParts"]
    equal(parts["TotalPartsCount"], 2)
    equal([part["Size"] for part in parts["Parts"]], [PART, 1])


# --- multipart ------------------------------------------------------------------------------------------------------


@check
def multipart_round_trip(sky):
    bodies = [os.urandom(PART), os.urandom(PART * 3), b"end"]
    create = {"ContentType": "a/b", "Metadata": {"m": "1"}, **WHOLE}
    upload, parts, answer = sky.multipart("dir/k", bodies, create=create)
    joined = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in bodies)).hexdigest()
    equal(answer["ETag"], f'"{joined}-3"')
    equal(sky.get("dir/k"), b"".join(bodies))
    head = sky.head("dir/k")
    equal((head["ETag"], head["ContentType"], head["Metadata"]), (answer["ETag"], "a/b", {"m": "1"}))
    start = PART - 5
    equal(sky.get("dir/k", Range=f"bytes={start}-{start + 9}"), b"".join(bodies)[start : start + 10])
    second = sky.s3.get_object(Bucket=sky.bucket, Key="dir/k", PartNumber=2)
    equal((second["Body"].read(), second["PartsCount"]), (bodies[1], 3))
    equal(sky.head("dir/k", PartNumber=3)["ContentLength"], 3)
    # As on S3, a repeated Complete is answered like the first.
    equal(sky.complete("dir/k", upload, parts)["ETag"], answer["ETag"])
    equal(sky.s3.list_multipart_uploads(Bucket=sky.bucket).get("Uploads", []), [])


@check
def multipart_checksums(sky):
    bodies = [b"a" * PART, b"b" * PART, b"c"]
    whole = b"".join(bodies)
    for name, scope in [
        ("CRC32", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("SHA1", "COMPOSITE"),
        ("SHA256", "COMPOSITE"),
    ]:
        create = {"ChecksumAlgorithm": name, "ChecksumType": scope}
        _, _, answer = sky.multipart("k", bodies, create=create)
        digests = b"".join(base64.b64decode(DIGESTS[name](body)) for body in bodies)
        full = scope == "FULL_OBJECT"
        expected = DIGESTS[name](whole) if full else DIGESTS[name](digests) + "-3"
        equal((answer[f"Checksum{name}"], answer["ChecksumType"]), (expected, scope))
        head = sky.head("k", ChecksumMode="ENABLED")
        equal((head[f"Checksum{name}"], head["ChecksumType"]), (expected, scope))
        equal(sky.get("k"), whole)
    for name, scope in [("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")]:
        fails("InvalidRequest", 400, sky.begin, "k", ChecksumAlgorithm=name, ChecksumType=scope)


@check
def multipart_expected_checksum(sky):
    create = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
    sky.multipart("k", [b"a" * PART, b"b"], create=create, complete={"ChecksumCRC32": crc32(b"a" * PART + b"b")})
    upload = sky.begin("k", **create)
    parts = [claim(1, sky.part("k", upload, 1, b"x", ChecksumAlgorithm="CRC32"))]
    fails("BadDigest", 400, sky.complete, "k", upload, parts, ChecksumCRC32=crc32(b"y"))
    fails("InvalidRequest", 400, sky.complete, "k", upload, parts, MpuObjectSize=7)
    sky.complete("k", upload, parts, MpuObjectSize=1)


@check
def multipart_composite_needs_part_checksums(sky):
    upload = sky.begin("k", ChecksumAlgorithm="SHA256")
    answer = sky.part("k", upload, 1, b"x", ChecksumAlgorithm="SHA256")
    bare = [{"PartNumber": 1, "ETag": answer["ETag"]}]
    fails("InvalidRequest", 400, sky.complete, "k", upload, bare)
    fails("InvalidRequest", 400, sky.part, "k", upload, 2, b"x", ChecksumAlgorithm="CRC32")


@check
def multipart_without_checksums(sky):
    plain = sky.client(config={"request_checksum_calculation": "when_required"})
    upload = plain.create_multipart_upload(Bucket=sky.bucket, Key="k")["UploadId"]
    named = {"Bucket": sky.bucket, "Key": "k", "UploadId": upload}
    etags = [
        plain.upload_part(**named, PartNumber=number, Body=body)["ETag"]
        for number, body in [(1, b"a" * PART), (2, b"b")]
    ]
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    answer = plain.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    equal((answer["ChecksumCRC64NVME"], answer["ChecksumType"]), (crc64nvme(b"a" * PART + b"b"), "FULL_OBJECT"))


@check
def multipart_rejects_bad_completes(sky):
    key = "k"
    upload = sky.begin(key, **WHOLE)
    part = lambda number, body: claim(number, sky.part(key, upload, number, body, ChecksumAlgorithm="CRC32"))
    small, full, last = part(1, b"small"), part(2, b"f" * PART), part(3, b"l")
    fails("InvalidPartOrder", 400, sky.complete, key, upload, [last, full])
    fails("InvalidPart", 400, sky.complete, key, upload, [full, {**last, "ETag": '"0"'}])
    fails("InvalidPart", 400, sky.complete, key, upload, [full, {"PartNumber": 9, "ETag": last["ETag"]}])
    fails("EntityTooSmall", 400, sky.complete, key, upload, [small, full])
    fails("MalformedXML", 400, sky.complete, key, upload, [])
    fails("NoSuchUpload", 404, sky.complete, key, "no-such-upload", [full])
    fails("NoSuchUpload", 404, sky.complete, "other", upload, [full])
    fails("InvalidArgument", 400, sky.part, key, upload, 0, b"x")
    fails("InvalidArgument", 400, sky.part, key, upload, 10_001, b"x")
    fails("NoSuchKey", 404, sky.get, key)
    sky.complete(key, upload, [full, last])
    equal(sky.get(key), b"f" * PART + b"l")


@check
def multipart_replaced_part_and_abort(sky):
    upload = sky.begin("k", **WHOLE)
    old = sky.part("k", upload, 1, b"old", ChecksumAlgorithm="CRC32")
    new = sky.part("k", upload, 1, b"new", ChecksumAlgorithm="CRC32")
    fails("InvalidPart", 400, sky.complete, "k", upload, [claim(1, old)])
    equal(sky.complete("k", upload, [claim(1, new)])["Key"], "k")
    equal(sky.get("k"), b"new")
    upload = sky.begin("gone")
    sky.s3.abort_multipart_upload(Bucket=sky.bucket, Key="gone", UploadId=upload)
    fails("NoSuchUpload", 404, sky.part, "gone", upload, 1, b"x")
    abort = sky.s3.abort_multipart_upload
    fails("NoSuchUpload", 404, abort, Bucket=sky.bucket, Key="gone", UploadId=upload)


@check
def upload_part_copy(sky):
    body = os.urandom(PART * 4)
    etag = sky.put("source", body)["ETag"]
    upload = sky.begin("k", ChecksumAlgorithm="CRC64NVME")
    source = {"Bucket": sky.bucket, "Key": "source"}
    copy = lambda number, **more: sky.s3.upload_part_copy(
        Bucket=sky.bucket, Key="k", UploadId=upload, PartNumber=number, CopySource=source, **more
    )
    whole = copy(1)["CopyPartResult"]
    equal(whole["ETag"], f'"{md5(body)}"')
    ranged = copy(2, CopySourceRange="bytes=10-19", CopySourceIfMatch=etag)["CopyPartResult"]
    equal(ranged["ETag"], f'"{md5(body[10:20])}"')
    fails("InvalidArgument", 400, copy, 3, CopySourceRange=f"bytes=0-{len(body)}")
    fails("PreconditionFailed", 412, copy, 3, CopySourceIfMatch='"0"')
    parts = [{"PartNumber": 1, "ETag": whole["ETag"]}, {"PartNumber": 2, "ETag": ranged["ETag"]}]
    sky.complete("k", upload, parts)
    equal(sky.get("k"), body + body[10:20])


@check
def list_parts_pages(sky):
    upload = sky.begin("k")
    for number in [1, 2, 5, 9]:
        sky.part("k", upload, number, b"x" * number)
    pages = sky.s3.get_paginator("list_parts").paginate(
        Bucket=sky.bucket, Key="k", UploadId=upload, PaginationConfig={"PageSize": 3}
    )
    parts = [(part["PartNumber"], part["Size"]) for page in pages for part in page["Parts"]]
    equal(parts, [(1, 1), (2, 2), (5, 5), (9, 9)])


@check
def list_uploads_pages(sky):
    begun = [(key, sky.begin(key)) for key in ["a", "b/1", "b/1", "b/2", "c", "ü &"]]
    for size in [1, 2, 3, 1000]:
        pages = sky.s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=sky.bucket, PaginationConfig={"PageSize": size}
        )
        listed = [(item["Key"], item["UploadId"]) for page in pages for item in page.get("Uploads", [])]
        equal(listed, sorted(begun))
    rolled = sky.s3.list_multipart_uploads(Bucket=sky.bucket, Delimiter="/")
    equal([prefix["Prefix"] for prefix in rolled["CommonPrefixes"]], ["b/"])
    equal([item["Key"] for item in rolled["Uploads"]], ["a", "c", "ü &"])
    below = sky.s3.list_multipart_uploads(Bucket=sky.bucket, Prefix="b/")
    equal(len(below["Uploads"]), 3)


# --- copies ---------------------------------------------------------------------------------------------------------


@check
def copy_object(sky):
    body = b"copied"
    sky.put("source", body, ContentType="a/b", Metadata={"m": "1"}, Tagging="t=1", CacheControl="no-store")
    source = {"Bucket": sky.bucket, "Key": "source"}
    answer = sky.s3.copy_object(Bucket=sky.bucket, Key="k", CopySource=source)
    equal(answer["CopyObjectResult"]["ETag"], f'"{md5(body)}"')
    head = sky.head("k")
    equal((head["ContentType"], head["Metadata"], head["CacheControl"]), ("a/b", {"m": "1"}, "no-store"))
    tags = sky.s3.get_object_tagging(Bucket=sky.bucket, Key="k")["TagSet"]
    equal(tags, [{"Key": "t", "Value": "1"}])
    replace = {"MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE"}
    sky.s3.copy_object(Bucket=sky.bucket, Key="k", CopySource=source, Metadata={"n": "2"}, **replace)
    head = sky.head("k")
    equal((head["ContentType"], head["Metadata"]), ("binary/octet-stream", {"n": "2"}))
    equal(sky.s3.get_object_tagging(Bucket=sky.bucket, Key="k")["TagSet"], [])
    fails("InvalidRequest", 400, sky.s3.copy_object, Bucket=sky.bucket, Key="source", CopySource=source)
    missing = {"Bucket": sky.bucket, "Key": "missing"}
    fails("NoSuchKey", 404, sky.s3.copy_object, Bucket=sky.bucket, Key="k", CopySource=missing)


@check
def copy_of_a_multipart_object_is_not_multipart(sky):
    bodies = [b"a" * PART, b"b"]
    sky.multipart("source", bodies, create={"ChecksumAlgorithm": "CRC32"})
    source = {"Bucket": sky.bucket, "Key": "source"}
    result = sky.s3.copy_object(Bucket=sky.bucket, Key="k", CopySource=source)["CopyObjectResult"]
    equal(result["ETag"], f'"{md5(b"".join(bodies))}"')
    equal(result["ChecksumCRC32"], crc32(b"".join(bodies)))


# --- listings -------------------------------------------------------------------------------------------------------


@check
def list_pages(sky):
    names = [f"k{number:04}" for number in range(1_205)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: sky.put(name, b""), names))
    first = sky.s3.list_objects_v2(Bucket=sky.bucket)
    equal((first["KeyCount"], first["IsTruncated"], first["MaxKeys"]), (1000, True, 1000))
    equal(sky.keys(), names)
    equal(sky.keys(PaginationConfig={"PageSize": 400}), names)
    equal(sky.keys(StartAfter="k1200"), names[1201:])
    equal(sky.keys(Prefix="k12"), names[1200:])
    old = sky.s3.get_paginator("list_objects").paginate(Bucket=sky.bucket, PaginationConfig={"PageSize": 500})
    equal([item["Key"] for page in old for item in page["Contents"]], names)
    fails(
        "InvalidArgument",
        400,
        sky.s3.list_objects_v2,
        Bucket=sky.bucket,
        ContinuationToken="nonsense",
    )
    equal(sky.s3.list_objects_v2(Bucket=sky.bucket, MaxKeys=0)["KeyCount"], 0)


@check
def list_with_delimiter(sky):
    for key in ["a", "a/1", "a/2/3", "b", "b//", "c/ü x/1", "d"]:
        sky.put(key, b"x")

    def listed(function, size, **more):
        pages = sky.s3.get_paginator(function).paginate(
            Bucket=sky.bucket, Delimiter="/", PaginationConfig={"PageSize": size}, **more
        )
        keys, prefixes = [], []
        for page in pages:
            keys += [item["Key"] for item in page.get("Contents", [])]
            prefixes += [item["Prefix"] for item in page.get("CommonPrefixes", [])]
        return keys, prefixes

    for function in ["list_objects_v2", "list_objects"]:
        for size in [1, 2, 3, 1000]:
            equal(listed(function, size), (["a", "b", "d"], ["a/", "b/", "c/"]))
            equal(listed(function, size, Prefix="a/"), (["a/1"], ["a/2/"]))
            equal(listed(function, size, Prefix="c/"), ([], ["c/ü x/"]))
            equal(listed(function, size, Prefix="b/"), ([], ["b//"]))


@check
def list_shows_what_head_shows(sky):
    sky.put("k", b"x")
    item = sky.s3.list_objects_v2(Bucket=sky.bucket, FetchOwner=True)["Contents"][0]
    head = sky.head("k")
    equal((item["ETag"], item["LastModified"], item["Size"]), (head["ETag"], head["LastModified"], 1))
    assert item["Owner"]["ID"]


# --- versioning -----------------------------------------------------------------------------------------------------


def enable(sky, status="Enabled"):
    sky.s3.put_bucket_versioning(Bucket=sky.bucket, VersioningConfiguration={"Status": status})


@check
def versions(sky):
    assert "Status" not in sky.s3.get_bucket_versioning(Bucket=sky.bucket)
    sky.put("k", b"0")
    enable(sky)
    equal(sky.s3.get_bucket_versioning(Bucket=sky.bucket)["Status"], "Enabled")
    one = sky.put("k", b"1")["VersionId"]
    two = sky.put("k", b"2")["VersionId"]
    equal(sky.head("k")["VersionId"], two)
    equal([sky.get("k", VersionId=version) for version in ["null", one, two]], [b"0", b"1", b"2"])
    marker = sky.s3.delete_object(Bucket=sky.bucket, Key="k")
    assert marker["DeleteMarker"]
    response = fails("NoSuchKey", 404, sky.get, "k")
    equal(response["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"], "true")
    fails("MethodNotAllowed", 405, sky.get, "k", VersionId=marker["VersionId"])
    fails("NoSuchVersion", 404, sky.get, "k", VersionId="nonsense")
    equal(sky.keys(), [])
    listed = sky.s3.list_object_versions(Bucket=sky.bucket)
    equal([item["VersionId"] for item in listed["Versions"]], [two, one, "null"])
    equal([item["IsLatest"] for item in listed["Versions"]], [False] * 3)
    equal([item["VersionId"] for item in listed["DeleteMarkers"]], [marker["VersionId"]])
    sky.put("k", b"3", IfNoneMatch="*")
    removed = sky.s3.delete_object(Bucket=sky.bucket, Key="k", VersionId=marker["VersionId"])
    assert removed["DeleteMarker"] and removed["VersionId"] == marker["VersionId"]
    sky.s3.delete_object(Bucket=sky.bucket, Key="k", VersionId=sky.head("k")["VersionId"])
    equal(sky.get("k"), b"2")


@check
def suspended_versioning(sky):
    enable(sky)
    kept = sky.put("k", b"1")["VersionId"]
    enable(sky, "Suspended")
    equal(sky.put("k", b"2").get("VersionId"), "null")
    sky.put("k", b"3")
    listed = sky.s3.list_object_versions(Bucket=sky.bucket)
    equal([item["VersionId"] for item in listed["Versions"]], ["null", kept])
    equal(sky.s3.delete_object(Bucket=sky.bucket, Key="k")["VersionId"], "null")
    equal(sky.get("k", VersionId=kept), b"1")
    fails("NoSuchKey", 404, sky.get, "k")


@check
def version_listing_pages(sky):
    enable(sky)
    expected = []
    for key in ["a", "b/1", "b/2", "c"]:
        ids = [sky.put(key, str(number).encode())["VersionId"] for number in range(3)]
        expected += [(key, version) for version in reversed(ids)]
    for size in [1, 2, 5, 1000]:
        pages = sky.s3.get_paginator("list_object_versions").paginate(
            Bucket=sky.bucket, PaginationConfig={"PageSize": size}
        )
        listed = [(item["Key"], item["VersionId"]) for page in pages for item in page.get("Versions", [])]
        equal(listed, expected)
    rolled = sky.s3.list_object_versions(Bucket=sky.bucket, Delimiter="/")
    equal([item["Prefix"] for item in rolled["CommonPrefixes"]], ["b/"])


@check
def copy_of_a_version(sky):
    enable(sky)
    old = sky.put("k", b"old")["VersionId"]
    sky.put("k", b"new")
    source = {"Bucket": sky.bucket, "Key": "k", "VersionId": old}
    answer = sky.s3.copy_object(Bucket=sky.bucket, Key="copy", CopySource=source)
    equal((answer["CopySourceVersionId"], sky.get("copy")), (old, b"old"))


# --- tags -----------------------------------------------------------------------------------------------------------


@check
def tags(sky):
    sky.put("k", b"x", Tagging="a=1&b%20c=d%2Be")
    read = lambda: {tag["Key"]: tag["Value"] for tag in sky.s3.get_object_tagging(Bucket=sky.bucket, Key="k")["TagSet"]}
    equal(read(), {"a": "1", "b c": "d+e"})
    equal(sky.s3.get_object(Bucket=sky.bucket, Key="k")["TagCount"], 2)
    put = lambda tags: sky.s3.put_object_tagging(
        Bucket=sky.bucket, Key="k", Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in tags]}
    )
    put([("x", "ü")])
    equal(read(), {"x": "ü"})
    fails("InvalidTag", 400, put, [("x", "1"), ("x", "2")])
    fails("BadRequest", 400, put, [(str(number), "") for number in range(11)])
    fails("InvalidTag", 400, put, [("k" * 129, "")])
    sky.s3.delete_object_tagging(Bucket=sky.bucket, Key="k")
    equal(read(), {})
    fails("NoSuchKey", 404, sky.s3.get_object_tagging, Bucket=sky.bucket, Key="missing")
    equal(sky.get("k"), b"x")


# --- authentication -------------------------------------------------------------------------------------------------


@check
def bad_credentials(sky):
    wrong_secret = sky.client(aws_secret_access_key="wrong")
    fails("SignatureDoesNotMatch", 403, wrong_secret.list_buckets)
    wrong_key = sky.client(aws_access_key_id="nobody")
    fails("InvalidAccessKeyId", 403, wrong_key.list_buckets)
    url = f"{sky.arguments.endpoint}/{sky.bucket}/k"
    try:
        urllib.request.urlopen(url)
    except urllib.error.HTTPError as error:
        equal(error.code, 403)
    else:
        raise AssertionError("an anonymous request was served")


@check
def presigned_urls(sky):
    signer = sky.client(config={"signature_version": "s3v4"})
    presign = lambda method, **more: signer.generate_presigned_url(
        method, Params={"Bucket": sky.bucket, "Key": "a b/ü//."}, ExpiresIn=60, **more
    )
    request = urllib.request.Request(presign("put_object"), data=b"presigned", method="PUT")
    request.add_header("Content-Type", "")
    equal(urllib.request.urlopen(request).status, 200)
    equal(urllib.request.urlopen(presign("get_object")).read(), b"presigned")
    try:
        urllib.request.urlopen(presign("get_object").replace("a%20b", "a%20c"))
    except urllib.error.HTTPError as error:
        equal(error.code, 403)
    else:
        raise AssertionError("a forged URL was served")


@check
def skewed_clock(sky):
    request = AWSRequest("GET", f"{sky.arguments.endpoint}/{sky.bucket}?list-type=2")
    request.headers["x-amz-content-sha256"] = hashlib.sha256(b"").hexdigest()
    credentials = Credentials(sky.arguments.access_key, sky.arguments.secret_key)

    class Late(SigV4Auth):
        def add_auth(self, request):
            import botocore.auth as auth

            real = auth.get_current_datetime
            auth.get_current_datetime = lambda *given: real(*given) - datetime.timedelta(minutes=20)
            try:
                super().add_auth(request)
            finally:
                auth.get_current_datetime = real

    Late(credentials, "s3", sky.arguments.region).add_auth(request)
    prepared = request.prepare()
    try:
        urllib.request.urlopen(urllib.request.Request(prepared.url, headers=dict(prepared.headers)))
    except urllib.error.HTTPError as error:
        equal(error.code, 403)
        assert b"RequestTimeTooSkewed" in error.read()
    else:
        raise AssertionError("a request of twenty minutes ago was served")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--access-key", required=True)
    parser.add_argument("--secret-key", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--only", help="run only the checks whose name contains this")
    arguments = parser.parse_args()
    passed = failed = 0
    for function in CHECKS:
        if arguments.only and arguments.only not in function.__name__:
            continue
        try:
            function(Sky(arguments, function.__name__))
            passed += 1
            print(f"ok      {function.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {function.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
