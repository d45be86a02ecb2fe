//! The conformance suite on the shared ledger over documents in memory.

use skyfresh_ledger::Ledger;
use skyfresh_ledger::shared::{MemoryDocuments, Settings, SharedLedger};
use skyfresh_sky::Rng;
use std::sync::Arc;

async fn make() -> (Arc<dyn Ledger>, ()) {
    let documents = Arc::new(MemoryDocuments::new());
    let ledger = SharedLedger::open(documents, Settings::default(), Rng::seeded(1)).await;
    (Arc::new(ledger.unwrap()), ())
}

skyfresh_ledger::ledger_conformance!(make);
