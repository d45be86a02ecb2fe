//! One random operation, and what it answers.

use super::{DESTINATIONS, OWNER, RULE};
use proptest::prelude::*;
use skyfresh_ledger::*;
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion, Timestamp, Usd};
use std::time::Duration;

const KEYS: [&str; 4] = ["a", "a/b", "b", "ü"];

/// A random operation. Times are relative to now, so that they fall on both sides of it.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Submit(Vec<Submission>),
    Claim {
        destination: usize,
        limit: usize,
        lease: u64,
    },
    Renew(Held, u64),
    Record(Held, bool),
    Finish(Held, Option<u64>, bool),
    Fail(Held, Kind, u64),
    Release(Held, u64),
    Hurry(usize),
    Prune(u64),
}

/// A task, and which of the tokens given so far to use: counted back from the newest.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) task: TaskKey,
    pub(crate) back: u64,
}

/// What an operation answered: the value in words of the seam, or the kind of the refusal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Submitted(usize, usize, usize),
    Claimed(Vec<(Task, u64, bool)>),
    Finished(Finished),
    Count(u64),
    Done,
    Refused(Kind),
}

impl Answer {
    /// The greatest token in it.
    pub(crate) fn newest_token(&self) -> u64 {
        match self {
            Answer::Claimed(claims) => claims.iter().map(|(_, token, _)| *token).max().unwrap_or(0),
            _ => 0,
        }
    }
}

impl Operation {
    /// Any operation.
    pub(crate) fn any() -> impl Strategy<Value = Operation> {
        let after = 0..400_u64;
        let kind = prop_oneof![Just(Kind::RetryAfter), Just(Kind::Denied)];
        prop_oneof![
            6 => proptest::collection::vec(submission(), 1..4).prop_map(Operation::Submit),
            6 => (0..2_usize, 0..4_usize, after.clone())
                .prop_map(|(destination, limit, lease)| Operation::Claim { destination, limit, lease }),
            1 => (held(), after.clone()).prop_map(|(held, after)| Operation::Renew(held, after)),
            1 => (held(), any::<bool>()).prop_map(|(held, some)| Operation::Record(held, some)),
            4 => (held(), proptest::option::of(0..9_u64), any::<bool>())
                .prop_map(|(held, mark, tombstone)| Operation::Finish(held, mark, tombstone)),
            3 => (held(), kind, after.clone()).prop_map(|(held, kind, after)| Operation::Fail(held, kind, after)),
            2 => (held(), after.clone()).prop_map(|(held, after)| Operation::Release(held, after)),
            1 => (0..2_usize).prop_map(Operation::Hurry),
            1 => after.prop_map(Operation::Prune),
        ]
    }
}

fn task() -> impl Strategy<Value = TaskKey> {
    (0..2_usize, 0..KEYS.len()).prop_map(|(destination, key)| TaskKey {
        rule: RULE.into(),
        destination: DESTINATIONS[destination].into(),
        key: ObjectKey::new(KEYS[key]).unwrap(),
    })
}

fn held() -> impl Strategy<Value = Held> {
    // Mostly one of the newest tokens, else one never given or long stale.
    (task(), 0..6_u64).prop_map(|(task, back)| Held { task, back })
}

fn submission() -> impl Strategy<Value = Submission> {
    let origin = prop_oneof![
        Just(Origin::Live),
        Just(Origin::Backfill),
        Just(Origin::Repair)
    ];
    let size = proptest::option::of(0..1_000_u64);
    (task(), origin, 0..300_u64, 0..900_u64, size).prop_map(
        |(task, origin, changed, notified, size)| {
            let (changed, notified) = (
                Timestamp::from_unix_ms(changed),
                Timestamp::from_unix_ms(notified),
            );
            Submission {
                task,
                signal: Signal {
                    origin,
                    changed,
                    notified,
                    size,
                },
            }
        },
    )
}

/// The token an operation uses.
pub(crate) fn token(held: &Held, tokens_given: u64) -> u64 {
    tokens_given.saturating_sub(held.back)
}

/// What a claim leaves behind.
pub(crate) fn completion(held: &Held, mark: Option<u64>, tombstone: bool, now: u64) -> Completion {
    let now = Timestamp::from_unix_ms(now);
    Completion {
        receipt: Receipt {
            task: held.task.clone(),
            outcome: Outcome::Copied,
            origin: Origin::Live,
            source: Some(ObjectVersion {
                etag: "etag".into(),
                version_id: None,
            }),
            destination: None,
            crc64: None,
            changed: now,
            notified: now,
            started: now,
            published: now,
            size: 1,
            bytes_moved: 1,
            requests: 1,
            spend: Usd::ZERO,
            strategy: "inline".into(),
            failures: 0,
            unkept: Vec::new(),
            bytes_saved: 7,
            saved: Usd::from_units(5),
        },
        mark: mark.map(|source| Mark {
            source,
            destination: 1,
        }),
        tombstone: tombstone.then_some(Tombstone {
            deleted: now,
            destination: None,
        }),
    }
}

/// The attempt that `Record` records.
pub(crate) fn attempt(some: bool, now: u64) -> Option<Attempt> {
    some.then(|| Attempt {
        id: format!("attempt-{now}"),
        source: ObjectVersion {
            etag: "etag".into(),
            version_id: Some("v".into()),
        },
        upload: None,
        plan: serde_json::json!({ "now": now }),
    })
}

/// Performs it on a ledger whose tokens count from 1.
pub(crate) async fn perform(
    ledger: &dyn Ledger,
    operation: &Operation,
    now: u64,
    tokens_given: u64,
) -> Answer {
    let counted: Vec<_> = (1..=tokens_given).collect();
    perform_with(ledger, operation, now, &counted).await
}

/// Performs it on a ledger that has given these tokens, and numbers those it gives now like those of one that counts.
pub(crate) async fn perform_numbered(
    ledger: &dyn Ledger,
    operation: &Operation,
    now: u64,
    tokens: &mut Vec<u64>,
) -> Answer {
    let mut answer = perform_with(ledger, operation, now, tokens).await;
    if let Answer::Claimed(claims) = &mut answer {
        for (task, token, _) in claims {
            assert!(!tokens.contains(token), "token {token} was given twice");
            tokens.push(*token);
            let lease = task.lease.as_mut().expect("a claimed task has a lease");
            assert_eq!(lease.token, *token);
            *token = tokens.len() as u64;
            lease.token = *token;
        }
    }
    answer
}

async fn perform_with(
    ledger: &dyn Ledger,
    operation: &Operation,
    now: u64,
    tokens: &[u64],
) -> Answer {
    let real_token = |held: &Held| match token(held, tokens.len() as u64) {
        0 => 0,
        number => tokens[number as usize - 1],
    };
    let at = Timestamp::from_unix_ms(now);
    let later = |after: &u64| Timestamp::from_unix_ms(now + after);
    let result = match operation {
        Operation::Submit(submissions) => ledger
            .submit(submissions.clone())
            .await
            .map(|report| Answer::Submitted(report.created, report.merged, report.dirtied)),
        Operation::Claim {
            destination,
            limit,
            lease,
        } => {
            let request = ClaimRequest {
                rule: RULE.into(),
                destination: DESTINATIONS[*destination].into(),
                owner: OWNER.into(),
                lease: Duration::from_millis(*lease),
                limit: *limit,
                now: at,
            };
            ledger.claim(request).await.map(|claims| {
                let claims = claims
                    .into_iter()
                    .map(|claim| (claim.task, claim.token, claim.takeover));
                Answer::Claimed(claims.collect())
            })
        }
        Operation::Renew(held, after) => ledger
            .renew(&held.task, real_token(held), later(after))
            .await
            .map(|()| Answer::Done),
        Operation::Record(held, some) => ledger
            .record_attempt(&held.task, real_token(held), attempt(*some, now))
            .await
            .map(|()| Answer::Done),
        Operation::Finish(held, mark, tombstone) => ledger
            .finish(
                &held.task,
                real_token(held),
                completion(held, *mark, *tombstone, now),
                at,
            )
            .await
            .map(Answer::Finished),
        Operation::Fail(held, kind, after) => {
            let failure = Failure {
                kind: *kind,
                message: "no".into(),
                at,
            };
            ledger
                .fail(&held.task, real_token(held), failure, later(after))
                .await
                .map(|()| Answer::Done)
        }
        Operation::Release(held, after) => ledger
            .release(&held.task, real_token(held), later(after))
            .await
            .map(|()| Answer::Done),
        Operation::Hurry(destination) => ledger
            .hurry(RULE, DESTINATIONS[*destination], at)
            .await
            .map(Answer::Count),
        Operation::Prune(ago) => ledger
            .prune(Timestamp::from_unix_ms(now.saturating_sub(*ago)))
            .await
            .map(Answer::Count),
    };
    result.unwrap_or_else(|error| Answer::Refused(error.kind))
}

/// Everything the seam lets one see.
pub(crate) async fn observe(ledger: &dyn Ledger) -> Vec<String> {
    let mut seen = Vec::new();
    let all: Vec<_> = KEYS
        .iter()
        .map(|key| ObjectKey::new(*key).unwrap())
        .collect();
    for destination in DESTINATIONS {
        seen.push(format!("{:?}", ledger.backlog(RULE, destination).await));
        seen.push(format!("{:?}", ledger.next_due(RULE, destination).await));
        seen.push(format!("{:?}", ledger.failing(RULE, destination, 99).await));
        seen.push(format!("{:?}", ledger.marks(RULE, destination, &all).await));
        for key in &all {
            let task = TaskKey {
                rule: RULE.into(),
                destination: destination.into(),
                key: key.clone(),
            };
            seen.push(format!("{:?}", ledger.task(&task).await));
            seen.push(format!("{:?}", ledger.tombstone(&task).await));
            seen.push(format!("{:?}", ledger.receipts_by_key(&task, 99).await));
        }
    }
    seen.push(format!(
        "{:?}",
        ledger.receipts_by_time(RULE, Timestamp::ZERO, 999).await
    ));
    seen
}
