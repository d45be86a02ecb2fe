//! What every intake channel turns its messages into.

use skyfresh_sky::{ObjectKey, Timestamp};

/// "This key may have changed." It may be late, repeated, out of order or wrong: the source decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEvent {
    /// The key below the rule's source location.
    pub key: ObjectKey,
    /// When the channel says it changed; `None` where it does not say.
    pub changed: Option<Timestamp>,
    /// The size it gives, as a hint.
    pub size: Option<u64>,
}
