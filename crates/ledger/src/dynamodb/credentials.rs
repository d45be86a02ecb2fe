//! Who asks: keys that the caller finds, for the SDK that signs with them.

use crate::Result;
use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
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

/// Where access keys come from. It is asked before every request, and is expected to keep what it found until shortly before
/// that expires.
#[async_trait]
pub trait AwsKeys: Send + Sync + std::fmt::Debug {
    /// Keys that are valid now.
    ///
    /// # Errors
    /// None can be had: why, and of which kind.
    async fn keys(&self) -> Result<AccessKeys>;
}

/// Keys that never change are a source of themselves.
#[async_trait]
impl AwsKeys for AccessKeys {
    async fn keys(&self) -> Result<AccessKeys> {
        Ok(self.clone())
    }
}

/// The SDK's view of [`AwsKeys`].
#[derive(Clone, Debug)]
pub(super) struct FromKeys(pub(super) Arc<dyn AwsKeys>);

impl ProvideCredentials for FromKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let keys = self
                .0
                .keys()
                .await
                .map_err(CredentialsError::provider_error)?;
            Ok(Credentials::new(
                keys.access_key_id,
                keys.secret_access_key,
                keys.session_token,
                None,
                "skyfresh",
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let keys = AccessKeys {
            access_key_id: "AKID".into(),
            secret_access_key: "hunter2".into(),
            session_token: Some("hunter3".into()),
        };
        let shown = format!("{:?} {:?}", keys, FromKeys(Arc::new(keys.clone())));
        assert!(
            shown.contains("AKID") && !shown.contains("hunter"),
            "{shown}"
        );
    }
}
