use super::*;
use proptest::prelude::*;

const S: u64 = 1_000_000_000;

fn object(name: &str) -> Object {
    let key = ObjectKey::new(name).unwrap();
    (key, ObjectVersion::from_etag("1"))
}

fn set(of: &[u8]) -> DestinationSet {
    of.iter().copied().collect()
}

/// For whom destination 0 waits with a part, if it has ten seconds to spare.
fn expected(of: &Attendance, it: &Object, mates: &[u8], part: u32, now_ns: u64) -> DestinationSet {
    of.expected(it, (0, part), set(mates), Duration::from_secs(10), now_ns)
}

#[test]
fn whoever_lacks_it_is_waited_for_until_it_asks() {
    let (mut attendance, it) = (Attendance::default(), object("a"));
    attendance.asks(&it, 0, "u0", 1, 1);
    assert_eq!(expected(&attendance, &it, &[1, 2], 1, 1), set(&[1, 2]));
    attendance.asks(&it, 1, "u1", 1, 2);
    assert_eq!(expected(&attendance, &it, &[1, 2], 1, 2), set(&[2]));
    assert_eq!(expected(&attendance, &it, &[1, 2], 2, 2), set(&[1, 2]));
    // In whatever order: parts that are asked for at once come in any.
    attendance.asks(&it, 1, "u1", 9, 3);
    assert_eq!(expected(&attendance, &it, &[1], 8, 3), set(&[1]));
    // Another upload has nothing yet.
    attendance.asks(&it, 1, "again", 2, 4);
    assert_eq!(expected(&attendance, &it, &[1], 1, 4), set(&[1]));
}

#[test]
fn an_object_waits_twice_at_most_and_the_second_time_for_one_that_is_near() {
    let (mut attendance, it) = (Attendance::default(), object("a"));
    // Eight parts that waited together are one wait.
    for _ in 0..8 {
        attendance.missed(&it, set(&[1]), 100, 200);
    }
    assert!(
        expected(&attendance, &it, &[1], 20, 200).is_empty(),
        "far behind"
    );
    attendance.asks(&it, 1, "u1", 5, 300);
    assert_eq!(expected(&attendance, &it, &[1], 20, 300), set(&[1]));
    assert!(expected(&attendance, &it, &[1], 22, 300).is_empty());
    attendance.missed(&it, set(&[1]), 300, 400);
    attendance.asks(&it, 1, "u1", 19, 500);
    assert!(
        expected(&attendance, &it, &[1], 20, 500).is_empty(),
        "never again"
    );
    assert_eq!(expected(&attendance, &object("b"), &[1], 1, 500), set(&[1]));
}

#[test]
fn whoever_misses_several_objects_is_waited_for_when_it_keeps_up_again() {
    let mut attendance = Attendance::default();
    for at in 0..u64::from(MOST_ABSENT) {
        let it = object(&format!("o{at}"));
        assert_eq!(expected(&attendance, &it, &[3], 1, at * 10), set(&[3]));
        attendance.missed(&it, set(&[3]), at * 10, at * 10 + 5);
    }
    let next = object("next");
    assert!(expected(&attendance, &next, &[3], 1, 100).is_empty());
    // It comes, long after the others: that is not keeping up.
    attendance.asks(&next, 0, "u0", 400, 200);
    attendance.asks(&next, 3, "u3", 1, 300);
    assert!(expected(&attendance, &object("after"), &[3], 1, 300).is_empty());
    attendance.asks(&next, 3, "u3", 390, 400);
    assert_eq!(
        expected(&attendance, &object("after"), &[3], 1, 400),
        set(&[3])
    );
}

#[test]
fn whoever_is_far_ahead_is_not_together_with_one_that_begins() {
    let (mut attendance, it) = (Attendance::default(), object("a"));
    attendance.asks(&it, 0, "u0", NEAR_PARTS, 1);
    assert!(!attendance.is_ahead(&it, 0));
    attendance.asks(&it, 0, "u0", NEAR_PARTS + 1, 2);
    assert!(attendance.is_ahead(&it, 0) && !attendance.is_ahead(&it, 1));
}

proptest! {
    /// However a slow mate comes, what is waited in all is what there is to spare, an eighth of the time, and the wait under way.
    #[test]
    fn a_slow_mate_costs_little_of_the_time(slow_ms in 1u64..2_000, own_ms in 1u64..500, parts in 1u32..400) {
        let (mut attendance, it) = (Attendance::default(), object("a"));
        let spare = Duration::from_secs(3);
        let (mut now_ns, mut waited_ns) = (0, 0);
        for part in 1..=parts {
            attendance.asks(&it, 0, "u0", part, now_ns);
            if !attendance.expected(&it, (0, part), set(&[1]), spare, now_ns).is_empty() {
                attendance.waits(&it, 0, now_ns);
                now_ns += slow_ms * 1_000_000;
                waited_ns += slow_ms * 1_000_000;
                attendance.goes_on(&it, 0, now_ns);
            }
            now_ns += own_ms * 1_000_000;
        }
        prop_assert!(waited_ns <= 3 * S + now_ns / 8 + slow_ms * 1_000_000, "{waited_ns} of {now_ns}");
    }
}

#[test]
fn parts_that_wait_at_once_wait_once() {
    let (mut attendance, it) = (Attendance::default(), object("a"));
    for part in 1..=8 {
        attendance.asks(&it, 0, "u0", part, 0);
        attendance.waits(&it, 0, 0);
    }
    (0..8).for_each(|_| attendance.goes_on(&it, 0, 2 * S));
    let one_s = Duration::from_secs(1);
    let expected = |spare| attendance.expected(&it, (0, 9), set(&[1]), spare, 2 * S);
    assert!(expected(one_s).is_empty(), "two seconds and no more");
    assert_eq!(expected(2 * one_s), set(&[1]));
    // A wait that another upload has made forgotten was none.
    attendance.waits(&it, 0, 2 * S);
    attendance.asks(&it, 0, "again", 1, 2 * S);
    attendance.goes_on(&it, 0, 900 * S);
    let one_more = attendance.expected(&it, (0, 1), set(&[1]), one_s, 900 * S);
    assert_eq!(one_more, set(&[1]));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut attendance = Attendance::default();
    for at in 0..3_000u64 {
        attendance.asks(&object(&format!("o{at}")), 0, "u", 1, at);
    }
    assert_eq!(attendance.objects.len(), MOST_OBJECTS);
    assert!(attendance.objects.contains_key(&object("o2999")));
    assert!(!attendance.objects.contains_key(&object("o0")));
}
