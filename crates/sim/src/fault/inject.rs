//! Makes the faults of a schedule happen: each is armed at its step, and strikes the operation it names.

use super::schedule::{Request, Side, StateTrouble, Trouble};
use crate::storm::Contents;
use skyfresh_sky::{Clock, Kind, Rng, Timestamp, VirtualClock};
use skyfresh_store::Error;
use skyfresh_store::memory::{BodyFault, Fault, Operation, OperationKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Something that is so for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The store answers 503.
    Outage(Side),
    /// The bucket is not there.
    BucketGone(Side),
    /// No answers from the store; `one_way`: requests still arrive.
    Partition { on: Side, one_way: bool },
    /// A share of requests is refused.
    Throttle { on: Side, percent: u8 },
    /// No answers from the ledger's service.
    StateOutage,
}

#[derive(Debug)]
struct ArmedStore {
    bucket: String,
    request: Request,
    left: u32,
    trouble: Trouble,
}

#[derive(Debug, Default)]
struct Armed {
    store: Vec<ArmedStore>,
    state: Vec<(u32, StateTrouble)>,
    workers: Vec<(u32, u32)>,
    conditions: Vec<(Condition, Timestamp)>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Injector {
    clock: VirtualClock,
    contents: Arc<Contents>,
    throttle: Rng,
    armed: Mutex<Armed>,
}

impl Injector {
    pub(crate) fn new(clock: VirtualClock, contents: Arc<Contents>, seed: u64) -> Self {
        Injector {
            clock,
            contents,
            throttle: Rng::named(seed, "fault.throttle"),
            armed: Mutex::default(),
        }
    }

    fn armed(&self) -> MutexGuard<'_, Armed> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn arm_store(&self, on: Side, request: Request, skip: u8, trouble: Trouble) {
        self.armed().store.push(ArmedStore {
            bucket: on.bucket(),
            request,
            left: skip.into(),
            trouble,
        });
    }

    pub(crate) fn arm_state(&self, skip: u16, trouble: StateTrouble) {
        self.armed().state.push((skip.into(), trouble));
    }

    pub(crate) fn arm_worker(&self, skip: u8, polls: u16) {
        self.armed().workers.push((skip.into(), polls.into()));
    }

    pub(crate) fn set(&self, condition: Condition, for_ms: u32) {
        let until = self.clock.now().after(Duration::from_millis(for_ms.into()));
        self.armed().conditions.push((condition, until));
    }

    /// Nothing goes wrong any more.
    pub(crate) fn disarm(&self) {
        *self.armed() = Armed::default();
    }

    fn holds(&self, is: impl Fn(&Condition) -> bool) -> Option<Condition> {
        let now = self.clock.now();
        let mut armed = self.armed();
        armed.conditions.retain(|(_, until)| *until > now);
        let mut conditions = armed.conditions.iter().map(|(condition, _)| *condition);
        conditions.find(is)
    }

    /// Whether answers of a store are lost; `Some(true)`: although requests arrive.
    pub(crate) fn partitioned(&self, bucket: &str) -> Option<bool> {
        let here = |condition: &Condition| matches!(condition, Condition::Partition { on, .. } if on.bucket() == bucket);
        match self.holds(here) {
            Some(Condition::Partition { one_way, .. }) => Some(one_way),
            _ => None,
        }
    }

    pub(crate) fn state_is_out(&self) -> bool {
        self.holds(|condition| *condition == Condition::StateOutage)
            .is_some()
    }

    /// The trouble of the ledger's next call.
    pub(crate) fn next_state(&self) -> Option<StateTrouble> {
        let mut armed = self.armed();
        let mut struck = None;
        armed.state.retain_mut(|(left, trouble)| match *left {
            0 if struck.is_none() => {
                struck = Some(*trouble);
                false
            }
            0 => true,
            _ => {
                *left -= 1;
                true
            }
        });
        struck
    }

    /// How often a worker that starts now is woken before it dies, if it shall.
    pub(crate) fn next_worker(&self) -> Option<u32> {
        let mut armed = self.armed();
        let mut struck = None;
        armed.workers.retain_mut(|(left, polls)| match *left {
            0 if struck.is_none() => {
                struck = Some(*polls);
                false
            }
            0 => true,
            _ => {
                *left -= 1;
                true
            }
        });
        struck
    }

    /// What [`MemorySky::set_fault`](skyfresh_store::memory::MemorySky::set_fault) asks.
    pub(crate) fn strike(&self, operation: &Operation<'_>) -> Option<Fault> {
        let request = request_of(operation.kind)?;
        let users_own = matches!(request, Request::Put | Request::Delete);
        if operation.bucket == "source" && users_own {
            return None;
        }
        let target = operation.full_key.unwrap_or(operation.bucket);
        let error = |kind, why: &str| Error::new(kind, operation.kind.as_str(), target, why);
        let condition = self.holds(|condition| match condition {
            Condition::Outage(on) | Condition::BucketGone(on) | Condition::Throttle { on, .. } => {
                on.bucket() == operation.bucket
            }
            Condition::Partition { .. } | Condition::StateOutage => false,
        });
        match condition {
            Some(Condition::Outage(_)) => {
                return Some(Fault::Refuse(error(Kind::RetryAfter, "503")));
            }
            Some(Condition::BucketGone(_)) => {
                let gone = error(Kind::Missing, "the bucket does not exist");
                return Some(Fault::Refuse(gone.with_code("NoSuchBucket")));
            }
            Some(Condition::Throttle { percent, .. })
                if self.throttle.below(100) < u64::from(percent) =>
            {
                let slow = error(Kind::RetryAfter, "too many requests");
                return Some(Fault::Refuse(slow.with_code("SlowDown")));
            }
            _ => {}
        }
        let mut armed = self.armed();
        let mut struck = None;
        armed.store.retain_mut(|fault| {
            if fault.bucket != operation.bucket || fault.request != request {
                return true;
            }
            match fault.left {
                0 if struck.is_none() => {
                    struck = Some(fault.trouble.clone());
                    false
                }
                0 => true,
                _ => {
                    fault.left -= 1;
                    true
                }
            }
        });
        drop(armed);
        let fault = match struck? {
            Trouble::Refused => Fault::Refuse(error(Kind::RetryAfter, "refused")),
            Trouble::Denied => Fault::Refuse(error(Kind::Denied, "not permitted")),
            Trouble::AnswerLost => {
                Fault::LoseAnswer(error(Kind::RetryAfter, "the connection was lost"))
            }
            Trouble::Slow { ms } => Fault::Delay(Duration::from_millis(ms.into())),
            Trouble::BodyFails { at } => Fault::Body(BodyFault::Fail {
                at: at.into(),
                error: error(Kind::RetryAfter, "the connection was lost"),
            }),
            Trouble::BodyCorrupt { at } => Fault::Body(BodyFault::Corrupt { at: at.into() }),
            Trouble::BodyStalls { at, ms } => Fault::Body(BodyFault::Stall {
                at: at.into(),
                delay: Duration::from_millis(ms.into()),
            }),
            Trouble::Overwritten { at, bytes } => Fault::Body(BodyFault::Overwrite {
                at: at.into(),
                bytes: self.contents.next(operation.full_key?, bytes as usize),
            }),
        };
        Some(fault)
    }
}

fn request_of(kind: OperationKind) -> Option<Request> {
    Some(match kind {
        OperationKind::Head | OperationKind::Parts => Request::Head,
        OperationKind::Get => Request::Get,
        OperationKind::Put | OperationKind::Copy => Request::Put,
        OperationKind::CreateUpload => Request::CreateUpload,
        OperationKind::UploadPart | OperationKind::CopyPart => Request::UploadPart,
        OperationKind::CompleteUpload => Request::CompleteUpload,
        OperationKind::AbortUpload => Request::AbortUpload,
        OperationKind::List | OperationKind::ListParts | OperationKind::ListUploads => {
            Request::List
        }
        OperationKind::Delete => Request::Delete,
        OperationKind::CheckReadable => Request::Head,
        OperationKind::Probe | OperationKind::Tags | OperationKind::SetTags => return None,
    })
}
