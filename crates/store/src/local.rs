//! The rules that memory and disk stores keep by themselves, where S3 has a server to keep them. Pure.

use crate::MetadataLimits;
use crate::{Error, Precondition, UploadLimits};
use skyfresh_sky::{Attributes, Kind, ObjectVersion};
use std::collections::BTreeMap;
use std::ops::Range;

/// S3's limit on a whole key, in bytes (S3 user guide, "Naming Amazon S3 objects").
pub(crate) const FULL_KEY_LIMIT_BYTES: usize = 1024;
/// S3's limit on tags of one object (S3 user guide, "Categorizing your objects using tags").
const TAG_LIMIT: usize = 10;
const TAG_NAME_LIMIT_CHARS: usize = 128;
const TAG_VALUE_LIMIT_CHARS: usize = 256;
/// Most keys or uploads in one page of a listing.
pub(crate) const PAGE_LIMIT: usize = 1000;

/// Why a store refuses: becomes an [`Error`] once the operation and its target are added.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    pub(crate) code: &'static str,
    pub(crate) context: String,
}

impl Refusal {
    pub(crate) fn new(kind: Kind, code: &'static str, context: impl Into<String>) -> Self {
        Refusal {
            kind,
            code,
            context: context.into(),
        }
    }

    pub(crate) fn no_such_bucket(name: &str) -> Self {
        Refusal::new(
            Kind::Missing,
            "NoSuchBucket",
            format!("there is no bucket {name}"),
        )
    }

    pub(crate) fn no_such_key() -> Self {
        Refusal::new(Kind::Missing, "NoSuchKey", "there is no such object")
    }

    pub(crate) fn no_such_upload(id: &str) -> Self {
        Refusal::new(
            Kind::Missing,
            "NoSuchUpload",
            format!("upload {id} does not exist; it was completed or aborted"),
        )
    }

    pub(crate) fn into_error(self, operation: &'static str, target: String) -> Error {
        Error::new(self.kind, operation, target, self.context).with_code(self.code)
    }
}

/// Whether an object's version is the one asked for. A version id decides only where both have one.
pub(crate) fn is_version(current: &ObjectVersion, wanted: &ObjectVersion) -> bool {
    current.etag == wanted.etag
        && match (&current.version_id, &wanted.version_id) {
            (Some(current), Some(wanted)) => current == wanted,
            _ => true,
        }
}

/// Refuses a read or copy pinned to another version than the current one.
pub(crate) fn check_pin(
    current: &ObjectVersion,
    wanted: Option<&ObjectVersion>,
) -> Result<(), Refusal> {
    match wanted {
        Some(wanted) if !is_version(current, wanted) => Err(Refusal::new(
            Kind::Precondition,
            "PreconditionFailed",
            format!("the object is now {current}, not {wanted}"),
        )),
        _ => Ok(()),
    }
}

/// Refuses a write whose precondition does not hold of the current object.
pub(crate) fn check_precondition(
    precondition: &Precondition,
    current: Option<&ObjectVersion>,
) -> Result<(), Refusal> {
    let why = match (precondition, current) {
        (Precondition::None, _) | (Precondition::Absent, None) => return Ok(()),
        (Precondition::Absent, Some(current)) => format!("an object is there: {current}"),
        (Precondition::Version(wanted), None) => format!("the object is absent, not {wanted}"),
        (Precondition::Version(wanted), Some(current)) => return check_pin(current, Some(wanted)),
    };
    Err(Refusal::new(Kind::Precondition, "PreconditionFailed", why))
}

/// A delete can demand a version, but not absence.
pub(crate) fn check_delete_precondition(precondition: &Precondition) -> Result<(), Refusal> {
    match precondition {
        Precondition::Absent => Err(Refusal::new(
            Kind::Invalid,
            "InvalidArgument",
            "a delete cannot be conditional on there being no object",
        )),
        _ => Ok(()),
    }
}

/// Refuses a range that does not lie within an object of `size` bytes.
pub(crate) fn check_range(range: Option<&Range<u64>>, size: u64) -> Result<Range<u64>, Refusal> {
    match range {
        None => Ok(0..size),
        Some(range) if range.start <= range.end && range.end <= size => Ok(range.clone()),
        Some(range) => Err(Refusal::new(
            Kind::Invalid,
            "InvalidRange",
            format!(
                "bytes {}..{} do not lie within {size} bytes",
                range.start, range.end
            ),
        )),
    }
}

/// Refuses more user metadata than the store with the highest limit takes, so that everything can travel through here.
pub(crate) fn check_attributes(attributes: &Attributes) -> Result<(), Refusal> {
    let bytes = attributes.user_bytes();
    let limit = MetadataLimits::LOCAL.user_bytes;
    if bytes > limit {
        return Err(Refusal::new(
            Kind::Invalid,
            "MetadataTooLarge",
            format!("user metadata takes {bytes} bytes; the limit is {limit}"),
        ));
    }
    Ok(())
}

/// Refuses tags beyond S3's limits.
pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let bad = |why: String| Err(Refusal::new(Kind::Invalid, "InvalidTag", why));
    if tags.len() > TAG_LIMIT {
        return bad(format!("{} tags; the limit is {TAG_LIMIT}", tags.len()));
    }
    for (name, value) in tags {
        if name.is_empty() || name.chars().count() > TAG_NAME_LIMIT_CHARS {
            return bad(format!(
                "a tag's name has 1 to {TAG_NAME_LIMIT_CHARS} characters: {name:?}"
            ));
        }
        if value.chars().count() > TAG_VALUE_LIMIT_CHARS {
            return bad(format!(
                "the value of tag {name:?} is over {TAG_VALUE_LIMIT_CHARS} characters"
            ));
        }
    }
    Ok(())
}

/// Refuses a single PUT or copy that is too large.
pub(crate) fn check_put_size(size: u64, limits: &UploadLimits) -> Result<(), Refusal> {
    if size > limits.max_put_bytes {
        return Err(Refusal::new(
            Kind::Invalid,
            "EntityTooLarge",
            format!(
                "{size} bytes in one request; the limit is {}: use parts",
                limits.max_put_bytes
            ),
        ));
    }
    Ok(())
}

/// Refuses a part whose number or size cannot be.
pub(crate) fn check_part(number: u32, size: u64, limits: &UploadLimits) -> Result<(), Refusal> {
    if number == 0 || number > limits.max_parts {
        return Err(Refusal::new(
            Kind::Invalid,
            "InvalidArgument",
            format!(
                "part number {number} is not between 1 and {}",
                limits.max_parts
            ),
        ));
    }
    if size > limits.max_part_bytes {
        return Err(Refusal::new(
            Kind::Invalid,
            "EntityTooLarge",
            format!(
                "part {number} has {size} bytes; the limit is {}",
                limits.max_part_bytes
            ),
        ));
    }
    Ok(())
}

/// A part that a store holds, as completion checks it.
pub(crate) struct HeldPart<'a> {
    pub(crate) etag: &'a str,
    pub(crate) size: u64,
    pub(crate) crc64: crate::checksum::Crc64,
}

/// Checks the list a completion names against the parts held: order, tags, sizes, checksums, minimal sizes.
pub(crate) fn check_completion<'a>(
    parts: &[crate::CompletedPart],
    held: impl Fn(u32) -> Option<HeldPart<'a>>,
    limits: &UploadLimits,
) -> Result<(), Refusal> {
    if parts.is_empty() {
        return Err(Refusal::new(
            Kind::Invalid,
            "MalformedXML",
            "an upload is completed from at least one part",
        ));
    }
    if parts
        .windows(2)
        .any(|pair| pair[0].number >= pair[1].number)
    {
        return Err(Refusal::new(
            Kind::Invalid,
            "InvalidPartOrder",
            "part numbers must ascend",
        ));
    }
    for (index, part) in parts.iter().enumerate() {
        let number = part.number;
        let held = held(number)
            .filter(|held| held.etag == part.etag)
            .ok_or_else(|| {
                Refusal::new(
                    Kind::Invalid,
                    "InvalidPart",
                    format!(
                        "part {number} with entity tag {} was not uploaded",
                        part.etag
                    ),
                )
            })?;
        if held.size != part.size || part.crc64.is_some_and(|crc64| crc64 != held.crc64) {
            return Err(Refusal::new(
                Kind::Corrupt,
                "BadDigest",
                format!(
                    "part {number} holds {} bytes with checksum {}, not the {} bytes named",
                    held.size, held.crc64, part.size
                ),
            ));
        }
        if index + 1 < parts.len() && held.size < limits.min_part_bytes {
            return Err(Refusal::new(
                Kind::Invalid,
                "EntityTooSmall",
                format!(
                    "part {number} has {} bytes; the least is {}",
                    held.size, limits.min_part_bytes
                ),
            ));
        }
    }
    Ok(())
}
