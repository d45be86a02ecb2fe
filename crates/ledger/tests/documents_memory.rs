//! The conformance suite of documents on those in memory.

use skyfresh_ledger::shared::{Documents, MemoryDocuments};
use std::sync::Arc;

async fn make() -> (Arc<dyn Documents>, ()) {
    (Arc::new(MemoryDocuments::new()), ())
}

skyfresh_ledger::documents_conformance!(make);
