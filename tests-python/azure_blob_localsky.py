"""Drives a localsky Azure region with azure-storage-blob and azure-storage-queue and checks that it answers as Azure does.

    python azure_blob_localsky.py --connection-string … [--other-connection-string …]

The second connection string is of another Azure region of the same sky, for copies between regions. Prints one line per
check and `N passed, M failed` at the end; exits 1 if a check failed.
"""

import argparse
import base64
import concurrent.futures
import datetime
import hashlib
import sys
import time
import traceback
import urllib.error
import urllib.request
import uuid

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import (
    AccountSasPermissions,
    BlobBlock,
    BlobPrefix,
    BlobSasPermissions,
    BlobServiceClient,
    ContainerSasPermissions,
    ContentSettings,
    ResourceTypes,
    StandardBlobTier,
    generate_account_sas,
    generate_blob_sas,
    generate_container_sas,
)
from azure.storage.queue import QueueServiceClient

CHECKS = []
ANY = {"match_condition": MatchConditions.IfPresent}


def check(function):
    CHECKS.append(function)
    return function


class Sky:
    """What every check works with: clients and a container of its own."""

    def __init__(self, arguments, name):
        self.arguments = arguments
        self.service = self.client()
        self.fields = dict(
            pair.split("=", 1) for pair in arguments.connection_string.split(";") if pair
        )
        self.name = "check-" + name.replace("_", "-")[:50]
        self.container = self.service.create_container(self.name)
        self.queues = QueueServiceClient.from_connection_string(
            arguments.connection_string, retry_total=0
        )

    def client(self, connection_string=None, **options):
        return BlobServiceClient.from_connection_string(
            connection_string or self.arguments.connection_string, retry_total=0, **options
        )

    def other(self):
        """A container in the other region."""
        service = self.client(self.arguments.other_connection_string or self.arguments.connection_string)
        return service.create_container(self.name + "-other")

    def blob(self, name):
        return self.container.get_blob_client(name)

    def put(self, name, body=b"", **more):
        return self.blob(name).upload_blob(body, **{"overwrite": True, **more})

    def get(self, name, **more):
        return self.blob(name).download_blob(**more).readall()

    def names(self, **more):
        return [blob.name for blob in self.container.list_blobs(**more)]

    def signature(self, name, permission, expiry=None, **more):
        return generate_blob_sas(
            self.fields["AccountName"],
            self.name,
            name,
            account_key=self.fields["AccountKey"],
            permission=permission,
            expiry=expiry or soon(),
            **more,
        )

    def signed(self, name, permission=None, **more):
        """The URL of a blob with a signature."""
        token = self.signature(name, permission or BlobSasPermissions(read=True), **more)
        return f"{self.blob(name).url}?{token}"


def soon(minutes=30):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)


def block_id(number):
    return f"{number:08}"


def md5(body):
    return bytearray(hashlib.md5(body).digest())


def crc64(body):
    """Bitwise CRC-64 of Azure, for short bodies: polynomial 0x9a6c9329ac4bc9b5, reflected, low byte first."""
    crc = 0xFFFFFFFFFFFFFFFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x9A6C9329AC4BC9B5 if crc & 1 else 0)
    return bytearray((crc ^ 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little"))


def fails(code, status, function, *positional, **named):
    try:
        result = function(*positional, **named)
        if hasattr(result, "__next__"):
            next(result)
    except HttpResponseError as error:
        found = (str(getattr(error.error_code, "value", error.error_code)), error.status_code)
        assert found == (code, status), f"expected {(code, status)}, got {found}: {error}"
        return error
    raise AssertionError(f"expected {code}, but it succeeded")


def equal(found, expected):
    assert found == expected, f"expected {expected!r}, got {found!r}"


def until(what, holds, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds} s")


# --- containers -----------------------------------------------------------------------------------------------------


@check
def containers_come_and_go(sky):
    again = sky.service.get_container_client("passing-by")
    again.create_container(metadata={"owner": "me"})
    fails("ContainerAlreadyExists", 409, again.create_container)
    equal(again.get_container_properties().metadata, {"owner": "me"})
    again.set_container_metadata({"owner": "you"})
    equal(again.get_container_properties().metadata, {"owner": "you"})
    assert again.exists()
    again.delete_container()
    assert not again.exists()
    fails("ContainerNotFound", 404, again.delete_container)


@check
def containers_are_listed(sky):
    for number in range(5):
        sky.service.create_container(f"listed-{number}", metadata={"number": str(number)})
    pages = sky.service.list_containers(
        name_starts_with="listed-", include_metadata=True, results_per_page=2
    ).by_page()
    sizes, found = [], {}
    for page in pages:
        items = list(page)
        sizes.append(len(items))
        found.update({item.name: item.metadata for item in items})
    equal(sizes, [2, 2, 1])
    equal(found, {f"listed-{number}": {"number": str(number)} for number in range(5)})


@check
def container_names_have_rules(sky):
    fails("InvalidResourceName", 400, sky.service.create_container, "double--hyphen")
    fails("InvalidResourceName", 400, sky.service.create_container, "UPPER-case")
    fails("OutOfRangeInput", 400, sky.service.create_container, "ab")


@check
def account_information(sky):
    information = sky.service.get_account_information()
    equal((information["sku_name"], information["account_kind"]), ("Standard_LRS", "StorageV2"))


# --- blobs ----------------------------------------------------------------------------------------------------------


@check
def put_and_get(sky):
    answer = sky.put("a", b"hello")
    assert answer["etag"].startswith('"0x8D'), answer["etag"]
    equal((answer["content_md5"], answer["content_crc64"]), (md5(b"hello"), crc64(b"hello")))
    equal(sky.get("a"), b"hello")
    properties = sky.blob("a").get_blob_properties()
    equal((properties.size, properties.etag), (5, answer["etag"]))
    equal(properties.content_settings.content_md5, md5(b"hello"))
    equal((properties.blob_type, properties.blob_tier), ("BlockBlob", "Hot"))
    assert properties.blob_tier_inferred and properties.server_encrypted


@check
def empty_blob(sky):
    sky.put("empty")
    equal(sky.get("empty"), b"")
    equal(sky.blob("empty").get_blob_properties().size, 0)


@check
def large_blob_in_parallel_blocks(sky):
    body = bytes(range(256)) * 4096 * 5
    client = sky.client(max_single_put_size=65536, max_block_size=300_000, max_single_get_size=100_000)
    blob = client.get_blob_client(sky.name, "large")
    blob.upload_blob(body, max_concurrency=4)
    equal(hashlib.sha256(blob.download_blob(max_concurrency=4).readall()).digest(), hashlib.sha256(body).digest())
    committed, uncommitted = blob.get_block_list("all")
    equal((sum(block.size for block in committed), uncommitted), (len(body), []))


@check
def every_write_has_its_own_etag(sky):
    tags = [sky.put("same", b"same")["etag"] for _ in range(5)]
    equal(len(set(tags)), 5)
    tags.append(sky.blob("same").set_blob_metadata({"a": "1"})["etag"])
    tags.append(sky.blob("same").set_http_headers(ContentSettings(content_type="text/plain"))["etag"])
    equal(len(set(tags)), 7)


@check
def awkward_names(sky):
    names = [
        "a b/c+d", "é/ü/漢字", "a//b", "x/", ".hidden", "q?x=1&y=2", "#frag", "100%", "a'b\"c", "~tilde",
        "l" * 1024, "semi;colon", "tab\there", "<xml>&amp;", "emoji-\U0001f600",
    ]
    for name in names:
        sky.put(name, name.encode())
    for name in names:
        equal(sky.get(name), name.encode())
    equal(sorted(sky.names()), sorted(names))
    fails("OutOfRangeInput", 400, sky.put, "l" * 1025, b"x")


@check
def content_settings_and_metadata(sky):
    settings = ContentSettings(
        content_type="text/x", content_encoding="gzip", content_language="de", cache_control="no-cache",
        content_disposition="inline", content_md5=md5(b"x"),
    )
    sky.put("described", b"x", content_settings=settings, metadata={"one": "1", "two_2": "zwei"})
    found = sky.blob("described").get_blob_properties()
    equal(found.metadata, {"one": "1", "two_2": "zwei"})
    for name in ["content_type", "content_encoding", "content_language", "cache_control", "content_disposition"]:
        equal(found.content_settings[name], settings[name])
    # A change of one header clears the others.
    sky.blob("described").set_http_headers(ContentSettings(content_type="text/y"))
    found = sky.blob("described").get_blob_properties()
    equal((found.content_settings.content_type, found.content_settings.content_encoding), ("text/y", None))
    equal(found.metadata, {"one": "1", "two_2": "zwei"})
    sky.blob("described").set_blob_metadata({"three": "3"})
    equal(sky.blob("described").get_blob_properties().metadata, {"three": "3"})


@check
def metadata_has_rules(sky):
    sky.put("full", b"", metadata={"a": "v" * (8192 - 1)})
    # Names whose order in the signature is not that of their bytes.
    sky.put("ordered", b"", metadata={"a1": "1", "a_": "2", "ab": "3", "_a": "4"})
    fails("MetadataTooLarge", 400, sky.put, "over", b"", metadata={"ab": "v" * (8192 - 1)})
    fails("InvalidMetadata", 400, sky.put, "name", b"", metadata={"a-b": "v"})


@check
def missing_things(sky):
    fails("BlobNotFound", 404, sky.get, "missing")
    fails("BlobNotFound", 404, sky.blob("missing").delete_blob)
    fails("BlobNotFound", 404, sky.blob("missing").set_blob_metadata, {"a": "1"})
    nowhere = sky.service.get_blob_client("no-such-container", "x")
    fails("ContainerNotFound", 404, nowhere.upload_blob, b"x")
    assert not sky.blob("missing").exists()


@check
def delete(sky):
    sky.put("gone", b"x")
    sky.blob("gone").delete_blob()
    assert not sky.blob("gone").exists()
    equal(sky.names(), [])


@check
def ranges(sky):
    sky.put("digits", b"0123456789")
    equal(sky.get("digits", offset=3, length=4), b"3456")
    equal(sky.get("digits", offset=8, length=100), b"89")
    equal(sky.get("digits", offset=9), b"9")
    fails("InvalidRange", 416, sky.blob("digits").download_blob, offset=10, length=1)
    equal(sky.get("digits", offset=2, length=5, validate_content=True), b"23456")
    too_long = sky.put("long", bytes(5 * 1024 * 1024))
    assert too_long
    fails(
        "OutOfRangeInput", 400, sky.blob("long").download_blob, offset=0, length=5 * 1024 * 1024,
        raw_request_hook=lambda request: request.http_request.headers.update(
            {"x-ms-range": "bytes=0-5242879", "x-ms-range-get-content-md5": "true"}
        ),
    )


@check
def checksums_are_checked(sky):
    sky.put("good", b"body", validate_content=True)

    def header(name, value):
        return lambda request: request.http_request.headers.update({name: value})

    wrong = base64.b64encode(bytes(16)).decode()
    fails("Md5Mismatch", 400, sky.put, "bad", b"body", raw_request_hook=header("Content-MD5", wrong))
    fails("InvalidMd5", 400, sky.put, "bad", b"body", raw_request_hook=header("Content-MD5", "short"))
    right = base64.b64encode(crc64(b"body")).decode()
    sky.put("good", b"body", raw_request_hook=header("x-ms-content-crc64", right))
    wrong = base64.b64encode(bytes(8)).decode()
    fails("Crc64Mismatch", 400, sky.put, "bad", b"body", raw_request_hook=header("x-ms-content-crc64", wrong))
    assert not sky.blob("bad").exists()


# --- conditions -----------------------------------------------------------------------------------------------------


@check
def create_only(sky):
    sky.put("once", b"1", overwrite=False)
    fails("BlobAlreadyExists", 409, sky.put, "once", b"2", overwrite=False)
    equal(sky.get("once"), b"1")


@check
def write_conditions(sky):
    first = sky.put("guarded", b"1")["etag"]
    same = {"etag": first, "match_condition": MatchConditions.IfNotModified}
    other = {"etag": first, "match_condition": MatchConditions.IfModified}
    fails("ConditionNotMet", 412, sky.put, "guarded", b"2", **other)
    second = sky.put("guarded", b"2", **same)["etag"]
    fails("ConditionNotMet", 412, sky.put, "guarded", b"3", **same)
    sky.put("guarded", b"3", **other)
    fails("ConditionNotMet", 412, sky.put, "absent", b"1", **ANY)
    fails("ConditionNotMet", 412, sky.put, "absent", b"1", **same)
    fails("ConditionNotMet", 412, sky.blob("guarded").delete_blob, etag=second, match_condition=MatchConditions.IfNotModified)
    fails("ConditionNotMet", 412, sky.blob("guarded").set_blob_metadata, {"a": "1"}, **same)
    equal(sky.get("guarded"), b"3")


@check
def read_conditions(sky):
    tag = sky.put("read", b"1")["etag"]
    equal(sky.get("read", etag=tag, match_condition=MatchConditions.IfNotModified), b"1")
    fails("ConditionNotMet", 412, sky.blob("read").download_blob, etag='"0x1"', match_condition=MatchConditions.IfNotModified)
    fails("ConditionNotMet", 304, sky.blob("read").get_blob_properties, etag=tag, match_condition=MatchConditions.IfModified)
    hour = datetime.timedelta(hours=1)
    equal(sky.get("read", if_modified_since=soon() - hour), b"1")
    fails("ConditionNotMet", 412, sky.blob("read").download_blob, if_unmodified_since=soon() - hour)


@check
def one_of_many_creators_wins(sky):
    def create(number):
        try:
            sky.put("race", str(number).encode(), overwrite=False)
            return number
        except HttpResponseError as error:
            equal(error.status_code, 409)
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(create, range(16)) if number is not None]
    equal(len(winners), 1)
    equal(sky.get("race"), str(winners[0]).encode())


# --- blocks ---------------------------------------------------------------------------------------------------------


@check
def blocks_and_lists(sky):
    blob = sky.blob("blocks")
    for number, body in enumerate([b"one", b"two", b"three"]):
        blob.stage_block(block_id(number), body)
    fails("BlobNotFound", 404, blob.get_blob_properties)
    committed, uncommitted = blob.get_block_list("all")
    equal((committed, [block.size for block in uncommitted]), ([], [3, 3, 5]))
    blob.commit_block_list([block_id(2), block_id(0)], metadata={"a": "1"})
    equal(sky.get("blocks"), b"threeone")
    committed, uncommitted = blob.get_block_list("all")
    equal([block.id for block in committed], [block_id(2), block_id(0)])
    equal(uncommitted, [])
    # What is committed can be used again, beside what is new.
    blob.stage_block(block_id(9), b"new")
    blob.commit_block_list([BlobBlock(block_id(9)), BlobBlock(block_id(2))])
    equal(sky.get("blocks"), b"newthree")
    fails("InvalidBlockList", 400, blob.commit_block_list, [block_id(0)])
    equal(sky.get("blocks"), b"newthree")


@check
def a_repeated_block_replaces_itself(sky):
    blob = sky.blob("again")
    blob.stage_block(block_id(1), b"first")
    blob.stage_block(block_id(1), b"second")
    blob.commit_block_list([block_id(1)])
    equal(sky.get("again"), b"second")


@check
def block_ids_have_rules(sky):
    blob = sky.blob("ids")
    blob.stage_block("a" * 8, b"x")
    fails("InvalidBlobOrBlock", 400, blob.stage_block, "a" * 10, b"x")
    fails("InvalidQueryParameterValue", 400, sky.blob("long").stage_block, "a" * 65, b"x")
    sky.blob("longest").stage_block("a" * 64, b"x")
    fails("InvalidHeaderValue", 400, blob.stage_block, "b" * 8, b"")


@check
def block_list_conditions(sky):
    blob = sky.blob("conditional")
    blob.stage_block(block_id(1), b"x")
    first = blob.commit_block_list([block_id(1)], match_condition=MatchConditions.IfMissing)["etag"]
    blob.stage_block(block_id(2), b"y")
    missing = {"match_condition": MatchConditions.IfMissing}
    fails("BlobAlreadyExists", 409, blob.commit_block_list, [block_id(2)], **missing)
    blob.commit_block_list([block_id(2)], etag=first, match_condition=MatchConditions.IfNotModified)
    blob.stage_block(block_id(3), b"z")
    fails(
        "ConditionNotMet", 412, blob.commit_block_list, [block_id(3)],
        etag=first, match_condition=MatchConditions.IfNotModified,
    )
    equal(sky.get("conditional"), b"y")


@check
def put_blob_drops_uncommitted_blocks(sky):
    blob = sky.blob("dropped")
    blob.stage_block(block_id(1), b"x")
    sky.put("dropped", b"whole")
    equal(blob.get_block_list("all"), ([], []))
    fails("InvalidBlockList", 400, blob.commit_block_list, [block_id(1)])


@check
def a_commit_stores_the_given_md5(sky):
    blob = sky.blob("md5")
    blob.stage_block(block_id(1), b"x", validate_content=True)
    settings = ContentSettings(content_type="text/x", content_md5=md5(b"x"))
    blob.commit_block_list([block_id(1)], content_settings=settings)
    found = blob.get_blob_properties().content_settings
    equal((found.content_type, found.content_md5), ("text/x", md5(b"x")))
    blob.stage_block(block_id(1), b"y")
    blob.commit_block_list([block_id(1)])
    equal(blob.get_blob_properties().content_settings.content_md5, None)


# --- copies ---------------------------------------------------------------------------------------------------------


@check
def block_from_url(sky):
    sky.put("source", b"0123456789")
    target = sky.other().get_blob_client("joined")
    url = sky.signed("source")
    target.stage_block_from_url(block_id(1), url, source_offset=2, source_length=3)
    target.stage_block_from_url(block_id(2), url, source_offset=7, source_length=3, source_content_md5=md5(b"789"))
    target.commit_block_list([block_id(1), block_id(2)])
    equal(target.download_blob().readall(), b"234789")
    fails(
        "Md5Mismatch", 400, target.stage_block_from_url, block_id(3), url,
        source_offset=0, source_length=1, source_content_md5=md5(b"9"),
    )
    unsigned = sky.blob("source").url
    fails("CannotVerifyCopySource", 403, target.stage_block_from_url, block_id(3), unsigned)
    missing = sky.signed("no-source")
    fails("CannotVerifyCopySource", 404, target.stage_block_from_url, block_id(3), missing)


@check
def block_from_url_conditions(sky):
    tag = sky.put("source", b"x")["etag"]
    target = sky.blob("target")

    def pinned(value):
        return lambda request: request.http_request.headers.update({"x-ms-source-if-match": value})

    target.stage_block_from_url(block_id(1), sky.signed("source"), raw_request_hook=pinned(tag))
    sky.put("source", b"y")
    fails(
        "SourceConditionNotMet", 412, target.stage_block_from_url, block_id(2), sky.signed("source"),
        raw_request_hook=pinned(tag),
    )


@check
def blob_from_url(sky):
    sky.put("source", b"body", content_settings=ContentSettings(content_type="text/x"), metadata={"a": "1"})
    target = sky.other().get_blob_client("copied")
    target.upload_blob_from_url(sky.signed("source"), metadata={"b": "2"})
    equal(target.download_blob().readall(), b"body")
    properties = target.get_blob_properties()
    equal((properties.content_settings.content_type, properties.metadata), ("text/x", {"b": "2"}))
    fails("BlobAlreadyExists", 409, target.upload_blob_from_url, sky.signed("source"), overwrite=False)


@check
def copy_within_the_account(sky):
    sky.put("source", b"body", metadata={"a": "1"}, content_settings=ContentSettings(content_type="text/x"))
    target = sky.blob("target")
    # Its own account's blobs need no signature.
    started = target.start_copy_from_url(sky.blob("source").url)
    equal(started["copy_status"], "success")
    properties = target.get_blob_properties()
    equal((properties.copy.status, properties.copy.id), ("success", started["copy_id"]))
    equal((properties.copy.progress, properties.metadata), ("4/4", {"a": "1"}))
    equal(properties.content_settings.content_type, "text/x")
    equal(sky.get("target"), b"body")
    fails("BlobNotFound", 404, target.start_copy_from_url, sky.blob("missing").url)
    fails("NoPendingCopyOperation", 409, target.abort_copy, started["copy_id"])
    sky.blob("replaced").start_copy_from_url(sky.blob("source").url, metadata={"b": "2"})
    equal(sky.blob("replaced").get_blob_properties().metadata, {"b": "2"})


@check
def copy_between_regions(sky):
    body = bytes(6 * 1024 * 1024)
    sky.put("source", body)
    target = sky.other().get_blob_client("target")
    fails("CannotVerifyCopySource", 403, target.start_copy_from_url, sky.blob("nothing").url)
    started = target.start_copy_from_url(sky.signed("source"))
    equal(started["copy_status"], "pending")
    until("the copy", lambda: target.get_blob_properties().copy.status == "success")
    equal(target.get_blob_properties().size, len(body))


@check
def synchronous_copy(sky):
    sky.put("source", b"body")
    answer = sky.blob("target").start_copy_from_url(sky.signed("source"), requires_sync=True)
    equal((answer["copy_status"], sky.get("target")), ("success", b"body"))


# --- tags, tiers, leases --------------------------------------------------------------------------------------------


@check
def tags(sky):
    sky.put("tagged", b"x", tags={"project": "a b", "stage": "1/2"})
    blob = sky.blob("tagged")
    equal(blob.get_blob_tags(), {"project": "a b", "stage": "1/2"})
    properties = blob.get_blob_properties()
    equal(properties.tag_count, 2)
    blob.set_blob_tags({"only": "one"})
    equal(blob.get_blob_tags(), {"only": "one"})
    equal(blob.get_blob_properties().etag, properties.etag)
    fails("TagsTooLarge", 400, blob.set_blob_tags, {f"t{number}": "1" for number in range(11)})
    listed = list(sky.container.list_blobs(include=["tags"]))
    equal(listed[0].tags, {"only": "one"})
    blob.set_blob_tags({})
    equal(blob.get_blob_tags(), {})


@check
def tiers(sky):
    sky.put("tiered", b"x", standard_blob_tier=StandardBlobTier.COOL)
    blob = sky.blob("tiered")
    equal(blob.get_blob_properties().blob_tier, "Cool")
    blob.set_standard_blob_tier(StandardBlobTier.ARCHIVE)
    fails("BlobArchived", 409, blob.download_blob)
    blob.set_standard_blob_tier(StandardBlobTier.HOT)
    equal(sky.get("tiered"), b"x")
    assert not blob.get_blob_properties().blob_tier_inferred


@check
def leases_guard_writes(sky):
    sky.put("leased", b"1")
    blob = sky.blob("leased")
    lease = blob.acquire_lease(lease_duration=15, lease_id=str(uuid.uuid4()))
    equal(blob.get_blob_properties().lease.state, "leased")
    fails("LeaseIdMissing", 412, sky.put, "leased", b"2")
    fails("LeaseIdMissing", 412, blob.delete_blob)
    fails("LeaseIdMissing", 412, blob.stage_block, block_id(1), b"x")
    fails("LeaseIdMismatchWithBlobOperation", 412, sky.put, "leased", b"2", lease=str(uuid.uuid4()))
    fails("LeaseAlreadyPresent", 409, blob.acquire_lease)
    sky.put("leased", b"2", lease=lease)
    lease.renew()
    lease.change(str(uuid.uuid4()))
    equal(sky.get("leased", lease=lease), b"2")
    lease.release()
    sky.put("leased", b"3")
    forever = blob.acquire_lease()
    equal(blob.get_blob_properties().lease.duration, "infinite")
    equal(forever.break_lease(lease_break_period=0), 0)
    equal(blob.get_blob_properties().lease.state, "broken")
    sky.put("leased", b"4")
    equal(blob.get_blob_properties().lease.state, "available")


@check
def snapshots_are_refused_clearly(sky):
    sky.put("still", b"x")
    fails("NotImplemented", 501, sky.blob("still").create_snapshot)


# --- listings -------------------------------------------------------------------------------------------------------


@check
def listings_have_pages_and_prefixes(sky):
    names = [f"a/{number:02}" for number in range(7)] + ["b", "c/d/e", "c/f"]
    for name in names:
        sky.put(name, b"x")
    equal(sky.names(), sorted(names))
    equal(sky.names(name_starts_with="a/0"), sorted(names)[:7])
    pages = [list(page) for page in sky.container.list_blobs(results_per_page=4).by_page()]
    equal([len(page) for page in pages], [4, 4, 2])
    walked = list(sky.container.walk_blobs())
    # The client puts prefixes before blobs.
    equal([item.name for item in walked], ["a/", "c/", "b"])
    equal([isinstance(item, BlobPrefix) for item in walked], [True, True, False])
    equal([item.name for item in sky.container.walk_blobs(name_starts_with="c/")], ["c/d/", "c/f"])
    pages = sky.container.walk_blobs(results_per_page=1).by_page()
    equal([[item.name for item in page] for page in pages], [["a/"], ["b"], ["c/"]])


@check
def listings_describe(sky):
    sky.put("one", b"12345", metadata={"a": "1"}, content_settings=ContentSettings(content_type="text/x"))
    tag = sky.blob("one").get_blob_properties().etag
    plain = list(sky.container.list_blobs())[0]
    equal((plain.size, plain.metadata, f'"{plain.etag}"'), (5, {}, tag))
    equal((plain.content_settings.content_type, plain.content_settings.content_md5), ("text/x", md5(b"12345")))
    equal(list(sky.container.list_blobs(include=["metadata"]))[0].metadata, {"a": "1"})
    sky.blob("pending").stage_block(block_id(1), b"x")
    equal(sky.names(), ["one"])
    equal(sky.names(include=["uncommittedblobs"]), ["one", "pending"])


# --- who may ------------------------------------------------------------------------------------------------------


def open_url(url, method="GET", body=None, **headers):
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("x-ms-error-code")


@check
def a_wrong_key_is_refused(sky):
    wrong = base64.b64encode(b"not the key").decode()
    client = BlobServiceClient(sky.service.url, credential={"account_name": sky.fields["AccountName"], "account_key": wrong}, retry_total=0)
    fails("AuthenticationFailed", 403, client.create_container, "never")


@check
def a_late_clock_is_refused(sky):
    def late(request):
        past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=20)
        request.http_request.headers["x-ms-date"] = past.strftime("%a, %d %b %Y %H:%M:%S GMT")

    error = fails("AuthenticationFailed", 403, sky.put, "late", b"x", raw_request_hook=late)
    assert "too old" in str(error), error


@check
def nobody_is_refused(sky):
    sky.put("private", b"x")
    equal(open_url(sky.blob("private").url), (401, "NoAuthenticationInformation"))


@check
def blob_signatures(sky):
    sky.put("shared", b"x")
    equal(open_url(sky.signed("shared")), (200, b"x"))
    equal(open_url(sky.signed("shared").replace("/shared?", "/other?"))[0], 403)
    equal(open_url(sky.signed("shared", expiry=soon(-1))), (403, "AuthenticationFailed"))
    equal(open_url(sky.signed("shared", start=soon(5))), (403, "AuthenticationFailed"))
    equal(open_url(sky.signed("shared"), method="DELETE"), (403, "AuthorizationPermissionMismatch"))
    equal(open_url(sky.signed("shared", ip="168.1.5.60"))[0], 403)
    tampered = sky.signed("shared").replace("sp=r", "sp=rw")
    equal(open_url(tampered), (403, "AuthenticationFailed"))
    create = {"method": "PUT", "body": b"new", "x-ms-blob-type": "BlockBlob"}
    equal(open_url(sky.signed("made", BlobSasPermissions(create=True)), **create)[0], 201)
    equal(open_url(sky.signed("made", BlobSasPermissions(create=True)), **create)[0], 403)
    equal(open_url(sky.signed("made", BlobSasPermissions(write=True)), **create)[0], 201)


@check
def container_and_account_signatures(sky):
    sky.put("shared", b"x")
    fields = sky.fields
    token = generate_container_sas(
        fields["AccountName"], sky.name, account_key=fields["AccountKey"],
        permission=ContainerSasPermissions(read=True, list=True), expiry=soon(),
    )
    client = BlobServiceClient(sky.service.url, credential=token, retry_total=0).get_container_client(sky.name)
    equal([blob.name for blob in client.list_blobs()], ["shared"])
    equal(client.download_blob("shared").readall(), b"x")
    fails("AuthorizationPermissionMismatch", 403, client.upload_blob, "new", b"x")
    token = generate_account_sas(
        fields["AccountName"], fields["AccountKey"], ResourceTypes(container=True, object=True),
        AccountSasPermissions(read=True, write=True, list=True), soon(),
    )
    account = BlobServiceClient(sky.service.url, credential=token, retry_total=0)
    account.get_blob_client(sky.name, "by-account").upload_blob(b"y")
    equal(sky.get("by-account"), b"y")
    fails("AuthorizationResourceTypeMismatch", 403, account.list_containers().by_page().__next__)


# --- queues ---------------------------------------------------------------------------------------------------------


@check
def queues_come_and_go(sky):
    queue = sky.queues.create_queue("passing", metadata={"a": "1"})
    # With the same metadata it is no error of the service's, but the client makes it one.
    fails("QueueAlreadyExists", 204, queue.create_queue, metadata={"a": "1"})
    fails("QueueAlreadyExists", 409, queue.create_queue, metadata={"a": "2"})
    equal([found.name for found in sky.queues.list_queues(name_starts_with="pass")], ["passing"])
    found = list(sky.queues.list_queues(name_starts_with="pass", include_metadata=True))[0]
    equal(found.metadata, {"a": "1"})
    equal(queue.get_queue_properties().metadata, {"a": "1"})
    queue.delete_queue()
    fails("QueueNotFound", 404, queue.send_message, "x")


@check
def messages_are_taken_once(sky):
    queue = sky.queues.create_queue("work")
    for number in range(5):
        queue.send_message(f"message {number} <&>")
    equal(queue.get_queue_properties().approximate_message_count, 5)
    equal([message.content for message in queue.peek_messages(max_messages=2)], ["message 0 <&>", "message 1 <&>"])
    taken = list(queue.receive_messages(messages_per_page=3, visibility_timeout=60, max_messages=3))
    equal([(message.content, message.dequeue_count) for message in taken][0], ("message 0 <&>", 1))
    equal(len(list(queue.receive_messages(max_messages=5, visibility_timeout=60))), 2)
    queue.delete_message(taken[0])
    fails("MessageNotFound", 404, queue.delete_message, taken[0])
    changed = queue.update_message(taken[1], visibility_timeout=0, content="changed")
    fails("PopReceiptMismatch", 400, queue.delete_message, taken[1])
    again = next(iter(queue.receive_messages(visibility_timeout=60)))
    equal((again.content, again.dequeue_count), ("changed", 2))
    assert changed.pop_receipt != again.pop_receipt
    queue.clear_messages()
    equal(queue.get_queue_properties().approximate_message_count, 0)


@check
def messages_hide_and_expire(sky):
    queue = sky.queues.create_queue("timed")
    queue.send_message("later", visibility_timeout=3600)
    equal(list(queue.receive_messages()), [])
    equal(queue.get_queue_properties().approximate_message_count, 1)
    queue.send_message("forever", time_to_live=-1)
    equal(next(iter(queue.receive_messages(visibility_timeout=1))).expires_on.year, 9999)
    fails("InvalidQueryParameterValue", 400, queue.send_message, "x", visibility_timeout=60, time_to_live=30)
    fails("RequestBodyTooLarge", 400, queue.send_message, "x" * (64 * 1024 + 1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connection-string", required=True)
    parser.add_argument("--other-connection-string")
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
