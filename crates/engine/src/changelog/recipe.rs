//! Which server-side operations make an object at the destination, and what proves that they do. Pure.
//!
//! In: the source's head, the destination's heads of the inputs with what is recorded of them, the destination's abilities.
//! Out: a [`Recipe`], or why there is none. Never: IO; a recipe whose result no checksum shows to be the source's version.

use crate::decide::{Strategy, common_checksum, mark_hash, precondition, same_content_etag, stamp};
use crate::rule::STAMP;
use skyfresh_ledger::{Mark, Outcome, Receipt};
use skyfresh_plan::replicate::StoreCopy;
use skyfresh_sky::{ObjectKey, ObjectVersion};
use skyfresh_store::checksum::{Crc32c, Crc64};
use skyfresh_store::{Capabilities, ObjectHead, Precondition, UploadLimits};
use std::ops::Range;

/// Copied into one part at most: a store copies some hundred MB/s, and a request must end before it is given up.
const LARGEST_PIECE_BYTES: u64 = StoreCopy::MOST_BYTES;

/// Why there is no recipe, in words for a log.
pub(crate) type Reason = String;

/// An object at the destination whose content is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) key: ObjectKey,
    /// Which version of it; every copy is pinned to it.
    pub(crate) version: ObjectVersion,
    pub(crate) size: u64,
    /// What the destination states of it, or else what was proved when it was copied there.
    pub(crate) crc64: Option<Crc64>,
    /// As the destination states it.
    head: ObjectHead,
}

impl Held {
    /// The head with everything that is known.
    fn known(&self) -> ObjectHead {
        ObjectHead {
            crc64: self.crc64,
            ..self.head.clone()
        }
    }
}

/// Whether the destination's object is a verified copy of the source version that an entry names (`None`: of any), by the
/// key's mark, its stamp or its receipts.
pub(super) fn held(
    key: &ObjectKey,
    wanted: Option<&ObjectVersion>,
    head: ObjectHead,
    mark: Option<Mark>,
    receipts: &[Receipt],
) -> Result<Held, Reason> {
    let receipt = receipts.iter().find(|receipt| {
        matches!(receipt.outcome, Outcome::Copied | Outcome::AlreadyEqual)
            && receipt.destination.as_ref() == Some(&head.version)
    });
    if let Some(wanted) = wanted {
        let marked = Mark {
            source: mark_hash(&wanted.etag),
            destination: mark_hash(&head.version.etag),
        };
        let stamped = head.attributes.user.get(STAMP);
        let is_copy = receipt.is_some_and(|receipt| receipt.source.as_ref() == Some(wanted))
            || mark == Some(marked)
            || stamped.is_some_and(|held| *held == stamp(wanted))
            || same_content_etag(&wanted.etag, &head.version.etag);
        if !is_copy {
            return Err(format!(
                "{key} at the destination is not known to be version {wanted}"
            ));
        }
    }
    let recorded = receipt
        .and_then(|receipt| receipt.crc64.as_deref())
        .and_then(|text| u64::from_str_radix(text, 16).ok())
        .map(Crc64);
    if let (Some(stated), Some(recorded)) = (head.crc64, recorded)
        && stated != recorded
    {
        return Err(format!(
            "the destination states CRC64NVME {stated} of {key}, its receipt {recorded}"
        ));
    }
    Ok(Held {
        key: key.clone(),
        version: head.version.clone(),
        size: head.size,
        crc64: head.crc64.or(recorded),
        head,
    })
}

/// A range of an input, to be copied into one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) key: ObjectKey,
    pub(crate) version: ObjectVersion,
    pub(crate) range: Range<u64>,
    /// Where it is known, of just these bytes.
    pub(crate) crc64: Option<Crc64>,
}

impl Piece {
    pub(super) fn size(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// What the destination's store is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Copy one object, in one request.
    Copy(Box<Held>),
    /// Copy ranges into the parts of an upload.
    Assemble(Vec<Piece>),
}

/// Makes an object at the destination without the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    pub(crate) way: Way,
    /// CRC64NVME of the result, where it is known.
    pub(crate) crc64: Option<Crc64>,
    /// What must hold of the object that is replaced.
    pub(crate) precondition: Precondition,
    /// For the receipt.
    pub(crate) name: String,
}

/// Finds the recipe that makes `source` of `inputs`, joined in order.
pub(super) fn recipe(
    source: &ObjectHead,
    target: Option<&ObjectHead>,
    inputs: &[Held],
    capabilities: &Capabilities,
) -> Result<Recipe, Reason> {
    let crc64 = proved(source, inputs)?;
    let whole = |only: &Held| copied_whole(source, only, capabilities);
    let (way, strategy) = way(inputs, crc64, capabilities, whole)?;
    let name = match inputs {
        [only] => format!("server-side copy of {}", only.key),
        several => format!("concat of {} objects", several.len()),
    };
    Ok(Recipe {
        way,
        crc64,
        precondition: precondition(target, strategy, capabilities),
        name,
    })
}

/// Finds the recipe by which the destination's store takes the source object itself.
pub(crate) fn of_source(
    key: &ObjectKey,
    source: &ObjectHead,
    target: Option<&ObjectHead>,
    capabilities: &Capabilities,
) -> Result<Recipe, Reason> {
    let only = [Held {
        key: key.clone(),
        version: source.version.clone(),
        size: source.size,
        crc64: source.crc64,
        head: source.clone(),
    }];
    let crc64 = proved(source, &only)?;
    // Between buckets, and regions, one request for a large object takes longer than several at once.
    let joins = capabilities.multipart && capabilities.copy_part && crc64.is_some();
    let whole = |only: &Held| {
        copied_whole(source, only, capabilities) && (only.size <= LARGEST_PIECE_BYTES || !joins)
    };
    let (way, strategy) = way(&only, crc64, capabilities, whole)?;
    let name = match &way {
        Way::Copy(_) => "server-side copy from the source".to_owned(),
        Way::Assemble(pieces) => {
            let (count, noun) = match pieces.len() {
                1 => (1, "part"),
                many => (many, "parts"),
            };
            format!("server-side copy from the source in {count} {noun}")
        }
    };
    Ok(Recipe {
        way,
        crc64,
        precondition: precondition(target, strategy, capabilities),
        name,
    })
}

/// The requests, and for the condition only, which follows from the kind of request that publishes, a strategy.
fn way(
    inputs: &[Held],
    crc64: Option<Crc64>,
    capabilities: &Capabilities,
    whole: impl Fn(&Held) -> bool,
) -> Result<(Way, Strategy), Reason> {
    match inputs {
        [only] if whole(only) => Ok((Way::Copy(Box::new(only.clone())), Strategy::Inline)),
        _ if !capabilities.multipart || !capabilities.copy_part => {
            Err("the destination cannot make it by itself".into())
        }
        _ if crc64.is_none() => {
            Err("no CRC64NVME is known, with which the parts could be compared".into())
        }
        _ => {
            let strategy = Strategy::Multipart {
                part_bytes: 0,
                parts: 0,
                workers: 0,
            };
            Ok((
                Way::Assemble(pieces(inputs, capabilities.upload_limits)?),
                strategy,
            ))
        }
    }
}

/// Whether one request may copy this input. The destination must state a checksum of it that the source states too, since it
/// will state the same of the copy; and a store copies an object's tags with it: only parts leave them behind.
fn copied_whole(source: &ObjectHead, only: &Held, capabilities: &Capabilities) -> bool {
    capabilities.copy
        && only.size <= capabilities.upload_limits.max_put_bytes
        && only.head.tag_count == 0
        && common_checksum(source, &only.head).is_some_and(|common| common.agrees())
}

/// Shows that the inputs, joined, are the source's bytes, by a checksum that follows from what is stated of each. Returns
/// their CRC64NVME, where that is known.
fn proved(source: &ObjectHead, inputs: &[Held]) -> Result<Option<Crc64>, Reason> {
    let size: u64 = inputs
        .iter()
        .fold(0, |sum, input| sum.saturating_add(input.size));
    if size != source.size {
        return Err(format!(
            "the inputs have {size} bytes, the source {}",
            source.size
        ));
    }
    let whole = inputs.iter().try_fold(Crc64::EMPTY, |whole, input| {
        Some(whole.then(input.crc64?, input.size))
    });
    let whole_crc32c = inputs.iter().try_fold(Crc32c::EMPTY, |whole, input| {
        Some(whole.then(input.head.crc32c?, input.size))
    });
    let proved = match inputs {
        [only] => common_checksum(source, &only.known()).map(|common| common.agrees()),
        _ => match (source.crc64, whole, source.crc32c, whole_crc32c) {
            (Some(stated), Some(made), ..) => Some(stated == made),
            (_, _, Some(stated), Some(made)) => Some(stated == made),
            _ => None,
        },
    };
    match proved {
        Some(true) => Ok(source.crc64.or(whole)),
        Some(false) => Err("the inputs do not make the source's checksum".into()),
        None => Err("no checksum that follows from the inputs' is stated by the source".into()),
    }
}

/// The inputs as parts within the destination's limits.
fn pieces(inputs: &[Held], limits: UploadLimits) -> Result<Vec<Piece>, Reason> {
    let largest = limits.max_part_bytes.clamp(1, LARGEST_PIECE_BYTES);
    let mut pieces = Vec::new();
    for input in inputs.iter().filter(|input| input.size > 0) {
        // Of equal sizes, so that none is smaller than half of the largest.
        let count = input.size.div_ceil(largest);
        let bytes = input.size.div_ceil(count);
        for start in (0..count).map(|index| index * bytes) {
            let range = start..input.size.min(start + bytes);
            pieces.push(Piece {
                key: input.key.clone(),
                version: input.version.clone(),
                crc64: input.crc64.filter(|_| count == 1),
                range,
            });
        }
    }
    let too_small = pieces.split_last().and_then(|(_, but_last)| {
        let mut small = but_last.iter();
        small.find(|piece| piece.size() < limits.min_part_bytes)
    });
    if let Some(small) = too_small {
        return Err(format!(
            "{} has {} bytes; the destination joins parts of {} or more",
            small.key,
            small.size(),
            limits.min_part_bytes
        ));
    }
    match pieces.len() {
        0 => Err("there is nothing to join".into()),
        many if many > limits.max_parts as usize => Err(format!(
            "{many} parts are more than the destination joins ({})",
            limits.max_parts
        )),
        _ => Ok(pieces),
    }
}

#[cfg(test)]
#[path = "recipe_tests.rs"]
mod tests;
