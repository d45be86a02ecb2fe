//! How errors are named across the workspace: by what the caller does next.

use serde::{Deserialize, Serialize};

/// What the caller should do about a failure. Every library's error carries one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Passing trouble (throttling, timeout, reset): the same call may succeed later.
    RetryAfter,
    /// The object, bucket or row does not exist.
    Missing,
    /// A condition on the version did not hold: read again and decide again.
    Precondition,
    /// Identity or permission: a person must act, then the same call may succeed.
    Denied,
    /// The request itself is wrong; repeating it cannot help.
    Invalid,
    /// This backend cannot do it; use the documented fallback.
    Unsupported,
    /// The bytes are not what they should be; never publish, start again from the source.
    Corrupt,
    /// A bug or a broken invariant here.
    Internal,
}

impl Kind {
    /// The snake_case name used in metrics, receipts and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::RetryAfter => "retry_after",
            Kind::Missing => "missing",
            Kind::Precondition => "precondition",
            Kind::Denied => "denied",
            Kind::Invalid => "invalid",
            Kind::Unsupported => "unsupported",
            Kind::Corrupt => "corrupt",
            Kind::Internal => "internal",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value a person or another program gave that cannot be used: what it was, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?}: {why}")]
pub struct Invalid {
    /// What kind of value it should have been, e.g. `location`.
    pub what: &'static str,
    /// The value as given (never a secret).
    pub given: String,
    /// Why it cannot be used, and what would be accepted.
    pub why: String,
}

impl Invalid {
    /// Names a bad value.
    pub fn new(what: &'static str, given: impl Into<String>, why: impl Into<String>) -> Self {
        Invalid {
            what,
            given: given.into(),
            why: why.into(),
        }
    }
}
