//! The seam's documentation as a list of tasks and loops over it.

use super::operation::{Answer, Held, Operation, attempt, token};
use super::{DESTINATIONS, OWNER};
use skyfresh_ledger::*;
use skyfresh_sky::{Kind, Timestamp};
use std::collections::BTreeMap;

/// All state, in the plainest form.
#[derive(Default)]
pub(crate) struct Model {
    tasks: BTreeMap<TaskKey, Task>,
    tokens_given: u64,
    /// When each receipt was published.
    receipts: Vec<Timestamp>,
    tombstones: BTreeMap<TaskKey, Timestamp>,
}

impl Model {
    /// How many tokens were given out, which is also the newest.
    pub(crate) fn tokens_given(&self) -> u64 {
        self.tokens_given
    }

    /// What the operation must answer.
    pub(crate) fn perform(&mut self, operation: &Operation, now: u64) -> Answer {
        let at = Timestamp::from_unix_ms(now);
        let later = |after: &u64| Timestamp::from_unix_ms(now + after);
        match operation {
            Operation::Submit(submissions) => self.submit(submissions),
            Operation::Claim {
                destination,
                limit,
                lease,
            } => self.claim(DESTINATIONS[*destination], *limit, at, later(lease)),
            Operation::Renew(held, after) => self.claimed(held, |task| {
                if let Some(lease) = &mut task.lease {
                    lease.expires = later(after);
                }
            }),
            Operation::Record(held, some) => {
                self.claimed(held, |task| task.attempt = attempt(*some, now))
            }
            Operation::Fail(held, kind, after) => self.claimed(held, |task| {
                task.failures += 1;
                task.last_failure = Some(Failure {
                    kind: *kind,
                    message: "no".into(),
                    at,
                });
                end_claim(task, later(after));
            }),
            Operation::Release(held, after) => {
                self.claimed(held, |task| end_claim(task, later(after)))
            }
            Operation::Finish(held, _, tombstone) => self.finish(held, *tombstone, at),
            Operation::Hurry(destination) => self.hurry(DESTINATIONS[*destination], at),
            Operation::Prune(ago) => self.prune(Timestamp::from_unix_ms(now.saturating_sub(*ago))),
        }
    }

    fn submit(&mut self, submissions: &[Submission]) -> Answer {
        let (mut created, mut merged, mut dirtied) = (0, 0, 0);
        for Submission { task: key, signal } in submissions {
            match self.tasks.get_mut(key) {
                None => {
                    created += 1;
                    self.tasks
                        .insert(key.clone(), new_task(key, signal, signal.notified));
                }
                Some(task) if task.lease.is_some() => {
                    dirtied += 1;
                    match &mut task.dirty {
                        None => task.dirty = Some(signal.clone()),
                        Some(dirty) => {
                            let (mut changed, mut notified) = (dirty.changed, dirty.notified);
                            let mut newest = dirty.clone();
                            merge(&mut newest, &mut changed, &mut notified, signal);
                            *dirty = Signal {
                                changed,
                                notified,
                                ..newest
                            };
                        }
                    }
                }
                Some(task) => {
                    merged += 1;
                    merge(
                        &mut task.signal,
                        &mut task.changed_since,
                        &mut task.pending_since,
                        signal,
                    );
                }
            }
        }
        Answer::Submitted(created, merged, dirtied)
    }

    fn claim(
        &mut self,
        destination: &str,
        limit: usize,
        now: Timestamp,
        expires: Timestamp,
    ) -> Answer {
        let mut ready: Vec<_> = self
            .of(destination)
            .filter(|task| claimable_at(task) <= now)
            .map(|task| (claimable_at(task), task.task.clone()))
            .collect();
        ready.sort();
        let mut claims = Vec::new();
        for (_, key) in ready.into_iter().take(limit) {
            let Some(task) = self.tasks.get_mut(&key) else {
                continue;
            };
            self.tokens_given += 1;
            let token = self.tokens_given;
            let takeover = task.lease.is_some();
            take_dirty(task);
            task.lease = Some(Lease {
                owner: OWNER.into(),
                token,
                expires,
            });
            claims.push((task.clone(), token, takeover));
        }
        Answer::Claimed(claims)
    }

    fn claimed(&mut self, held: &Held, change: impl FnOnce(&mut Task)) -> Answer {
        let token = token(held, self.tokens_given);
        match self.tasks.get_mut(&held.task) {
            Some(task)
                if task
                    .lease
                    .as_ref()
                    .is_some_and(|lease| lease.token == token) =>
            {
                change(task);
                Answer::Done
            }
            _ => Answer::Refused(Kind::Precondition),
        }
    }

    fn finish(&mut self, held: &Held, tombstone: bool, now: Timestamp) -> Answer {
        let mut dirty = None;
        let answer = self.claimed(held, |task| dirty = task.dirty.take());
        if answer != Answer::Done {
            return answer;
        }
        self.receipts.push(now);
        self.tombstones.remove(&held.task);
        if tombstone {
            self.tombstones.insert(held.task.clone(), now);
        }
        match dirty {
            Some(signal) => {
                self.tasks
                    .insert(held.task.clone(), new_task(&held.task, &signal, now));
                Answer::Finished(Finished::Again)
            }
            None => {
                self.tasks.remove(&held.task);
                Answer::Finished(Finished::Done)
            }
        }
    }

    fn hurry(&mut self, destination: &str, now: Timestamp) -> Answer {
        let mut hurried = 0;
        for task in self.tasks.values_mut() {
            if task.task.destination == destination && task.lease.is_none() && task.due > now {
                task.due = now;
                hurried += 1;
            }
        }
        Answer::Count(hurried)
    }

    fn prune(&mut self, before: Timestamp) -> Answer {
        let rows = self.receipts.len() + self.tombstones.len();
        self.receipts.retain(|published| *published >= before);
        self.tombstones.retain(|_, deleted| *deleted >= before);
        Answer::Count((rows - self.receipts.len() - self.tombstones.len()) as u64)
    }

    fn of<'a>(&'a self, destination: &'a str) -> impl Iterator<Item = &'a Task> {
        self.tasks
            .values()
            .filter(move |task| task.task.destination == destination)
    }

    /// What is pending, counted.
    pub(crate) fn backlog(&self, destination: &str) -> Backlog {
        let mut backlog = Backlog::default();
        for task in self.of(destination) {
            backlog.objects += 1;
            backlog.bytes += task.signal.size.unwrap_or(0);
            if let Some(failure) = &task.last_failure {
                *backlog.failing.entry(failure.kind).or_default() += 1;
            }
            if backlog
                .oldest
                .as_ref()
                .is_none_or(|(_, since)| task.pending_since < *since)
            {
                backlog.oldest = Some((task.task.key.clone(), task.pending_since));
                backlog.oldest_changed = Some(task.changed_since);
            }
        }
        backlog
    }

    /// When something can be claimed.
    pub(crate) fn next_due(&self, destination: &str) -> Option<Timestamp> {
        self.of(destination).map(claimable_at).min()
    }
}

fn claimable_at(task: &Task) -> Timestamp {
    task.lease.as_ref().map_or(task.due, |lease| lease.expires)
}

fn new_task(key: &TaskKey, signal: &Signal, due: Timestamp) -> Task {
    Task {
        task: key.clone(),
        signal: signal.clone(),
        changed_since: signal.changed,
        pending_since: signal.notified,
        due,
        failures: 0,
        last_failure: None,
        lease: None,
        dirty: None,
        attempt: None,
    }
}

fn end_claim(task: &mut Task, due: Timestamp) {
    take_dirty(task);
    task.lease = None;
    task.due = due;
}

fn take_dirty(task: &mut Task) {
    if let Some(dirty) = task.dirty.take() {
        merge(
            &mut task.signal,
            &mut task.changed_since,
            &mut task.pending_since,
            &dirty,
        );
    }
}

/// The newest signal, the oldest times; a backfill gives way to what counts.
fn merge(
    held: &mut Signal,
    changed_since: &mut Timestamp,
    pending_since: &mut Timestamp,
    heard: &Signal,
) {
    *pending_since = heard.notified.min(*pending_since);
    let held_counts = held.origin != Origin::Backfill;
    let heard_counts = heard.origin != Origin::Backfill;
    if held_counts == heard_counts {
        *changed_since = heard.changed.min(*changed_since);
    } else if heard_counts {
        *changed_since = heard.changed;
    }
    let counting_origin = if held_counts {
        held.origin
    } else {
        heard.origin
    };
    if heard.changed > held.changed {
        *held = heard.clone();
        if !heard_counts {
            held.origin = counting_origin;
        }
    } else {
        if !held_counts {
            held.origin = counting_origin;
        }
        if heard.changed == held.changed {
            held.size = held.size.or(heard.size);
        }
    }
}
