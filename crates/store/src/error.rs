//! What went wrong with a store, named by what the caller does next.

use skyfresh_sky::Kind;
use std::time::Duration;

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed store operation: what was tried, on what, why, and what to do next ([`Error::kind`]).
#[derive(Debug, thiserror::Error)]
#[error("{operation} {target}: {context}")]
pub struct Error {
    /// What the caller does next.
    pub kind: Kind,
    /// The operation, e.g. `get`, `complete upload`.
    pub operation: &'static str,
    /// The object or bucket, e.g. `s3://bucket/key`.
    pub target: String,
    /// Why, in the store's words where it gave any. Never holds a secret.
    pub context: String,
    /// The store's own error code, e.g. `NoSuchBucket`, where it gave one.
    pub code: Option<Box<str>>,
    /// How long the store asked to wait (`Retry-After`), where it did.
    pub retry_after: Option<Duration>,
    /// The cause below.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error without a cause below it.
    pub fn new(
        kind: Kind,
        operation: &'static str,
        target: impl Into<String>,
        context: impl Into<String>,
    ) -> Self {
        Error {
            kind,
            operation,
            target: target.into(),
            context: context.into(),
            code: None,
            retry_after: None,
            source: None,
        }
    }

    /// Adds the store's own error code.
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into().into_boxed_str());
        self
    }

    /// Adds the cause below.
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The store answered that the *bucket* (or directory) is absent, which says nothing about any key in it.
    pub fn is_missing_bucket(&self) -> bool {
        self.kind == Kind::Missing && self.code.as_deref() == Some("NoSuchBucket")
    }

    /// The store answered that an upload does not hold a part as it was named: another upload of the same number may have
    /// replaced it since.
    pub fn is_replaced_part(&self) -> bool {
        self.kind == Kind::Invalid && self.code.as_deref() == Some("InvalidPart")
    }

    /// The store answered that it is being called too fast (503 SlowDown, 429): callers lower their concurrency.
    pub fn is_throttled(&self) -> bool {
        self.kind == Kind::RetryAfter
            && matches!(
                self.code.as_deref(),
                Some(
                    "SlowDown"
                        | "Throttling"
                        | "TooManyRequests"
                        | "RequestLimitExceeded"
                        | "ServiceUnavailable"
                )
            )
    }
}
