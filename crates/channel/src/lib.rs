//! The clouds' own event channels behind one seam: queues and subscriptions that tell of changed objects.
//!
//! **In:** a channel's address and credentials.
//! **Out:** [`Delivery`] after [`Delivery`], each to be acknowledged once it is safe in the ledger; channels created and removed
//! (wiring).
//! **Never:** says what an event means (that is `engine::intake`), acknowledges by itself, removes what it did not create.
//!
//! | file | holds |
//! |---|---|
//! | `seam` | [`Channel`]: receive, acknowledge, give back |
//! | [`sqs`], [`pubsub`], [`azure_queue`] | the three clouds' queues, as thin REST calls over the stores' own client |
//! | [`memory`] | a queue in memory that behaves like them, for tests and trials |
//! | `plumbing` | addresses, small calls, refusals as errors |
//! | `conformance` | what every channel must do, as tests |
//! | [`wiring`] | channels created and removed: plan, record, the clouds' control planes |

pub mod azure_queue;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod memory;
mod plumbing;
pub mod pubsub;
mod seam;
pub mod sqs;
pub mod wiring;

pub use seam::{Channel, Delivery, MESSAGE_LIMIT_BYTES};
