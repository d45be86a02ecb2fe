//! What is remembered: receipts, marks, tombstones, uploads, cursors.

use super::*;

/// One step leaves everything behind, or takes it away.
pub async fn finishing_leaves_receipt_mark_and_tombstone(ledger: Subject) {
    submit(&ledger, vec![live("a", 1, 2)]).await;
    let claim = claim_one(&ledger, "one", 10).await;
    let tombstone = Tombstone {
        deleted: at(11),
        destination: Some(ObjectVersion {
            etag: "e".into(),
            version_id: None,
        }),
    };
    let removed = Completion {
        mark: None,
        tombstone: Some(tombstone.clone()),
        ..completion(&claim.task, 11)
    };
    ledger
        .finish(&key("a"), claim.token, removed, at(11))
        .await
        .unwrap();
    assert_eq!(ledger.tombstone(&key("a")).await.unwrap(), Some(tombstone));
    assert_eq!(
        ledger
            .marks(RULE, DESTINATION, &[object("a")])
            .await
            .unwrap(),
        [None]
    );

    submit(&ledger, vec![live("a", 20, 21)]).await;
    let claim = claim_one(&ledger, "one", 22).await;
    let copied = completion(&claim.task, 23);
    ledger
        .finish(&key("a"), claim.token, copied.clone(), at(23))
        .await
        .unwrap();
    assert_eq!(ledger.tombstone(&key("a")).await.unwrap(), None);
    assert_eq!(
        ledger
            .marks(RULE, DESTINATION, &[object("a")])
            .await
            .unwrap(),
        [copied.mark]
    );
    let receipts = ledger.receipts_by_key(&key("a"), 9).await.unwrap();
    assert_eq!(receipts.len(), 2);
    assert_eq!(receipts[0], copied.receipt);
    assert_eq!(receipts[0].lag(), Duration::from_millis(3));

    submit(&ledger, vec![live("a", 30, 31)]).await;
    let claim = claim_one(&ledger, "one", 32).await;
    let gone = Completion {
        mark: None,
        ..completion(&claim.task, 33)
    };
    ledger
        .finish(&key("a"), claim.token, gone, at(33))
        .await
        .unwrap();
    assert_eq!(
        ledger
            .marks(RULE, DESTINATION, &[object("a")])
            .await
            .unwrap(),
        [None]
    );
}

async fn finish_at(ledger: &Subject, name: &str, published: u64) {
    submit(ledger, vec![live(name, 1, 2)]).await;
    let claim = claim_one(ledger, "one", 10).await;
    finish(ledger, &claim, published).await;
}

/// By time the oldest first, by key the newest first; equal times lose none.
pub async fn receipts_come_in_order_and_in_pages(ledger: Subject) {
    for (name, published) in [("a", 50), ("b", 30), ("a", 30), ("c", 30), ("a", 90)] {
        finish_at(&ledger, name, published).await;
    }
    let names = async |from: u64, limit: usize| -> Vec<(String, u64)> {
        let receipts = ledger
            .receipts_by_time(RULE, at(from), limit)
            .await
            .unwrap();
        receipts
            .into_iter()
            .map(|receipt| {
                (
                    receipt.task.key.as_str().to_owned(),
                    receipt.published.unix_ms(),
                )
            })
            .collect()
    };
    let all = [("b", 30), ("a", 30), ("c", 30), ("a", 50), ("a", 90)]
        .map(|(name, ms)| (name.to_owned(), ms));
    assert_eq!(names(0, 99).await, all);
    assert_eq!(names(30, 2).await, all[..2]);
    assert_eq!(names(31, 99).await, all[3..]);
    assert_eq!(names(91, 99).await, []);
    assert_eq!(ledger.receipts_by_time("rul", at(0), 9).await.unwrap(), []);

    let times = async |limit: usize| -> Vec<u64> {
        let receipts = ledger.receipts_by_key(&key("a"), limit).await.unwrap();
        receipts
            .into_iter()
            .map(|receipt| receipt.published.unix_ms())
            .collect()
    };
    assert_eq!(times(9).await, [90, 50, 30]);
    assert_eq!(times(2).await, [90, 50]);
    let elsewhere = TaskKey {
        destination: "us".into(),
        ..key("a")
    };
    assert_eq!(ledger.receipts_by_key(&elsewhere, 9).await.unwrap(), []);
}

/// Old receipts and tombstones of all rules go, newer ones stay, and one call does not take for ever.
pub async fn prune_takes_what_is_old_and_a_bounded_number(ledger: Subject) {
    prune_takes_what_is_old(Arc::clone(&ledger)).await;
    let many = 10_500_usize;
    for batch in (0..many).collect::<Vec<_>>().chunks(1_500) {
        submit(
            &ledger,
            batch.iter().map(|n| live(&format!("k{n}"), 1, 2)).collect(),
        )
        .await;
    }
    let claims = ledger.claim(request("one", many, 10)).await.unwrap();
    assert_eq!(claims.len(), many);
    let finishes = claims.iter().map(|claim| finish(&ledger, claim, 50));
    run_all(finishes.collect()).await;
    assert_eq!(ledger.prune(at(60)).await.unwrap(), 10_000);
    assert_eq!(ledger.prune(at(60)).await.unwrap(), 500);
    assert_eq!(ledger.prune(at(60)).await.unwrap(), 0);
    assert_eq!(
        ledger.receipts_by_time(RULE, at(0), 9).await.unwrap().len(),
        1
    );
}

/// Its first part, on few rows: for services that take minutes over ten thousand.
pub async fn prune_takes_what_is_old(ledger: Subject) {
    for (rule, published) in [
        ("rule", 100),
        ("rule", 200),
        ("other", 100),
        ("other", 199),
        ("third", 300),
    ] {
        let task = TaskKey {
            rule: rule.into(),
            ..key("a")
        };
        submit(
            &ledger,
            vec![Submission {
                task: task.clone(),
                signal: signal(Origin::Live, 1, 2, 3),
            }],
        )
        .await;
        let claims = ledger
            .claim(ClaimRequest {
                rule: rule.into(),
                ..request("one", 1, 10)
            })
            .await
            .unwrap();
        let tombstone = Some(Tombstone {
            deleted: at(published),
            destination: None,
        });
        let completion = Completion {
            mark: None,
            tombstone,
            ..completion(&claims[0].task, published)
        };
        ledger
            .finish(&task, claims[0].token, completion, at(published))
            .await
            .unwrap();
    }
    assert_eq!(ledger.prune(at(100)).await.unwrap(), 0);
    // Three receipts; of the tombstones only those that no later one has replaced.
    assert_eq!(ledger.prune(at(200)).await.unwrap(), 3 + 1);
    for (rule, left) in [("rule", 1), ("other", 0), ("third", 1)] {
        let task = TaskKey {
            rule: rule.into(),
            ..key("a")
        };
        assert_eq!(
            ledger.receipts_by_time(rule, at(0), 9).await.unwrap().len(),
            left
        );
        assert_eq!(ledger.receipts_by_key(&task, 9).await.unwrap().len(), left);
        assert_eq!(ledger.tombstone(&task).await.unwrap().is_some(), left == 1);
    }
}

/// Drives futures together, so that a durable backend may commit them together.
async fn run_all<F: Future>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if futures.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// One answer per key asked, in the order asked, for the destination asked.
pub async fn marks_answer_in_order(ledger: Subject) {
    let mark = |n: u64| Mark {
        source: n << 40,
        destination: u64::MAX - n,
    };
    let name = |n: u64| object(&format!("key/{n}"));
    let all: Vec<_> = (0..2_500).map(|n| (name(n), mark(n))).collect();
    ledger.put_marks(RULE, DESTINATION, all).await.unwrap();
    let asked = [name(7), object("unknown"), name(2_499), name(7)];
    let marks = ledger.marks(RULE, DESTINATION, &asked).await.unwrap();
    assert_eq!(
        marks,
        [Some(mark(7)), None, Some(mark(2_499)), Some(mark(7))]
    );
    assert_eq!(ledger.marks(RULE, "us", &asked[..1]).await.unwrap(), [None]);
    ledger
        .put_marks(RULE, DESTINATION, vec![(name(7), mark(1))])
        .await
        .unwrap();
    assert_eq!(
        ledger.marks(RULE, DESTINATION, &asked[..1]).await.unwrap(),
        [Some(mark(1))]
    );
    assert_eq!(ledger.marks(RULE, DESTINATION, &[]).await.unwrap(), []);
}

/// What was begun and not ended is found by its rule and age.
pub async fn the_journal_finds_old_uploads(ledger: Subject) {
    let intent = |attempt: &str, started: u64| UploadIntent {
        task: key("a"),
        attempt: attempt.into(),
        upload: None,
        started: at(started),
    };
    for (attempt, started) in [("x", 30), ("y", 10), ("z", 20)] {
        ledger
            .record_upload(intent(attempt, started))
            .await
            .unwrap();
    }
    let known = UploadIntent {
        upload: Some("id".into()),
        ..intent("x", 30)
    };
    ledger.record_upload(known.clone()).await.unwrap();
    let mut moved = intent("z", 25);
    moved.task.rule = "other".into();
    ledger.record_upload(moved.clone()).await.unwrap();

    assert_eq!(
        ledger.uploads(RULE, at(31)).await.unwrap(),
        [intent("y", 10), known.clone()]
    );
    assert_eq!(
        ledger.uploads(RULE, at(30)).await.unwrap(),
        [intent("y", 10)]
    );
    assert_eq!(ledger.uploads("other", at(99)).await.unwrap(), [moved]);
    ledger.end_upload("y").await.unwrap();
    ledger.end_upload("y").await.unwrap();
    assert_eq!(ledger.uploads(RULE, at(99)).await.unwrap(), [known]);
}

/// Set, read, replaced, removed.
pub async fn cursors_hold_small_json(ledger: Subject) {
    let value = serde_json::json!({"after": "ü//x", "count": 18_446_744_073_709_551_615_u64});
    assert_eq!(ledger.cursor("sweep").await.unwrap(), None);
    ledger
        .set_cursor("sweep", Some(value.clone()))
        .await
        .unwrap();
    assert_eq!(ledger.cursor("sweep").await.unwrap(), Some(value));
    ledger
        .set_cursor("sweep", Some(serde_json::Value::Null))
        .await
        .unwrap();
    assert_eq!(
        ledger.cursor("sweep").await.unwrap(),
        Some(serde_json::Value::Null)
    );
    ledger.set_cursor("sweep", None).await.unwrap();
    assert_eq!(ledger.cursor("sweep").await.unwrap(), None);
    assert_kind(ledger.set_cursor("", None).await, Kind::Invalid);
    let huge = serde_json::Value::String("x".repeat(2 << 20));
    assert_kind(ledger.set_cursor("sweep", Some(huge)).await, Kind::Invalid);
}

/// A record as large as what is kept of a planner's learning may be (64 KiB of JSON), comes back as it
/// was, and gives way to a smaller one.
pub async fn cursors_hold_records_of_64_kib(ledger: Subject) {
    let rows: Vec<_> = (0..4_500_u32)
        .map(|n| serde_json::json!([n, 100_000 + n * 37 % 900_000]))
        .collect();
    let record = serde_json::json!({"layout": 1, "routes": rows});
    let bytes = record.to_string().len();
    assert!((60 << 10..=64 << 10).contains(&bytes), "{bytes}");
    let name = "learnt/rule/destination";
    ledger.set_cursor(name, Some(record.clone())).await.unwrap();
    assert_eq!(ledger.cursor(name).await.unwrap(), Some(record));
    let small = serde_json::json!({"layout": 1, "routes": []});
    ledger.set_cursor(name, Some(small.clone())).await.unwrap();
    assert_eq!(ledger.cursor(name).await.unwrap(), Some(small));
}
