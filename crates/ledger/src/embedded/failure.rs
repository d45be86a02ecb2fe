//! What the database says went wrong, as what to do next.

use crate::Error;
use skyfresh_sky::Kind;
use std::io::ErrorKind;

/// Trouble below the logic. Kept as text: one failed commit answers many callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) context: String,
}

impl Failure {
    pub(super) fn new(kind: Kind, context: impl Into<String>) -> Self {
        Failure {
            kind,
            context: context.into(),
        }
    }

    /// As the answer to one call.
    pub(super) fn error(&self, operation: &'static str, target: &str) -> Error {
        Error::new(self.kind, operation, target, self.context.clone())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let (kind, advice) = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => (
                Kind::RetryAfter,
                "free some space; the work goes on by itself",
            ),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => (
                Kind::Denied,
                "the process must be able to write the file and its directory",
            ),
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory => (
                Kind::Invalid,
                "give the path of a file in a directory that exists",
            ),
            ErrorKind::InvalidData => (
                Kind::Corrupt,
                "the file is not a ledger: give another path, or move the file away",
            ),
            ErrorKind::Unsupported => (Kind::Unsupported, "put the ledger on a local disk"),
            _ => (
                Kind::RetryAfter,
                "check the disk; the file is opened again for the next change",
            ),
        };
        Failure::new(kind, format!("{error}: {advice}"))
    }
}

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(error) => error.into(),
            redb::Error::PreviousIo => Failure::new(
                Kind::RetryAfter,
                "an earlier write failed; the file is being opened again",
            ),
            redb::Error::DatabaseAlreadyOpen => Failure::new(
                Kind::Denied,
                "the file is open in another program: close it there",
            ),
            redb::Error::Corrupted(_) => Failure::new(
                Kind::Corrupt,
                format!("{error}: restore the file, or remove it and sweep again"),
            ),
            redb::Error::UpgradeRequired(_) => Failure::new(Kind::Unsupported, error.to_string()),
            _ => Failure::new(Kind::Internal, error.to_string()),
        }
    }
}
