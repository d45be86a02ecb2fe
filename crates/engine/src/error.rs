//! What went wrong in the engine, named by what the caller does next.

use skyfresh_sky::Kind;

/// The result of an engine operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed engine operation.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {target}: {context}")]
pub struct Error {
    /// What the caller does next.
    pub kind: Kind,
    /// The operation, e.g. `read source`.
    pub operation: &'static str,
    /// The object, rule or file.
    pub target: String,
    /// Why.
    pub context: String,
    /// The ledger refused our fencing token: someone else owns the key now, and nothing more may be published.
    pub fenced: bool,
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
            fenced: false,
            source: None,
        }
    }
}

impl From<skyfresh_store::Error> for Error {
    fn from(error: skyfresh_store::Error) -> Self {
        Error {
            kind: error.kind,
            operation: error.operation,
            target: error.target.clone(),
            context: error.context.clone(),
            fenced: false,
            source: Some(Box::new(error)),
        }
    }
}

impl From<skyfresh_ledger::Error> for Error {
    fn from(error: skyfresh_ledger::Error) -> Self {
        Error {
            kind: error.kind,
            operation: error.operation,
            target: error.target.clone(),
            context: error.context.clone(),
            fenced: error.is_stale(),
            source: Some(Box::new(error)),
        }
    }
}
