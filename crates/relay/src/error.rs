//! What went wrong with a relay, named by what the caller does next.

use skyfresh_sky::Kind;

/// The result of a relay's operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation: what was tried, on what, why, and what to do next ([`Error::kind`]).
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {context}")]
pub struct Error {
    /// What the caller does next.
    pub kind: Kind,
    /// The operation, e.g. `connect`, `open chunk`.
    pub operation: &'static str,
    /// On what, and why; ends with what to do where a person can do something. Never holds a secret.
    pub context: String,
    /// The cause below.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error without a cause below it.
    pub fn new(kind: Kind, operation: &'static str, context: impl Into<String>) -> Self {
        Error {
            kind,
            operation,
            context: context.into(),
            source: None,
        }
    }

    /// Adds the cause below.
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A connection that broke, or bytes on it that end too early: trying again may help.
    pub(crate) fn io(operation: &'static str, on: &str, source: std::io::Error) -> Self {
        Error::new(Kind::RetryAfter, operation, format!("{on}: {source}")).with_source(source)
    }

    /// A value that breaks this crate's own rules.
    pub(crate) fn invalid(operation: &'static str, context: impl Into<String>) -> Self {
        Error::new(Kind::Invalid, operation, context)
    }
}
