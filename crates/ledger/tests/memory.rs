//! The conformance suite on the ledger in memory.

use skyfresh_ledger::{Ledger, MemoryLedger};
use std::sync::Arc;

async fn make() -> (Arc<dyn Ledger>, ()) {
    (Arc::new(MemoryLedger::new()), ())
}

skyfresh_ledger::ledger_conformance!(make);
