//! The conformance suite where every call goes to another process than the last: what one has done, the next sees at once.
//!
//! Left out are arrivals, which tell of one process; who holds which part, which is in one process's memory; and the order of
//! receipts of the same millisecond, which several processes do not agree on.

mod several;

use several::Several;
use skyfresh_ledger::Ledger;
use skyfresh_ledger::shared::MemoryDocuments;
use std::sync::Arc;

async fn make() -> (Arc<dyn Ledger>, ()) {
    let documents = Arc::new(MemoryDocuments::new());
    (Arc::new(Several::open(documents, 4).await), ())
}

skyfresh_ledger::ledger_conformance! { make =>
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
    concurrency::many_claimants_never_share_a_task,
    concurrency::many_workers_complete_a_pool_once,
    concurrency::a_hot_key_written_while_worked_on_is_never_lost,
    history::finishing_leaves_receipt_mark_and_tombstone,
    history::prune_takes_what_is_old_and_a_bounded_number,
    history::marks_answer_in_order,
    history::the_journal_finds_old_uploads,
    history::cursors_hold_small_json,
    history::cursors_hold_records_of_64_kib,
}
