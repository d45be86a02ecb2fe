//! What a person may set about an S3 store.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How the bucket is named in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// `https://host/bucket/key`.
    Path,
    /// `https://bucket.host/key`.
    Virtual,
}

/// Where credentials come from. `Debug` shows no secret.
#[derive(Clone)]
pub enum Credentials {
    /// These, until the process ends.
    Static {
        /// Access key id.
        access_key_id: String,
        /// Secret access key.
        secret_access_key: String,
        /// Session token of temporary credentials.
        session_token: Option<String>,
    },
    /// The standard chain of the AWS SDKs: environment, shared files, single sign-on, web identity, a credential process,
    /// container and instance roles. Reread without a restart.
    Chain {
        /// The environment variables, as read by the binary. Libraries read none.
        env: BTreeMap<String, String>,
        /// The user's home directory, for `~/.aws`.
        home_dir: Option<PathBuf>,
        /// The profile to use. When set it comes before credentials in the environment, as with the AWS CLI.
        profile: Option<String>,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credentials::Static { .. } => f.debug_struct("Static").finish_non_exhaustive(),
            Credentials::Chain {
                home_dir, profile, ..
            } => f
                .debug_struct("Chain")
                .field("home_dir", home_dir)
                .field("profile", profile)
                .finish_non_exhaustive(),
        }
    }
}

/// The settings of one S3 store. The location's options (`endpoint`, `region`, `profile`, `addressing`) override them.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// `http://host:port` or `https://host`; `None` is AWS.
    pub endpoint: Option<String>,
    /// The region; needed on AWS (there also read from `AWS_REGION` of a chain's environment), `us-east-1` by default elsewhere.
    pub region: Option<String>,
    /// `None`: virtual on AWS, path elsewhere.
    pub addressing: Option<Addressing>,
    /// Where credentials come from.
    pub credentials: Credentials,
    /// Longest wait for a TCP connection.
    pub connect_timeout: Duration,
    /// Longest wait for the next byte in either direction.
    pub stall_timeout: Duration,
    /// Most requests under way at once; throttling lowers it for a while.
    pub max_concurrency: usize,
}

impl Default for S3Config {
    fn default() -> Self {
        S3Config {
            endpoint: None,
            region: None,
            addressing: None,
            credentials: Credentials::Chain {
                env: BTreeMap::new(),
                home_dir: None,
                profile: None,
            },
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
            max_concurrency: 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let secrets = [
            Credentials::Static {
                access_key_id: "AKIDEXAMPLE".into(),
                secret_access_key: "hunter2".into(),
                session_token: Some("hunter2".into()),
            },
            Credentials::Chain {
                env: [("AWS_SECRET_ACCESS_KEY".into(), "hunter2".into())].into(),
                home_dir: None,
                profile: Some("work".into()),
            },
        ];
        for credentials in secrets {
            let config = S3Config {
                credentials,
                ..S3Config::default()
            };
            assert!(!format!("{config:?}").contains("hunter2"));
        }
    }
}
