//! Sort keys as DynamoDB takes them: 1 to 1,024 bytes, where ours have 0 to 1,024
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
//!
//! A key of nothing but zero bytes, the empty one included, gets one more of them; every other key stays as it is. That keeps
//! the order: between n and n + 1 zero bytes there is no other key.

use crate::{Error, Result};
use skyfresh_sky::Kind;

/// Most bytes in a sort key.
const LIMIT_BYTES: usize = 1024;

/// What is asked of the service: both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Between {
    /// The first key.
    pub(super) first: Vec<u8>,
    /// The last key.
    pub(super) last: Vec<u8>,
}

/// A sort key as it is stored.
///
/// # Errors
/// [`Kind::Invalid`]: it consists of 1,024 zero bytes.
pub(super) fn stored(operation: &'static str, partition: &str, sort: &[u8]) -> Result<Vec<u8>> {
    let stored = lengthened(sort);
    if stored.len() > LIMIT_BYTES {
        let why = format!("DynamoDB cannot hold a sort key of {LIMIT_BYTES} zero bytes");
        return Err(Error::new(Kind::Invalid, operation, partition, why));
    }
    Ok(stored)
}

/// A sort key as it was before it was stored.
pub(super) fn original(mut stored: Vec<u8>) -> Vec<u8> {
    if stored.iter().all(|byte| *byte == 0) {
        stored.pop();
    }
    stored
}

/// The smallest closed range that holds every stored key of `from..to`; `None` where that is empty. It may hold `to` itself
/// and, where a bound is too long to be a key, one key before `from`: the caller looks again.
pub(super) fn between(from: &[u8], to: &[u8]) -> Option<Between> {
    (from < to).then(|| Between {
        first: shortened(lengthened(from)),
        last: shortened(lengthened(to)),
    })
}

fn lengthened(sort: &[u8]) -> Vec<u8> {
    let mut stored = sort.to_vec();
    if sort.iter().all(|byte| *byte == 0) {
        stored.push(0);
    }
    stored
}

fn shortened(mut bound: Vec<u8>) -> Vec<u8> {
    bound.truncate(LIMIT_BYTES);
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sort() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(0_u8..3, 0..6),
            proptest::collection::vec(any::<u8>(), 0..1030),
            (1020_usize..1030).prop_map(|length| vec![0; length]),
            (1020_usize..1030).prop_map(|length| vec![0xff; length]),
        ]
    }

    proptest! {
        #[test]
        fn stored_keys_are_legal_and_keep_the_order(a in sort(), b in sort()) {
            let store = |sort: &[u8]| stored("put", "p", sort).ok().filter(|_| sort.len() <= 1024);
            if let (Some(stored_a), Some(stored_b)) = (store(&a), store(&b)) {
                prop_assert!((1..=1024).contains(&stored_a.len()));
                prop_assert_eq!(stored_a.cmp(&stored_b), a.cmp(&b));
                prop_assert_eq!(original(stored_a), a);
            }
        }

        #[test]
        fn a_range_holds_every_key_within_its_bounds(a in sort(), b in sort(), key in sort()) {
            if let Ok(stored) = stored("put", "p", &key)
                && key.len() <= 1024
                && a <= key
                && key < b
            {
                let range = between(&a, &b).expect("not empty");
                prop_assert!(range.first <= stored && stored <= range.last);
                prop_assert!((1..=1024).contains(&range.first.len()));
                prop_assert!((1..=1024).contains(&range.last.len()));
            }
        }
    }

    #[test]
    fn empty_ranges_are_not_asked_for() {
        assert_eq!(between(b"b", b"a"), None);
        assert_eq!(between(b"a", b"a"), None);
        assert_eq!(between(b"", b""), None);
    }
}
