//! A document as an item of a container.

use crate::remote::name;
use crate::shared::{Document, DocumentId, Stamp};
use crate::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use skyfresh_sky::Kind;
use std::fmt::Write;

/// The fields that this adapter writes, and the service's `_etag`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) p: String,
    pub(super) s: String,
    pub(super) b: String,
    pub(super) v: String,
    #[serde(rename = "_etag", default, skip_serializing)]
    etag: String,
}

impl Item {
    /// A document to be written, with the writer's mark.
    pub(super) fn new(id: &DocumentId, body: &[u8], mark: String) -> Self {
        Item {
            id: item_id(&id.sort),
            p: id.partition.clone(),
            s: hex(&id.sort),
            b: STANDARD.encode(body),
            v: mark,
            etag: String::new(),
        }
    }

    /// The service's mark of this state.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp(self.etag.clone())
    }

    /// The document in it.
    ///
    /// # Errors
    /// [`Kind::Corrupt`]: something else has written it.
    pub(super) fn document(self, operation: &'static str) -> Result<Document> {
        let stamp = self.stamp();
        match (unhex(&self.s), STANDARD.decode(&self.b)) {
            (Some(sort), Ok(body)) if !stamp.0.is_empty() => Ok(Document { sort, body, stamp }),
            _ => {
                let target = format!("{}/{}", self.p, self.id);
                let why =
                    "the item is not one of a ledger: something else writes to this container";
                Err(Error::new(Kind::Corrupt, operation, target, why))
            }
        }
    }

    /// Checks that the item is the one asked for.
    ///
    /// # Errors
    /// [`Kind::Corrupt`]: it is another one.
    pub(super) fn check_is(&self, operation: &'static str, id: &DocumentId) -> Result<()> {
        if self.p == id.partition && self.s == hex(&id.sort) {
            return Ok(());
        }
        let why = "the item under this id has another key";
        Err(Error::new(Kind::Corrupt, operation, name(id), why))
    }
}

/// Ids are at most 255 characters and have no `/`, `\`, `?`, `#`; sort keys have up to 1,024 bytes of any kind
/// (<https://learn.microsoft.com/azure/cosmos-db/concepts-limits>).
pub(super) fn item_id(sort: &[u8]) -> String {
    hex(&Sha256::digest(sort))
}

/// Lower-case hexadecimal: its order as text is the order of the bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hexadecimal_keeps_bytes_and_their_order(a: Vec<u8>, b: Vec<u8>) {
            prop_assert_eq!(unhex(&hex(&a)), Some(a.clone()));
            prop_assert_eq!(hex(&a).cmp(&hex(&b)), a.cmp(&b));
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_not_taken_for_a_document() {
        let id = DocumentId {
            partition: "p".into(),
            sort: vec![0xff],
        };
        let mut item = Item::new(&id, b"body", "mark".into());
        item.etag = "\"1\"".into();
        assert_eq!(item.clone().document("get").unwrap().body, b"body");
        for spoil in [
            (|item: &mut Item| item.s = "f".into()) as fn(&mut Item),
            |item| item.s = "zz".into(),
            |item| item.b = "?".into(),
            |item| item.etag.clear(),
        ] {
            let mut spoilt = item.clone();
            spoil(&mut spoilt);
            assert_eq!(spoilt.document("get").unwrap_err().kind, Kind::Corrupt);
        }
        item.s = "fe".into();
        assert_eq!(item.check_is("get", &id).unwrap_err().kind, Kind::Corrupt);
    }
}
