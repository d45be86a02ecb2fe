//! The account's key, and requests signed with it
//! (<https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources>).

use crate::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use skyfresh_sky::Kind;

/// A read-write key of an account. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct CosmosKey(Vec<u8>);

impl CosmosKey {
    /// Reads the key as the portal shows it, in base64.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: it is not base64. The error does not quote it.
    pub fn parse(text: &str) -> Result<Self> {
        STANDARD
            .decode(text.trim())
            .ok()
            .filter(|key| !key.is_empty())
            .map(CosmosKey)
            .ok_or_else(|| {
                let why = "an account's key is base64, as the portal shows it";
                Error::new(Kind::Invalid, "open", "the Cosmos DB key", why)
            })
    }
}

impl std::fmt::Debug for CosmosKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CosmosKey(***)")
    }
}

/// What a request is about, as the signature names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resource<'a> {
    /// `dbs`, `colls`, `docs`; nothing for the account.
    pub(super) kind: &'a str,
    /// The path of the resource, or of the one that it is created in: `dbs/DATABASE/colls/CONTAINER`.
    pub(super) link: &'a str,
}

/// The `authorization` header of a request. `date` is its `x-ms-date`.
pub(super) fn authorization(
    key: &CosmosKey,
    method: &str,
    resource: Resource<'_>,
    date: &str,
) -> String {
    let text = format!(
        "{}\n{}\n{}\n{}\n\n",
        method.to_ascii_lowercase(),
        resource.kind,
        resource.link,
        date.to_ascii_lowercase()
    );
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("a key of any length");
    mac.update(text.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    // Of base64's characters, these three have a meaning in an address.
    let escaped = signature
        .replace('+', "%2b")
        .replace('/', "%2f")
        .replace('=', "%3d");
    format!("type%3dmaster%26ver%3d1.0%26sig%3d{escaped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in Microsoft's description of the signature.
    #[test]
    fn signs_as_the_documentation_does() {
        let key = CosmosKey::parse(
            "dsZQi3KtZmCv1ljt3VNWNm7sQUF1y5rJfC6kv5JiwvW0EndXdDku/dkKBp8/ufDToSxLzR4y+O/0H/t4bQtVNw==",
        )
        .unwrap();
        let resource = Resource {
            kind: "dbs",
            link: "dbs/ToDoList",
        };
        assert_eq!(
            authorization(&key, "GET", resource, "Thu, 27 Apr 2017 00:51:12 GMT"),
            "type%3dmaster%26ver%3d1.0%26sig%3dc09PEVJrgp2uQRkr934kFbTqhByc7TVr3OHyqlu%2bc%2bc%3d"
        );
    }

    #[test]
    fn keys_are_kept_from_messages() {
        let key = CosmosKey::parse("aHVudGVyMg==").unwrap();
        assert_eq!(format!("{key:?}"), "CosmosKey(***)");
        let error = CosmosKey::parse("hunter2!").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(CosmosKey::parse("").is_err());
    }
}
