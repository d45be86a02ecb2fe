//! Access keys from where an S3 store takes its own, for those who sign with another SDK.

use super::config::{Credentials, S3Config};
use super::signing::Signer;
use crate::http::HttpClient;
use crate::{Error, Result};
use skyfresh_sky::{Clock, Kind};
use std::sync::Arc;

/// An AWS access key. `Debug` shows the id only.
#[derive(Clone)]
pub struct AccessKeys {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token, with temporary keys.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKeys")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Where access keys come from: as with a store, kept while they are valid and reread without a restart.
pub struct KeySource(Signer);

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySource").finish_non_exhaustive()
    }
}

impl KeySource {
    /// A source of these credentials. Nothing is read yet.
    ///
    /// # Errors
    /// [`Kind::Internal`]: the system's root certificates cannot be read.
    pub fn new(credentials: Credentials, clock: Arc<dyn Clock>) -> Result<Self> {
        let config = S3Config {
            credentials,
            ..S3Config::default()
        };
        let http = HttpClient::new(true, config.connect_timeout, Arc::clone(&clock))
            .map_err(|why| Error::new(Kind::Internal, "find", "AWS credentials", why))?;
        Ok(KeySource(Signer::new(&config, None, http, clock)))
    }

    /// Keys that are valid now.
    ///
    /// # Errors
    /// [`Kind::Denied`]: none were found, or those that were cannot be used.
    pub async fn keys(&self) -> Result<AccessKeys> {
        let credential = self.0.credential().await.map_err(|unsigned| {
            let error = Error::new(unsigned.kind, "find", "AWS credentials", unsigned.context);
            match unsigned.source {
                Some(source) => error.with_source(source),
                None => error,
            }
        })?;
        Ok(AccessKeys {
            access_key_id: credential.access_key_id.clone(),
            secret_access_key: credential.secret_access_key.clone(),
            session_token: credential.session_token.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::SystemClock;

    #[tokio::test]
    async fn the_chain_gives_keys_and_debug_hides_them() {
        let env = [
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AWS_SESSION_TOKEN", "hunter3"),
        ];
        let credentials = Credentials::Chain {
            env: env.map(|(name, value)| (name.into(), value.into())).into(),
            home_dir: None,
            profile: None,
        };
        let source = KeySource::new(credentials, Arc::new(SystemClock)).unwrap();
        let keys = source.keys().await.unwrap();
        assert_eq!(keys.secret_access_key, "hunter2");
        assert_eq!(keys.session_token.as_deref(), Some("hunter3"));
        let shown = format!("{keys:?} {source:?}");
        assert!(
            shown.contains("AKID") && !shown.contains("hunter"),
            "{shown}"
        );
    }
}
