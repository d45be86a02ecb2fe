//! The Google part of `[endpoint.NAME]`.

use super::Secret;
use std::path::PathBuf;

/// What `google_credentials` says for: send none.
const NONE: &str = "none";

/// Credentials for Google, where the configuration gives them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GoogleAccess {
    /// None are sent.
    Anonymous,
    /// A key file: service account, external account, or authorized user.
    File(PathBuf),
    /// An access token, for local servers and short trials.
    Token(Secret),
}

impl GoogleAccess {
    /// From the two fields.
    ///
    /// # Errors
    /// Both are given.
    pub(super) fn of(
        credentials: Option<String>,
        token: Option<Secret>,
    ) -> Result<Option<Self>, &'static str> {
        match (credentials, token) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err("give either google_credentials or google_token, not both"),
            (Some(none), None) if none == NONE => Ok(Some(GoogleAccess::Anonymous)),
            (Some(path), None) => Ok(Some(GoogleAccess::File(path.into()))),
            (None, Some(token)) => Ok(Some(GoogleAccess::Token(token))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_two() {
        let secret = || Some(Secret::new("hunter2"));
        assert_eq!(GoogleAccess::of(None, None), Ok(None));
        assert_eq!(
            GoogleAccess::of(Some("none".into()), None),
            Ok(Some(GoogleAccess::Anonymous))
        );
        assert_eq!(
            GoogleAccess::of(Some("k.json".into()), None),
            Ok(Some(GoogleAccess::File("k.json".into())))
        );
        let token = GoogleAccess::of(None, secret()).unwrap().unwrap();
        assert!(!format!("{token:?}").contains("hunter2"));
        assert!(GoogleAccess::of(Some("none".into()), secret()).is_err());
    }
}
