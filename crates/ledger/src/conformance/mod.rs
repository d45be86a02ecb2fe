//! What every backend must do, as tests to run on it: the contract of [`Ledger`], case by case.
//!
//! A backend's test file is a function that makes an empty ledger (with whatever must live as long as it) and one line:
//!
//! ```text
//! async fn make() -> (std::sync::Arc<dyn skyfresh_ledger::Ledger>, tempfile::TempDir) { … }
//! skyfresh_ledger::ledger_conformance!(make);
//! ```
//!
//! Where the server to test against may be missing, `make` gives an `Option` of the pair.
//!
//! Cases panic where the contract is broken. They use no clock: all times are made up.

pub mod claims;
pub mod concurrency;
pub mod history;
pub mod parts;
pub mod signals;

use crate::*;
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion, Timestamp, Usd};
use std::sync::Arc;
use std::time::Duration;

/// What a case runs on.
pub type Subject = Arc<dyn Ledger>;

/// Makes one test for each case.
#[macro_export]
macro_rules! ledger_conformance {
    ($make:path) => {
        $crate::ledger_conformance! { $make =>
            signals::a_new_key_is_due_since_it_was_heard_of,
            signals::signals_on_a_waiting_task_become_one,
            signals::a_backoff_survives_a_signal,
            signals::a_signal_on_a_claimed_task_makes_it_go_again,
            signals::dirty_marks_keep_the_oldest_times,
            signals::a_failed_or_released_claim_keeps_what_made_it_dirty,
            signals::lag_is_not_counted_from_a_backfill,
            signals::an_equal_change_found_by_a_sweep_is_not_a_lost_notification,
            signals::keys_may_be_odd_and_names_may_not,
            claims::the_longest_due_come_first_and_no_more_than_asked,
            claims::destinations_and_rules_do_not_mix,
            claims::stale_tokens_change_nothing,
            claims::tokens_grow_even_after_the_row_is_gone,
            claims::a_lease_that_ran_out_is_taken_over,
            claims::renewing_moves_the_expiry,
            claims::failures_count_and_show_until_success,
            claims::a_release_is_no_failure,
            claims::attempts_are_kept_for_the_successor,
            claims::hurry_makes_waiting_tasks_due,
            claims::what_is_claimed_is_known,
            claims::waiters_hear_of_claimable_tasks,
            concurrency::many_claimants_never_share_a_task,
            concurrency::many_workers_complete_a_pool_once,
            concurrency::a_hot_key_written_while_worked_on_is_never_lost,
            parts::pools_open_once_and_close,
            parts::parts_of_a_dead_worker_come_back,
            parts::a_part_given_back_is_given_out_again,
            parts::only_the_slowest_parts_are_duplicated,
            parts::parts_that_the_destination_already_has_are_not_given_out,
            history::finishing_leaves_receipt_mark_and_tombstone,
            history::receipts_come_in_order_and_in_pages,
            history::prune_takes_what_is_old_and_a_bounded_number,
            history::marks_answer_in_order,
            history::the_journal_finds_old_uploads,
            history::cursors_hold_small_json,
            history::cursors_hold_records_of_64_kib,
        }
    };
    ($make:path => $($module:ident::$case:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                use $crate::conformance::Made;
                if let Some((ledger, _kept)) = $make().await.made() {
                    $crate::conformance::$module::$case(ledger).await;
                }
            }
        )+
    };
}

/// What a test file's `make` gives: the subject and what must live as long, or `None`: there is nothing to test against.
pub trait Made {
    /// The subject.
    type Subject;
    /// What must live as long.
    type Kept;
    /// Both, if there.
    fn made(self) -> Option<(Self::Subject, Self::Kept)>;
}

impl<S, K> Made for (S, K) {
    type Subject = S;
    type Kept = K;
    fn made(self) -> Option<(S, K)> {
        Some(self)
    }
}

impl<S, K> Made for Option<(S, K)> {
    type Subject = S;
    type Kept = K;
    fn made(self) -> Option<(S, K)> {
        self
    }
}

const RULE: &str = "rule";
const DESTINATION: &str = "eu";
const LEASE: Duration = Duration::from_secs(10);

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn key(name: &str) -> TaskKey {
    TaskKey {
        rule: RULE.into(),
        destination: DESTINATION.into(),
        key: object(name),
    }
}

fn object(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

fn signal(origin: Origin, changed: u64, notified: u64, size: u64) -> Signal {
    Signal {
        origin,
        changed: at(changed),
        notified: at(notified),
        size: Some(size),
    }
}

fn live(name: &str, changed: u64, notified: u64) -> Submission {
    Submission {
        task: key(name),
        signal: signal(Origin::Live, changed, notified, 10),
    }
}

fn request(owner: &str, limit: usize, now: u64) -> ClaimRequest {
    ClaimRequest {
        rule: RULE.into(),
        destination: DESTINATION.into(),
        owner: owner.into(),
        lease: LEASE,
        limit,
        now: at(now),
    }
}

async fn submit(ledger: &Subject, submissions: Vec<Submission>) -> SubmitReport {
    ledger.submit(submissions).await.unwrap()
}

async fn claim_one(ledger: &Subject, owner: &str, now: u64) -> Claim {
    let mut claims = ledger.claim(request(owner, 1, now)).await.unwrap();
    assert_eq!(claims.len(), 1, "something must be claimable at {now}");
    claims.remove(0)
}

async fn task(ledger: &Subject, name: &str) -> Task {
    ledger
        .task(&key(name))
        .await
        .unwrap()
        .expect("the task must be pending")
}

async fn backlog(ledger: &Subject) -> Backlog {
    ledger.backlog(RULE, DESTINATION).await.unwrap()
}

async fn next_due(ledger: &Subject) -> Option<Timestamp> {
    ledger.next_due(RULE, DESTINATION).await.unwrap()
}

fn completion(task: &Task, published: u64) -> Completion {
    let version = ObjectVersion {
        etag: format!("etag-{published}"),
        version_id: Some("7".into()),
    };
    Completion {
        receipt: Receipt {
            task: task.task.clone(),
            outcome: Outcome::Copied,
            origin: task.signal.origin,
            source: Some(version.clone()),
            destination: Some(version),
            crc64: Some("0123456789abcdef".into()),
            changed: task.changed_since,
            notified: task.pending_since,
            started: at(published.saturating_sub(1)),
            published: at(published),
            size: 10,
            bytes_moved: 11,
            requests: 2,
            spend: Usd::from_units(5),
            strategy: "inline".into(),
            failures: task.failures,
            unkept: Vec::new(),
            bytes_saved: 12,
            saved: Usd::from_units(34),
            expected: Some(Expected {
                way: "one PUT from here".into(),
                why: "the cheapest".into(),
                candidates: 3,
                p50_ms: 80,
                at_slo_ms: 200,
                left_ms: 59_000,
                in_time_permille: 1_000,
                price: Usd::from_units(56),
                took_ms: Some(90),
            }),
        },
        mark: Some(Mark {
            source: published,
            destination: published + 1,
        }),
        tombstone: None,
    }
}

async fn finish(ledger: &Subject, claim: &Claim, now: u64) -> Finished {
    ledger
        .finish(
            &claim.task.task,
            claim.token,
            completion(&claim.task, now),
            at(now),
        )
        .await
        .unwrap()
}

fn failure(kind: Kind, now: u64) -> Failure {
    Failure {
        kind,
        message: "the store said no".into(),
        at: at(now),
    }
}

#[track_caller]
fn assert_stale<T: std::fmt::Debug>(result: Result<T>) {
    let error = result.expect_err("a stale token must be refused");
    assert!(error.is_stale(), "{error}");
}

#[track_caller]
fn assert_kind<T: std::fmt::Debug>(result: Result<T>, kind: Kind) {
    assert_eq!(result.expect_err("must be refused").kind, kind);
}
