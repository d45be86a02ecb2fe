//! What the ledger answers, held against the guarantees.

use super::{Guarantee, Observer};
use serde::Serialize;
use skyfresh_ledger::{Claim, Completion, Finished, Outcome, Submission, TaskKey, UploadIntent};
use skyfresh_sky::{ObjectKey, Timestamp};
use std::collections::{HashMap, VecDeque};

/// Claims of a key whose times are remembered: what an earlier one began may still be on its way.
const CLAIMS_REMEMBERED: usize = 3;

/// A task as its ledger's answers show it.
#[derive(Debug, Default)]
struct Seen {
    /// The token of the newest claim, until it has ended.
    token: Option<u64>,
    /// Submissions taken so far.
    submissions: u64,
    /// How many there were when it was claimed.
    submissions_at_claim: u64,
    /// When it was last claimed, and the claim's token, oldest first.
    claimed: VecDeque<(Timestamp, u64)>,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimChange {
    /// It goes on.
    Kept,
    /// It ended, and its key is due again.
    GivenUp,
    /// It ended with success.
    Done,
}

/// When a copy was made, as its receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Timed {
    /// When the claim began, in seconds since the run's beginning.
    pub started_s: f64,
    /// From then until the copy was readable, in seconds.
    pub took_s: f64,
    /// From the change until the copy was readable, in seconds.
    pub lag_s: f64,
    /// Bytes of the object.
    pub size: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Claims {
    tasks: HashMap<TaskKey, Seen>,
    /// Intents without an upload id, by attempt.
    intents: HashMap<String, TaskKey>,
}

impl Claims {
    /// What is seen of a key. Destinations are called as their buckets are.
    fn of(&self, rule: &str, bucket: &str, key: &str) -> Option<&Seen> {
        let task = TaskKey {
            rule: rule.to_owned(),
            destination: bucket.to_owned(),
            key: ObjectKey::new(key).ok()?,
        };
        self.tasks.get(&task)
    }

    /// When the oldest of a key's last claims was given.
    pub(super) fn oldest_of_last(&self, rule: &str, bucket: &str, key: &str) -> Option<Timestamp> {
        let (at, _) = self.of(rule, bucket, key)?.claimed.front()?;
        Some(*at)
    }

    /// Whether what is published of a key now is its only claimant's: there is a claim, and none was given since `from` before it.
    pub(super) fn is_sole(&self, from: Timestamp, rule: &str, bucket: &str, key: &str) -> bool {
        self.of(rule, bucket, key).is_some_and(|seen| {
            let lately = seen.claimed.iter().filter(|(at, _)| *at >= from);
            seen.token.is_some() && lately.count() <= 1
        })
    }
}

impl Observer {
    /// The ledger took these.
    pub(crate) fn submitted(&self, now: Timestamp, submissions: &[Submission]) {
        let mut state = self.state();
        for submission in submissions {
            state.waits.submitted(now, &submission.task);
            let seen = state.claims.tasks.entry(submission.task.clone());
            seen.or_default().submissions += 1;
        }
    }

    /// How many submissions of a key the ledger has taken, by destination.
    pub(crate) fn submissions(&self, rule: &str, key: &ObjectKey) -> Vec<u64> {
        let state = self.state();
        let count = |destination: &String| {
            let task = TaskKey {
                rule: rule.to_owned(),
                destination: destination.clone(),
                key: key.clone(),
            };
            let seen = state.claims.tasks.get(&task);
            seen.map_or(0, |seen| seen.submissions)
        };
        self.terms.destinations.keys().map(count).collect()
    }

    /// The ledger gave these.
    pub(crate) fn claimed(&self, now: Timestamp, claims: &[Claim]) {
        let mut state = self.state();
        for claim in claims {
            state.waits.claimed(now, &claim.task.task);
            let seen = state.claims.tasks.entry(claim.task.task.clone());
            let seen = seen.or_default();
            seen.token = Some(claim.token);
            seen.submissions_at_claim = seen.submissions;
            seen.claimed.push_back((now, claim.token));
            if seen.claimed.len() > CLAIMS_REMEMBERED {
                seen.claimed.pop_front();
            }
        }
    }

    /// The ledger changed a claim for who gave this token.
    pub(crate) fn changed_claim(
        &self,
        now: Timestamp,
        task: &TaskKey,
        token: u64,
        change: ClaimChange,
    ) {
        let ended = change != ClaimChange::Kept;
        let mut state = self.state();
        if ended {
            state.waits.ended(now, task, change == ClaimChange::Done);
        }
        if !self.terms.exact_ledger {
            return;
        }
        let newest = match state.claims.tasks.get_mut(task) {
            Some(seen) if ended => seen.token.take(),
            Some(seen) => seen.token,
            None => None,
        };
        if newest != Some(token) {
            let what =
                format!("{task}: a change with token {token} was taken, the claim's is {newest:?}");
            self.broken(&mut state, now, Guarantee::Fencing, what);
        }
    }

    /// The ledger ended a claim with success.
    pub(crate) fn finished(
        &self,
        now: Timestamp,
        task: &TaskKey,
        token: u64,
        completion: &Completion,
        finished: Finished,
    ) {
        let mut state = self.state();
        let key = task.key.as_str();
        let receipt = &completion.receipt;
        if let Some(expected) = &receipt.expected {
            state.predictions.count(expected);
            *state.ways.entry(expected.way.clone()).or_default() += 1;
        }
        if self.terms.keeps_receipts && receipt.outcome == Outcome::Copied {
            state.receipts.push(Timed {
                started_s: receipt.started.since(self.terms.start).as_secs_f64(),
                took_s: receipt.published.since(receipt.started).as_secs_f64(),
                lag_s: receipt.lag().as_secs_f64(),
                size: receipt.size,
            });
        }
        let nothing = super::copies::Copy::default();
        let bucket = self.terms.destinations.get(&task.destination);
        let copy = bucket
            .and_then(|bucket| state.copies.get(bucket)?.get(key))
            .unwrap_or(&nothing);
        let founded = match receipt.outcome {
            Outcome::Copied | Outcome::AlreadyEqual => {
                match (&receipt.source, &receipt.destination, state.truth.key(key)) {
                    (Some(source), Some(destination), Some(truth)) => {
                        copy.has_had(destination, truth, source)
                    }
                    _ => false,
                }
            }
            Outcome::Deleted => copy.is_rid_of(receipt.destination.as_ref()),
            Outcome::Absent => {
                let claims = state.claims.tasks.get(task);
                // That of this claim: where the answer to its end was lost, another one may have begun meanwhile.
                let mut claimed = claims.iter().flat_map(|seen| seen.claimed.iter().rev());
                let own = claimed.find(|(_, of)| *of == token).map(|(at, _)| *at);
                state.truth.was_absent_since(key, own.unwrap_or(now))
            }
            Outcome::OutOfScope => false,
        };
        if !founded {
            let what = format!(
                "{task}: a receipt says {:?} of {:?} as {:?}, which never was",
                receipt.outcome,
                receipt.source.as_ref().map(|version| &version.etag),
                receipt.destination.as_ref().map(|version| &version.etag),
            );
            self.broken(&mut state, now, Guarantee::NothingUnverified, what);
        }
        if receipt.outcome == Outcome::Deleted && completion.tombstone.is_none() {
            let what = format!("{task}: a delete left no tombstone");
            self.broken(&mut state, now, Guarantee::CarefulDeletes, what);
        }
        if let Some(seen) = state.claims.tasks.get(task)
            && self.terms.exact_ledger
            && finished == Finished::Done
            && seen.submissions > seen.submissions_at_claim
        {
            let what = format!("{task}: a signal that came during its claim ended with the claim");
            self.broken(&mut state, now, Guarantee::NothingLost, what);
        }
    }

    /// The ledger recorded an intent.
    pub(crate) fn intended(&self, intent: &UploadIntent) {
        let mut state = self.state();
        let intents = &mut state.claims.intents;
        match intent.upload {
            None => intents.insert(intent.attempt.clone(), intent.task.clone()),
            Some(_) => intents.remove(&intent.attempt),
        };
    }

    /// The ledger forgot an intent.
    pub(crate) fn intent_ended(&self, attempt: &str) {
        self.state().claims.intents.remove(attempt);
    }

    /// An upload is about to be created.
    pub(crate) fn creates_upload(&self, now: Timestamp, bucket: &str, key: &str) {
        let mut state = self.state();
        let intended = state.claims.intents.values().any(|task| {
            task.key.as_str() == key
                && self
                    .terms
                    .destinations
                    .get(&task.destination)
                    .map(String::as_str)
                    == Some(bucket)
        });
        if !intended {
            let what = format!("{bucket}/{key}: an upload is created that no intent tells of");
            self.broken(&mut state, now, Guarantee::NothingLeaks, what);
        }
    }

    /// Events of a key were acknowledged; `before` is what [`Observer::submissions`] said before they were handed over.
    pub(crate) fn acknowledged(&self, now: Timestamp, rule: &str, key: &ObjectKey, before: &[u64]) {
        let after = self.submissions(rule, key);
        if after
            .iter()
            .zip(before)
            .any(|(after, before)| after <= before)
        {
            let what = format!("{key}: an event was acknowledged that the ledger did not take");
            self.report(now, Guarantee::NothingLost, what);
        }
    }
}
