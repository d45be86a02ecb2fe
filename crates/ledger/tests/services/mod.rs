//! Services that nobody here wrote: where the test command started them, and what a test does without one.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests learn from the environment where the servers are"
)]
#![allow(
    clippy::print_stdout,
    reason = "a skip is for the person who runs the tests"
)]

pub(crate) mod lost;
pub(crate) mod proxy;
pub(crate) mod storm;

use skyfresh_ledger::Ledger;
use skyfresh_ledger::shared::{Documents, Settings, SharedLedger};
use skyfresh_sky::Rng;
use std::io::Write;
use std::sync::Arc;

/// The address of a server; without one the skip of this whole file is put on record.
pub(crate) fn address(file: &str, name: &str, variable: &str) -> Option<String> {
    let address = std::env::var(variable)
        .ok()
        .filter(|address| !address.is_empty());
    if address.is_none() {
        let line = format!("skipped: {file}: {name} is not running ({variable} is not set)");
        println!("{line}");
        if let Ok(path) = std::env::var("SKYFRESH_TEST_SKIP_LOG") {
            let log = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path);
            log.and_then(|mut log| writeln!(log, "{line}"))
                .expect("the skip log can be written");
        }
    }
    address
}

/// A name that no other table has, on servers that outlive a test.
pub(crate) fn unique(purpose: &str) -> String {
    format!("skyfresh_{purpose}_{}", Rng::from_entropy().token())
}

/// A new ledger in these documents.
pub(crate) async fn ledger(documents: impl Documents + 'static) -> (Arc<dyn Ledger>, ()) {
    let documents = Arc::new(documents);
    let ledger = SharedLedger::open(documents, Settings::default(), Rng::from_entropy()).await;
    (Arc::new(ledger.expect("a ledger")), ())
}

/// The ledger's conformance suite, without the ten thousand rows of one case: they prove nothing about a service, and take the
/// test servers minutes.
#[macro_export]
macro_rules! ledger_on_a_service {
    ($make:path) => {
        skyfresh_ledger::ledger_conformance! { $make =>
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
            claims::hurry_makes_some_waiting_tasks_due,
            claims::waiters_hear_of_claimable_tasks,
            concurrency::many_claimants_never_share_few_tasks,
            concurrency::many_workers_complete_a_pool_once,
            concurrency::a_hot_key_written_while_worked_on_is_never_lost,
            parts::pools_open_once_and_close,
            parts::parts_of_a_dead_worker_come_back,
            parts::a_part_given_back_is_given_out_again,
            parts::only_the_slowest_parts_are_duplicated,
            parts::parts_that_the_destination_already_has_are_not_given_out,
            history::finishing_leaves_receipt_mark_and_tombstone,
            history::receipts_come_in_order_and_in_pages,
            history::prune_takes_what_is_old,
            history::marks_answer_in_order,
            history::the_journal_finds_old_uploads,
            history::cursors_hold_small_json,
            history::cursors_hold_records_of_64_kib,
        }
    };
}
