//! The process's environment, read once at the start: nothing else in the program reads it.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A snapshot of the environment variables that are UTF-8. `Debug` shows names only, as values may be secrets.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Environment {
    /// The environment of this process.
    pub(crate) fn capture() -> Self {
        let pairs = std::env::vars_os();
        Environment {
            variables: pairs
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        }
    }

    /// An environment made of these variables.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Environment {
            variables: variables.iter().map(owned).collect(),
        }
    }

    /// A variable's value; one that is set to nothing counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// All of it, for the credential chain of a store.
    pub(crate) fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// The user's home directory.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }

    /// Where state that outlives a run is kept: `$XDG_STATE_HOME/skyfresh`, or `~/.local/state/skyfresh` (XDG Base
    /// Directory Specification 0.8).
    pub(crate) fn state_dir(&self) -> Option<PathBuf> {
        let base = self
            .get("XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        Some(
            base.or_else(|| Some(self.home()?.join(".local/state")))?
                .join("skyfresh"),
        )
    }

    /// Whether colour is unwanted (<https://no-color.org>) or pointless.
    pub(crate) fn no_color(&self) -> bool {
        self.get("NO_COLOR").is_some() || self.get("TERM") == Some("dumb")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_follows_the_specification() {
        let state = |variables: &[(&str, &str)]| Environment::of(variables).state_dir();
        let home = ("HOME", "/home/u");
        assert_eq!(state(&[home]), Some("/home/u/.local/state/skyfresh".into()));
        assert_eq!(
            state(&[home, ("XDG_STATE_HOME", "/s")]),
            Some("/s/skyfresh".into())
        );
        assert_eq!(
            state(&[home, ("XDG_STATE_HOME", "relative")]),
            Some("/home/u/.local/state/skyfresh".into())
        );
        assert_eq!(state(&[]), None);
    }

    #[test]
    fn debug_shows_no_value() {
        let environment =
            Environment::of(&[("AWS_SECRET_ACCESS_KEY", "hunter2"), ("NO_COLOR", "")]);
        assert_eq!(
            format!("{environment:?}"),
            r#"{"AWS_SECRET_ACCESS_KEY", "NO_COLOR"}"#
        );
        assert!(!environment.no_color());
    }
}
