//! How signals enter and become one.

use super::*;

/// A key nobody knew becomes a task, due since we heard of it, and counts.
pub async fn a_new_key_is_due_since_it_was_heard_of(ledger: Subject) {
    assert_eq!(backlog(&ledger).await, Backlog::default());
    assert_eq!(next_due(&ledger).await, None);
    let report = submit(&ledger, vec![live("a", 100, 150), live("b", 90, 160)]).await;
    assert_eq!(
        report,
        SubmitReport {
            created: 2,
            merged: 0,
            dirtied: 0
        }
    );

    let a = task(&ledger, "a").await;
    assert_eq!(
        (a.changed_since, a.pending_since, a.due),
        (at(100), at(150), at(150))
    );
    assert_eq!(
        (a.failures, &a.lease, &a.dirty, &a.attempt),
        (0, &None, &None, &None)
    );
    assert_eq!(next_due(&ledger).await, Some(at(150)));
    let backlog = backlog(&ledger).await;
    assert_eq!((backlog.objects, backlog.bytes), (2, 20));
    assert_eq!(backlog.oldest, Some((object("a"), at(150))));
    assert_eq!(backlog.oldest_changed, Some(at(100)));
    assert_eq!(ledger.task(&key("c")).await.unwrap(), None);
}

/// The newest change wins, the oldest times stay, whichever arrives first.
pub async fn signals_on_a_waiting_task_become_one(ledger: Subject) {
    submit(&ledger, vec![live("a", 100, 150)]).await;
    let newer = Submission {
        task: key("a"),
        signal: signal(Origin::Live, 120, 170, 30),
    };
    let late = Submission {
        task: key("a"),
        signal: signal(Origin::Live, 80, 180, 70),
    };
    let report = submit(&ledger, vec![newer.clone(), late]).await;
    assert_eq!(
        report,
        SubmitReport {
            created: 0,
            merged: 2,
            dirtied: 0
        }
    );

    let a = task(&ledger, "a").await;
    assert_eq!(a.signal, newer.signal);
    assert_eq!((a.changed_since, a.pending_since), (at(80), at(150)));
    let backlog = backlog(&ledger).await;
    assert_eq!((backlog.objects, backlog.bytes), (1, 30));
    assert_eq!(backlog.oldest_changed, Some(at(80)));
}

/// A signal does not cut a backoff short: the next attempt would fail as well.
pub async fn a_backoff_survives_a_signal(ledger: Subject) {
    submit(&ledger, vec![live("a", 100, 150)]).await;
    let claim = claim_one(&ledger, "one", 200).await;
    ledger
        .fail(
            &key("a"),
            claim.token,
            failure(Kind::Denied, 210),
            at(9_000),
        )
        .await
        .unwrap();
    submit(&ledger, vec![live("a", 300, 310)]).await;
    let a = task(&ledger, "a").await;
    assert_eq!(
        (a.due, a.failures, a.signal.changed),
        (at(9_000), 1, at(300))
    );
    assert!(
        ledger
            .claim(request("one", 1, 8_999))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        claim_one(&ledger, "one", 9_000).await.task.changed_since,
        at(100)
    );
}

/// What changes while it is being copied is copied again, at once, with the counts of a new task.
pub async fn a_signal_on_a_claimed_task_makes_it_go_again(ledger: Subject) {
    submit(&ledger, vec![live("a", 100, 150)]).await;
    let first = claim_one(&ledger, "one", 200).await;
    ledger
        .fail(
            &key("a"),
            first.token,
            failure(Kind::RetryAfter, 210),
            at(220),
        )
        .await
        .unwrap();
    let claim = claim_one(&ledger, "one", 230).await;
    let dirty = Submission {
        task: key("a"),
        signal: signal(Origin::Live, 240, 250, 99),
    };
    let report = submit(&ledger, vec![dirty.clone()]).await;
    assert_eq!(
        report,
        SubmitReport {
            created: 0,
            merged: 0,
            dirtied: 1
        }
    );
    assert!(
        ledger
            .claim(request("two", 1, 260))
            .await
            .unwrap()
            .is_empty(),
        "claimed is claimed"
    );

    assert_eq!(finish(&ledger, &claim, 300).await, Finished::Again);
    let again = task(&ledger, "a").await;
    assert_eq!(again.signal, dirty.signal);
    assert_eq!(
        (again.changed_since, again.pending_since, again.due),
        (at(240), at(250), at(300))
    );
    assert_eq!(
        (again.failures, &again.last_failure, &again.lease),
        (0, &None, &None)
    );
    assert_eq!((&again.dirty, &again.attempt), (&None, &None));
    assert_eq!(backlog(&ledger).await.bytes, 99);

    let claim = claim_one(&ledger, "one", 300).await;
    assert!(!claim.takeover);
    assert_eq!(finish(&ledger, &claim, 310).await, Finished::Done);
    assert_eq!(ledger.task(&key("a")).await.unwrap(), None);
    assert_eq!(backlog(&ledger).await, Backlog::default());
}

/// Lag is counted from the first change that the claim under way did not cover.
pub async fn dirty_marks_keep_the_oldest_times(ledger: Subject) {
    submit(&ledger, vec![live("a", 100, 150)]).await;
    let claim = claim_one(&ledger, "one", 200).await;
    submit(
        &ledger,
        vec![
            live("a", 240, 250),
            live("a", 260, 270),
            live("a", 230, 280),
        ],
    )
    .await;
    let dirty = task(&ledger, "a").await.dirty.expect("dirty");
    assert_eq!((dirty.changed, dirty.notified), (at(230), at(250)));
    assert_eq!(finish(&ledger, &claim, 300).await, Finished::Again);
    let again = task(&ledger, "a").await;
    assert_eq!(
        (again.changed_since, again.pending_since),
        (at(230), at(250))
    );
}

/// A claim that ends otherwise merges what it heard.
pub async fn a_failed_or_released_claim_keeps_what_made_it_dirty(ledger: Subject) {
    submit(&ledger, vec![live("a", 100, 150)]).await;
    let claim = claim_one(&ledger, "one", 200).await;
    submit(&ledger, vec![live("a", 240, 250)]).await;
    ledger
        .fail(
            &key("a"),
            claim.token,
            failure(Kind::RetryAfter, 260),
            at(300),
        )
        .await
        .unwrap();
    let failed = task(&ledger, "a").await;
    assert_eq!(
        (failed.signal.changed, failed.changed_since, &failed.dirty),
        (at(240), at(100), &None)
    );

    let claim = claim_one(&ledger, "one", 300).await;
    submit(&ledger, vec![live("a", 340, 350)]).await;
    ledger
        .release(&key("a"), claim.token, at(400))
        .await
        .unwrap();
    let released = task(&ledger, "a").await;
    assert_eq!(
        (
            released.signal.changed,
            released.changed_since,
            &released.dirty
        ),
        (at(340), at(100), &None)
    );
    let claim = claim_one(&ledger, "one", 400).await;
    assert_eq!(finish(&ledger, &claim, 410).await, Finished::Done);
}

/// An object that was there for years is found by the first sweep and changes before it is copied: the change is what
/// counts.
pub async fn lag_is_not_counted_from_a_backfill(ledger: Subject) {
    for (name, first, second) in [
        (
            "found first",
            signal(Origin::Backfill, 5, 150, 1),
            signal(Origin::Live, 200, 210, 2),
        ),
        (
            "heard first",
            signal(Origin::Live, 200, 210, 2),
            signal(Origin::Backfill, 5, 250, 1),
        ),
    ] {
        for signal in [first, second] {
            submit(
                &ledger,
                vec![Submission {
                    task: key(name),
                    signal,
                }],
            )
            .await;
        }
        let task = task(&ledger, name).await;
        assert_eq!(
            (task.signal.origin, task.changed_since),
            (Origin::Live, at(200)),
            "{name}"
        );
        assert_eq!(
            task.pending_since,
            at(if name == "found first" { 150 } else { 210 })
        );
    }
}

/// A sweep that finds a change we were told of already did not find a lost notification.
pub async fn an_equal_change_found_by_a_sweep_is_not_a_lost_notification(ledger: Subject) {
    let unknown_size = Signal {
        size: None,
        ..signal(Origin::Live, 100, 150, 0)
    };
    submit(
        &ledger,
        vec![Submission {
            task: key("a"),
            signal: unknown_size,
        }],
    )
    .await;
    submit(
        &ledger,
        vec![Submission {
            task: key("a"),
            signal: signal(Origin::Repair, 100, 400, 25),
        }],
    )
    .await;
    let a = task(&ledger, "a").await;
    assert_eq!(
        (a.signal.origin, a.pending_since, a.signal.size),
        (Origin::Live, at(150), Some(25))
    );
    assert_eq!(backlog(&ledger).await.bytes, 25);
}

/// Keys are any text; names that would break the rows' order are refused, all or nothing.
pub async fn keys_may_be_odd_and_names_may_not(ledger: Subject) {
    let long = "k".repeat(1_024);
    let odd = [
        "/",
        "//",
        ".",
        "..",
        "a\u{1}b",
        "ü/日本",
        "\u{10ffff}",
        &long,
    ];
    submit(&ledger, odd.iter().map(|name| live(name, 1, 2)).collect()).await;
    for name in odd {
        assert_eq!(task(&ledger, name).await.task.key.as_str(), name);
    }
    let claims = ledger.claim(request("one", 100, 5)).await.unwrap();
    assert_eq!(claims.len(), odd.len());

    for (rule, destination) in [("", "eu"), ("rule", ""), ("a\0b", "eu"), ("rule", "a\0b")] {
        let task = TaskKey {
            rule: rule.into(),
            destination: destination.into(),
            key: object("x"),
        };
        let bad = Submission {
            task,
            signal: signal(Origin::Live, 1, 2, 3),
        };
        assert_kind(
            ledger.submit(vec![live("good", 1, 2), bad]).await,
            Kind::Invalid,
        );
        assert_eq!(ledger.task(&key("good")).await.unwrap(), None);
        assert_kind(ledger.backlog(rule, destination).await, Kind::Invalid);
    }
}
