//! Shared state: what must outlive a process so that nothing is lost, done twice by two owners, or leaked.
//!
//! **In:** signals that a key may have changed; claims, renewals, part results, receipts, cursors, each a conditional
//! change of few rows, with the caller's `now`.
//! **Out:** at most one live claim per (rule, destination, key), with a fencing token that only grows; parts that come back
//! when their worker dies; receipts by time and by key.
//! **Never:** reads a clock, talks to an object store, decides what to do, polls. A change is durable when its call returns.
//!
//! The seam ([`Ledger`]) asks only for conditional single-row writes and ordered scans of one partition, so that it fits
//! DynamoDB-like stores; backends that have more (one transaction over several rows) use it.
//!
//! The backends here, [`MemoryLedger`] and [`EmbeddedLedger`], have such transactions, so the operations are written once,
//! in `logic`, over ordered rows of bytes (`tables` says which). Any other backend proves itself with the `conformance`
//! feature's suite.

mod backend;
mod bell;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "cosmos")]
pub mod cosmos;
#[cfg(feature = "dynamodb")]
pub mod dynamodb;
mod embedded;
mod error;
mod logic;
mod memory;
mod model;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "cosmos", feature = "dynamodb", feature = "postgres"))]
mod remote;
mod rows;
mod seam;
pub mod shared;
mod tables;
mod transaction;

pub use bell::{Bell, Listener};
pub use embedded::EmbeddedLedger;
pub use error::{Error, Result};
pub use memory::MemoryLedger;
pub use model::{
    Attempt, Backlog, Claim, Completion, Expected, Failure, Finished, Lease, Mark, Origin, Outcome,
    PartClaim, PartDone, PoolState, Receipt, Signal, Submission, SubmitReport, Task, TaskKey,
    Tombstone, UploadIntent,
};
pub use seam::{ClaimRequest, Ledger};
