//! What went wrong with the ledger, named by what the caller does next.

use skyfresh_sky::Kind;

/// The result of a ledger operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed ledger operation.
///
/// [`Kind::Precondition`] means the fencing token is stale: another owner has the claim now, so the caller must stop and
/// must not publish anything more under it.
#[derive(Debug, thiserror::Error)]
#[error("ledger {operation} {target}: {context}")]
pub struct Error {
    /// What the caller does next.
    pub kind: Kind,
    /// The operation, e.g. `finish`.
    pub operation: &'static str,
    /// The row or file.
    pub target: String,
    /// Why.
    pub context: String,
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

    /// The caller's fencing token is not the newest.
    pub fn is_stale(&self) -> bool {
        self.kind == Kind::Precondition
    }
}
