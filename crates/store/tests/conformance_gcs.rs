//! The conformance suite on a server that speaks Google's protocol: as it is, with uploads by composing, and with every object
//! staged.

#![allow(
    clippy::print_stdout,
    reason = "the reports are for the person who runs the tests"
)]

mod gcs_support;
mod s3_support;

use async_trait::async_trait;
use gcs_support::{BUCKET, VERSIONED_BUCKET, create_bucket};
use skyfresh_sky::{Location, Rng};
use skyfresh_store::conformance::{Backend, run_all};
use skyfresh_store::{Capabilities, ObjectStore, Result, UploadLimits, Verification};
use std::sync::Arc;

struct Server {
    name: &'static str,
    address: String,
    bucket: &'static str,
    /// Apart from what earlier runs left on a server that outlives them.
    run: String,
    change: fn(Capabilities) -> Capabilities,
    capabilities: Capabilities,
}

#[async_trait]
impl Backend for Server {
    fn name(&self) -> String {
        self.name.into()
    }
    fn place(&self, case: &str) -> Location {
        gcs_support::place(&self.address, self.bucket, &format!("{}/{case}/", self.run))
    }
    fn missing_place(&self) -> Location {
        gcs_support::place(&self.address, "skyfresh-no-such-bucket", "")
    }
    async fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        let capabilities = (self.change)(self.capabilities.clone());
        Ok(Arc::new(
            gcs_support::store_at(location).with_capabilities(capabilities),
        ))
    }
}

async fn conform(
    name: &'static str,
    bucket: &'static str,
    change: fn(Capabilities) -> Capabilities,
    skip: &[(&str, &str)],
) {
    let address = gcs_support::address();
    create_bucket(&address, bucket, bucket == VERSIONED_BUCKET).await;
    let run = Rng::from_entropy().token();
    let root = gcs_support::place(&address, bucket, &format!("{run}/"));
    let capabilities = gcs_support::store_at(&root)
        .probe("once")
        .await
        .expect("a probe");
    println!("{capabilities:#?}");
    let server = Server {
        name,
        address,
        bucket,
        run,
        change,
        capabilities,
    };
    let report = run_all(&server, skip).await;
    println!("{report}");
    assert!(report.passed(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gcs_conforms() {
    conform("GCS on localsky", BUCKET, |capabilities| capabilities, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gcs_conforms_with_versions() {
    let name = "GCS on localsky, versioned";
    conform(name, VERSIONED_BUCKET, |capabilities| capabilities, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gcs_conforms_by_composing() {
    conform(
        "GCS on localsky, composing",
        BUCKET,
        |capabilities| Capabilities {
            upload_limits: UploadLimits::GCS_COMPOSE,
            ..capabilities
        },
        &[(
            "small_parts_are_refused",
            "parts that are composed may have any size",
        )],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gcs_conforms_with_staging() {
    conform(
        "GCS on localsky, staging",
        BUCKET,
        |capabilities| Capabilities {
            verification: Verification::Staged,
            ..capabilities
        },
        &[],
    )
    .await;
}
