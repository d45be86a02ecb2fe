//! **decide**: from what the source and the destination hold, what to do. Pure.
//!
//! In: both heads, the key's mark, the rule. Out: a [`Decision`]. Never: IO, time, randomness.
//!
//! How the bytes travel is the planner's choice (`planning`). Where there is none it follows from the size alone: one PUT up
//! to a part, else n workers over a pool of parts within the destination's limits.

use crate::rule::{Destination, Rule, STAMP, destination_attributes};
use serde::{Deserialize, Serialize};
use skyfresh_ledger::{Expected, Mark};
use skyfresh_plan::predict::Site;
use skyfresh_sky::{Attributes, Mutant, ObjectVersion, format_bytes};
use skyfresh_store::checksum::{Crc32c, Crc64, Md5};
use skyfresh_store::{
    Capabilities, ConditionSupport, Fitted, ObjectHead, Precondition, UploadLimits,
};

/// How bytes will travel, within which workers choose their parts at run time. Immutable; stored with the attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The source version that every read is pinned to.
    pub source: ObjectVersion,
    /// Its size in bytes.
    pub size: u64,
    /// Its CRC64NVME, where the source states one: the copy must have it too.
    pub crc64: Option<Crc64>,
    /// Its CRC32C, where the source states that instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<Crc32c>,
    /// Its MD5, where the source states one: a copy that reads the whole object at once must have it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<Md5>,
    /// What the published object carries.
    pub attributes: Attributes,
    /// What it cannot carry there, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unkept: Vec<String>,
    /// What must hold of the object it replaces.
    pub precondition: Precondition,
    /// The way.
    pub strategy: Strategy,
    /// Where workers run; `None` is wherever the executor runs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
    /// Another destination that is read instead of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<Via>,
    /// What is expected of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
}

impl Plan {
    /// The version that reads are pinned to, where they read.
    pub fn read_version(&self) -> &ObjectVersion {
        self.via.as_ref().map_or(&self.source, |via| &via.version)
    }
}

/// Another destination of the rule, which holds the planned version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Via {
    /// The destination's name.
    pub destination: String,
    /// The version there that equals the planned one: reads are pinned to it.
    pub version: ObjectVersion,
    /// CRC64NVME of its bytes, as the receipt has it: what is read must have it.
    pub crc64: Crc64,
}

/// What is to be done about the way, once it is known that bytes must move.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    pub(crate) strategy: Strategy,
    pub(crate) site: Option<Site>,
    pub(crate) via: Option<Via>,
    pub(crate) expected: Option<Expected>,
    /// Whether the destination's store is to take it by itself; the rest is for where that fails.
    pub(crate) by_store: bool,
}

impl From<Strategy> for Course {
    fn from(strategy: Strategy) -> Self {
        Course {
            strategy,
            site: None,
            via: None,
            expected: None,
            by_store: false,
        }
    }
}

/// The way bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// One GET into one PUT.
    Inline,
    /// A pool of parts, pulled by workers.
    Multipart {
        /// Bytes of every part but the last.
        part_bytes: u64,
        /// Number of parts.
        parts: u32,
        /// Number of workers.
        workers: u32,
    },
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Strategy::Inline => f.write_str("inline"),
            Strategy::Multipart {
                part_bytes,
                parts,
                workers,
            } => {
                write!(
                    f,
                    "multipart {parts} x {}, {workers} workers",
                    format_bytes(*part_bytes)
                )
            }
        }
    }
}

/// Sizes from which the strategy follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizing {
    /// Preferred bytes in a part, and the largest object sent in one PUT.
    pub part_bytes: u64,
    /// Most workers on one object.
    pub max_workers: u32,
    /// Parts that an object has at least for each of its workers: with fewer, pulling evens little out.
    pub parts_a_worker: u32,
}

impl Default for Sizing {
    /// 16 MiB parts, 4 workers: a 1 GiB object in 64 parts.
    fn default() -> Self {
        Sizing {
            part_bytes: 16 << 20,
            max_workers: 4,
            parts_a_worker: 4,
        }
    }
}

/// What is known when deciding.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The destination.
    pub destination: &'a Destination,
    /// The source object; `None` where the source says there is none.
    pub source: Option<&'a ObjectHead>,
    /// The destination object.
    pub target: Option<&'a ObjectHead>,
    /// What was last verified equal.
    pub mark: Option<Mark>,
    /// What the destination can do.
    pub capabilities: &'a Capabilities,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Move bytes.
    Copy(Box<Plan>),
    /// The destination already equals the source.
    AlreadyEqual,
    /// Delete the destination's object, of this version.
    Delete(ObjectVersion),
    /// Absent at the source; nothing to do at the destination.
    Absent,
    /// It cannot be done, whatever is tried: why.
    Impossible(String),
}

/// Decides, with the way that follows from the size.
pub fn decide(known: Known<'_>, sizing: Sizing) -> Decision {
    let limits = known.capabilities.upload_limits;
    let by_size = |source: &ObjectHead| {
        strategy(source.size, sizing, limits, known.capabilities.multipart).map(Course::from)
    };
    match decide_with(known, by_size) {
        Ok(decision) => decision,
        Err(why) => Decision::Impossible(why),
    }
}

/// Decides, with the way that `choose` gives for an object that must be copied.
pub(crate) fn decide_with<E>(
    known: Known<'_>,
    choose: impl FnOnce(&ObjectHead) -> Result<Course, E>,
) -> Result<Decision, E> {
    let Some(source) = known.source else {
        return Ok(match known.target {
            Some(target) if known.rule.delete || Mutant::DeletesUnasked.is_on() => {
                Decision::Delete(target.version.clone())
            }
            _ => Decision::Absent,
        });
    };
    let Fitted { attributes, unkept } = destination_attributes(
        known.rule,
        known.destination,
        &source.attributes,
        &stamp(&source.version),
        &known.capabilities.metadata,
    );
    let unkept = Vec::from_iter(unkept.into_iter().chain(unkept_tags(
        known.rule,
        source,
        known.capabilities,
    )));
    if known.rule.strict_metadata && !unkept.is_empty() {
        return Ok(Decision::Impossible(format!(
            "the destination cannot keep {} (strict_metadata is set)",
            unkept.join(", ")
        )));
    }
    if let Some(target) = known.target
        && equal(source, target, &attributes, known.mark)
    {
        return Ok(Decision::AlreadyEqual);
    }
    let Course {
        strategy,
        site,
        via,
        expected,
        by_store: _,
    } = choose(source)?;
    let precondition = precondition(known.target, strategy, known.capabilities);
    Ok(Decision::Copy(Box::new(Plan {
        source: source.version.clone(),
        size: source.size,
        crc64: source.crc64.or(via.as_ref().map(|via| via.crc64)),
        crc32c: source.crc32c,
        md5: source.md5,
        attributes,
        unkept,
        precondition,
        strategy,
        site,
        via,
        expected,
    })))
}

/// What the destination's stamp says when it holds this source version.
pub(crate) fn stamp(version: &ObjectVersion) -> String {
    version.to_string()
}

/// A version's hash in a [`Mark`]: of its entity tag only, so that a listing can be compared with it.
pub(crate) fn mark_hash(etag: &str) -> u64 {
    Crc64::of(etag.as_bytes()).0
}

/// Whether the destination's object equals the source's, as far as heads can tell for certain.
fn equal(
    source: &ObjectHead,
    target: &ObjectHead,
    wanted: &Attributes,
    mark: Option<Mark>,
) -> bool {
    if source.size != target.size || !same_attributes(wanted, &target.attributes) {
        return false;
    }
    if Mutant::EqualBySize.is_on() {
        return true;
    }
    if let Some(common) = common_checksum(source, target) {
        return common.agrees();
    }
    if target
        .attributes
        .user
        .get(STAMP)
        .is_some_and(|held| *held == stamp(&source.version))
    {
        return true;
    }
    let marked = Mark {
        source: mark_hash(&source.version.etag),
        destination: mark_hash(&target.version.etag),
    };
    mark == Some(marked) || same_content_etag(&source.version.etag, &target.version.etag)
}

/// A checksum that two heads state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommonChecksum {
    /// What people call it.
    pub(crate) name: &'static str,
    /// As stated by the one.
    pub(crate) a: String,
    /// As stated by the other.
    pub(crate) b: String,
}

impl CommonChecksum {
    /// Whether it shows the contents to be equal; else it shows them to differ.
    pub(crate) fn agrees(&self) -> bool {
        self.a == self.b
    }
}

/// The strongest checksum that both heads state.
pub(crate) fn common_checksum(a: &ObjectHead, b: &ObjectHead) -> Option<CommonChecksum> {
    let common =
        |name, a: Option<String>, b: Option<String>| Some(CommonChecksum { name, a: a?, b: b? });
    let text = |value: Option<Crc64>| value.map(|value| value.to_string());
    let text32 = |value: Option<Crc32c>| value.map(|value| value.to_string());
    common("CRC64NVME", text(a.crc64), text(b.crc64))
        .or_else(|| common("CRC32C", text32(a.crc32c), text32(b.crc32c)))
        .or_else(|| {
            let both_stated = a.md5.is_some() && b.md5.is_some();
            common("MD5", content_md5(a), content_md5(b)).filter(|md5| both_stated || md5.agrees())
        })
}

/// The MD5 of the content, as far as the head tells: stated, or as the entity tag of a single upload to S3. Two that differ
/// prove nothing (an encrypted S3 object's tag is no MD5); two that are equal are no accident.
fn content_md5(head: &ObjectHead) -> Option<String> {
    match head.md5 {
        Some(md5) => Some(md5.to_string()),
        None => is_md5(&head.version.etag).then(|| head.version.etag.to_ascii_lowercase()),
    }
}

fn is_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Tags that the rule asks for and the destination cannot hold.
fn unkept_tags(rule: &Rule, source: &ObjectHead, capabilities: &Capabilities) -> Option<String> {
    (rule.tags && source.tag_count > 0 && !capabilities.tags).then(|| "tags".to_owned())
}

/// Equal entity tags prove equal content only where both are MD5s of single uploads.
pub(crate) fn same_content_etag(a: &str, b: &str) -> bool {
    a == b && is_md5(a)
}

/// Whether what the destination carries is what we would write. The storage class is not compared (stores move objects
/// between classes by themselves), nor a stamp of another version of equal bytes, nor a content type the store made up.
fn same_attributes(wanted: &Attributes, held: &Attributes) -> bool {
    let plain = |attributes: &Attributes| {
        let mut plain = attributes.clone();
        plain.storage_class = None;
        plain.user.remove(STAMP);
        plain
    };
    let (wanted, mut held) = (plain(wanted), plain(held));
    if wanted.content_type.is_none() {
        held.content_type = None;
    }
    wanted == held
}

pub(crate) fn strategy(
    size: u64,
    sizing: Sizing,
    limits: UploadLimits,
    multipart: bool,
) -> Result<Strategy, String> {
    if size <= sizing.part_bytes.min(limits.max_put_bytes)
        || (!multipart && size <= limits.max_put_bytes)
    {
        return Ok(Strategy::Inline);
    }
    let preferred = sizing.part_bytes.max(limits.min_part_bytes);
    let needed = size.div_ceil(u64::from(limits.max_parts));
    // Whole MiB, so that the parts of a huge object are the same for any reader of the plan.
    let part_bytes = if needed <= preferred {
        preferred
    } else {
        needed.next_multiple_of(1 << 20)
    };
    if !multipart || part_bytes > limits.max_part_bytes {
        let why = format!(
            "{} is more than the destination takes: {} parts of {}",
            format_bytes(size),
            limits.max_parts,
            format_bytes(limits.max_part_bytes)
        );
        return Err(why);
    }
    // Fits: part_bytes >= size / max_parts, so there are at most max_parts of them.
    let parts = size.div_ceil(part_bytes) as u32;
    let roomy = parts.div_ceil(sizing.parts_a_worker.max(1));
    let workers = roomy.clamp(1, sizing.max_workers.max(1));
    Ok(Strategy::Multipart {
        part_bytes,
        parts,
        workers,
    })
}

/// The condition that keeps a stale worker from overwriting something newer, where the store enforces it.
pub(crate) fn precondition(
    target: Option<&ObjectHead>,
    strategy: Strategy,
    capabilities: &Capabilities,
) -> Precondition {
    let (absent, version) = match strategy {
        Strategy::Inline => (capabilities.put_if_absent, capabilities.put_if_version),
        Strategy::Multipart { .. } => (
            capabilities.complete_if_absent,
            capabilities.complete_if_version,
        ),
    };
    if Mutant::UnconditionalPublish.is_on() {
        return Precondition::None;
    }
    match target {
        None if absent == ConditionSupport::Enforced => Precondition::Absent,
        Some(target) if version == ConditionSupport::Enforced => {
            Precondition::Version(target.version.clone())
        }
        _ => Precondition::None,
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
