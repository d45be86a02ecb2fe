//! The conformance suite on Azurite.

#![allow(
    clippy::print_stdout,
    reason = "the report is for the person who runs the tests"
)]

mod azure_support;

use async_trait::async_trait;
use azure_support::{address, new_container, place, store};
use skyfresh_sky::{Attributes, Location};
use skyfresh_store::conformance::{Backend, run_all};
use skyfresh_store::{ObjectStore, Result, azure};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

struct Azurite {
    address: String,
    container: String,
    places: AtomicU32,
}

#[async_trait]
impl Backend for Azurite {
    fn name(&self) -> String {
        "Azurite".into()
    }

    fn place(&self, case: &str) -> Location {
        let count = self.places.fetch_add(1, Ordering::Relaxed);
        place(&self.address, &self.container, &format!("{case}-{count}/"))
    }

    fn missing_place(&self) -> Location {
        place(&self.address, "there-is-no-such-container", "")
    }

    fn refuses_key(&self, full_key: &str) -> bool {
        azure::refused_name(full_key).is_some()
    }

    fn keeps(&self, asked: Attributes) -> Attributes {
        Attributes {
            expires: None,
            website_redirect: None,
            ..asked
        }
    }

    async fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        Ok(Arc::new(store(location)))
    }
}

/// Where Azure is not what the seam's strictest case asks for; `azure.rs` says how it is, and tests that.
const AZURE_DIFFERS: [(&str, &str); 3] = [
    (
        "a_part_uploaded_again_is_replaced",
        "on Azure the receipt of a replaced part completes with exactly that receipt's bytes",
    ),
    (
        "aborted_uploads_are_gone",
        "Azure takes blocks for any upload: completing an aborted one is refused, adding a part to it is not",
    ),
    (
        "tags_are_kept_and_replaced",
        "Azure's tags hold no `@` and nothing beyond ASCII",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azurite_conforms() {
    let Some(address) = address("azurite_conforms") else {
        return;
    };
    let container = new_container(&address, "conformance").await;
    let backend = Azurite {
        address,
        container,
        places: AtomicU32::new(0),
    };
    let report = run_all(&backend, &AZURE_DIFFERS).await;
    println!("{report}");
    assert!(report.passed(), "Azurite does not conform:\n{report}");
}
