//! Uploads in parts: which way one goes, and what all ways have in common.
//!
//! | way | parts are | because |
//! |---|---|---|
//! | XML multipart (`xml_uploads`) | parts of one upload to a temporary name | the usual one |
//! | composing (`compose`) | objects of their own, composed 32 at a time | the endpoint refuses the first, or a name or attributes are too long for it |
//!
//! Either ends in a temporary object, whose CRC32C must be that of the parts, before a rewrite with the caller's condition
//! publishes it: XML multipart knows no conditions (<https://cloud.google.com/storage/docs/multipart-uploads>). An upload's id and
//! key say all that another process needs to go on.

use super::GcsStore;
use super::names::{self, UploadId};
use super::resource::Object;
use crate::checksum::Crc32c;
use crate::{
    ByteStream, CompletedPart, ListedUpload, PartReceipt, Precondition, PutReceipt, Result,
    UploadPage,
};
use skyfresh_sky::{Attributes, Kind, ObjectKey, Timestamp};
use std::time::Duration;

/// A temporary object whose upload is complete is published within seconds; one that is this old was left by a crash.
const LEFTOVER_AGE: Duration = Duration::from_secs(3600);

/// What the parts of a completion come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) size: u64,
    pub(super) crc32c: Crc32c,
}

/// A part's number and the store's own tag of it.
pub(super) type OwnTag<'a> = (u32, &'a str);

/// A part's entity tag as we hand it out: the CRC32C of what was sent, and the store's own name for it.
pub(super) fn part_tag(crc32c: Crc32c, own: &str) -> String {
    format!("{crc32c}-{own}")
}

fn read_part_tag(tag: &str) -> Option<(Crc32c, &str)> {
    let (crc32c, own) = tag.split_once('-')?;
    let exact = crc32c.len() == 8 && !own.is_empty();
    exact.then_some(())?;
    Some((Crc32c(u32::from_str_radix(crc32c, 16).ok()?), own))
}

/// The store's own tags of the parts, by number, and what they come to.
///
/// # Errors
/// Why these parts cannot be an object.
pub(super) fn read_parts(parts: &[CompletedPart]) -> Result<(Vec<OwnTag<'_>>, Whole), String> {
    if parts.is_empty() || !parts.windows(2).all(|pair| pair[0].number < pair[1].number) {
        return Err("needs at least one part, in ascending order of numbers".into());
    }
    let mut whole = Whole {
        size: 0,
        crc32c: Crc32c::EMPTY,
    };
    let mut own_tags = Vec::with_capacity(parts.len());
    for part in parts {
        let (crc32c, own) = read_part_tag(&part.etag)
            .ok_or_else(|| format!("part {} has a tag that is not of this store", part.number))?;
        whole.size += part.size;
        whole.crc32c = whole.crc32c.then(crc32c, part.size);
        own_tags.push((part.number, own));
    }
    Ok((own_tags, whole))
}

impl GcsStore {
    pub(super) async fn begin_upload(
        &self,
        full_key: &str,
        attributes: &Attributes,
    ) -> Result<String> {
        let operation = "create upload";
        self.check_name(operation, full_key)?;
        // What cannot be published in the end is refused at the start.
        self.metadata(operation, full_key, attributes)?;
        let nonce = self.rng.token();
        let id = match self.xml_attributes(full_key, attributes) {
            Some(encoded) => {
                let id = self.begin_xml(full_key, &nonce, &encoded).await?;
                UploadId::Xml {
                    nonce,
                    id: Some(id),
                }
            }
            None => {
                self.begin_compose(full_key, &nonce, attributes).await?;
                UploadId::Compose { nonce }
            }
        };
        Ok(id.to_string())
    }

    /// The upload that an id names.
    fn upload_id(&self, operation: &'static str, full_key: &str, upload: &str) -> Result<UploadId> {
        UploadId::parse(upload).ok_or_else(|| {
            let why = format!("there is no upload {upload:?} here");
            self.failed(Kind::Missing, operation, full_key, why)
        })
    }

    pub(super) async fn send_part(
        &self,
        full_key: &str,
        upload: &str,
        number: u32,
        size: u64,
        body: ByteStream,
    ) -> Result<PartReceipt> {
        let operation = "upload part";
        let limits = self.capabilities_now().upload_limits;
        if number == 0 || number > limits.max_parts || size > limits.max_part_bytes {
            let context = format!(
                "part {number} of {size} bytes is beyond the limits: parts 1 to {} of at most {} bytes",
                limits.max_parts, limits.max_part_bytes
            );
            return Err(self.failed(Kind::Invalid, operation, full_key, context));
        }
        match self.upload_id(operation, full_key, upload)? {
            UploadId::Xml {
                nonce,
                id: Some(id),
            } => {
                self.send_xml_part(full_key, (&nonce, &id), number, size, body)
                    .await
            }
            UploadId::Xml { id: None, .. } => Err(self.failed(
                Kind::Missing,
                operation,
                full_key,
                "this upload has been completed",
            )),
            UploadId::Compose { nonce } => {
                self.send_compose_part(full_key, &nonce, number, size, body)
                    .await
            }
        }
    }

    /// A completion whose answer was lost shows as [`Kind::Missing`] (the upload is gone) or [`Kind::Precondition`] (the object is
    /// there now), and the caller learns from the head what happened.
    pub(super) async fn finish_upload(
        &self,
        full_key: &str,
        upload: &str,
        parts: &[CompletedPart],
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let operation = "complete upload";
        let (own_tags, whole) = read_parts(parts)
            .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
        let object = match self.upload_id(operation, full_key, upload)? {
            UploadId::Xml { nonce, id } => {
                self.finish_xml(
                    full_key,
                    (&nonce, id.as_deref()),
                    &own_tags,
                    whole,
                    precondition,
                )
                .await?
            }
            UploadId::Compose { nonce } => {
                self.finish_compose(full_key, &nonce, &own_tags, whole, precondition)
                    .await?
            }
        };
        Ok(PutReceipt {
            version: object.version(),
            crc64: None,
        })
    }

    pub(super) async fn discard_upload(&self, full_key: &str, upload: &str) -> Result<()> {
        match UploadId::parse(upload) {
            Some(UploadId::Xml { nonce, id }) => {
                self.discard_xml(full_key, &nonce, id.as_deref()).await
            }
            Some(UploadId::Compose { nonce }) => self.discard_compose(&nonce).await,
            None => Ok(()),
        }
    }

    /// Unfinished XML uploads, then temporary objects that a crash left unpublished, then uploads by composing.
    pub(super) async fn page_of_uploads(&self, after: Option<&str>) -> Result<UploadPage> {
        let operation = "list uploads";
        let (mut phase, mut at) = match after {
            None => (Phase::Xml, String::new()),
            Some(after) => Phase::parse(after).ok_or_else(|| {
                self.failed(Kind::Invalid, operation, "", "no such page of uploads")
            })?,
        };
        loop {
            let given = Some(at.as_str()).filter(|at| !at.is_empty());
            let (uploads, more) = match phase {
                Phase::Xml => self.page_of_xml(given).await?,
                Phase::Leftovers => self.page_of_leftovers(operation, given).await?,
                Phase::Composing => self.page_of_composing(operation, given).await?,
            };
            if more.is_some() && more.as_deref() == given {
                let why = "the listing does not advance";
                return Err(self.failed(Kind::RetryAfter, operation, "", why));
            }
            let next = match more {
                Some(more) => Some((phase, more)),
                None => phase.next().map(|phase| (phase, String::new())),
            };
            match next {
                Some(next) if uploads.is_empty() => (phase, at) = next,
                next => {
                    return Ok(UploadPage {
                        uploads,
                        next: next.map(|(phase, at)| phase.token(&at)),
                    });
                }
            }
        }
    }

    async fn page_of_leftovers(
        &self,
        operation: &'static str,
        at: Option<&str>,
    ) -> Result<(Vec<ListedUpload>, Option<String>)> {
        let root = names::xml_root(&self.location);
        let mut parameters = vec![("prefix", root.as_str())];
        parameters.extend(at.map(|at| ("pageToken", at)));
        let page = self.objects_page(operation, 1000, &parameters).await?;
        let horizon = self.clock.now().before(LEFTOVER_AGE);
        let mut uploads = Vec::new();
        for object in page.items {
            let Some((nonce, key)) = names::parse_xml_temporary(&self.location, &object.name)
            else {
                continue;
            };
            let started = self.begun(operation, &object)?;
            if started > horizon {
                continue;
            }
            uploads.push(ListedUpload {
                key,
                upload: UploadId::Xml { nonce, id: None }.to_string(),
                started,
            });
        }
        Ok((uploads, page.next_page_token))
    }

    async fn page_of_composing(
        &self,
        operation: &'static str,
        at: Option<&str>,
    ) -> Result<(Vec<ListedUpload>, Option<String>)> {
        let root = names::compose_root(&self.location);
        // The parts are left out: their names have one `/` more.
        let mut parameters = vec![("prefix", root.as_str()), ("delimiter", "/")];
        parameters.extend(at.map(|at| ("pageToken", at)));
        let page = self.objects_page(operation, 1000, &parameters).await?;
        let mut uploads = Vec::new();
        for object in page.items {
            let Some(nonce) = names::parse_manifest(&self.location, &object.name) else {
                continue;
            };
            let key = object.metadata.get(super::compose::KEY);
            let Some(Ok(key)) = key.map(ObjectKey::new) else {
                continue;
            };
            uploads.push(ListedUpload {
                key,
                upload: UploadId::Compose { nonce }.to_string(),
                started: self.begun(operation, &object)?,
            });
        }
        Ok((uploads, page.next_page_token))
    }

    fn begun(&self, operation: &'static str, object: &Object) -> Result<Timestamp> {
        let text = object.time_created.as_deref().unwrap_or(&object.updated);
        Timestamp::parse(text)
            .map_err(|why| self.failed(Kind::RetryAfter, operation, &object.name, why.to_string()))
    }
}

/// What a listing of uploads goes through, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Xml,
    Leftovers,
    Composing,
}

impl Phase {
    fn next(self) -> Option<Self> {
        match self {
            Phase::Xml => Some(Phase::Leftovers),
            Phase::Leftovers => Some(Phase::Composing),
            Phase::Composing => None,
        }
    }

    fn token(self, at: &str) -> String {
        let name = match self {
            Phase::Xml => "xml",
            Phase::Leftovers => "leftovers",
            Phase::Composing => "composing",
        };
        format!("{name}:{at}")
    }

    fn parse(token: &str) -> Option<(Self, String)> {
        let (name, at) = token.split_once(':')?;
        let phase = match name {
            "xml" => Phase::Xml,
            "leftovers" => Phase::Leftovers,
            "composing" => Phase::Composing,
            _ => return None,
        };
        Some((phase, at.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u32, bytes: &[u8], own: &str) -> CompletedPart {
        CompletedPart {
            number,
            etag: part_tag(Crc32c::of(bytes), own),
            size: bytes.len() as u64,
            crc64: None,
        }
    }

    #[test]
    fn parts_come_to_the_whole() {
        let parts = [part(2, b"1234", "a-b"), part(7, b"56789", "17")];
        let (tags, whole) = read_parts(&parts).unwrap();
        assert_eq!(tags, [(2, "a-b"), (7, "17")]);
        assert_eq!(whole.size, 9);
        assert_eq!(whole.crc32c, Crc32c::of(b"123456789"));
    }

    #[test]
    fn parts_that_cannot_be_right() {
        assert!(read_parts(&[]).is_err());
        assert!(read_parts(&[part(2, b"a", "x"), part(1, b"b", "y")]).is_err());
        assert!(read_parts(&[part(1, b"a", "x"), part(1, b"b", "y")]).is_err());
        for tag in [
            "",
            "x",
            "0123456-x",
            "0123456g-x",
            "01234567-",
            "012345678-x",
        ] {
            let mut foreign = part(1, b"a", "x");
            foreign.etag = tag.into();
            assert!(read_parts(&[foreign]).is_err(), "{tag:?}");
        }
    }

    #[test]
    fn pages_are_found_again() {
        for phase in [Phase::Xml, Phase::Leftovers, Phase::Composing] {
            assert_eq!(
                Phase::parse(&phase.token("a:b\nc")),
                Some((phase, "a:b\nc".to_owned()))
            );
        }
        assert_eq!(Phase::parse("other:x"), None);
    }
}
