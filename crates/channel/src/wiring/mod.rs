//! Creates and removes what carries a bucket's events to Skyfresh: queues, subscriptions, notification configurations.
//!
//! **In:** a rule's source, and what is recorded of an earlier run.
//! **Out:** a [`Plan`] that can be printed and compared; a [`Record`] of what was created and what was there before.
//! **Never:** writes where only a plan was asked for, touches a notification configuration of others, removes what it did not
//! create, changes something that differs from its plan (it says so and stops).
//!
//! | file | holds |
//! |---|---|
//! | [`names`] | what the resources of a rule are called |
//! | `plan`, `record` | what is to be there; what is there because of us |
//! | `execute` | plan and record to reality, resource by resource, and back |
//! | `control` | small signed requests, and their refusals as our errors |
//! | [`aws`], [`google`], [`azure`] | the requests of each cloud |

pub mod aws;
pub mod azure;
mod control;
mod execute;
pub mod google;
pub mod names;
mod plan;
mod record;

pub use control::{ControlPlane, NoToken, Signing, TokenSource, WithBearer};
pub use execute::{Cloud, Found, Left, Outcome, Stopped, Unwired, Wired, unwire, wire};
pub use plan::{EventDestination, Plan, Push, Resource};
pub use record::{Entry, Journal, Record, State};
