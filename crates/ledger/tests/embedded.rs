//! The conformance suite on the ledger in a file.

use skyfresh_ledger::{EmbeddedLedger, Ledger};
use std::sync::Arc;

async fn make() -> (Arc<dyn Ledger>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = EmbeddedLedger::open(directory.path().join("ledger"), "test")
        .await
        .unwrap();
    (Arc::new(ledger), directory)
}

skyfresh_ledger::ledger_conformance!(make);
