//! Ranges of sort keys as DynamoDB takes them: both ends included, and each end a possible key, of 1 to 1,024 bytes
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).

use crate::remote::KEY_LIMIT_BYTES;

/// What is asked of the service: both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Between {
    /// The first key.
    pub(super) first: Vec<u8>,
    /// The last key.
    pub(super) last: Vec<u8>,
}

/// The smallest closed range that holds every key of `from..to`; `None` where that is empty. It may hold `to` itself and,
/// where a bound is too long to be a key, one key before `from`: the caller looks again.
pub(super) fn between(from: &[u8], to: &[u8]) -> Option<Between> {
    // The smallest key of all stands for the beginning.
    let first = if from.is_empty() { &[0][..] } else { from };
    let possible = |bound: &[u8]| bound[..bound.len().min(KEY_LIMIT_BYTES)].to_vec();
    (first < to).then(|| Between {
        first: possible(first),
        last: possible(to),
    })
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
        fn a_range_holds_every_key_within_its_bounds(a in sort(), b in sort(), key in sort()) {
            if (1..=1024).contains(&key.len()) && a <= key && key < b {
                let range = between(&a, &b).expect("not empty");
                prop_assert!(range.first <= key && key <= range.last);
                prop_assert!((1..=1024).contains(&range.first.len()));
                prop_assert!((1..=1024).contains(&range.last.len()));
            }
        }
    }

    #[test]
    fn empty_ranges_are_not_asked_for() {
        for (from, to) in [
            (&b"b"[..], &b"a"[..]),
            (b"a", b"a"),
            (b"", b""),
            (b"", b"\0"),
        ] {
            assert_eq!(between(from, to), None);
        }
    }
}
