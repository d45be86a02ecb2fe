//! Who of a rule's destinations may yet ask for a part. Pure: time is given in.
//!
//! In: who asked for which part, for whom it was waited in vain. Out: for whom to wait. Never: an object that waits more than twice
//! for a destination that does not come; one that waits for a destination that has missed several objects.

use skyfresh_relay::DestinationSet;
use skyfresh_sky::{ObjectKey, ObjectVersion};
use std::collections::{BTreeMap, HashMap};

/// How often an object waits for one destination in vain.
const MOST_MISSED: u32 = 2;
/// A destination that was missed is waited for again when it is within so many parts: about what workers have under way.
const NEAR_PARTS: u32 = 16;
/// Objects in a row that a destination may miss before nobody waits for it, until it asks for something.
const MOST_ABSENT: u32 = 3;
/// Objects that are remembered.
const MOST_OBJECTS: usize = 1_024;

/// One version of one object.
pub(super) type Object = (ObjectKey, ObjectVersion);

/// All destinations of a way.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    objects: HashMap<Object, Course>,
    /// Objects in a row that each has missed.
    absent: BTreeMap<u8, u32>,
}

/// An object on its way.
#[derive(Debug, Default)]
struct Course {
    touched_ns: u64,
    destinations: BTreeMap<u8, Seen>,
}

/// What one destination did about it.
#[derive(Debug, Default)]
struct Seen {
    /// A bit for every part that it asked for.
    asked: Vec<u64>,
    last: u32,
    missed: u32,
    missed_ns: Option<u64>,
}

impl Seen {
    fn has_asked(&self, part: u32) -> bool {
        let word = self.asked.get(part as usize / 64);
        word.is_some_and(|word| word & (1 << (part % 64)) != 0)
    }

    fn asks(&mut self, part: u32) {
        let word = part as usize / 64;
        if self.asked.len() <= word {
            self.asked.resize(word + 1, 0);
        }
        self.asked[word] |= 1 << (part % 64);
        self.last = self.last.max(part);
    }
}

impl Attendance {
    /// A destination asks for a part.
    pub(super) fn asks(&mut self, object: &Object, who: u8, part: u32, now_ns: u64) {
        self.absent.remove(&who);
        let course = self.course(object, now_ns);
        course.destinations.entry(who).or_default().asks(part);
    }

    /// For whom of `mates` to wait.
    pub(super) fn expected(
        &self,
        object: &Object,
        mates: DestinationSet,
        part: u32,
    ) -> DestinationSet {
        let course = self.objects.get(object);
        let waits_for = |who: &u8| {
            if self
                .absent
                .get(who)
                .is_some_and(|missed| *missed >= MOST_ABSENT)
            {
                return false;
            }
            let Some(seen) = course.and_then(|course| course.destinations.get(who)) else {
                return true;
            };
            let near = seen.missed == 0 || seen.last + NEAR_PARTS >= part;
            !seen.has_asked(part) && seen.missed < MOST_MISSED && near
        };
        let mates = mates.iter().filter(waits_for);
        mates.fold(DestinationSet::default(), |set, who| {
            set.union(DestinationSet::one(who))
        })
    }

    /// It was waited for these since `began_ns`, in vain. Parts that waited at the same time count as one.
    pub(super) fn missed(
        &mut self,
        object: &Object,
        whom: DestinationSet,
        began_ns: u64,
        now_ns: u64,
    ) {
        for who in whom.iter() {
            let course = self.course(object, now_ns);
            let seen = course.destinations.entry(who).or_default();
            if seen.missed_ns.is_some_and(|missed_ns| began_ns < missed_ns) {
                continue;
            }
            seen.missed += 1;
            seen.missed_ns = Some(now_ns);
            if seen.missed == 1 && seen.asked.is_empty() {
                *self.absent.entry(who).or_default() += 1;
            }
        }
    }

    fn course(&mut self, object: &Object, now_ns: u64) -> &mut Course {
        if !self.objects.contains_key(object) && self.objects.len() >= MOST_OBJECTS {
            let oldest = self.objects.iter().min_by_key(|(_, it)| it.touched_ns);
            if let Some(oldest) = oldest.map(|(object, _)| object.clone()) {
                self.objects.remove(&oldest);
            }
        }
        let course = self.objects.entry(object.clone()).or_default();
        course.touched_ns = now_ns;
        course
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> Object {
        let key = ObjectKey::new(name).unwrap();
        (key, ObjectVersion::from_etag("1"))
    }

    fn set(of: &[u8]) -> DestinationSet {
        let one = |set: DestinationSet, at: &u8| set.union(DestinationSet::one(*at));
        of.iter().fold(DestinationSet::default(), one)
    }

    #[test]
    fn whoever_lacks_it_is_waited_for_until_it_asks() {
        let (mut attendance, it) = (Attendance::default(), object("a"));
        attendance.asks(&it, 0, 1, 1);
        assert_eq!(attendance.expected(&it, set(&[1, 2]), 1), set(&[1, 2]));
        attendance.asks(&it, 1, 1, 2);
        assert_eq!(attendance.expected(&it, set(&[1, 2]), 1), set(&[2]));
        assert_eq!(attendance.expected(&it, set(&[1, 2]), 2), set(&[1, 2]));
        // In whatever order: parts that are asked for at once come in any.
        attendance.asks(&it, 1, 9, 3);
        assert_eq!(attendance.expected(&it, set(&[1]), 8), set(&[1]));
    }

    #[test]
    fn an_object_waits_twice_at_most_and_the_second_time_for_one_that_is_near() {
        let (mut attendance, it) = (Attendance::default(), object("a"));
        let mates = set(&[1]);
        // Eight parts that waited together are one wait.
        for _ in 0..8 {
            attendance.missed(&it, mates, 100, 200);
        }
        assert!(attendance.expected(&it, mates, 20).is_empty(), "far behind");
        attendance.asks(&it, 1, 5, 300);
        assert_eq!(attendance.expected(&it, mates, 20), mates);
        assert!(attendance.expected(&it, mates, 22).is_empty());
        attendance.missed(&it, mates, 300, 400);
        attendance.asks(&it, 1, 19, 500);
        assert!(
            attendance.expected(&it, mates, 20).is_empty(),
            "never again"
        );
        assert_eq!(attendance.expected(&object("b"), mates, 1), mates);
    }

    #[test]
    fn whoever_misses_several_objects_is_waited_for_when_it_is_back() {
        let mut attendance = Attendance::default();
        let mates = set(&[3]);
        for at in 0..u64::from(MOST_ABSENT) {
            let it = object(&format!("o{at}"));
            assert_eq!(attendance.expected(&it, mates, 1), mates);
            attendance.missed(&it, mates, at * 10, at * 10 + 5);
        }
        assert!(attendance.expected(&object("next"), mates, 1).is_empty());
        attendance.asks(&object("next"), 3, 1, 1_000);
        assert_eq!(attendance.expected(&object("after"), mates, 1), mates);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut attendance = Attendance::default();
        for at in 0..3_000u64 {
            attendance.asks(&object(&format!("o{at}")), 0, 1, at);
        }
        assert_eq!(attendance.objects.len(), MOST_OBJECTS);
        assert!(attendance.objects.contains_key(&object("o2999")));
        assert!(!attendance.objects.contains_key(&object("o0")));
    }
}
