//! Multipart uploads: parts gathered under an upload id, then published as one object.

use super::bucket::State;
use super::checksum::multipart_etag;
use super::disk::{self, Disk, FileReference, internal, keep, references, release, write_record};
use super::{
    Algorithm, Bucket, Content, NewObject, ObjectChecksum, ObjectMeta, PartSummary, Published,
    Scope, WriteCondition,
};
use crate::Result;
use crate::notify::EventName;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use s3s::{S3Error, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Attributes, Timestamp};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The highest part number (Amazon S3 user guide, "Amazon S3 multipart upload limits").
pub(crate) const MAX_PART_NUMBER: u16 = 10_000;

/// What CreateMultipartUpload was told.
#[derive(Clone, Debug)]
pub(crate) struct NewUpload {
    pub(crate) attributes: Attributes,
    pub(crate) tags: Vec<(String, String)>,
    /// `None` where the client named none: then CRC64NVME over the full object.
    pub(crate) checksum: Option<(Algorithm, Scope)>,
}

/// An upload in progress, without its parts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    pub(crate) key: String,
    pub(crate) initiated_unix_ms: u64,
    pub(crate) attributes: Attributes,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) algorithm: Algorithm,
    pub(crate) scope: Scope,
    /// The client named the algorithm, so parts must not bring another.
    pub(crate) explicit_algorithm: bool,
}

impl UploadRecord {
    pub(crate) fn initiated(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.initiated_unix_ms)
    }
}

/// An uploaded part.
#[derive(Clone, Debug)]
pub(crate) struct StoredPart {
    pub(crate) content: Content,
    /// What its entity tag shows: random where entity tags are opaque.
    pub(crate) md5: [u8; 16],
    /// Digest in the upload's algorithm.
    pub(crate) checksum: Vec<u8>,
    pub(crate) modified: Timestamp,
}

impl StoredPart {
    pub(crate) fn etag(&self) -> String {
        hex::encode(self.md5)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct PartRecord {
    upload_id: String,
    number: u16,
    md5: String,
    checksum: String,
    modified_unix_ms: u64,
    files: Vec<FileReference>,
}

/// A part as CompleteMultipartUpload names it.
#[derive(Clone, Debug)]
pub(crate) struct PartClaim {
    pub(crate) number: i32,
    pub(crate) etag: String,
    /// Base64, by algorithm.
    pub(crate) checksums: Vec<(Algorithm, String)>,
}

#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) record: UploadRecord,
    pub(crate) parts: BTreeMap<u16, StoredPart>,
}

/// The uploads of a bucket by key and upload id. Ids begin with the time, so that a key's uploads stand in the order of
/// their initiation.
#[derive(Debug, Default)]
pub(crate) struct Uploads(pub(crate) BTreeMap<(String, String), Upload>);

impl Uploads {
    /// Reads uploads back from their records. `referenced` holds the data files of published versions: a part that
    /// shares one belongs to an upload whose completion was cut short after publishing.
    pub(crate) fn load(
        directory: &Path,
        disk: &Disk,
        referenced: &mut HashSet<String>,
    ) -> Result<Self> {
        let mut records: HashMap<String, UploadRecord> =
            disk::read_records(&directory.join("records"))?;
        let part_records: HashMap<String, PartRecord> =
            disk::read_records(&directory.join("parts"))?;
        let published = |part: &&PartRecord| {
            part.files
                .iter()
                .any(|file| referenced.contains(&file.name))
        };
        let completed: HashSet<String> = part_records
            .values()
            .filter(published)
            .map(|part| part.upload_id.clone())
            .collect();
        for id in &completed {
            let name = format!("{id}.json");
            if records.remove(&name).is_some() {
                disk::remove_record(&directory.join("records").join(name))?;
            }
        }
        let mut uploads: BTreeMap<(String, String), Upload> = records
            .into_iter()
            .map(|(name, record)| {
                let id = name.trim_end_matches(".json").to_owned();
                (
                    (record.key.clone(), id),
                    Upload {
                        record,
                        parts: BTreeMap::new(),
                    },
                )
            })
            .collect();
        let mut by_id: HashMap<String, &mut Upload> = uploads
            .iter_mut()
            .map(|((_, id), upload)| (id.clone(), upload))
            .collect();
        for (name, record) in part_records {
            let Some(upload) = by_id.get_mut(&record.upload_id) else {
                // Killed between removing an upload's record and its parts': nobody can name them any more.
                disk::remove_record(&directory.join("parts").join(name))?;
                continue;
            };
            upload
                .parts
                .insert(record.number, record.load(disk, referenced, &name)?);
        }
        Ok(Uploads(uploads))
    }

    pub(crate) fn get(&self, key: &str, upload_id: &str) -> S3Result<&Upload> {
        self.0
            .get(&(key.to_owned(), upload_id.to_owned()))
            .ok_or_else(no_such_upload)
    }

    fn get_mut(&mut self, key: &str, upload_id: &str) -> S3Result<&mut Upload> {
        self.0
            .get_mut(&(key.to_owned(), upload_id.to_owned()))
            .ok_or_else(no_such_upload)
    }

    fn remove(&mut self, key: &str, upload_id: &str) -> S3Result<Upload> {
        self.0
            .remove(&(key.to_owned(), upload_id.to_owned()))
            .ok_or_else(no_such_upload)
    }
}

impl PartRecord {
    fn load(self, disk: &Disk, referenced: &mut HashSet<String>, name: &str) -> Result<StoredPart> {
        let bad = |_| {
            crate::Error::new(
                skyfresh_sky::Kind::Corrupt,
                "open store",
                format!("part record {name}"),
            )
        };
        let mut md5 = [0; 16];
        hex::decode_to_slice(&self.md5, &mut md5).map_err(bad)?;
        Ok(StoredPart {
            content: disk.load_content(&self.files, referenced)?,
            md5,
            checksum: hex::decode(&self.checksum).map_err(bad)?,
            modified: Timestamp::from_unix_ms(self.modified_unix_ms),
        })
    }
}

fn part_file(upload_id: &str, number: u16) -> String {
    format!("{upload_id}-{number}.json")
}

fn no_such_upload() -> S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or \
         completed."
    )
}

impl Bucket {
    fn upload_file(&self, upload_id: &str) -> Option<PathBuf> {
        let directory = self.directory.as_ref()?;
        Some(
            directory
                .join("uploads/records")
                .join(format!("{upload_id}.json")),
        )
    }

    fn part_path(&self, upload_id: &str, number: u16) -> Option<PathBuf> {
        let directory = self.directory.as_ref()?;
        Some(
            directory
                .join("uploads/parts")
                .join(part_file(upload_id, number)),
        )
    }

    /// Begins an upload and names it.
    pub(crate) fn create_upload(
        &self,
        key: &str,
        new: NewUpload,
    ) -> S3Result<(String, UploadRecord)> {
        let now_ms = self.surroundings.clock.now().unix_ms();
        let upload_id = format!("{now_ms:012x}{}", self.surroundings.rng.token());
        let (algorithm, scope) = new
            .checksum
            .unwrap_or((Algorithm::Crc64Nvme, Scope::FullObject));
        let record = UploadRecord {
            key: key.to_owned(),
            initiated_unix_ms: now_ms,
            attributes: new.attributes,
            tags: new.tags,
            algorithm,
            scope,
            explicit_algorithm: new.checksum.is_some(),
        };
        let mut state = self.lock();
        if let Some(path) = self.upload_file(&upload_id) {
            write_record(&path, &record).map_err(internal)?;
        }
        let place = (key.to_owned(), upload_id.clone());
        state.uploads.0.insert(
            place,
            Upload {
                record: record.clone(),
                parts: BTreeMap::new(),
            },
        );
        Ok((upload_id, record))
    }

    /// The upload, where it is still open.
    pub(crate) fn upload(&self, key: &str, upload_id: &str) -> S3Result<UploadRecord> {
        Ok(self.lock().uploads.get(key, upload_id)?.record.clone())
    }

    /// Stores a part, replacing an earlier one of the same number.
    pub(crate) fn put_part(
        &self,
        key: &str,
        upload_id: &str,
        number: u16,
        part: StoredPart,
    ) -> S3Result<()> {
        let mut state = self.lock();
        let upload = state.uploads.get_mut(key, upload_id)?;
        if let Some(path) = self.part_path(upload_id, number) {
            let record = PartRecord {
                upload_id: upload_id.to_owned(),
                number,
                md5: part.etag(),
                checksum: hex::encode(&part.checksum),
                modified_unix_ms: part.modified.unix_ms(),
                files: references(&part.content),
            };
            write_record(&path, &record).map_err(internal)?;
            keep(&part.content);
        }
        if let Some(replaced) = upload.parts.insert(number, part) {
            release(&replaced.content);
        }
        Ok(())
    }

    /// Forgets an upload and its parts.
    pub(crate) fn abort_upload(&self, key: &str, upload_id: &str) -> S3Result<()> {
        let mut state = self.lock();
        let upload = state.uploads.remove(key, upload_id)?;
        self.remove_upload_records(upload_id, &upload);
        for part in upload.parts.values() {
            release(&part.content);
        }
        Ok(())
    }

    fn remove_upload_records(&self, upload_id: &str, upload: &Upload) {
        let parts = upload
            .parts
            .keys()
            .filter_map(|number| self.part_path(upload_id, *number));
        for path in self.upload_file(upload_id).into_iter().chain(parts) {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "an upload's record could not be removed");
            }
        }
    }

    /// Checks the claimed parts and publishes them as one object if `condition` holds, at one instant. A repeated
    /// call answers what the first one did.
    pub(crate) fn complete_upload(
        &self,
        key: &str,
        upload_id: &str,
        claims: &[PartClaim],
        expected: &ExpectedObject,
        condition: &WriteCondition,
    ) -> S3Result<Published> {
        let mut state = self.lock();
        if let Some(answer) = state.completed.answer(key, upload_id) {
            return Ok(answer);
        }
        let upload = state.uploads.get(key, upload_id)?;
        let (object, used) = assemble(upload, claims, self.surroundings.minimum_part_bytes)?;
        expected.check(&object.meta)?;
        condition.check(state.current_etag(key))?;
        let published = self.publish_locked(
            &mut state,
            key,
            object,
            EventName::CreatedCompleteMultipartUpload,
        )?;
        state.completed.remember(key, upload_id, published.clone());
        self.forget_completed(&mut state, key, upload_id, &used)?;
        Ok(published)
    }

    /// Removes an upload whose parts `used` now belong to an object.
    pub(crate) fn forget_completed(
        &self,
        state: &mut State,
        key: &str,
        upload_id: &str,
        used: &HashSet<u16>,
    ) -> S3Result<()> {
        let upload = state.uploads.remove(key, upload_id)?;
        self.remove_upload_records(upload_id, &upload);
        // Parts that were uploaded but not named are dropped, as on S3.
        for (number, part) in &upload.parts {
            if !used.contains(number) {
                release(&part.content);
            }
        }
        Ok(())
    }
}

/// What CompleteMultipartUpload said about the whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExpectedObject {
    pub(crate) size: Option<u64>,
    /// Base64, by algorithm.
    pub(crate) checksums: Vec<(Algorithm, String)>,
    pub(crate) scope: Option<Scope>,
}

impl ExpectedObject {
    fn check(&self, meta: &ObjectMeta) -> S3Result<()> {
        if self.size.is_some_and(|size| size != meta.size) {
            return Err(s3_error!(
                InvalidRequest,
                "The provided 'x-amz-mp-object-size' header does not match what was computed."
            ));
        }
        let Some(checksum) = &meta.checksum else {
            return Ok(());
        };
        if self.scope.is_some_and(|scope| scope != checksum.scope) {
            return Err(s3_error!(
                InvalidRequest,
                "The upload was created with checksum type {}.",
                checksum.scope.as_str()
            ));
        }
        for (algorithm, value) in &self.checksums {
            // A composite value may come without its "-N".
            let matches = *algorithm == checksum.algorithm
                && (*value == checksum.value
                    || checksum
                        .value
                        .strip_prefix(value.as_str())
                        .is_some_and(|rest| rest.starts_with('-')));
            if !matches {
                return Err(s3_error!(
                    BadDigest,
                    "The {} you specified did not match the calculated checksum.",
                    algorithm.name()
                ));
            }
        }
        Ok(())
    }
}

/// The object that the claimed parts make, and the numbers used. Pure.
pub(crate) fn assemble(
    upload: &Upload,
    claims: &[PartClaim],
    minimum_part_bytes: u64,
) -> S3Result<(NewObject, HashSet<u16>)> {
    if claims.is_empty() {
        return Err(s3_error!(
            MalformedXML,
            "You must specify at least one part"
        ));
    }
    if !claims.is_sorted_by(|a, b| a.number < b.number) {
        return Err(s3_error!(
            InvalidPartOrder,
            "The list of parts was not in ascending order. The parts list must be specified in order by part number."
        ));
    }
    let record = &upload.record;
    let mut parts = Vec::with_capacity(claims.len());
    for claim in claims {
        let part = u16::try_from(claim.number)
            .ok()
            .and_then(|number| upload.parts.get_key_value(&number))
            .filter(|(_, part)| part.etag() == claim.etag)
            .ok_or_else(invalid_part)?;
        for (algorithm, value) in &claim.checksums {
            if *algorithm != record.algorithm || BASE64.encode(&part.1.checksum) != *value {
                return Err(invalid_part());
            }
        }
        if claim.checksums.is_empty()
            && record.explicit_algorithm
            && record.scope == Scope::Composite
        {
            return Err(s3_error!(
                InvalidRequest,
                "The upload was created using a {} checksum. The complete request must include the checksum for each \
                 part. It was missing for part {} in the request.",
                record.algorithm.name().to_ascii_lowercase(),
                claim.number
            ));
        }
        parts.push(part);
    }
    let all_but_last = parts.split_last().map_or(&[][..], |(_, rest)| rest);
    if all_but_last
        .iter()
        .any(|(_, part)| part.content.len() < minimum_part_bytes)
    {
        return Err(s3_error!(
            EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size"
        ));
    }
    let digests: Vec<(&[u8], u64)> = parts
        .iter()
        .map(|(_, part)| (part.checksum.as_slice(), part.content.len()))
        .collect();
    let summary = |(number, part): &(&u16, &StoredPart)| PartSummary {
        number: **number,
        size: part.content.len(),
        checksum: record
            .explicit_algorithm
            .then(|| BASE64.encode(&part.checksum)),
    };
    let content = Content::concat(parts.iter().map(|(_, part)| &part.content));
    let md5s: Vec<[u8; 16]> = parts.iter().map(|(_, part)| part.md5).collect();
    let meta = ObjectMeta {
        size: content.len(),
        etag: multipart_etag(md5s.into_iter()),
        attributes: record.attributes.clone(),
        tags: record.tags.clone(),
        checksum: ObjectChecksum::of_parts(record.algorithm, record.scope, &digests),
        parts: parts.iter().map(summary).collect(),
        ..ObjectMeta::default()
    };
    let used = parts.iter().map(|(number, _)| **number).collect();
    Ok((NewObject { meta, content }, used))
}

fn invalid_part() -> S3Error {
    s3_error!(
        InvalidPart,
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified \
         entity tag may not match the part's entity tag."
    )
}
