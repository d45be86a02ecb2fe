//! Who signs, and where requests go: for people who must find out why a store refuses.

use super::S3Store;
use crate::{Error, Result};

/// What a store's requests are signed with, and where they go. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The access key id.
    pub access_key_id: String,
    /// The credentials are temporary: they came with a session token.
    pub temporary: bool,
    /// The region that signatures name.
    pub region: String,
    /// The address of the bucket.
    pub url: String,
}

impl S3Store {
    /// The identity in use, read from where credentials come from if need be. Nothing is sent to the store.
    ///
    /// # Errors
    /// [`Kind::Denied`](skyfresh_sky::Kind::Denied): no credentials were found.
    pub async fn identity(&self) -> Result<Identity> {
        let (access_key_id, temporary) = self.signer.access_key_id().await.map_err(|unsigned| {
            let error = Error::new(
                unsigned.kind,
                "identify",
                self.target(None),
                unsigned.context,
            );
            match unsigned.source {
                Some(source) => error.with_source(source),
                None => error,
            }
        })?;
        let route = self.route();
        Ok(Identity {
            access_key_id,
            temporary,
            region: route.endpoint.region.clone(),
            url: route.endpoint.url(None, ""),
        })
    }

    /// The address of the bucket, whatever the credentials.
    pub fn url(&self) -> String {
        self.route().endpoint.url(None, "")
    }

    /// The region of a bucket of AWS itself: as configured, and after a first request as AWS told. `None` elsewhere, where a
    /// region is no more than a name to sign with.
    pub fn aws_region(&self) -> Option<String> {
        self.route().endpoint.aws_region().map(str::to_owned)
    }
}
