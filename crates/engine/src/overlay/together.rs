//! One tree for several destinations of a rule: a part that several lanes ask for is carried once.
//!
//! **In:** lanes' workers, each with a part of its own upload. **Out:** for each of them its part as its store holds it, what its share
//! costs, or that it goes alone. **Never:** keeps a part for longer than it may wait, or an object for longer than it has to
//! spare and an eighth of its time; keeps a fast destination waiting for a slow one's answer; carries together what costs more than apart.
//!
//! ```text
//!  lane d0 ─ part 7 ─►┌───────────┐  all who lack it have
//!  lane d1 ─ part 7 ─►│ gathering │─ come, or it waited ─► relays: read once ─► d0, d1
//!                     └───────────┘  long enough             └► each lane's answer as it comes
//! ```

use super::attendance::{Attendance, Object};
use super::carriers::Carried;
use super::carry::{Part, PartAsked, PartAt};
use super::way::{Patience, StandingWay};
use crate::throttle::Throttle;
use skyfresh_ledger::PartDone;
use skyfresh_relay::DestinationSet;
use skyfresh_sky::Usd;
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Parts that wait until others want them too.
#[derive(Debug, Default)]
pub(crate) struct Gatherings {
    open: HashMap<Part, Gathering>,
    attendance: Attendance,
    next: u64,
}

/// Who wants one part.
#[derive(Debug)]
struct Gathering {
    number: u64,
    began_ns: u64,
    expected: DestinationSet,
    members: Vec<Member>,
}

/// A lane's worker that waits.
#[derive(Debug)]
struct Member {
    at: u8,
    upload: String,
    patience: Patience,
    throttle: Option<Arc<Throttle>>,
    answer: oneshot::Sender<Joined>,
}

/// Who asks for a part.
#[derive(Debug)]
pub(super) struct Asker<'a> {
    /// Its place in the relays' shape.
    pub(super) at: u8,
    /// Who may ask for the same.
    pub(super) mates: DestinationSet,
    pub(super) upload: &'a str,
    pub(super) patience: Patience,
    /// How long it waits for its mates, and how long all parts of its object may.
    pub(super) gather: Duration,
    pub(super) spare: Duration,
    pub(super) throttle: Option<&'a Arc<Throttle>>,
}

/// What came of a part.
#[derive(Debug)]
pub(super) enum Joined {
    /// It is there.
    Carried(Carried),
    /// Relays did not bring it.
    Lost,
    /// Nobody else wants it, or it costs more together.
    Alone,
}

fn present(members: &[Member]) -> DestinationSet {
    members.iter().map(|member| member.at).collect()
}

impl Gatherings {
    /// Whether a destination has got on too far with an object for one that begins now.
    pub(super) fn is_ahead(&self, object: &Object, who: u8) -> bool {
        self.attendance.is_ahead(object, who)
    }

    /// Takes a gathering out: none of its members waits for others any more.
    fn take(&mut self, part: &Part, now_ns: u64) -> Option<Gathering> {
        let gathering = self.open.remove(part)?;
        let object = object(part);
        for member in &gathering.members {
            self.attendance.goes_on(&object, member.at, now_ns);
        }
        Some(gathering)
    }

    /// Members that were dropped leave, and a gathering without any ends.
    fn sweep(&mut self, part: &Part, now_ns: u64) {
        let Some(gathering) = self.open.get_mut(part) else {
            return;
        };
        let object = object(part);
        let attendance = &mut self.attendance;
        gathering.members.retain(|member| {
            let stays = !member.answer.is_closed();
            if !stays {
                attendance.goes_on(&object, member.at, now_ns);
            }
            stays
        });
        if gathering.members.is_empty() {
            self.open.remove(part);
        }
    }
}

fn object(part: &Part) -> Object {
    (part.key.clone(), part.version.clone())
}

/// A member's place: left when its worker is dropped.
struct Place<'a> {
    way: &'a StandingWay,
    part: &'a Part,
    answer: oneshot::Receiver<Joined>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.answer.close();
        let now_ns = self.way.world.clock.monotonic_ns();
        self.way.gatherings().sweep(self.part, now_ns);
    }
}

impl StandingWay {
    pub(super) fn gatherings(&self) -> MutexGuard<'_, Gatherings> {
        self.gatherings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a part carried together with whoever else asks for it.
    pub(super) async fn join(self: &Arc<Self>, part: &Part, asker: Asker<'_>) -> Joined {
        let gather = asker.gather;
        let Some((number, answer)) = self.enter(part, asker) else {
            return Joined::Alone;
        };
        let mut place = Place {
            way: self,
            part,
            answer,
        };
        tokio::select! {
            biased;
            joined = &mut place.answer => return joined.unwrap_or(Joined::Lost),
            () = self.world.clock.sleep(gather) => {}
        }
        self.close(part, number);
        (&mut place.answer).await.unwrap_or(Joined::Lost)
    }

    /// Joins the others that want the part, or begins to wait for them; `None` where there is nobody to wait for.
    fn enter(
        self: &Arc<Self>,
        part: &Part,
        asker: Asker<'_>,
    ) -> Option<(u64, oneshot::Receiver<Joined>)> {
        let now_ns = self.world.clock.monotonic_ns();
        let object = object(part);
        let mut gatherings = self.gatherings();
        gatherings.sweep(part, now_ns);
        let gatherings = &mut *gatherings;
        let attendance = &mut gatherings.attendance;
        attendance.asks(&object, asker.at, asker.upload, part.number, now_ns);
        let own = (asker.at, part.number);
        let expected = attendance.expected(&object, own, asker.mates, asker.spare, now_ns);
        match gatherings.open.get(part) {
            // A straggler of the same lane may ask twice.
            Some(gathering) if present(&gathering.members).contains(asker.at) => return None,
            None if expected.is_empty() => return None,
            _ => {}
        }
        let gathering = gatherings.open.entry(part.clone()).or_insert_with(|| {
            gatherings.next += 1;
            Gathering {
                number: gatherings.next,
                began_ns: now_ns,
                expected,
                members: Vec::new(),
            }
        });
        let (answer, answered) = oneshot::channel();
        attendance.waits(&object, asker.at, now_ns);
        gathering.members.push(Member {
            at: asker.at,
            upload: asker.upload.to_owned(),
            patience: asker.patience,
            throttle: asker.throttle.cloned(),
            answer,
        });
        let number = gathering.number;
        let lacking = gathering.expected.without(present(&gathering.members));
        if lacking.is_empty()
            && let Some(gathering) = gatherings.take(part, now_ns)
        {
            self.begin(part.clone(), gathering.members);
        }
        Some((number, answered))
    }

    /// Waits no longer.
    fn close(self: &Arc<Self>, part: &Part, number: u64) {
        let now_ns = self.world.clock.monotonic_ns();
        let mut gatherings = self.gatherings();
        let open = gatherings.open.get(part);
        if open.is_none_or(|it| it.number != number) {
            return;
        }
        let Some(gathering) = gatherings.take(part, now_ns) else {
            return;
        };
        let missed = gathering.expected.without(present(&gathering.members));
        let attendance = &mut gatherings.attendance;
        attendance.missed(&object(part), missed, gathering.began_ns, now_ns);
        self.begin(part.clone(), gathering.members);
    }

    /// Has it carried for those that have come, if that is worth it.
    fn begin(self: &Arc<Self>, part: Part, members: Vec<Member>) {
        let (reached, lost) = self.reached(members);
        for member in lost {
            let _ = member.answer.send(Joined::Lost);
        }
        if reached.len() < 2 || !self.plan.pays_for(present(&reached)) {
            for member in reached {
                let _ = member.answer.send(Joined::Alone);
            }
            return;
        }
        let way = Arc::clone(self);
        // A task of its own: a worker that is stopped does not stop the others' part.
        self.world
            .spawn(async move { way.carry_together(&part, reached).await });
    }

    /// Those that wait and that relays reach, and those that they do not.
    fn reached(&self, mut members: Vec<Member>) -> (Vec<Member>, Vec<Member>) {
        members.retain(|member| !member.answer.is_closed());
        let reached = self.reaches();
        let is_reached = |member: &Member| reached.contains(member.at);
        members.into_iter().partition(is_reached)
    }

    async fn carry_together(self: &Arc<Self>, part: &Part, mut members: Vec<Member>) {
        // One read counts once, for every rule that it is for.
        let mut throttles: Vec<Arc<Throttle>> = Vec::new();
        for throttle in members.iter().filter_map(|it| it.throttle.as_ref()) {
            if !throttles.iter().any(|it| Arc::ptr_eq(it, throttle)) {
                throttles.push(Arc::clone(throttle));
            }
        }
        for throttle in throttles {
            tokio::select! {
                biased;
                () = self.world.stop.cancelled() => return,
                () = throttle.wait(part.size) => {}
            }
        }
        members.retain(|member| !member.answer.is_closed());
        // Whoever can wait least decides.
        let patience = members.iter().map(|member| member.patience);
        let Some(patience) = patience.reduce(Patience::least) else {
            return;
        };
        let all = self.plan.prices.usd_per_gb(present(&members));
        let share = Usd::from_units(all.units() / members.len() as i64);
        let (mut answers, mut uploads) = (Vec::new(), Vec::new());
        for member in members {
            answers.push(Some(member.answer));
            uploads.push((usize::from(member.at), member.upload));
        }
        let asked = PartAsked {
            part,
            uploads: uploads
                .iter()
                .map(|(target, upload)| PartAt {
                    target: *target,
                    name: &part.key,
                    upload,
                })
                .collect(),
        };
        let mut read = false;
        let each = |at: usize, done: Option<PartDone>| {
            let joined = match done {
                Some(done) => Joined::Carried(Carried {
                    done,
                    egress_per_gb: share,
                    // One read serves all: whoever has it first pays for it.
                    reads: !std::mem::replace(&mut read, true),
                }),
                None => Joined::Lost,
            };
            if let Some(answer) = answers.get_mut(at).and_then(Option::take) {
                let _ = answer.send(joined);
            }
        };
        self.part_each(&asked, patience, each).await;
    }
}
