//! A ledger that several processes on several machines share, over any store of documents.
//!
//! **In:** the operations of [`Ledger`](crate::Ledger). **Out:** conditional writes of single documents and scans of single
//! partitions ([`Documents`]), and nothing else: no transactions, no secondary indexes, no counters.
//! **Never:** relies on a clock but for leases, on a write of two documents being one, or on reading what another process
//! has only in memory.
//!
//! `names` says which documents there are. A task is one document, so that every change of a claim is one conditional write;
//! what follows from tasks (what is due, what is pending) is not stored but read, by scans of a destination's shards, and
//! remembered per process in `view`, which may be wrong and costs a refused write where it is.
//!
//! **Order instead of transactions.** [`finish`](crate::Ledger::finish) writes the receipt, then mark and tombstone, then
//! ends the task. A process that dies in between leaves a true receipt and a task that is done again, found equal, and gets
//! another receipt. Where another owner has taken the task meanwhile, the receipt is taken back; a mark or tombstone
//! already written stays, for it is true.
//!
//! **Clocks.** Leases are compared with the claimer's clock: one that is ahead by d takes over d early, which fencing makes
//! harmless, and one that is behind, d late. Tokens grow with the clock and with every token seen (as Lamport's clocks do);
//! between machines whose clocks differ and that have not seen each other's last token of a row that is gone, a later token
//! may be the smaller. Nothing here compares tokens of different rows, or for more than equality while a claim is alive.

mod backlog;
mod bodies;
mod claim;
mod core;
mod documents;
mod finish;
mod journal;
mod ledger;
mod memories;
#[cfg(feature = "conformance")]
mod memory;
mod names;
mod notes;
mod pool;
mod prune;
mod scan;
mod tasks;
mod view;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use documents::{Condition, Document, DocumentId, Documents, Stamp, Written};
pub use ledger::SharedLedger;
#[cfg(feature = "conformance")]
pub use memory::{Faults, MemoryDocuments, Usage};

use std::time::Duration;

/// How a process uses the shared ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Partitions that one destination's tasks are spread over. Counts only for who makes the ledger: all who open it later
    /// use what it was made with. DynamoDB writes 1,000 units a second to each.
    pub task_shards: u32,
    /// A claim that finds nothing due in what this process knows reads what others have written. Not again before this long
    /// after it last did: others' tasks are found so much later. Zero: always.
    pub scan_interval: Duration,
    /// A claim that does find something reads what others have written so long after it was last read: a dead process's tasks
    /// must not wait until the living are idle.
    pub busy_scan_interval: Duration,
    /// Tasks that others recorded and nobody claims are tried only so long after they are due: their own process claims them
    /// at once, and two that try at once pay for one refused write. Zero: at once.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            task_shards: 8,
            scan_interval: Duration::ZERO,
            busy_scan_interval: Duration::from_secs(1),
            patience: Duration::ZERO,
        }
    }
}
