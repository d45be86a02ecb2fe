//! What every store of documents must do, as tests to run on it: the contract of [`Documents`], case by case.
//!
//! An adapter's test file is a function that makes an empty store (with whatever must live as long as it), or `None` where the
//! server to test against is not there, and one line:
//!
//! ```text
//! async fn make() -> Option<(std::sync::Arc<dyn skyfresh_ledger::shared::Documents>, Guard)> { … }
//! skyfresh_ledger::documents_conformance!(make);
//! ```
//!
//! Each case works in partitions of its own, so that a server may be shared by all. Cases panic where the contract is broken.

pub mod conditions;
pub mod scans;

use super::*;
use std::sync::Arc;

/// What a case runs on.
pub type Subject = Arc<dyn Documents>;

/// Makes one test for each case.
#[macro_export]
macro_rules! documents_conformance {
    ($make:path) => {
        $crate::documents_conformance! { $make =>
            conditions::a_document_is_there_once_it_is_put,
            conditions::absent_holds_once,
            conditions::unchanged_holds_for_the_newest_state_only,
            conditions::removals_have_conditions_too,
            conditions::stamps_never_recur,
            conditions::refused_writes_change_nothing,
            conditions::neighbours_are_strangers,
            conditions::bodies_are_kept_byte_for_byte,
            conditions::of_sixteen_racing_writers_one_wins,
            conditions::sixteen_counters_lose_no_count,
            scans::order_is_by_byte,
            scans::bounds_are_half_open,
            scans::limits_cut_and_never_lie,
            scans::reading_backwards_mirrors,
            scans::partitions_do_not_mix,
            scans::a_scan_of_much_goes_through_pages,
            scans::keys_may_be_long,
        }
    };
    ($make:path => $($module:ident::$case:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                use $crate::conformance::Made;
                if let Some((documents, _kept)) = $make().await.made() {
                    $crate::shared::conformance::$module::$case(documents).await;
                }
            }
        )+
    };
}

/// After every sort key that the suite uses.
const END: &[u8] = &[0xff, 0xff, 0xff, 0xff];

fn id(partition: &str, sort: &[u8]) -> DocumentId {
    DocumentId {
        partition: partition.to_owned(),
        sort: sort.to_vec(),
    }
}

async fn put(documents: &Subject, id: &DocumentId, body: &[u8], condition: Condition) -> Written {
    documents.put(id, body.to_vec(), condition).await.unwrap()
}

/// Puts under a condition that must hold. The new stamp.
async fn put_done(
    documents: &Subject,
    id: &DocumentId,
    body: &[u8],
    condition: Condition,
) -> Stamp {
    match put(documents, id, body, condition.clone()).await {
        Written::Done(Some(stamp)) => stamp,
        other => panic!("put {id:?} under {condition:?}: {other:?}"),
    }
}

async fn get(documents: &Subject, id: &DocumentId) -> Option<Document> {
    documents.get(id).await.unwrap()
}

async fn scan(
    documents: &Subject,
    partition: &str,
    from: &[u8],
    to: &[u8],
    reverse: bool,
    limit: usize,
) -> Vec<Vec<u8>> {
    let found = documents
        .scan(partition, from, to, reverse, limit)
        .await
        .unwrap();
    found.into_iter().map(|document| document.sort).collect()
}
