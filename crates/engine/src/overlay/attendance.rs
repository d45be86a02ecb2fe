//! Who of a rule's destinations may yet ask for a part, and how long that may be waited for. Pure: time is given in.
//!
//! In: who asked for which part, who waits, for whom it was waited in vain. Out: for whom to wait. Never: an object that waits more than twice
//! for a destination that does not come, or for longer in all than it has to spare and an eighth of the time that its copy takes; one
//! that waits for a destination that has missed several objects.

use skyfresh_relay::DestinationSet;
use skyfresh_sky::{ObjectKey, ObjectVersion};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How often an object waits for one destination in vain.
const MOST_MISSED: u32 = 2;
/// Destinations within so many parts of each other are together: about what workers have under way.
const NEAR_PARTS: u32 = 16;
/// Objects in a row that a destination may miss before nobody waits for it, until it keeps up again.
const MOST_ABSENT: u32 = 3;
/// Of the time that a copy takes, waiting for others may be one part in so many.
const COPY_SHARE: u64 = 8;
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
    /// Under which upload; another one begins anew.
    upload: String,
    /// A bit for every part that it asked for.
    asked: Vec<u64>,
    last: u32,
    missed: u32,
    missed_ns: Option<u64>,
    /// When it first asked.
    first_ns: u64,
    /// Parts of it that wait for others, since when the first of them, and how long there were any before.
    waiting: u32,
    since_ns: u64,
    waited_ns: u64,
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

    fn waited_ns(&self, now_ns: u64) -> u64 {
        let under_way = match self.waiting {
            0 => 0,
            _ => now_ns.saturating_sub(self.since_ns),
        };
        self.waited_ns + under_way
    }
}

impl Attendance {
    /// A destination asks for a part of an upload.
    pub(super) fn asks(&mut self, object: &Object, who: u8, upload: &str, part: u32, now_ns: u64) {
        let course = self.course(object, now_ns);
        let others = course
            .destinations
            .iter()
            .filter(|(other, _)| **other != who);
        let ahead = others.map(|(_, seen)| seen.last).max().unwrap_or(0);
        let seen = course.destinations.entry(who).or_default();
        if seen.upload != upload {
            let (missed, missed_ns) = (seen.missed, seen.missed_ns);
            *seen = Seen {
                upload: upload.to_owned(),
                missed,
                missed_ns,
                first_ns: now_ns,
                ..Seen::default()
            };
        }
        seen.asks(part);
        if part + NEAR_PARTS >= ahead {
            self.absent.remove(&who);
        }
    }

    /// For whom of `mates` a destination waits with a part, if an object like this has `spare` for that.
    pub(super) fn expected(
        &self,
        object: &Object,
        (who, part): (u8, u32),
        mates: DestinationSet,
        spare: Duration,
        now_ns: u64,
    ) -> DestinationSet {
        let course = self.objects.get(object);
        let seen = |who: u8| course.and_then(|course| course.destinations.get(&who));
        if let Some(own) = seen(who) {
            let copies_ns = now_ns.saturating_sub(own.first_ns);
            let spare_ns = u64::try_from(spare.as_nanos()).unwrap_or(u64::MAX);
            if own.waited_ns(now_ns) > spare_ns.saturating_add(copies_ns / COPY_SHARE) {
                return DestinationSet::default();
            }
        }
        let comes = |who: &u8| {
            if self
                .absent
                .get(who)
                .is_some_and(|missed| *missed >= MOST_ABSENT)
            {
                return false;
            }
            seen(*who).is_none_or(|seen| {
                let near = seen.missed == 0 || seen.last + NEAR_PARTS >= part;
                !seen.has_asked(part) && seen.missed < MOST_MISSED && near
            })
        };
        let coming = mates.iter().filter(comes);
        coming.collect()
    }

    /// Whether a destination has got on too far with an object for one that begins now to be together with it.
    pub(super) fn is_ahead(&self, object: &Object, who: u8) -> bool {
        let course = self.objects.get(object);
        let seen = course.and_then(|course| course.destinations.get(&who));
        seen.is_some_and(|seen| seen.last > NEAR_PARTS)
    }

    /// A part of a destination begins to wait.
    pub(super) fn waits(&mut self, object: &Object, who: u8, now_ns: u64) {
        let seen = self.seen(object, who, now_ns);
        if seen.waiting == 0 {
            seen.since_ns = now_ns;
        }
        seen.waiting += 1;
    }

    /// It waits no more.
    pub(super) fn goes_on(&mut self, object: &Object, who: u8, now_ns: u64) {
        let seen = self.seen(object, who, now_ns);
        if seen.waiting == 0 {
            // It began anew, or was forgotten, meanwhile.
            return;
        }
        seen.waiting -= 1;
        if seen.waiting == 0 {
            seen.waited_ns += now_ns.saturating_sub(seen.since_ns);
        }
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
            let seen = self.seen(object, who, now_ns);
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

    fn seen(&mut self, object: &Object, who: u8, now_ns: u64) -> &mut Seen {
        let course = self.course(object, now_ns);
        course.destinations.entry(who).or_default()
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
#[path = "attendance_tests.rs"]
mod tests;
