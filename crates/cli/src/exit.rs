//! Exit codes: what a script may rely on. Documented in `docs/cli.md`.

use crate::client::ClientError;
use crate::config::ConfigError;
use crate::hint;
use crate::output::Output;
use skyfresh_sky::{Invalid, Kind};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, and where there was something to verify: verified.
    Ok = 0,
    /// Something failed, or differs.
    Failed = 1,
    /// The command line, the configuration or a name in it is wrong.
    Usage = 2,
    /// Refused to protect data: deletes beyond the limit, a ledger that another process holds.
    Refused = 3,
    /// A store or server cannot be reached, or does not permit it.
    Unreachable = 4,
    /// Time ran out before the goal was reached.
    TimedOut = 5,
    /// Stopped by a signal before the end.
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit as u8)
    }
}

/// An error that says itself how the command ends and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Told {
    /// How the command ends.
    pub(crate) exit: Exit,
    /// What happened, plainly.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hints: Vec<String>,
}

impl Told {
    /// An error without hints.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Told {
            exit,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// How the command ends because of an error: the first cause that says, outermost first.
pub(crate) fn of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(of_cause).unwrap_or(Exit::Failed)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(told) = cause.downcast_ref::<Told>() {
        return Some(told.exit);
    }
    if cause.is::<ConfigError>() || cause.is::<Invalid>() {
        return Some(Exit::Usage);
    }
    if let Some(error) = cause.downcast_ref::<skyfresh_ledger::Error>() {
        return Some(if is_locked(error) {
            Exit::Refused
        } else {
            of_kind(error.kind)
        });
    }
    if let Some(error) = cause.downcast_ref::<skyfresh_store::Error>() {
        return Some(of_kind(error.kind));
    }
    if let Some(error) = cause.downcast_ref::<skyfresh_engine::Error>() {
        return Some(of_kind(error.kind));
    }
    if let Some(error) = cause.downcast_ref::<skyfresh_relay::Error>() {
        return Some(of_kind(error.kind));
    }
    if let Some(error) = cause.downcast_ref::<skyfresh_features::Error>() {
        return Some(of_kind(error.kind));
    }
    if let Some(error) = cause.downcast_ref::<skyfresh_localsky::Error>() {
        // What it needs is on this machine: a port, a directory, a name.
        return Some(if error.kind == Kind::Internal {
            Exit::Failed
        } else {
            Exit::Usage
        });
    }
    if let Some(error) = cause.downcast_ref::<ClientError>() {
        return Some(error.exit());
    }
    None
}

pub(crate) fn of_kind(kind: Kind) -> Exit {
    match kind {
        Kind::RetryAfter | Kind::Missing | Kind::Denied => Exit::Unreachable,
        Kind::Invalid => Exit::Usage,
        Kind::Precondition | Kind::Unsupported | Kind::Corrupt | Kind::Internal => Exit::Failed,
    }
}

/// Failures of a command that goes on with the next thing it was given.
#[derive(Debug, Default)]
pub(crate) struct Failures(Option<Exit>);

impl Failures {
    /// Tells one.
    pub(crate) fn tell(&mut self, output: &Output, error: &anyhow::Error) {
        output.error(error, &hint::of(error));
        self.0.get_or_insert(of(error));
    }

    /// How the command ends: as the first failure says.
    pub(crate) fn exit(&self) -> Exit {
        self.0.unwrap_or(Exit::Ok)
    }
}

/// The ledger is open in another process (or twice in this one).
pub(crate) fn is_locked(error: &skyfresh_ledger::Error) -> bool {
    error.kind == Kind::Denied
        && error.operation == "open"
        && error.context.starts_with("locked by")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn the_cause_decides_however_deep_it_lies() {
        let store =
            |kind| anyhow::Error::from(skyfresh_store::Error::new(kind, "get", "s3://b/k", "why"));
        assert_eq!(
            of(&store(Kind::Denied).context("reading")),
            Exit::Unreachable
        );
        assert_eq!(of(&store(Kind::Corrupt)), Exit::Failed);
        assert_eq!(of(&anyhow::anyhow!("what").context("where")), Exit::Failed);
        let invalid: Result<(), _> = Err(Invalid::new("SLO", "soon", "expected 60s"));
        assert_eq!(of(&invalid.context("--slo").unwrap_err()), Exit::Usage);
        let held = skyfresh_ledger::Error::new(
            Kind::Denied,
            "open",
            "l",
            "locked by another process (pid 1)",
        );
        assert_eq!(of(&held.into()), Exit::Refused);
        let unwritable =
            skyfresh_ledger::Error::new(Kind::Denied, "open", "l", "permission denied");
        assert_eq!(of(&unwritable.into()), Exit::Unreachable);
        assert_eq!(
            of(&Told::new(Exit::TimedOut, "not yet").into()),
            Exit::TimedOut
        );
    }
}
