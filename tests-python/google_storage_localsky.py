"""Drives a localsky store with google-cloud-storage and checks that it answers as Google Cloud Storage does.

    python google_storage_localsky.py --endpoint http://127.0.0.1:9001 --project skyfresh
        (--key-file service-account.json | --token …) [--other-endpoint http://127.0.0.1:9003]

The store must accept parts of 1 KiB (`minimum_part_bytes`) and rewrite at most 1 MiB a call (`rewrite_bytes_per_call`).
`--other-endpoint` is a second region of the same sky. Prints one line per check and `N passed, M failed` at the end;
exits 1 if a check failed.
"""

import argparse
import base64
import concurrent.futures
import datetime
import gzip
import hashlib
import io
import json
import os
import sys
import tempfile
import traceback
import xml.etree.ElementTree

import google_crc32c
import requests
from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage import transfer_manager
from google.oauth2 import credentials as oauth2_credentials
from google.oauth2 import service_account

CHECKS = []
QUANTUM = 256 * 1024
MIB = 1024 * 1024


def check(function):
    CHECKS.append(function)
    return function


class Sky:
    """What every check works with: a client, a session for raw requests, and a bucket of its own."""

    def __init__(self, arguments, name):
        self.arguments = arguments
        self.endpoint = arguments.endpoint
        self.client = self.connect(arguments.endpoint)
        self.name = "check-" + name.replace("_", "-")[:50]
        self.bucket = self.client.create_bucket(self.name)

    def connect(self, endpoint):
        if self.arguments.key_file:
            scopes = ["https://www.googleapis.com/auth/devstorage.full_control"]
            given = service_account.Credentials.from_service_account_file(self.arguments.key_file, scopes=scopes)
        else:
            given = oauth2_credentials.Credentials(token=self.arguments.token)
        return storage.Client(
            project=self.arguments.project, credentials=given, client_options={"api_endpoint": endpoint}
        )

    def raw(self, method, path, **more):
        """A request past the client library, with its credentials."""
        return self.client._http.request(method, self.endpoint + path, **more)

    def blob(self, key, **more):
        return self.bucket.blob(key, **more)

    def put(self, key, body=b"", **more):
        blob = self.blob(key)
        blob.upload_from_string(body, content_type="application/octet-stream", retry=None, **more)
        return blob

    def get(self, key, **more):
        return self.blob(key).download_as_bytes(retry=None, **more)

    def keys(self, **more):
        return [blob.name for blob in self.client.list_blobs(self.bucket, **more)]


def crc32c(body):
    return base64.b64encode(google_crc32c.Checksum(body).digest()).decode()


def md5(body):
    return base64.b64encode(hashlib.md5(body).digest()).decode()


def fails(kind, function, *positional, **named):
    try:
        function(*positional, **named)
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, but it succeeded")


def equal(found, expected):
    assert found == expected, f"expected {expected!r}, got {found!r}"


def status(response, expected):
    assert response.status_code == expected, f"expected {expected}, got {response.status_code}: {response.text[:300]}"
    return response


# --- buckets --------------------------------------------------------------------------------------------------------


@check
def bucket_lifecycle(sky):
    assert sky.client.lookup_bucket("no-such-bucket-here") is None
    assert sky.name in [bucket.name for bucket in sky.client.list_buckets()]
    fails(exceptions.Conflict, sky.client.create_bucket, sky.name)
    sky.put("a")
    error = fails(exceptions.Conflict, sky.bucket.delete)
    assert "not empty" in str(error), error
    sky.blob("a").delete()
    sky.bucket.delete()
    fails(exceptions.NotFound, sky.client.get_bucket, sky.name)
    fails(exceptions.NotFound, sky.put, "a")
    sky.client.create_bucket(sky.name)


@check
def bucket_properties(sky):
    bucket = sky.client.get_bucket(sky.name)
    equal(bucket.storage_class, "STANDARD")
    equal(bucket.versioning_enabled, False)
    before = bucket.metageneration
    bucket.labels = {"team": "sky"}
    bucket.versioning_enabled = True
    bucket.patch()
    again = sky.client.get_bucket(sky.name)
    equal((again.labels, again.versioning_enabled), ({"team": "sky"}, True))
    equal(again.metageneration, before + 1)
    fails(exceptions.PreconditionFailed, again.patch, if_metageneration_match=before)


@check
def bucket_names_have_rules(sky):
    for name in ["ab", "Upper-case", "goog-x", "a" * 64, "-abc"]:
        body = json.dumps({"name": name})
        status(sky.raw("POST", f"/storage/v1/b?project={sky.arguments.project}", data=body), 400)


@check
def buckets_are_paged(sky):
    for number in range(3):
        sky.client.create_bucket(f"{sky.name}-{number}")
    found = sky.client.list_buckets(prefix=f"{sky.name}-", page_size=2)
    equal([len(list(page)) for page in found.pages], [2, 1])


@check
def missing_bucket_is_not_a_missing_object(sky):
    error = fails(exceptions.NotFound, sky.client.bucket("no-such-bucket-here").blob("k").reload)
    assert "bucket does not exist" in str(error), error
    error = fails(exceptions.NotFound, sky.blob("k").reload)
    assert "No such object" in str(error), error


# --- objects --------------------------------------------------------------------------------------------------------


@check
def put_get_delete(sky):
    body = os.urandom(100_000)
    blob = sky.put("k", body)
    equal((blob.size, blob.md5_hash, blob.crc32c), (len(body), md5(body), crc32c(body)))
    equal(blob.metageneration, 1)
    equal(sky.get("k"), body)
    found = sky.bucket.get_blob("k")
    equal((found.generation, found.size, found.component_count), (blob.generation, len(body), None))
    age = datetime.datetime.now(datetime.timezone.utc) - found.time_created
    assert abs(age) < datetime.timedelta(seconds=120), age
    blob.delete()
    equal(sky.bucket.get_blob("k"), None)
    fails(exceptions.NotFound, sky.blob("k").delete)


@check
def empty_object(sky):
    blob = sky.put("empty", b"")
    equal((blob.size, blob.crc32c), (0, "AAAAAA=="))
    equal(sky.get("empty"), b"")


@check
def generations_grow(sky):
    generations = [sky.put("k", str(number)).generation for number in range(5)]
    sky.blob("k").delete()
    generations.append(sky.put("k", "again").generation)
    equal(generations, sorted(set(generations)))
    assert len(str(generations[0])) == 16, generations


@check
def system_metadata(sky):
    blob = sky.blob("k")
    blob.cache_control = "max-age=60"
    blob.content_disposition = "attachment"
    blob.content_language = "de"
    blob.content_encoding = "br"
    blob.custom_time = datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    blob.storage_class = "NEARLINE"
    blob.upload_from_string(b"x", content_type="text/plain; charset=utf-8")
    found = sky.bucket.get_blob("k")
    equal(
        (found.cache_control, found.content_disposition, found.content_language, found.content_encoding),
        ("max-age=60", "attachment", "de", "br"),
    )
    equal((found.content_type, found.storage_class), ("text/plain; charset=utf-8", "NEARLINE"))
    equal(found.custom_time, blob.custom_time)


@check
def user_metadata(sky):
    blob = sky.blob("k")
    blob.metadata = {"name": "a value", "Ünï": "code"}
    blob.upload_from_string(b"x")
    equal(sky.bucket.get_blob("k").metadata, {"name": "a value", "Ünï": "code"})
    blob = sky.blob("limit")
    blob.metadata = {"n": "v" * (8 * 1024 - 1)}
    blob.upload_from_string(b"x")
    blob.metadata = {"n": "v" * (8 * 1024)}
    fails(exceptions.BadRequest, blob.patch)


@check
def patch_and_update(sky):
    blob = sky.put("k", b"x")
    before = (blob.generation, blob.metageneration)
    blob.metadata = {"a": "1", "b": "2"}
    blob.content_type = "text/plain"
    blob.patch()
    equal((blob.generation, blob.metageneration), (before[0], before[1] + 1))
    blob.metadata = {"a": None, "c": "3"}
    blob.patch()
    found = sky.bucket.get_blob("k")
    equal((found.metadata, found.content_type), ({"b": "2", "c": "3"}, "text/plain"))
    fails(exceptions.PreconditionFailed, found.patch, if_metageneration_match=1)
    fails(exceptions.PreconditionFailed, found.patch, if_generation_match=before[0] - 1)
    found.cache_control = "no-store"
    found.patch(if_metageneration_match=3)
    found.update()
    equal(sky.bucket.get_blob("k").metageneration, 5)
    fails(exceptions.NotFound, sky.blob("absent").patch)


@check
def ranges(sky):
    sky.put("k", b"0123456789")
    equal(sky.get("k", start=2, end=4), b"234")
    equal(sky.get("k", start=7), b"789")
    path = f"/storage/v1/b/{sky.name}/o/k?alt=media"
    for given, expected in [("bytes=0-0", b"0"), ("bytes=-3", b"789"), ("bytes=5-500", b"56789")]:
        answer = status(sky.raw("GET", path, headers={"Range": given}), 206)
        equal(answer.content, expected)
    equal(answer.headers["Content-Range"], "bytes 5-9/10")
    status(sky.raw("GET", path, headers={"Range": "bytes=10-"}), 416)


@check
def download_headers(sky):
    body = b"some bytes"
    blob = sky.put("k", body)
    headers = status(sky.raw("GET", f"/download/storage/v1/b/{sky.name}/o/k?alt=media"), 200).headers
    equal(headers["x-goog-generation"], str(blob.generation))
    equal(headers["x-goog-metageneration"], "1")
    equal(headers["x-goog-hash"], f"crc32c={crc32c(body)},md5={md5(body)}")
    equal(headers["x-goog-stored-content-length"], str(len(body)))
    equal(headers["x-goog-stored-content-encoding"], "identity")
    equal(headers["x-goog-storage-class"], "STANDARD")
    equal(headers["Content-Length"], str(len(body)))


@check
def gzip_is_served_as_the_client_wants(sky):
    plain = b"plain text, many times over. " * 2_000
    stored = gzip.compress(plain)
    blob = sky.blob("k")
    blob.content_encoding = "gzip"
    blob.upload_from_string(stored)
    path = f"/storage/v1/b/{sky.name}/o/k?alt=media"
    kept = status(sky.raw("GET", path, headers={"Accept-Encoding": "gzip"}, stream=True), 200)
    equal(kept.raw.read(decode_content=False), stored)
    equal(kept.headers["Content-Encoding"], "gzip")
    opened = status(sky.raw("GET", path, headers={"Accept-Encoding": "identity"}, stream=True), 200)
    equal(opened.raw.read(decode_content=False), plain)
    assert "Content-Encoding" not in opened.headers
    equal(opened.headers["x-goog-stored-content-encoding"], "gzip")
    equal(opened.headers["x-goog-stored-content-length"], str(len(stored)))
    equal(sky.blob("k").download_as_bytes(raw_download=True), stored)


ODD_KEYS = [
    "a",
    "a/b",
    "a//b",
    "//",
    "/",
    "/leading",
    "trailing/",
    "./x",
    "../x",
    "x/../y",
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
    "o/compose",
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
        sky.bucket.copy_blob(sky.blob(key), sky.bucket, "copied")
        equal(sky.get("copied"), key.encode())
        sky.blob(key).delete()
    equal(sky.keys(), ["copied"])


@check
def forbidden_keys(sky):
    for key in [".", "..", "a\nb", "a\rb", ".well-known/acme-challenge/x", "y" * 1025, "é" * 512 + "y"]:
        fails(exceptions.BadRequest, sky.put, key, b"x")


def related(sky, resource, body):
    """An upload of a resource and bytes, past the library, which would add a checksum of its own."""
    text = f"--b\r\ncontent-type: application/json\r\n\r\n{json.dumps(resource)}\r\n--b\r\n\r\n".encode()
    headers = {"content-type": "multipart/related; boundary=b"}
    path = f"/upload/storage/v1/b/{sky.name}/o?uploadType=multipart"
    return sky.raw("POST", path, data=text + body + b"\r\n--b--\r\n", headers=headers)


@check
def a_wrong_checksum_publishes_nothing(sky):
    for field, value in [("md5Hash", md5(b"other")), ("crc32c", crc32c(b"other"))]:
        answer = status(related(sky, {"name": "k", field: value}, b"body"), 400)
        assert "doesn't match calculated" in answer.text, answer.text
    path = f"/upload/storage/v1/b/{sky.name}/o?uploadType=media&name=k"
    wrong = {"x-goog-hash": f"crc32c={crc32c(b'other')}"}
    status(sky.raw("POST", path, data=b"body", headers=wrong), 400)
    equal(sky.keys(), [])
    good = {"name": "k", "md5Hash": md5(b"body"), "crc32c": crc32c(b"body"), "metadata": {"m": "1"}}
    equal(status(related(sky, good, b"body"), 200).json()["metadata"], {"m": "1"})
    right = {"x-goog-hash": f"crc32c={crc32c(b'body')},md5={md5(b'body')}", "content-type": "a/b"}
    equal(status(sky.raw("POST", path, data=b"body", headers=right), 200).json()["contentType"], "a/b")
    sky.blob("k").upload_from_string(b"body", checksum="crc32c")
    sky.blob("k").upload_from_string(b"body", checksum="md5")


@check
def errors_are_stated_as_documented(sky):
    answer = status(sky.raw("GET", f"/storage/v1/b/{sky.name}/o/absent"), 404).json()
    equal(answer["error"]["code"], 404)
    equal(answer["error"]["errors"][0]["domain"], "global")
    equal(answer["error"]["errors"][0]["reason"], "notFound")
    answer = status(sky.raw("POST", f"/upload/storage/v1/b/{sky.name}/o?uploadType=media", data=b"x"), 400).json()
    equal(answer["error"]["errors"][0]["reason"], "required")
    sky.put("k", b"x")
    answer = status(sky.raw("DELETE", f"/storage/v1/b/{sky.name}/o/k?ifGenerationMatch=1"), 412).json()
    equal(answer["error"]["errors"][0]["reason"], "conditionNotMet")


@check
def credentials_are_checked(sky):
    path = f"{sky.endpoint}/storage/v1/b/{sky.name}"
    answer = status(requests.get(path), 401).json()
    equal(answer["error"]["errors"][0]["reason"], "required")
    answer = status(requests.get(path, headers={"Authorization": "Bearer wrong"}), 401).json()
    equal(answer["error"]["errors"][0]["reason"], "authError")


# --- conditions -----------------------------------------------------------------------------------------------------


@check
def conditional_writes(sky):
    first = sky.put("k", b"1", if_generation_match=0)
    fails(exceptions.PreconditionFailed, sky.put, "k", b"2", if_generation_match=0)
    fails(exceptions.PreconditionFailed, sky.put, "k", b"2", if_generation_match=first.generation - 1)
    fails(exceptions.PreconditionFailed, sky.put, "absent", b"2", if_generation_match=first.generation)
    fails(exceptions.PreconditionFailed, sky.put, "k", b"2", if_metageneration_match=7)
    equal(sky.get("k"), b"1")
    second = sky.put("k", b"2", if_generation_match=first.generation)
    equal(sky.get("k"), b"2")
    sky.put("k", b"3", if_generation_not_match=first.generation)
    assert second.generation > first.generation


@check
def conditional_reads(sky):
    blob = sky.put("k", b"x")
    sky.get("k", if_generation_match=blob.generation)
    fails(exceptions.PreconditionFailed, sky.get, "k", if_generation_match=blob.generation - 1)
    fails(exceptions.PreconditionFailed, sky.blob("k").reload, if_metageneration_match=9)
    path = f"/storage/v1/b/{sky.name}/o/k?ifGenerationNotMatch={blob.generation}"
    status(sky.raw("GET", path), 304)
    status(sky.raw("GET", path + "&alt=media"), 304)
    status(sky.raw("GET", f"/storage/v1/b/{sky.name}/o/k?ifMetagenerationNotMatch=1"), 304)
    fails(exceptions.NotFound, sky.get, "absent", if_generation_match=blob.generation)


@check
def conditional_deletes(sky):
    blob = sky.put("k", b"x")
    fails(exceptions.PreconditionFailed, sky.blob("k").delete, if_generation_match=blob.generation - 1)
    fails(exceptions.PreconditionFailed, sky.blob("k").delete, if_metageneration_match=2)
    sky.blob("k").delete(if_generation_match=blob.generation)
    fails(exceptions.NotFound, sky.blob("k").delete, if_generation_match=blob.generation)


@check
def conditional_write_race(sky):
    """Exactly one of many simultaneous creators, and one of many simultaneous updaters, wins."""
    buckets = [sky.connect(sky.endpoint).bucket(sky.name) for _ in range(8)]

    def attempt(number, generation):
        try:
            buckets[number].blob(key).upload_from_string(str(number), if_generation_match=generation, retry=None)
            return number
        except exceptions.PreconditionFailed:
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for round_number in range(10):
            key = f"k{round_number}"
            won = [n for n in pool.map(lambda n: attempt(n, 0), range(8)) if n is not None]
            equal(len(won), 1)
            equal(sky.get(key), str(won[0]).encode())
            generation = sky.put(key, b"base").generation
            won = [n for n in pool.map(lambda n: attempt(n, generation), range(8)) if n is not None]
            equal(len(won), 1)
            equal(sky.get(key), str(won[0]).encode())


# --- versions -------------------------------------------------------------------------------------------------------


def versioned(sky):
    sky.bucket.versioning_enabled = True
    sky.bucket.patch()


@check
def overwritten_versions_stay_where_versioning_is_on(sky):
    versioned(sky)
    first, second = sky.put("k", b"1"), sky.put("k", b"2")
    equal(sky.get("k"), b"2")
    equal(sky.bucket.blob("k", generation=first.generation).download_as_bytes(), b"1")
    found = list(sky.client.list_blobs(sky.bucket, versions=True))
    equal([blob.generation for blob in found], [first.generation, second.generation])
    assert found[0].time_deleted is not None and found[1].time_deleted is None
    equal(sky.keys(), ["k"])


@check
def deleting_leaves_noncurrent_versions(sky):
    versioned(sky)
    first = sky.put("k", b"1")
    sky.blob("k").delete()
    fails(exceptions.NotFound, sky.get, "k")
    equal(sky.keys(), [])
    equal(sky.keys(versions=True), ["k"])
    fails(exceptions.PreconditionFailed, sky.put, "k", b"2", if_generation_match=first.generation)
    sky.put("k", b"2", if_generation_match=0)
    sky.bucket.blob("k", generation=first.generation).delete()
    equal(len(sky.keys(versions=True)), 1)
    fails(exceptions.NotFound, sky.bucket.blob("k", generation=first.generation).reload)


@check
def deleting_the_live_generation_revives_none(sky):
    versioned(sky)
    sky.put("k", b"1")
    live = sky.put("k", b"2")
    sky.bucket.blob("k", generation=live.generation).delete()
    fails(exceptions.NotFound, sky.get, "k")
    equal(len(sky.keys(versions=True)), 1)


@check
def without_versioning_only_the_last_stays(sky):
    first = sky.put("k", b"1")
    sky.put("k", b"2")
    equal(len(sky.keys(versions=True)), 1)
    fails(exceptions.NotFound, sky.bucket.blob("k", generation=first.generation).reload)
    versioned(sky)
    sky.put("k", b"3")
    sky.bucket.versioning_enabled = False
    sky.bucket.patch()
    sky.put("k", b"4")
    equal([sky.bucket.blob("k", generation=blob.generation).download_as_bytes()
           for blob in sky.client.list_blobs(sky.bucket, versions=True)], [b"2", b"4"])


# --- listing --------------------------------------------------------------------------------------------------------


@check
def listings(sky):
    names = ["a", "a/b", "a/c/d", "a/c/e", "b", "b/", "c-1"]
    for name in names:
        sky.put(name)
    equal(sky.keys(), names)
    equal(sky.keys(prefix="a/"), ["a/b", "a/c/d", "a/c/e"])
    equal(sky.keys(start_offset="a/c", end_offset="b/"), ["a/c/d", "a/c/e", "b"])
    found = sky.client.list_blobs(sky.bucket, delimiter="/")
    equal(([blob.name for blob in found], sorted(found.prefixes)), (["a", "b", "c-1"], ["a/", "b/"]))
    found = sky.client.list_blobs(sky.bucket, prefix="a/", delimiter="/")
    equal(([blob.name for blob in found], sorted(found.prefixes)), (["a/b"], ["a/c/"]))
    found = sky.client.list_blobs(sky.bucket, delimiter="/", include_trailing_delimiter=True)
    equal([blob.name for blob in found], ["a", "b", "b/", "c-1"])
    equal(sky.keys(prefix="nothing"), [])


@check
def pages_make_the_whole(sky):
    versioned(sky)
    names = [f"{letter}/{number}" for letter in "abc" for number in range(5)]
    for name in names:
        sky.put(name, b"1")
        sky.put(name, b"2")
    for size in [1, 2, 3, 7, 100]:
        equal(sky.keys(page_size=size), names)
        equal(len(sky.keys(page_size=size, versions=True)), 2 * len(names))
        found = sky.client.list_blobs(sky.bucket, delimiter="/", page_size=size)
        equal((list(found), sorted(found.prefixes)), ([], ["a/", "b/", "c/"]))
    pages = sky.client.list_blobs(sky.bucket, page_size=4).pages
    equal([len(list(page)) for page in pages], [4, 4, 4, 3])


# --- copies ---------------------------------------------------------------------------------------------------------


@check
def copy_keeps_or_replaces_metadata(sky):
    blob = sky.blob("k")
    blob.metadata, blob.cache_control = {"a": "1"}, "no-cache"
    blob.upload_from_string(b"body", content_type="text/plain")
    copied = sky.bucket.copy_blob(blob, sky.bucket, "copy")
    equal((copied.metadata, copied.cache_control, copied.content_type), ({"a": "1"}, "no-cache", "text/plain"))
    equal((copied.md5_hash, copied.crc32c), (blob.md5_hash, blob.crc32c))
    path = f"/storage/v1/b/{sky.name}/o/k/copyTo/b/{sky.name}/o/other"
    answer = status(sky.raw("POST", path, json={"contentType": "a/b", "metadata": {"z": "9"}}), 200).json()
    equal((answer["contentType"], answer["metadata"], "cacheControl" in answer), ("a/b", {"z": "9"}, False))
    equal(sky.get("other"), b"body")


@check
def conditional_copies(sky):
    blob = sky.put("k", b"1")
    copy = sky.bucket.copy_blob
    fails(exceptions.PreconditionFailed, copy, blob, sky.bucket, "c", if_source_generation_match=blob.generation - 1)
    made = copy(blob, sky.bucket, "c", if_generation_match=0, if_source_generation_match=blob.generation)
    fails(exceptions.PreconditionFailed, copy, blob, sky.bucket, "c", if_generation_match=0)
    copy(blob, sky.bucket, "c", if_generation_match=made.generation)
    fails(exceptions.NotFound, copy, sky.blob("absent"), sky.bucket, "c")


@check
def rewriting_to_another_class_takes_several_calls(sky):
    body = os.urandom(3 * MIB + 17)
    source = sky.put("k", body)
    target = sky.blob("cold")
    target.storage_class = "COLDLINE"
    token, rewritten, size = target.rewrite(source)
    equal((rewritten, size), (MIB, len(body)))
    calls = 1
    while token is not None:
        fails(exceptions.NotFound, sky.get, "cold")
        token, rewritten, size = target.rewrite(source, token=token)
        calls += 1
    equal((calls, rewritten, target.storage_class), (4, len(body), "COLDLINE"))
    equal(sky.get("cold"), body)
    equal(target.md5_hash, source.md5_hash)
    same, _, _ = sky.blob("same").rewrite(source)
    equal(same, None)
    source.update_storage_class("ARCHIVE")
    equal(sky.bucket.get_blob("k").storage_class, "ARCHIVE")


@check
def a_rewrite_token_belongs_to_its_source(sky):
    source = sky.put("k", os.urandom(2 * MIB))
    target = sky.blob("cold")
    target.storage_class = "COLDLINE"
    token, _, _ = target.rewrite(source)
    other = sky.blob("other")
    other.storage_class = "COLDLINE"
    fails(exceptions.BadRequest, other.rewrite, source, token=token)
    fails(exceptions.BadRequest, target.rewrite, source, token="unknown")
    token, _, _ = target.rewrite(source)
    sky.put("k", os.urandom(2 * MIB))
    fails(exceptions.BadRequest, target.rewrite, sky.blob("k"), token=token)


@check
def rewriting_to_another_region(sky):
    if not sky.arguments.other_endpoint:
        return
    body = os.urandom(2 * MIB + 1)
    source = sky.put("k", body)
    there = sky.connect(sky.arguments.other_endpoint).create_bucket(sky.name + "-far")
    target = there.blob("k")
    token, rewritten, _ = target.rewrite(source)
    equal(rewritten, MIB)
    while token is not None:
        token, rewritten, _ = target.rewrite(source, token=token)
    equal((rewritten, there.blob("k").download_as_bytes()), (len(body), body))


@check
def compose(sky):
    bodies = [os.urandom(size) for size in (10, 0, 100_000)]
    parts = [sky.put(f"part{number}", body) for number, body in enumerate(bodies)]
    whole = sky.blob("whole")
    whole.content_type, whole.metadata = "a/b", {"m": "1"}
    whole.compose(parts, if_generation_match=0)
    equal(sky.get("whole"), b"".join(bodies))
    found = sky.bucket.get_blob("whole")
    equal((found.component_count, found.md5_hash), (3, None))
    equal((found.crc32c, found.content_type), (crc32c(b"".join(bodies)), "a/b"))
    twice = sky.blob("twice")
    twice.compose([found, parts[0]])
    equal(sky.bucket.get_blob("twice").component_count, 4)
    for part in parts:
        part.delete()
    equal(sky.get("twice"), b"".join(bodies) + bodies[0])


@check
def conditional_compose(sky):
    parts = [sky.put(f"part{number}", b"x") for number in range(2)]
    whole = sky.blob("whole")
    fails(exceptions.PreconditionFailed, whole.compose, parts, if_generation_match=1)
    wrong = [part.generation - 1 for part in parts]
    fails(exceptions.PreconditionFailed, whole.compose, parts, if_source_generation_match=wrong)
    right = [part.generation for part in parts]
    whole.compose(parts, if_generation_match=0, if_source_generation_match=right)
    fails(exceptions.PreconditionFailed, whole.compose, parts, if_generation_match=0)
    fails(exceptions.NotFound, whole.compose, [sky.blob("absent")])


@check
def compose_takes_32_sources(sky):
    part = sky.put("part", b"ab")
    sky.blob("whole").compose([part] * 32)
    equal(sky.get("whole"), b"ab" * 32)
    equal(sky.bucket.get_blob("whole").component_count, 32)
    fails(exceptions.BadRequest, sky.blob("whole").compose, [part] * 33)
    fails(exceptions.BadRequest, sky.blob("whole").compose, [])


# --- resumable uploads ----------------------------------------------------------------------------------------------


def begin(sky, key, query="", **headers):
    path = f"/upload/storage/v1/b/{sky.name}/o?uploadType=resumable&name={key}{query}"
    answer = status(sky.raw("POST", path, data=b"", headers=headers), 200)
    return answer.headers["Location"][len(sky.endpoint):]


def chunk(sky, session, body, first, total):
    last = f"{first}-{first + len(body) - 1}" if body else "*"
    return sky.raw("PUT", session, data=body, headers={"Content-Range": f"bytes {last}/{total}"})


@check
def resumable_upload_by_the_library(sky):
    body = os.urandom(5 * QUANTUM + 123)
    blob = sky.bucket.blob("k", chunk_size=QUANTUM)
    blob.metadata = {"m": "1"}
    blob.upload_from_file(io.BytesIO(body), content_type="a/b", if_generation_match=0)
    equal(sky.get("k"), body)
    found = sky.bucket.get_blob("k")
    equal((found.content_type, found.metadata), ("a/b", {"m": "1"}))
    equal((found.md5_hash, found.crc32c), (md5(body), crc32c(body)))
    fails(exceptions.PreconditionFailed, blob.upload_from_file, io.BytesIO(body), if_generation_match=0)
    unknown = sky.bucket.blob("unknown", chunk_size=QUANTUM)
    with unknown.open("wb") as stream:
        stream.write(body)
    equal(sky.get("unknown"), body)


@check
def resumable_chunks_and_status(sky):
    body = os.urandom(2 * QUANTUM + 7)
    session = begin(sky, "k", **{"X-Upload-Content-Type": "a/b", "X-Upload-Content-Length": str(len(body))})
    answer = status(chunk(sky, session, b"", 0, "*"), 308)
    assert "Range" not in answer.headers
    answer = status(chunk(sky, session, body[:QUANTUM], 0, len(body)), 308)
    equal(answer.headers["Range"], f"bytes=0-{QUANTUM - 1}")
    # Bytes that were sent before are skipped; what is no whole quantum is not kept.
    answer = status(chunk(sky, session, body[: QUANTUM + 100], 0, "*"), 308)
    equal(answer.headers["Range"], f"bytes=0-{QUANTUM - 1}")
    status(chunk(sky, session, body[2 * QUANTUM:], 2 * QUANTUM, len(body)), 400)
    done = status(chunk(sky, session, body[QUANTUM:], QUANTUM, len(body)), 200).json()
    equal((done["size"], done["contentType"], done["md5Hash"]), (str(len(body)), "a/b", md5(body)))
    again = status(chunk(sky, session, b"", 0, len(body)), 200).json()
    equal(again["generation"], done["generation"])
    equal(sky.get("k"), body)


@check
def resumable_in_one_request(sky):
    body = os.urandom(300_001)
    session = begin(sky, "k")
    status(sky.raw("PUT", session, data=body), 200)
    equal(sky.get("k"), body)
    session = begin(sky, "empty")
    status(sky.raw("PUT", session, data=b""), 200)
    equal(sky.get("empty"), b"")


@check
def resumable_cancel(sky):
    session = begin(sky, "k")
    status(chunk(sky, session, b"x" * QUANTUM, 0, "*"), 308)
    status(sky.raw("DELETE", session), 499)
    status(chunk(sky, session, b"", 0, "*"), 404)
    equal(sky.keys(), [])


@check
def resumable_condition_holds_at_the_end(sky):
    session = begin(sky, "k", "&ifGenerationMatch=0")
    sky.put("k", b"in between")
    status(sky.raw("PUT", session, data=b"late"), 412)
    equal(sky.get("k"), b"in between")
    path = f"/upload/storage/v1/b/{sky.name}/o?uploadType=resumable&name=k&ifGenerationMatch=0"
    status(sky.raw("POST", path, data=b""), 412)


# --- the XML API ----------------------------------------------------------------------------------------------------


def elements(response, name):
    """The texts of all elements of this name, whatever name space they are in."""
    document = xml.etree.ElementTree.fromstring(response.content)
    return [found.text for found in document.iter() if found.tag.rpartition("}")[2] == name]


def multipart(sky, key, bodies, **headers):
    """Begins an upload and sends its parts; the upload's path and the answers' entity tags."""
    path = f"/{sky.name}/{key}"
    upload = elements(status(sky.raw("POST", path + "?uploads", headers=headers), 200), "UploadId")[0]
    etags = []
    for number, body in enumerate(bodies, 1):
        answer = status(sky.raw("PUT", f"{path}?partNumber={number}&uploadId={upload}", data=body), 200)
        etags.append(answer.headers["ETag"])
    return f"{path}?uploadId={upload}", etags


def complete(sky, upload, etags, **headers):
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"
    return sky.raw("POST", upload, data=body, headers=headers)


@check
def xml_objects(sky):
    path = f"/{sky.name}/a/k%20%C3%A9"
    headers = {"Content-Type": "a/b", "x-goog-meta-Some": "value", "Content-MD5": md5(b"body")}
    put = status(sky.raw("PUT", path, data=b"body", headers=headers), 200)
    equal(put.headers["ETag"], f'"{hashlib.md5(b"body").hexdigest()}"')
    blob = sky.bucket.get_blob("a/k é")
    equal((blob.content_type, blob.metadata), ("a/b", {"some": "value"}))
    head = status(sky.raw("HEAD", path), 200).headers
    equal((head["Content-Length"], head["x-goog-meta-some"]), ("4", "value"))
    equal(head["x-goog-generation"], str(blob.generation))
    equal(status(sky.raw("GET", path, headers={"Range": "bytes=1-2"}), 206).content, b"od")
    status(sky.raw("GET", path, headers={"If-None-Match": put.headers["ETag"]}), 304)
    status(sky.raw("GET", path, headers={"x-goog-if-generation-match": "1"}), 412)
    status(sky.raw("PUT", path, data=b"x", headers={"x-goog-if-generation-match": "0"}), 412)
    wrong = status(sky.raw("PUT", path, data=b"x", headers={"x-goog-hash": f"crc32c={crc32c(b'y')}"}), 400)
    assert "<Code>BadDigest</Code>" in wrong.text, wrong.text
    source = {"x-goog-copy-source": path, "x-goog-if-generation-match": "0"}
    status(sky.raw("PUT", f"/{sky.name}/copy", headers=source), 200)
    equal(sky.bucket.get_blob("copy").metadata, {"some": "value"})
    status(sky.raw("DELETE", path), 204)
    missing = status(sky.raw("GET", path), 404)
    assert "<Code>NoSuchKey</Code>" in missing.text, missing.text
    assert "<Code>NoSuchBucket</Code>" in status(sky.raw("GET", "/no-such-bucket-here/k"), 404).text


@check
def xml_listing(sky):
    names = ["a", "a/b", "a/c", "b&<"]
    for name in names:
        sky.put(name, b"12")
    path = f"/{sky.name}?list-type=2"
    equal(elements(sky.raw("GET", path), "Key"), names)
    equal(elements(sky.raw("GET", path), "Size"), ["2"] * 4)
    rolled = sky.raw("GET", path + "&delimiter=/")
    equal((elements(rolled, "Key"), elements(rolled, "Prefix")[1:]), (["a", "b&<"], ["a/"]))
    found, token = [], ""
    while True:
        page = sky.raw("GET", path + "&max-keys=1" + token)
        found += elements(page, "Key")
        following = elements(page, "NextContinuationToken")
        if not following:
            break
        token = "&continuation-token=" + following[0]
    equal(found, names)
    equal(elements(sky.raw("GET", f"/{sky.name}?marker=a/b&max-keys=1"), "Key"), ["a/c"])


@check
def xml_multipart(sky):
    bodies = [os.urandom(2048), os.urandom(1024), b"end"]
    upload, etags = multipart(sky, "k", bodies, **{"Content-Type": "a/b", "x-goog-meta-m": "1"})
    listed = sky.raw("GET", upload)
    equal((elements(listed, "PartNumber"), elements(listed, "Size")), (["1", "2", "3"], ["2048", "1024", "3"]))
    equal(elements(sky.raw("GET", f"/{sky.name}?uploads"), "Key"), ["k"])
    fails(exceptions.NotFound, sky.get, "k")
    whole = b"".join(bodies)
    answer = status(complete(sky, upload, etags, **{"x-goog-hash": f"crc32c={crc32c(whole)}"}), 200)
    equal(elements(answer, "Key"), ["k"])
    blob = sky.bucket.get_blob("k")
    equal((blob.crc32c, blob.md5_hash, blob.size), (crc32c(whole), None, len(whole)))
    equal((blob.content_type, blob.metadata), ("a/b", {"m": "1"}))
    equal(sky.get("k"), whole)
    assert "<Code>NoSuchUpload</Code>" in status(complete(sky, upload, etags), 404).text
    equal(elements(sky.raw("GET", f"/{sky.name}?uploads"), "Key"), [])


@check
def xml_multipart_is_checked(sky):
    upload, etags = multipart(sky, "k", [b"x" * 1023, b"end"])
    assert "<Code>EntityTooSmall</Code>" in status(complete(sky, upload, etags), 400).text
    assert "<Code>InvalidPart</Code>" in status(complete(sky, upload, ['"0"']), 400).text
    status(sky.raw("POST", upload, data="<Complete"), 400)
    wrong = {"x-goog-hash": f"crc32c={crc32c(b'other')}"}
    status(complete(sky, upload, etags[:1], **wrong), 400)
    path = upload.replace("?", "?partNumber=1&")
    status(sky.raw("PUT", path, data=b"part", headers=wrong), 400)
    status(sky.raw("PUT", path.replace("Number=1", "Number=10001"), data=b"part"), 400)
    status(sky.raw("DELETE", upload), 204)
    status(sky.raw("DELETE", upload), 404)
    equal(sky.keys(), [])


@check
def xml_multipart_has_no_conditions(sky):
    upload, etags = multipart(sky, "k", [b"late"])
    sky.put("k", b"in between")
    status(complete(sky, upload, etags, **{"x-goog-if-generation-match": "0"}), 200)
    equal(sky.get("k"), b"late")


@check
def xml_multipart_by_the_library(sky):
    body = os.urandom(3 * MIB + 5)
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        transfer_manager.upload_chunks_concurrently(
            file.name, sky.blob("k"), chunk_size=MIB, max_workers=4, worker_type=transfer_manager.THREAD
        )
    equal(sky.get("k"), body)


# --- notifications --------------------------------------------------------------------------------------------------


class PubSub:
    """A topic with a subscription."""

    def __init__(self, sky, **more):
        self.sky = sky
        self.topic = f"projects/{sky.arguments.project}/topics/{sky.name}"
        self.subscription = f"projects/{sky.arguments.project}/subscriptions/{sky.name}"
        self.call("PUT", self.topic, {})
        self.call("PUT", self.subscription, {"topic": self.topic, **more})

    def call(self, method, path, body, expected=200):
        return status(self.sky.raw(method, f"/v1/{path}", json=body), expected).json()

    def pull(self, most=100):
        body = {"maxMessages": most, "returnImmediately": True}
        return self.call("POST", self.subscription + ":pull", body).get("receivedMessages", [])

    def acknowledge(self, received):
        ids = {"ackIds": [message["ackId"] for message in received]}
        self.call("POST", self.subscription + ":acknowledge", ids)

    def events(self):
        received = self.pull()
        self.acknowledge(received)
        return [message["message"] for message in received]


@check
def changes_are_published(sky):
    pubsub = PubSub(sky)
    notification = sky.bucket.notification(
        topic_name=sky.name, topic_project=sky.arguments.project, payload_format="JSON_API_V1",
        custom_attributes={"own": "attribute"},
    )
    notification.create()
    first = sky.put("k", b"1")
    second = sky.put("k", b"2")
    second.metadata = {"a": "b"}
    second.patch()
    second.delete()
    events = pubsub.events()
    types = [event["attributes"]["eventType"] for event in events]
    equal(
        types,
        ["OBJECT_FINALIZE", "OBJECT_DELETE", "OBJECT_FINALIZE", "OBJECT_METADATA_UPDATE", "OBJECT_DELETE"],
    )
    attributes = events[2]["attributes"]
    equal((attributes["bucketId"], attributes["objectId"], attributes["own"]), (sky.name, "k", "attribute"))
    equal(attributes["objectGeneration"], str(second.generation))
    equal(attributes["overwroteGeneration"], str(first.generation))
    equal(events[1]["attributes"]["overwrittenByGeneration"], str(second.generation))
    assert attributes["notificationConfig"].endswith(f"/notificationConfigs/{notification.notification_id}")
    payload = json.loads(base64.b64decode(events[2]["data"]))
    equal((payload["name"], payload["generation"], payload["size"]), ("k", str(second.generation), "1"))


@check
def notification_configs(sky):
    pubsub = PubSub(sky)
    made = sky.bucket.notification(
        topic_name=sky.name, topic_project=sky.arguments.project, event_types=["OBJECT_ARCHIVE"],
        blob_name_prefix="logs/", payload_format="NONE",
    )
    made.create()
    found = list(sky.bucket.list_notifications())
    equal([(one.topic_name, one.event_types, one.blob_name_prefix) for one in found],
          [(sky.name, ["OBJECT_ARCHIVE"], "logs/")])
    versioned(sky)
    for key in ["logs/a", "other"]:
        sky.put(key, b"x")
        sky.blob(key).delete()
    events = pubsub.events()
    equal([event["attributes"]["objectId"] for event in events], ["logs/a"])
    assert "data" not in events[0]
    made.delete()
    equal(list(sky.bucket.list_notifications()), [])
    absent = sky.bucket.notification(topic_name="absent", topic_project=sky.arguments.project)
    fails(exceptions.BadRequest, absent.create)


@check
def messages_are_leased(sky):
    pubsub = PubSub(sky, ackDeadlineSeconds=10)
    body = {"messages": [{"data": base64.b64encode(b"hello").decode(), "attributes": {"a": "1"}}]}
    equal(len(pubsub.call("POST", pubsub.topic + ":publish", body)["messageIds"]), 1)
    first = pubsub.pull()
    equal((len(first), pubsub.pull()), (1, []))
    back = {"ackIds": [first[0]["ackId"]], "ackDeadlineSeconds": 0}
    pubsub.call("POST", pubsub.subscription + ":modifyAckDeadline", back)
    again = pubsub.pull()
    equal(again[0]["message"], first[0]["message"])
    pubsub.acknowledge(again)
    equal(pubsub.pull(), [])


@check
def topics_have_policies(sky):
    pubsub = PubSub(sky)
    pubsub.call("PUT", pubsub.topic, {}, expected=409)
    policy = pubsub.call("GET", pubsub.topic + ":getIamPolicy", None)
    assert "bindings" not in policy
    bindings = [{"role": "roles/pubsub.publisher", "members": ["serviceAccount:" + sky.client.get_service_account_email()]}]
    pubsub.call("POST", pubsub.topic + ":setIamPolicy", {"policy": {"bindings": bindings}})
    equal(pubsub.call("GET", pubsub.topic + ":getIamPolicy", None)["bindings"], bindings)
    listed = pubsub.call("GET", f"projects/{sky.arguments.project}/topics", None)["topics"]
    assert {"name": pubsub.topic} in listed, listed
    pubsub.call("DELETE", pubsub.subscription, None)
    pubsub.call("GET", pubsub.subscription, None, expected=404)
    pubsub.call("DELETE", pubsub.topic, None)
    pubsub.call("GET", pubsub.topic, None, expected=404)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--other-endpoint")
    parser.add_argument("--project", default="skyfresh")
    credentials = parser.add_mutually_exclusive_group(required=True)
    credentials.add_argument("--key-file")
    credentials.add_argument("--token")
    parser.add_argument("--only", help="run the checks whose name contains this")
    arguments = parser.parse_args()
    failed = 0
    chosen = [function for function in CHECKS if not arguments.only or arguments.only in function.__name__]
    for function in chosen:
        name = function.__name__
        try:
            function(Sky(arguments, name))
            print(f"ok    {name}")
        except Exception:
            failed += 1
            print(f"FAIL  {name}")
            traceback.print_exc(file=sys.stdout)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
