//! What a copy carries beside the bytes, and under which condition it is published. Pure.

use super::options::{BulkOptions, MetadataChoice};
use super::walk::Want;
use skyfresh_sky::{Attributes, ObjectVersion};
use skyfresh_store::{Capabilities, ConditionSupport, Fitted, ObjectHead, Precondition};

/// What the copy of `head` carries at a target that can do this much.
pub(super) fn attributes(
    options: &BulkOptions,
    head: &ObjectHead,
    capabilities: &Capabilities,
) -> Fitted {
    let wanted = match &options.metadata {
        MetadataChoice::Keep => head.attributes.clone(),
        MetadataChoice::Nothing => Attributes {
            content_type: head.attributes.content_type.clone(),
            ..Attributes::default()
        },
        MetadataChoice::Set(attributes) => Attributes::clone(attributes),
    };
    let mut fitted = capabilities.metadata.fit(wanted);
    // Classes are names of one provider; the destination's default is what its owner chose.
    fitted.attributes.storage_class = options.storage_class.clone();
    if copies_tags(options, head) && !capabilities.tags {
        fitted.unkept.push("tags".to_owned());
    }
    fitted
}

/// Whether the object has tags that the copy should have, too.
pub(super) fn copies_tags(options: &BulkOptions, head: &ObjectHead) -> bool {
    options.metadata == MetadataChoice::Keep && head.tag_count > 0
}

/// What must hold of the object that is replaced, as far as the target can enforce it: it is what was seen when it was decided
/// to replace it.
pub(super) fn precondition(
    options: &BulkOptions,
    want: &Want,
    absent: ConditionSupport,
    version: ConditionSupport,
) -> Precondition {
    let seen = options.if_match.clone().or_else(|| {
        let held = want.held.as_ref();
        held.map(|held| ObjectVersion::from_etag(held.etag.clone()))
    });
    match seen {
        Some(seen) if version.enforced() => Precondition::Version(seen),
        None if absent.enforced() => Precondition::Absent,
        _ => Precondition::None,
    }
}
