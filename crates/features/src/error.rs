//! What went wrong with features, named by what the caller does next.

use skyfresh_sky::Kind;

/// The result of an operation on features.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on features.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {target}: {context}")]
pub struct Error {
    /// What the caller does next.
    pub kind: Kind,
    /// The operation, e.g. `read table`.
    pub operation: &'static str,
    /// The file, view or key.
    pub target: String,
    /// Why, and what to do about it.
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

    /// What was given is wrong; repeating it cannot help.
    pub fn invalid(
        operation: &'static str,
        target: impl Into<String>,
        context: impl Into<String>,
    ) -> Self {
        Self::new(Kind::Invalid, operation, target, context)
    }

    /// Adds the cause below.
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}
