//! How Azure's clients authenticate.

use crate::config::Secret;
use crate::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use skyfresh_sky::Kind;

/// The storage account that every Azure region has. What is absent follows from the sky's S3 keys, so that one pair of
/// keys opens a whole sky.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AzureConfig {
    /// Its name: 3 to 24 lower-case letters and digits. Default: the sky's `access_key`, `skyfresh`.
    pub account: Option<String>,
    /// Its key, Base64. Default: the Base64 form of the sky's `secret_key`.
    pub key: Option<Secret>,
    /// The bearer token that stands for a role with every permission. Default: the sky's `secret_key`.
    pub bearer_token: Option<Secret>,
}

impl AzureConfig {
    /// The resource that events come from.
    pub(crate) fn topic(&self, access_key: &str) -> String {
        super::events::topic(self.account.as_deref().unwrap_or(access_key))
    }

    /// Account, key and token, with what is absent filled in.
    pub(super) fn keys(&self, access_key: &str, secret_key: &Secret) -> Result<super::auth::Keys> {
        let account = self.account.as_deref().unwrap_or(access_key);
        let invalid = |why: String| Error::new(Kind::Invalid, "start", why);
        if !super::account::is_account_name(account) {
            return Err(invalid(format!(
                "{account:?} is no name for a storage account: 3 to 24 lower-case letters and digits"
            )));
        }
        let key = match &self.key {
            None => secret_key.expose().as_bytes().to_vec(),
            Some(key) => BASE64
                .decode(key.expose())
                .map_err(|_| invalid("azure.key is not Base64".into()))?,
        };
        Ok(super::auth::Keys {
            account: account.to_owned(),
            key,
            bearer: self.bearer_token.as_ref().unwrap_or(secret_key).clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_follows_from_the_skys_keys() {
        let secret = Secret::new("secret");
        let keys = AzureConfig::default().keys("skyfresh", &secret).unwrap();
        assert_eq!(
            (keys.account.as_str(), keys.key.as_slice()),
            ("skyfresh", &b"secret"[..])
        );
        assert_eq!(keys.bearer, secret);
        let given = AzureConfig {
            account: Some("devstoreaccount1".into()),
            key: Some(Secret::new("AAEC")),
            bearer_token: Some(Secret::new("token")),
        };
        let keys = given.keys("skyfresh", &secret).unwrap();
        assert_eq!(
            (keys.account.as_str(), keys.key.as_slice()),
            ("devstoreaccount1", &[0, 1, 2][..])
        );
        assert_eq!(keys.bearer.expose(), "token");
        let bad = |account: &str, key: &str| {
            let config = AzureConfig {
                account: Some(account.into()),
                key: Some(Secret::new(key)),
                bearer_token: None,
            };
            config.keys("skyfresh", &secret).is_err()
        };
        assert!(bad("Sky-Fresh", "AAEC") && bad("skyfresh", "not base64"));
    }
}
