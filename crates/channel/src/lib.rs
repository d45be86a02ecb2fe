//! The clouds' own event channels behind one seam: queues and subscriptions that tell of changed objects.
//!
//! **In:** a channel's address and credentials.
//! **Out:** [`Delivery`] after [`Delivery`], each to be acknowledged once it is safe in the ledger; channels created and removed
//! (wiring).
//! **Never:** says what an event means (that is `engine::intake`), acknowledges by itself, removes what it did not create.

mod seam;

pub use seam::{Channel, Delivery};
