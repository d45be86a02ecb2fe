//! What the conformance suite cannot see from outside: the indexes, and rows that cannot be read.

use crate::tables::{Partition, Table};
use crate::*;
use skyfresh_sky::{Kind, ObjectKey, Timestamp};
use std::time::Duration;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

fn key(name: &str) -> TaskKey {
    TaskKey {
        rule: "rule".into(),
        destination: "eu".into(),
        key: ObjectKey::new(name).unwrap(),
    }
}

fn submission(name: &str, ms: u64) -> Submission {
    let signal = Signal {
        origin: Origin::Live,
        changed: at(ms),
        notified: at(ms),
        size: Some(10),
    };
    Submission {
        task: key(name),
        signal,
    }
}

fn request(now: u64) -> ClaimRequest {
    ClaimRequest {
        rule: "rule".into(),
        destination: "eu".into(),
        owner: "owner".into(),
        lease: Duration::from_secs(1),
        limit: 10,
        now: at(now),
    }
}

#[tokio::test]
async fn an_unreadable_task_is_named_and_does_not_stop_the_others() {
    let ledger = MemoryLedger::new();
    ledger
        .submit(vec![submission("bad", 1), submission("good", 2)])
        .await
        .unwrap();
    let row = Partition::new("test", "rule", "eu")
        .unwrap()
        .row(&key("bad").key);
    ledger.put_raw(Table::Tasks, row, vec![99, 1, 2, 3]);

    let error = ledger.task(&key("bad")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt);
    assert!(
        error.to_string().contains("bad") && error.to_string().contains("version 99"),
        "{error}"
    );

    let claims = ledger.claim(request(5)).await.unwrap();
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].task.task, key("good"));
    // Nobody is woken for it again and again.
    assert_eq!(
        ledger.next_due("rule", "eu").await.unwrap(),
        Some(at(1_005))
    );
    assert_eq!(
        ledger.recount("rule", "eu").await.unwrap_err().kind,
        Kind::Corrupt
    );
}

#[tokio::test]
async fn a_failing_submission_undoes_its_whole_batch() {
    let ledger = MemoryLedger::new();
    let mut bad = submission("b", 1);
    bad.task.rule = String::new();
    assert_eq!(
        ledger
            .submit(vec![submission("a", 1), bad])
            .await
            .unwrap_err()
            .kind,
        Kind::Invalid
    );
    assert_eq!(ledger.task(&key("a")).await.unwrap(), None);
    assert_eq!(
        ledger.recount("rule", "eu").await.unwrap(),
        Backlog::default()
    );
    assert!(!ledger.arrivals().has_rung());
}

#[tokio::test]
async fn a_recount_finds_an_index_row_too_many() {
    let ledger = MemoryLedger::new();
    ledger.submit(vec![submission("a", 1)]).await.unwrap();
    let partition = Partition::new("test", "rule", "eu").unwrap();
    ledger.put_raw(
        Table::Due,
        partition.timed_row(at(7), &key("a").key),
        Vec::new(),
    );
    assert_eq!(
        ledger.recount("rule", "eu").await.unwrap_err().kind,
        Kind::Corrupt
    );
}
