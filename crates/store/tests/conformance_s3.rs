//! The conformance suite on S3 servers that nobody here wrote.

#![allow(
    clippy::print_stdout,
    reason = "the reports are for the person who runs the tests"
)]

mod s3_support;

use async_trait::async_trait;
use s3_support::{MINISTACK, MOTO};
use skyfresh_sky::Location;
use skyfresh_store::conformance::{Backend, Report, run_all};
use skyfresh_store::{Capabilities, ObjectStore, Result};
use std::sync::Arc;

struct Server {
    name: String,
    address: String,
    bucket: String,
    capabilities: Capabilities,
}

#[async_trait]
impl Backend for Server {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn place(&self, case: &str) -> Location {
        s3_support::place(&self.address, &self.bucket, &format!("{case}/"))
    }
    fn missing_place(&self) -> Location {
        s3_support::place(&self.address, "skyfresh-no-such-bucket", "")
    }
    async fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(
            s3_support::store(location).with_capabilities(self.capabilities.clone()),
        ))
    }
}

async fn run(
    server: (&'static str, &'static str),
    test: &str,
    versioned: bool,
    skip: &[(&str, &str)],
) {
    let Some(address) = s3_support::address(server, test) else {
        return;
    };
    let bucket = s3_support::bucket_name("conformance");
    s3_support::create_bucket(&address, &bucket).await;
    if versioned {
        s3_support::version_bucket(&address, &bucket).await;
    }
    let name = match versioned {
        true => format!("{}, versioned", server.0),
        false => server.0.to_owned(),
    };
    conform(name, address, bucket, skip).await;
}

async fn conform(name: String, address: String, bucket: String, skip: &[(&str, &str)]) {
    let capabilities = s3_support::store(&s3_support::place(&address, &bucket, ""))
        .probe("once")
        .await
        .expect("a probe");
    let report: Report = run_all(
        &Server {
            name,
            address,
            bucket,
            capabilities,
        },
        skip,
    )
    .await;
    println!("{report}\n{:#?}", report.capabilities);
    assert!(report.passed(), "{report}");
}

/// What moto does wrong, seen in moto 5.2.5.
const MOTO_SKIPS: [(&str, &str); 3] = [
    (
        "complete_if_absent_has_one_winner",
        "moto looks and completes in two steps: two of eight writers win",
    ),
    (
        "aborted_uploads_are_gone",
        "moto answers 500 when an aborted upload is completed",
    ),
    (
        "control_characters",
        "moto answers 404 to a key with a line feed",
    ),
];

/// The same, and what it does wrong in a bucket with versions.
const MOTO_VERSIONED_SKIPS: [(&str, &str); 4] = [
    MOTO_SKIPS[0],
    MOTO_SKIPS[1],
    MOTO_SKIPS[2],
    (
        "a_level_in_pages_of_any_size",
        "moto lists a common prefix of objects that are deleted, where their versions are kept",
    ),
];

/// What MiniStack does wrong, seen in MiniStack 1.5.33.
const MINISTACK_SKIPS: [(&str, &str); 2] = [
    (
        "tags_are_kept_and_replaced",
        "MiniStack's HEAD does not count tags",
    ),
    (
        "small_parts_are_refused",
        "MiniStack completes uploads of parts below 5 MiB",
    ),
];

/// What it does wrong in a versioned bucket.
const MINISTACK_VERSIONED_SKIPS: [(&str, &str); 5] = [
    MINISTACK_SKIPS[0],
    MINISTACK_SKIPS[1],
    (
        "ranges",
        "MiniStack ignores the range of a read by version id",
    ),
    (
        "pinned_reads",
        "MiniStack ignores the range of a read by version id",
    ),
    (
        "parts_out_of_order_from_two_handles",
        "MiniStack ignores the range of a read by version id",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto_conforms() {
    run(MOTO, "moto_conforms", false, &MOTO_SKIPS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto_conforms_with_versions() {
    run(
        MOTO,
        "moto_conforms_with_versions",
        true,
        &MOTO_VERSIONED_SKIPS,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ministack_conforms() {
    run(MINISTACK, "ministack_conforms", false, &MINISTACK_SKIPS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ministack_conforms_with_versions() {
    run(
        MINISTACK,
        "ministack_conforms_with_versions",
        true,
        &MINISTACK_VERSIONED_SKIPS,
    )
    .await;
}

const FILES: &str =
    "s3s-fs keeps keys as files: no `a` beside `a/b`, no `..`, no empty or long names";
const RACES: &str = "s3s-fs looks and writes in two steps: several of eight writers win";
const LISTED_RAW: &str = "s3s-fs lists keys raw and calls them percent-encoded";

/// What s3s-fs does wrong, seen in s3s-fs 0.14.1. It is here for its signature checks.
const S3S_FS_SKIPS: [(&str, &str); 22] = [
    (
        "missing_bucket_is_not_a_missing_key",
        "s3s-fs answers NoSuchKey where there is no bucket",
    ),
    ("prefixes_are_isolated", FILES),
    ("delete_removes_and_repeats", FILES),
    ("goes_on_after_any_text", FILES),
    ("pages_of_any_size", FILES),
    ("a_level_in_pages_of_any_size", FILES),
    ("punctuation_and_unicode", FILES),
    ("empty_segments", FILES),
    ("dot_segments", FILES),
    ("objects_beside_directories", FILES),
    ("long_keys", FILES),
    ("control_characters", LISTED_RAW),
    ("many_are_deleted_at_once", LISTED_RAW),
    ("copy_keeps_or_replaces_attributes", LISTED_RAW),
    ("put_if_absent_has_one_winner", RACES),
    ("put_if_version_has_one_winner", RACES),
    ("complete_if_absent_has_one_winner", RACES),
    (
        "a_part_uploaded_again_is_replaced",
        "s3s-fs completes with the ETag of a replaced part",
    ),
    (
        "a_missing_part_completes_nothing",
        "s3s-fs answers AccessDenied",
    ),
    (
        "parts_may_be_left_out",
        "s3s-fs takes consecutive part numbers only",
    ),
    (
        "completing_twice_changes_nothing",
        "s3s-fs answers AccessDenied where an upload is gone",
    ),
    (
        "aborted_uploads_are_gone",
        "s3s-fs answers AccessDenied where an upload is gone",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3s_fs_conforms() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(directory.path().join("bucket")).expect("a bucket");
    let address = s3_support::s3s_fs::serve(directory.path()).await;
    conform("s3s-fs".into(), address, "bucket".into(), &S3S_FS_SKIPS).await;
}
