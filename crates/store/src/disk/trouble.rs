//! What can go wrong below, and what it means to a caller.

use crate::Error;
use crate::local::Refusal;
use rustix::io::Errno;
use skyfresh_sky::{Kind, format_bytes};
use std::path::Path;

pub(super) type Outcome<T> = std::result::Result<T, Trouble>;

/// A failure before it is known which operation it befell.
#[derive(Debug)]
pub(super) enum Trouble {
    /// By a rule of object stores.
    Refused(Refusal),
    /// By the operating system: what was tried, and how that went.
    System { tried: String, errno: Errno },
    /// By the body that was being written.
    Body(Box<Error>),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Trouble::Refused(refusal)
    }
}

/// Says what was tried where a system call failed.
pub(super) trait Tried<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T> Tried<T> for rustix::io::Result<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|errno| Trouble::System {
            tried: what(),
            errno,
        })
    }
}

impl<T> Tried<T> for std::io::Result<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| Trouble::System {
            tried: what(),
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })
    }
}

impl Trouble {
    pub(super) fn into_error(self, operation: &'static str, target: String, root: &Path) -> Error {
        match self {
            Trouble::Refused(refusal) => refusal.into_error(operation, target),
            Trouble::Body(error) => *error,
            Trouble::System { tried, errno } => {
                let (kind, code) = classify(errno);
                let mut context = format!("{tried}: {}", std::io::Error::from(errno));
                if code == "NoSpace" {
                    let free = rustix::fs::statvfs(root)
                        .map(|stats| format_bytes(stats.f_bavail.saturating_mul(stats.f_frsize)));
                    context = format!(
                        "{context}; the file system of {} has {} free: free space there or raise its quota",
                        root.display(),
                        free.as_deref().unwrap_or("an unknown number of bytes"),
                    );
                }
                Error::new(kind, operation, target, context)
                    .with_code(code)
                    .with_source(errno)
            }
        }
    }
}

/// What the caller does about an error of the operating system, and a code for it.
pub(super) fn classify(errno: Errno) -> (Kind, &'static str) {
    match errno {
        Errno::NOSPC | Errno::DQUOT => (Kind::RetryAfter, "NoSpace"),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => (Kind::Denied, "AccessDenied"),
        Errno::NAMETOOLONG => (Kind::Invalid, "KeyTooLongError"),
        Errno::FBIG => (Kind::Invalid, "EntityTooLarge"),
        Errno::NOSYS | Errno::OPNOTSUPP => (Kind::Unsupported, "NotImplemented"),
        _ => (Kind::RetryAfter, "InputOutput"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_tried_again_and_says_where_to_free_space() {
        let trouble = Trouble::System {
            tried: "write a temporary file".into(),
            errno: Errno::NOSPC,
        };
        let error = trouble.into_error("put", "file:///tmp/x".into(), Path::new("/tmp"));
        assert_eq!(error.kind, Kind::RetryAfter);
        assert_eq!(error.code.as_deref(), Some("NoSpace"));
        assert!(
            error.context.contains("file system of /tmp has ")
                && error.context.contains("free space"),
            "{error}"
        );
        assert!(
            !error.is_throttled(),
            "lowering concurrency does not free space"
        );
    }

    #[test]
    fn what_a_person_must_mend_is_denied() {
        for errno in [Errno::ACCESS, Errno::PERM, Errno::ROFS] {
            assert_eq!(classify(errno).0, Kind::Denied);
        }
        assert_eq!(classify(Errno::IO).0, Kind::RetryAfter);
    }
}
