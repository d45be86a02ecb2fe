//! The contents of one bucket and every rule about them. Pure: no clock, no waiting.

use super::payload::{Payload, opaque_etag};
use super::{BucketStyle, MemoryEventKind};
use crate::checksum::Crc64;
use crate::local::{
    FULL_KEY_LIMIT_BYTES, HeldPart, Refusal, check_attributes, check_completion,
    check_delete_precondition, check_part, check_pin, check_precondition, check_put_size,
    check_tags, is_version,
};
use crate::{
    Capabilities, CompletedPart, ConditionSupport, CopySource, ObjectHead, PartReceipt, PartSum,
    Precondition, PutReceipt,
};
use bytes::Bytes;
use md5::{Digest, Md5};
use skyfresh_sky::{Attributes, Kind, ObjectVersion, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// When a change happens, and a number no other change has.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Timestamp,
    pub(super) identity: u64,
}

pub(super) struct Object {
    pub(super) head: ObjectHead,
    pub(super) crc64: Crc64,
    pub(super) chunks: Arc<[Bytes]>,
    pub(super) tags: BTreeMap<String, String>,
    /// What it was uploaded in, where that was parts.
    parts: Arc<[PartSum]>,
}

pub(super) struct Upload {
    pub(super) started: Timestamp,
    attributes: Attributes,
    parts: BTreeMap<u32, Part>,
}

struct Part {
    payload: Payload,
    etag: String,
}

pub(super) struct Change {
    pub(super) full_key: String,
    pub(super) kind: MemoryEventKind,
    pub(super) size: u64,
    pub(super) version: ObjectVersion,
    pub(super) crc64: Crc64,
}

/// What to publish.
struct Content {
    chunks: Arc<[Bytes]>,
    size: u64,
    crc64: Crc64,
    etag: String,
    attributes: Attributes,
    tags: BTreeMap<String, String>,
    parts: Arc<[PartSum]>,
}

pub(super) struct Bucket {
    pub(super) capabilities: Capabilities,
    pub(super) style: BucketStyle,
    pub(super) objects: BTreeMap<String, Arc<Object>>,
    /// Every version there was, by key and version id, in a versioned bucket.
    history: HashMap<(String, String), Arc<Object>>,
    /// By key and upload id.
    pub(super) uploads: BTreeMap<(String, String), Upload>,
    /// Changes not yet told to subscribers.
    pub(super) changes: Vec<Change>,
}

impl Bucket {
    pub(super) fn new(capabilities: Capabilities) -> Self {
        Bucket {
            capabilities,
            style: BucketStyle::S3,
            objects: BTreeMap::new(),
            history: HashMap::new(),
            uploads: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    pub(super) fn object(&self, full_key: &str) -> Result<&Arc<Object>, Refusal> {
        self.objects.get(full_key).ok_or_else(Refusal::no_such_key)
    }

    /// The object a read asks for: the current one, or an earlier version still kept.
    pub(super) fn read(
        &self,
        full_key: &str,
        wanted: Option<&ObjectVersion>,
    ) -> Result<Arc<Object>, Refusal> {
        if let Some(version_id) = wanted.and_then(|wanted| wanted.version_id.as_ref()) {
            let kept = self.history.get(&(full_key.to_owned(), version_id.clone()));
            if let Some(kept) =
                kept.filter(|kept| wanted.is_some_and(|w| is_version(&kept.head.version, w)))
            {
                return Ok(Arc::clone(kept));
            }
        }
        let object = self.object(full_key)?;
        check_pin(&object.head.version, wanted)?;
        Ok(Arc::clone(object))
    }

    /// The parts of a version, where this bucket states checksums.
    pub(super) fn parts(
        &self,
        full_key: &str,
        version: &ObjectVersion,
    ) -> Result<Option<Vec<PartSum>>, Refusal> {
        let object = self.read(full_key, Some(version))?;
        let stated = self.style.states_checksums && !object.parts.is_empty();
        Ok(stated.then(|| object.parts.to_vec()))
    }

    pub(super) fn put(
        &mut self,
        full_key: &str,
        payload: Payload,
        attributes: Attributes,
        precondition: &Precondition,
        moment: Moment,
    ) -> Result<PutReceipt, Refusal> {
        check_key(full_key)?;
        check_attributes(&attributes)?;
        check_put_size(payload.size, &self.capabilities.upload_limits)?;
        let (absent, version) = (
            self.capabilities.put_if_absent,
            self.capabilities.put_if_version,
        );
        self.check_condition(full_key, precondition, absent, version)?;
        let content = Content {
            etag: payload.etag(moment),
            chunks: payload.chunks,
            size: payload.size,
            crc64: payload.crc64,
            attributes,
            tags: BTreeMap::new(),
            parts: Arc::default(),
        };
        Ok(self.publish(full_key, content, moment))
    }

    /// Publishes a copy of `source`, whose bytes are `payload`.
    pub(super) fn copy(
        &mut self,
        full_key: &str,
        source: &Object,
        payload: Payload,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
        moment: Moment,
    ) -> Result<PutReceipt, Refusal> {
        self.check_offered(self.capabilities.copy, "copying an object")?;
        let attributes = attributes.unwrap_or(&source.head.attributes).clone();
        let receipt = self.put(full_key, payload, attributes, precondition, moment)?;
        self.set_tags(full_key, &source.tags)?;
        Ok(receipt)
    }

    pub(super) fn delete(
        &mut self,
        full_key: &str,
        precondition: &Precondition,
    ) -> Result<(), Refusal> {
        check_delete_precondition(precondition)?;
        let Some(object) = self.objects.get(full_key) else {
            return Ok(());
        };
        let version = object.head.version.clone();
        let (size, crc64) = (object.head.size, object.crc64);
        let support = self.capabilities.delete_if_version;
        self.check_condition(full_key, precondition, support, support)?;
        self.objects.remove(full_key);
        self.changes.push(Change {
            full_key: full_key.to_owned(),
            kind: MemoryEventKind::Delete,
            size,
            version,
            crc64,
        });
        Ok(())
    }

    pub(super) fn tags(&self, full_key: &str) -> Result<BTreeMap<String, String>, Refusal> {
        self.check_offered(self.capabilities.tags, "tags")?;
        Ok(self.object(full_key)?.tags.clone())
    }

    pub(super) fn set_tags(
        &mut self,
        full_key: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        self.check_offered(self.capabilities.tags || tags.is_empty(), "tags")?;
        check_tags(tags)?;
        let object = self.object(full_key)?;
        let mut head = object.head.clone();
        head.tag_count = tags.len() as u32;
        let tagged = Object {
            head,
            crc64: object.crc64,
            chunks: Arc::clone(&object.chunks),
            tags: tags.clone(),
            parts: Arc::clone(&object.parts),
        };
        self.keep(full_key, Arc::new(tagged));
        Ok(())
    }

    pub(super) fn create_upload(
        &mut self,
        full_key: &str,
        attributes: &Attributes,
        moment: Moment,
    ) -> Result<String, Refusal> {
        self.check_offered(self.capabilities.multipart, "multipart uploads")?;
        check_key(full_key)?;
        check_attributes(attributes)?;
        let id = format!("upload-{:08}", moment.identity);
        let upload = Upload {
            started: moment.now,
            attributes: attributes.clone(),
            parts: BTreeMap::new(),
        };
        self.uploads
            .insert((full_key.to_owned(), id.clone()), upload);
        Ok(id)
    }

    /// Refuses a part before its bytes are moved.
    pub(super) fn check_upload_part(
        &mut self,
        full_key: &str,
        upload: &str,
        number: u32,
        size: u64,
    ) -> Result<(), Refusal> {
        check_part(number, size, &self.capabilities.upload_limits)?;
        self.upload(full_key, upload).map(drop)
    }

    pub(super) fn put_part(
        &mut self,
        full_key: &str,
        upload: &str,
        number: u32,
        payload: Payload,
        moment: Moment,
    ) -> Result<PartReceipt, Refusal> {
        self.check_upload_part(full_key, upload, number, payload.size)?;
        let etag = payload.etag(moment);
        let receipt = PartReceipt {
            etag: etag.clone(),
            crc64: self.style.states_checksums.then_some(payload.crc64),
        };
        self.upload(full_key, upload)?
            .parts
            .insert(number, Part { payload, etag });
        Ok(receipt)
    }

    pub(super) fn list_parts(
        &mut self,
        full_key: &str,
        upload: &str,
    ) -> Result<Vec<CompletedPart>, Refusal> {
        let states_checksums = self.style.states_checksums;
        let held = self.upload(full_key, upload)?.parts.iter();
        let listed = held.map(|(number, part)| CompletedPart {
            number: *number,
            etag: part.etag.clone(),
            size: part.payload.size,
            crc64: states_checksums.then_some(part.payload.crc64),
        });
        Ok(listed.collect())
    }

    pub(super) fn complete_upload(
        &mut self,
        full_key: &str,
        upload: &str,
        parts: &[CompletedPart],
        precondition: &Precondition,
        moment: Moment,
    ) -> Result<PutReceipt, Refusal> {
        let limits = self.capabilities.upload_limits;
        let (absent, version) = (
            self.capabilities.complete_if_absent,
            self.capabilities.complete_if_version,
        );
        let held = self.upload(full_key, upload)?;
        check_completion(
            parts,
            |number| {
                held.parts.get(&number).map(|part| HeldPart {
                    etag: &part.etag,
                    size: part.payload.size,
                    crc64: part.payload.crc64,
                })
            },
            &limits,
        )?;
        let mut chunks = Vec::new();
        let mut content = Content {
            chunks: Arc::default(),
            size: 0,
            crc64: Crc64::EMPTY,
            etag: String::new(),
            attributes: held.attributes.clone(),
            tags: BTreeMap::new(),
            parts: Arc::default(),
        };
        let mut sums = Vec::with_capacity(parts.len());
        let mut tags_of_parts = Some(Md5::new());
        for part in parts.iter().filter_map(|part| held.parts.get(&part.number)) {
            chunks.extend(part.payload.chunks.iter().cloned());
            content.size += part.payload.size;
            sums.push(PartSum::crc64(part.payload.size, part.payload.crc64));
            content.crc64 = content.crc64.then(part.payload.crc64, part.payload.size);
            match (&mut tags_of_parts, part.payload.md5) {
                (Some(sum), Some(md5)) => sum.update(md5),
                _ => tags_of_parts = None,
            }
        }
        content.chunks = chunks.into();
        content.parts = sums.into();
        content.etag = match tags_of_parts {
            Some(sum) => format!("{}-{}", hex::encode(sum.finalize()), parts.len()),
            None => opaque_etag(moment),
        };
        self.check_condition(full_key, precondition, absent, version)?;
        self.uploads
            .remove(&(full_key.to_owned(), upload.to_owned()));
        Ok(self.publish(full_key, content, moment))
    }

    /// Refuses what this bucket does not offer.
    pub(super) fn check_offered(&self, offered: bool, what: &str) -> Result<(), Refusal> {
        if offered {
            return Ok(());
        }
        Err(Refusal::new(
            Kind::Unsupported,
            "NotImplemented",
            format!("this bucket does not offer {what}"),
        ))
    }

    fn upload(&mut self, full_key: &str, upload: &str) -> Result<&mut Upload, Refusal> {
        self.check_offered(self.capabilities.multipart, "multipart uploads")?;
        self.uploads
            .get_mut(&(full_key.to_owned(), upload.to_owned()))
            .ok_or_else(|| Refusal::no_such_upload(upload))
    }

    fn check_condition(
        &self,
        full_key: &str,
        precondition: &Precondition,
        absent: ConditionSupport,
        version: ConditionSupport,
    ) -> Result<(), Refusal> {
        let support = match precondition {
            Precondition::None => return Ok(()),
            Precondition::Absent => absent,
            Precondition::Version(_) => version,
        };
        match support {
            ConditionSupport::Ignored => Ok(()),
            ConditionSupport::Unsupported => self.check_offered(false, "this condition"),
            ConditionSupport::Enforced => check_precondition(
                precondition,
                self.objects
                    .get(full_key)
                    .map(|object| &object.head.version),
            ),
        }
    }

    fn publish(&mut self, full_key: &str, content: Content, moment: Moment) -> PutReceipt {
        let version_id = self
            .capabilities
            .versioned
            .then(|| format!("version-{:08}", moment.identity));
        let version = ObjectVersion {
            etag: content.etag,
            version_id,
        };
        let head = ObjectHead {
            version: version.clone(),
            size: content.size,
            modified: moment.now,
            crc64: self.style.states_checksums.then_some(content.crc64),
            crc32c: None,
            md5: None,
            attributes: content.attributes,
            tag_count: content.tags.len() as u32,
        };
        self.changes.push(Change {
            full_key: full_key.to_owned(),
            kind: MemoryEventKind::Put,
            size: content.size,
            version: version.clone(),
            crc64: content.crc64,
        });
        let stated = head.crc64;
        self.keep(
            full_key,
            Arc::new(Object {
                head,
                crc64: content.crc64,
                chunks: content.chunks,
                tags: content.tags,
                parts: content.parts,
            }),
        );
        PutReceipt {
            version,
            crc64: stated,
        }
    }

    fn keep(&mut self, full_key: &str, object: Arc<Object>) {
        if let Some(version_id) = &object.head.version.version_id {
            self.history.insert(
                (full_key.to_owned(), version_id.clone()),
                Arc::clone(&object),
            );
        }
        self.objects.insert(full_key.to_owned(), object);
    }
}

/// Where a copy reads, resolved.
pub(super) struct ResolvedSource<'a> {
    pub(super) bucket: &'a str,
    pub(super) full_key: &'a str,
    pub(super) version: Option<&'a ObjectVersion>,
}

impl<'a> ResolvedSource<'a> {
    pub(super) fn of(source: &'a CopySource, own_bucket: &'a str) -> Self {
        ResolvedSource {
            bucket: source.bucket.as_deref().unwrap_or(own_bucket),
            full_key: &source.full_key,
            version: source.version.as_ref(),
        }
    }
}

fn check_key(full_key: &str) -> Result<(), Refusal> {
    if full_key.len() > FULL_KEY_LIMIT_BYTES {
        return Err(Refusal::new(
            Kind::Invalid,
            "KeyTooLongError",
            format!(
                "the key has {} bytes; the limit is {FULL_KEY_LIMIT_BYTES}",
                full_key.len()
            ),
        ));
    }
    Ok(())
}
