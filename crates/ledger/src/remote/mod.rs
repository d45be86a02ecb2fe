//! What the adapters of remote document services have in common: when a request may be repeated, and how the state that a
//! write leaves behind is recognised.
//!
//! **In:** one attempt at one request, as a function, and how it failed. **Out:** its result after bounded repeats with
//! growing, jittered pauses. **Never:** repeats a request whose answer was lost, unless told that repeating is harmless.

mod repeat;
mod stamps;

#[cfg(any(feature = "cosmos", feature = "dynamodb"))]
pub(crate) use repeat::IN_FLIGHT;
pub(crate) use repeat::{Attempted, Failure, Repeater};
pub(crate) use stamps::Stamps;

use crate::shared::DocumentId;
use crate::{Error, Result};
use skyfresh_sky::Kind;

/// Most bytes in a partition's name and in a sort key: what [`DocumentId`] promises. DynamoDB takes neither without any.
pub(crate) const KEY_LIMIT_BYTES: usize = 1024;

/// Most bytes in a body: what [`Document`](crate::shared::Document) promises. Every service takes at least 400 KB.
const BODY_LIMIT_BYTES: usize = 300 * 1024;

/// A document's name in errors. Sort keys are arbitrary bytes: what is not ASCII text is escaped.
pub(crate) fn name(id: &DocumentId) -> String {
    format!("{}/{}", id.partition, id.sort.escape_ascii())
}

/// Refuses a name that no service could be asked for.
///
/// # Errors
/// [`Kind::Invalid`]: a part of it is empty or too long.
pub(crate) fn check_id(operation: &'static str, id: &DocumentId) -> Result<()> {
    check_partition(operation, &id.partition)?;
    if id.sort.is_empty() || id.sort.len() > KEY_LIMIT_BYTES {
        let why = format!(
            "a sort key has 1 to {KEY_LIMIT_BYTES} bytes; this one has {}",
            id.sort.len()
        );
        return Err(Error::new(Kind::Invalid, operation, name(id), why));
    }
    Ok(())
}

/// The same for a partition alone.
///
/// # Errors
/// [`Kind::Invalid`]: it is empty or too long.
pub(crate) fn check_partition(operation: &'static str, partition: &str) -> Result<()> {
    if partition.is_empty() || partition.len() > KEY_LIMIT_BYTES {
        let why = format!(
            "a partition's name has 1 to {KEY_LIMIT_BYTES} bytes; this one has {}",
            partition.len()
        );
        return Err(Error::new(Kind::Invalid, operation, partition, why));
    }
    Ok(())
}

/// Refuses a body that a service may refuse.
///
/// # Errors
/// [`Kind::Invalid`]: it is too long.
pub(crate) fn check_body(operation: &'static str, id: &DocumentId, body: &[u8]) -> Result<()> {
    if body.len() > BODY_LIMIT_BYTES {
        let why = format!(
            "the body has {} bytes; at most {BODY_LIMIT_BYTES} are possible",
            body.len()
        );
        return Err(Error::new(Kind::Invalid, operation, name(id), why));
    }
    Ok(())
}

/// An error with everything that lies below it, in one line: drivers keep the reason in the last of them.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        below = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bodies_have_limits() {
        let id = |partition: usize, sort: usize| DocumentId {
            partition: "p".repeat(partition),
            sort: vec![0xff; sort],
        };
        for (partition, sort, fits) in [
            (1, 1, true),
            (1, 0, false),
            (1024, 1024, true),
            (0, 1, false),
            (1025, 1, false),
            (1, 1025, false),
        ] {
            assert_eq!(check_id("get", &id(partition, sort)).is_ok(), fits);
        }
        assert!(check_body("put", &id(1, 1), &vec![0; 300 * 1024]).is_ok());
        let error = check_body("put", &id(1, 1), &vec![0; 300 * 1024 + 1]).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert!(error.to_string().contains("p/\\xff"), "{error}");
    }
}
