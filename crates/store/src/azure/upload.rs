//! Uploads in parts: what Azure knows only as uncommitted blocks of a name.
//!
//! There is nothing to create on the service: an upload id holds all that completing needs (its attributes), and any process
//! that has it can go on. Every attempt at a part is a block of its own, named by upload, part number and chance; the part's
//! entity tag is that name. So the blocks that are committed are exactly those whose receipts are given: by construction no
//! other upload, no other part, and no other attempt at this part, whose bytes may have been torn on the way and refused, can
//! slip in.

use skyfresh_sky::{Attributes, Rng};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Longest upload id that is read.
const ID_LIMIT_BYTES: usize = 64 << 10;
/// All blocks of a name must have ids of one length: 16 bytes of the upload, 4 of the part number, 10 of chance, which is 40
/// characters of Base64 without padding.
const UPLOAD_BYTES: usize = 16;
const NUMBER_BYTES: usize = 4;
const CHANCE_BYTES: usize = 10;

/// An upload, as its id says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upload {
    text: String,
    pub(super) attributes: Attributes,
}

/// What the blocks of one upload have in common.
#[derive(Clone, Copy)]
pub(super) struct UploadDigest([u8; UPLOAD_BYTES]);

impl Upload {
    /// A new upload.
    pub(super) fn new(rng: &Rng, attributes: &Attributes) -> Self {
        // Attributes are text and maps of text, which JSON always holds.
        let json = serde_json::to_vec(&compact(attributes)).unwrap_or_default();
        Upload {
            text: format!("1-{}-{}", rng.token(), URL_SAFE_NO_PAD.encode(json)),
            attributes: attributes.clone(),
        }
    }

    /// Reads an id.
    ///
    /// # Errors
    /// It is none of ours: why.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > ID_LIMIT_BYTES {
            return Err("the upload id is too long");
        }
        let mut fields = text.splitn(3, '-');
        let (version, _token, attributes) = (fields.next(), fields.next(), fields.next());
        let json = match (version, attributes) {
            (Some("1"), Some(attributes)) => URL_SAFE_NO_PAD.decode(attributes).ok(),
            _ => None,
        };
        let attributes = json.and_then(|json| serde_json::from_slice(&json).ok());
        Ok(Upload {
            text: text.to_owned(),
            attributes: attributes.ok_or("the upload id is none that was given out here")?,
        })
    }

    /// The id.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What its blocks have in common.
    pub(super) fn id(&self) -> UploadDigest {
        let digest = Sha256::digest(self.text.as_bytes());
        let mut short = [0; UPLOAD_BYTES];
        short.copy_from_slice(&digest[..UPLOAD_BYTES]);
        UploadDigest(short)
    }
}

/// Attributes without what is absent: upload ids travel and are stored.
fn compact(attributes: &Attributes) -> serde_json::Value {
    let mut value = serde_json::to_value(attributes).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| {
            !field.is_null() && field.as_object().is_none_or(|map| !map.is_empty())
        });
    }
    value
}

impl UploadDigest {
    fn encode(self, number: u32, chance: [u8; CHANCE_BYTES]) -> String {
        let mut id = [0; UPLOAD_BYTES + NUMBER_BYTES + CHANCE_BYTES];
        id[..UPLOAD_BYTES].copy_from_slice(&self.0);
        id[UPLOAD_BYTES..UPLOAD_BYTES + NUMBER_BYTES].copy_from_slice(&number.to_be_bytes());
        id[UPLOAD_BYTES + NUMBER_BYTES..].copy_from_slice(&chance);
        BASE64.encode(id)
    }

    /// A block for one attempt at a part (from 1).
    pub(super) fn block(self, number: u32, rng: &Rng) -> String {
        let mut chance = [0; CHANCE_BYTES];
        chance[..8].copy_from_slice(&rng.u64().to_be_bytes());
        chance[8..].copy_from_slice(&rng.u64().to_be_bytes()[..CHANCE_BYTES - 8]);
        self.encode(number, chance)
    }

    /// The block that says that this upload was aborted.
    pub(super) fn tombstone(self) -> String {
        self.encode(0, [0; CHANCE_BYTES])
    }

    /// Whether a block is an attempt at this part of this upload.
    pub(super) fn owns(self, block: &str, number: u32) -> bool {
        let Ok(id) = BASE64.decode(block) else {
            return false;
        };
        id.len() == UPLOAD_BYTES + NUMBER_BYTES + CHANCE_BYTES
            && id[..UPLOAD_BYTES] == self.0
            && id[UPLOAD_BYTES..UPLOAD_BYTES + NUMBER_BYTES] == number.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_holds_all_that_completing_needs() {
        let attributes = Attributes {
            content_type: Some("text/plain".into()),
            user: [("a-b".to_owned(), "ü".to_owned())].into(),
            ..Attributes::default()
        };
        let rng = Rng::seeded(1);
        let upload = Upload::new(&rng, &attributes);
        assert_eq!(Upload::parse(upload.text()).unwrap(), upload);
        assert_ne!(Upload::new(&rng, &attributes).text(), upload.text());
        assert!(Upload::new(&rng, &Attributes::default()).text().len() < 30);
        for bad in ["", "1", "1-x", "1-x-!", "2-x-e30", "1-x-bm8"] {
            assert!(Upload::parse(bad).is_err(), "{bad}");
        }
        assert!(Upload::parse(&"x".repeat(ID_LIMIT_BYTES + 1)).is_err());
    }

    #[test]
    fn blocks_of_uploads_parts_and_attempts_never_meet() {
        let rng = Rng::seeded(1);
        let (one, other) = (
            Upload::new(&rng, &Attributes::default()).id(),
            Upload::new(&rng, &Attributes::default()).id(),
        );
        let block = one.block(7, &rng);
        assert_eq!(block.len(), 40);
        assert!(!block.contains('='), "one length, without padding");
        assert!(one.owns(&block, 7));
        assert!(!one.owns(&block, 8) && !other.owns(&block, 7) && !one.owns("x", 7));
        assert_ne!(
            block,
            one.block(7, &rng),
            "another attempt is another block"
        );
        assert_eq!(one.tombstone().len(), 40);
        assert!(!one.owns(&one.tombstone(), 7));
    }
}
