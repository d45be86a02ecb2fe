//! One tree for several destinations of a rule: a part that several lanes ask for is carried once.
//!
//! **In:** lanes' workers, each with a part of its own upload. **Out:** for each of them its part as its store holds it, what its share
//! costs, or that it goes alone. **Never:** keeps a part for longer than it may wait; keeps a fast destination waiting for a slow
//! one's answer; carries together what costs more than apart.
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
use std::pin::pin;
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
    /// How long it waits for its mates.
    pub(super) gather: Duration,
    pub(super) throttle: Option<&'a Arc<Throttle>>,
}

/// What came of a part.
#[derive(Debug)]
pub(super) enum Joined {
    /// It is there.
    Carried(Carried),
    /// Relays did not bring it.
    Lost,
    /// Nobody else wants it, or it costs no less together.
    Alone,
}

fn present(members: &[Member]) -> DestinationSet {
    members.iter().fold(DestinationSet::default(), |set, it| {
        set.union(DestinationSet::one(it.at))
    })
}

impl StandingWay {
    fn gatherings(&self) -> MutexGuard<'_, Gatherings> {
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
        let mut answer = pin!(answer);
        tokio::select! {
            biased;
            joined = &mut answer => return joined.unwrap_or(Joined::Lost),
            () = self.world.clock.sleep(gather) => {}
        }
        self.close(part, number);
        answer.await.unwrap_or(Joined::Lost)
    }

    /// Joins the others that want the part, or begins to wait for them; `None` where there is nobody to wait for.
    fn enter(
        self: &Arc<Self>,
        part: &Part,
        asker: Asker<'_>,
    ) -> Option<(u64, oneshot::Receiver<Joined>)> {
        let now_ns = self.world.clock.monotonic_ns();
        let mut gatherings = self.gatherings();
        let gatherings = &mut *gatherings;
        let object: Object = (part.key.clone(), part.version.clone());
        let attendance = &mut gatherings.attendance;
        attendance.asks(&object, asker.at, part.number, now_ns);
        let expected = attendance.expected(&object, asker.mates, part.number);
        if let Some(gathering) = gatherings.open.get_mut(part) {
            // Whoever was dropped waits no more; the same lane's straggler may ask twice.
            gathering.members.retain(|it| !it.answer.is_closed());
            if gathering.members.iter().any(|it| it.at == asker.at) {
                return None;
            }
        } else if expected.is_empty() {
            return None;
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
            && let Some(gathering) = gatherings.open.remove(part)
        {
            self.begin(part.clone(), gathering);
        }
        Some((number, answered))
    }

    /// Waits no longer.
    fn close(self: &Arc<Self>, part: &Part, number: u64) {
        let mut gatherings = self.gatherings();
        if gatherings
            .open
            .get(part)
            .is_none_or(|it| it.number != number)
        {
            return;
        }
        let Some(gathering) = gatherings.open.remove(part) else {
            return;
        };
        let missed = gathering.expected.without(present(&gathering.members));
        let object = (part.key.clone(), part.version.clone());
        let now_ns = self.world.clock.monotonic_ns();
        let attendance = &mut gatherings.attendance;
        attendance.missed(&object, missed, gathering.began_ns, now_ns);
        self.begin(part.clone(), gathering);
    }

    /// Has it carried for those that have come, if that is worth it.
    fn begin(self: &Arc<Self>, part: Part, gathering: Gathering) {
        let mut members = gathering.members;
        members.retain(|member| !member.answer.is_closed());
        if members.len() < 2 || !self.plan.pays_for(present(&members)) {
            for member in members {
                let _ = member.answer.send(Joined::Alone);
            }
            return;
        }
        let way = Arc::clone(self);
        // A task of its own: a worker that is stopped does not stop the others' part.
        self.world
            .spawn(async move { way.carry_together(&part, members).await });
    }

    async fn carry_together(self: &Arc<Self>, part: &Part, members: Vec<Member>) {
        let wanted = present(&members);
        let all = self.plan.prices.usd_per_gb(wanted);
        let share = Usd::from_units(all.units() / members.len() as i64);
        let patience = members[0].patience;
        if let Some(throttle) = &members[0].throttle {
            throttle.wait(part.size).await;
        }
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
