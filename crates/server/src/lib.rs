//! The HTTP face of the engine: notifications in, status, metrics and a dashboard out.
//!
//! **In:** HTTP/1.1 requests on a listener that the binary opened, and an [`Engine`](skyfresh_engine::Engine).
//! **Out:** JSON as `docs/openapi.json` describes it (served at `/openapi.json`), Prometheus text at `/metrics`, one
//! self-contained page at `/`. **Never:** acknowledges a notification before it is durable, reads more of a body than its
//! limit, shows a secret, reads the environment, decides anything about replication.
//!
//! | bound | value | when reached |
//! |---|---|---|
//! | connections | 1,024 | new ones wait in the kernel's backlog |
//! | time to send the headers | 30 s | the connection is closed |
//! | notification body | 4 MiB, 30 s | 413, 408; the sender keeps it |
//! | pushed body (Pub/Sub, Event Grid) | 1 MiB, 30 s | 413, 408 |
//! | weights of stale reads | 512 KiB, 30 s; 1,000 a rule, 32 KiB of prefixes | 413, 408, 400 |
//! | keys of a token's issuer | 64 keys of 256 KiB in all, read at most every 30 s | tokens by unknown keys are refused |
//! | signatures and ids remembered | 10,000 | the oldest are forgotten |
//! | requests under way at shutdown | [`ServerOptions::shutdown_limit`] | dropped; what was not answered was not promised |
//!
//! There is no TLS here: a reverse proxy that has the certificates belongs in front of a port that strangers can reach.

mod admit;
mod api;
mod changelog;
mod channels;
mod dashboard;
mod error;
mod health;
mod metrics;
mod notifications;
mod options;
mod parameters;
mod push;
mod redact;
mod routes;
mod rules;
mod serve;
mod weights;

pub use options::{Reload, ServerOptions};
pub use push::{
    EventGridRules, Fetch, GOOGLE_KEYS_URL, KEYS_LIMIT_BYTES, PUSH_LIMIT_BYTES, TokenRules,
};
pub use serve::serve;

/// The OpenAPI 3.1 description of everything served, as committed.
pub const OPENAPI: &str = include_str!("../../../docs/openapi.json");
