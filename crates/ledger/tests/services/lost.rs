//! What an adapter makes of writes whose answers are lost.

use super::proxy::Proxy;
use skyfresh_ledger::shared::{Condition, DocumentId, Documents, Stamp, Written};
use skyfresh_sky::Kind;

fn done(written: Written) -> Stamp {
    match written {
        Written::Done(Some(stamp)) => stamp,
        other => panic!("{other:?}"),
    }
}

/// `documents` reaches its service through `proxy`.
pub(crate) async fn lost_answers_are_found_out(documents: &dyn Documents, proxy: &Proxy) {
    let id = |sort: &str| DocumentId {
        partition: "lost".into(),
        sort: sort.into(),
    };
    let (a, b) = (id("a"), id("b"));
    let put = async |id: &DocumentId, body: &[u8], condition| {
        documents.put(id, body.to_vec(), condition).await
    };
    let first = done(put(&a, b"1", Condition::Absent).await.expect("put"));

    // Sent twice, these would be refused by their own first effect.
    proxy.lose_next_answer();
    let second = put(&a, b"2", Condition::Unchanged(first.clone())).await;
    assert!(proxy.lost());
    let second = done(second.expect("recognised"));
    let found = documents.get(&a).await.expect("get").expect("there");
    assert_eq!(
        (found.body.as_slice(), found.stamp),
        (&b"2"[..], second.clone())
    );
    proxy.lose_next_answer();
    let created = done(put(&b, b"b", Condition::Absent).await.expect("recognised"));
    assert!(proxy.lost());
    assert_ne!(created, second);

    // A refusal that is lost is no success: what is there is not ours.
    proxy.lose_next_answer();
    let stale = put(&a, b"3", Condition::Unchanged(first)).await;
    assert!(proxy.lost());
    assert_eq!(stale.expect_err("not known").kind, Kind::RetryAfter);
    let found = documents.get(&a).await.expect("get").expect("there");
    assert_eq!(found.body, b"2");

    // Who removed it cannot be told afterwards.
    proxy.lose_next_answer();
    let removed = documents.delete(&a, Condition::Unchanged(second)).await;
    assert!(proxy.lost());
    assert_eq!(removed.expect_err("not known").kind, Kind::RetryAfter);
    assert_eq!(documents.get(&a).await.expect("get"), None);

    // What demands nothing, and what only reads, is done again.
    proxy.lose_next_answer();
    done(put(&a, b"4", Condition::Any).await.expect("repeated"));
    assert!(proxy.lost());
    proxy.lose_next_answer();
    let found = documents.get(&a).await.expect("repeated").expect("there");
    assert!(proxy.lost());
    assert_eq!(found.body, b"4");
    proxy.lose_next_answer();
    let all = documents.scan("lost", b"", b"z", false, 9).await;
    assert!(proxy.lost());
    assert_eq!(all.expect("repeated").len(), 2);
    proxy.lose_next_answer();
    let removed = documents.delete(&a, Condition::Any).await;
    assert!(proxy.lost());
    assert_eq!(removed.expect("repeated"), Written::Done(None));
}
