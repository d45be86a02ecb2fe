//! A ledger that several processes on several machines share, over any store of documents.
//!
//! **In:** the operations of [`Ledger`](crate::Ledger). **Out:** conditional writes of single documents and scans of single
//! partitions ([`Documents`]), and nothing else: no transactions, no secondary indexes, no counters.
//! **Never:** relies on a clock but for leases, on a write of two documents being one, or on reading what another process
//! has only in memory.

#[cfg(feature = "conformance")]
pub mod conformance;
mod documents;
#[cfg(feature = "conformance")]
mod memory;

pub use documents::{Condition, Document, DocumentId, Documents, Stamp, Written};
#[cfg(feature = "conformance")]
pub use memory::{Faults, MemoryDocuments, Usage};
