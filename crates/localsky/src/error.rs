//! What can go wrong when a sky is started or steered (S3 errors travel as S3 responses instead).

use skyfresh_sky::Kind;

/// The result of starting or steering a sky.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A sky could not be started or steered: what was tried, why, and what to do next ([`Error::kind`]).
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {context}")]
pub struct Error {
    /// What the caller does next.
    pub kind: Kind,
    /// What was tried, e.g. `listen`, `open store`.
    pub operation: &'static str,
    /// On what, and why it failed. Never holds a secret.
    pub context: String,
    /// The cause below.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: Kind, operation: &'static str, context: impl Into<String>) -> Self {
        Error {
            kind,
            operation,
            context: context.into(),
            source: None,
        }
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An input or output failure on a file or socket.
    pub(crate) fn io(
        operation: &'static str,
        on: impl std::fmt::Display,
        source: std::io::Error,
    ) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::PermissionDenied => Kind::Denied,
            std::io::ErrorKind::NotFound => Kind::Missing,
            std::io::ErrorKind::AddrInUse | std::io::ErrorKind::Interrupted => Kind::RetryAfter,
            _ => Kind::Internal,
        };
        Error::new(kind, operation, format!("{on}: {source}")).with_source(source)
    }
}
