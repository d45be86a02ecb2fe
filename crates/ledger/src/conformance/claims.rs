//! Claims, leases and tokens.

use super::*;

/// First come, first served; several at once; no more than asked.
pub async fn the_longest_due_come_first_and_no_more_than_asked(ledger: Subject) {
    submit(
        &ledger,
        vec![
            live("c", 1, 30),
            live("a", 1, 20),
            live("b", 1, 10),
            live("d", 1, 99),
        ],
    )
    .await;
    assert!(ledger.claim(request("one", 9, 9)).await.unwrap().is_empty());
    assert!(
        ledger
            .claim(request("one", 0, 50))
            .await
            .unwrap()
            .is_empty()
    );
    let claims = ledger.claim(request("one", 2, 50)).await.unwrap();
    let names: Vec<_> = claims
        .iter()
        .map(|claim| claim.task.task.key.as_str())
        .collect();
    assert_eq!(names, ["b", "a"]);
    assert!(claims[0].token != claims[1].token && !claims[0].takeover);
    let lease = task(&ledger, "b").await.lease.expect("a lease");
    assert_eq!(
        (lease.owner.as_str(), lease.token),
        ("one", claims[0].token)
    );
    assert_eq!(lease.expires, at(50).after(LEASE));
    assert_eq!(ledger.claim(request("one", 9, 50)).await.unwrap().len(), 1);
    assert_eq!(next_due(&ledger).await, Some(at(99)));
    assert_eq!(
        backlog(&ledger).await.objects,
        4,
        "claimed is still pending"
    );
}

/// Neighbouring names share nothing.
pub async fn destinations_and_rules_do_not_mix(ledger: Subject) {
    let names = [
        ("rule", "eu"),
        ("rule", "eu2"),
        ("rule2", "eu"),
        ("rul", "e"),
    ];
    for (rule, destination) in names {
        let task = TaskKey {
            rule: rule.into(),
            destination: destination.into(),
            key: object("a"),
        };
        submit(
            &ledger,
            vec![Submission {
                task,
                signal: signal(Origin::Live, 1, 2, 3),
            }],
        )
        .await;
    }
    for (rule, destination) in names {
        assert_eq!(ledger.backlog(rule, destination).await.unwrap().objects, 1);
        let wanted = ClaimRequest {
            rule: rule.into(),
            destination: destination.into(),
            ..request("one", 9, 10)
        };
        let claims = ledger.claim(wanted).await.unwrap();
        assert_eq!(claims.len(), 1);
        assert_eq!(claims[0].task.task.destination, destination);
    }
}

/// Every change of a claimed task is fenced.
pub async fn stale_tokens_change_nothing(ledger: Subject) {
    submit(&ledger, vec![live("a", 1, 2)]).await;
    let old = claim_one(&ledger, "one", 10).await;
    let later = 10 + LEASE.as_millis() as u64;
    let new = claim_one(&ledger, "two", later).await;
    assert!(new.token > old.token && new.takeover);
    let before = task(&ledger, "a").await;
    let refused = async |token: u64| {
        let a = key("a");
        assert_stale(ledger.renew(&a, token, at(99_999)).await);
        assert_stale(ledger.record_attempt(&a, token, None).await);
        assert_stale(
            ledger
                .finish(&a, token, completion(&before, later), at(later))
                .await,
        );
        assert_stale(
            ledger
                .fail(&a, token, failure(Kind::Internal, later), at(later))
                .await,
        );
        assert_stale(ledger.release(&a, token, at(later)).await);
    };
    refused(old.token).await;
    refused(new.token + 1).await;
    assert_eq!(task(&ledger, "a").await, before);
    assert!(
        ledger
            .receipts_by_key(&key("a"), 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        ledger
            .marks(RULE, DESTINATION, &[object("a")])
            .await
            .unwrap(),
        [None]
    );

    // A claim that has ended is as stale as one that was taken over.
    ledger
        .release(&key("a"), new.token, at(later))
        .await
        .unwrap();
    refused(new.token).await;
    let last = claim_one(&ledger, "one", later).await;
    finish(&ledger, &last, later).await;
    refused(last.token).await;
    assert_eq!(ledger.task(&key("a")).await.unwrap(), None);

    // A receipt belongs to the task it finishes.
    submit(&ledger, vec![live("a", 1, 2), live("b", 1, 2)]).await;
    let claims = ledger.claim(request("one", 2, later)).await.unwrap();
    let other = completion(&claims[1].task, later);
    let mixed = ledger
        .finish(&claims[0].task.task, claims[0].token, other, at(later))
        .await;
    assert_kind(mixed, Kind::Invalid);
}

/// A token is never given twice, not even for a key whose row has come and gone.
pub async fn tokens_grow_even_after_the_row_is_gone(ledger: Subject) {
    let mut newest = 0;
    for round in 0..5 {
        submit(&ledger, vec![live("a", round, round)]).await;
        let claim = claim_one(&ledger, "one", 100 + round).await;
        assert!(claim.token > newest);
        newest = claim.token;
        assert_eq!(finish(&ledger, &claim, 100 + round).await, Finished::Done);
    }
}

/// A claim is good until its expiry, then anyone's; the late holder may still finish until someone takes it.
pub async fn a_lease_that_ran_out_is_taken_over(ledger: Subject) {
    submit(&ledger, vec![live("a", 1, 2)]).await;
    claim_one(&ledger, "one", 10).await;
    submit(&ledger, vec![live("a", 5, 20)]).await;
    let expiry = at(10).after(LEASE);
    assert_eq!(next_due(&ledger).await, Some(expiry));
    assert!(
        ledger
            .claim(request("two", 1, expiry.unix_ms() - 1))
            .await
            .unwrap()
            .is_empty()
    );
    let taken = claim_one(&ledger, "two", expiry.unix_ms()).await;
    assert!(taken.takeover);
    // The new holder reads the source after the signal came, so it covers it.
    assert_eq!(
        (
            &taken.task.dirty,
            taken.task.signal.changed,
            taken.task.changed_since
        ),
        (&None, at(5), at(1))
    );
    assert_eq!(
        finish(&ledger, &taken, expiry.unix_ms()).await,
        Finished::Done
    );

    submit(&ledger, vec![live("b", 1, 2)]).await;
    let late = claim_one(&ledger, "one", 10).await;
    assert_eq!(
        finish(&ledger, &late, expiry.unix_ms() + 5).await,
        Finished::Done
    );
}

/// A renewed claim is not claimable at its old expiry.
pub async fn renewing_moves_the_expiry(ledger: Subject) {
    submit(&ledger, vec![live("a", 1, 2)]).await;
    let claim = claim_one(&ledger, "one", 10).await;
    ledger
        .renew(&key("a"), claim.token, at(50_000))
        .await
        .unwrap();
    assert_eq!(next_due(&ledger).await, Some(at(50_000)));
    assert!(
        ledger
            .claim(request("two", 1, 49_999))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(claim_one(&ledger, "two", 50_000).await.takeover);
}

/// Failures are counted, shown by kind, and forgotten with the first success.
pub async fn failures_count_and_show_until_success(ledger: Subject) {
    submit(
        &ledger,
        vec![live("a", 1, 2), live("b", 1, 3), live("c", 1, 4)],
    )
    .await;
    let claims = ledger.claim(request("one", 2, 10)).await.unwrap();
    for claim in &claims {
        ledger
            .fail(
                &claim.task.task,
                claim.token,
                failure(Kind::Denied, 11),
                at(20),
            )
            .await
            .unwrap();
    }
    assert_eq!(backlog(&ledger).await.failing, [(Kind::Denied, 2)].into());
    let failing = ledger.failing(RULE, DESTINATION, 9).await.unwrap();
    assert_eq!(failing.len(), 2);
    assert_eq!(
        (failing[0].failures, &failing[0].last_failure),
        (1, &Some(failure(Kind::Denied, 11)))
    );
    assert_eq!(ledger.failing(RULE, DESTINATION, 1).await.unwrap().len(), 1);

    claim_one(&ledger, "one", 10).await;
    let a = claim_one(&ledger, "one", 20).await;
    assert_eq!(a.task.task, key("a"));
    assert_eq!(
        backlog(&ledger).await.failing,
        [(Kind::Denied, 2)].into(),
        "no verdict yet"
    );
    ledger
        .fail(&key("a"), a.token, failure(Kind::RetryAfter, 21), at(30))
        .await
        .unwrap();
    assert_eq!(
        backlog(&ledger).await.failing,
        [(Kind::Denied, 1), (Kind::RetryAfter, 1)].into()
    );
    assert_eq!(task(&ledger, "a").await.failures, 2);

    for _ in 0..2 {
        let claim = claim_one(&ledger, "one", 40).await;
        finish(&ledger, &claim, 41).await;
    }
    assert!(backlog(&ledger).await.failing.is_empty());
    assert!(
        ledger
            .failing(RULE, DESTINATION, 9)
            .await
            .unwrap()
            .is_empty()
    );
}

/// Giving a claim back costs the task nothing.
pub async fn a_release_is_no_failure(ledger: Subject) {
    submit(&ledger, vec![live("a", 1, 2)]).await;
    let claim = claim_one(&ledger, "one", 10).await;
    ledger
        .release(&key("a"), claim.token, at(500))
        .await
        .unwrap();
    let a = task(&ledger, "a").await;
    assert_eq!(
        (a.failures, &a.last_failure, &a.lease, a.due),
        (0, &None, &None, at(500))
    );
    assert_eq!(next_due(&ledger).await, Some(at(500)));
    assert!(
        !claim_one(&ledger, "two", 500).await.takeover,
        "it was given back, not abandoned"
    );
}

/// Who takes over finds the transfer under way.
pub async fn attempts_are_kept_for_the_successor(ledger: Subject) {
    submit(&ledger, vec![live("a", 1, 2)]).await;
    let claim = claim_one(&ledger, "one", 10).await;
    let attempt = Attempt {
        id: "attempt-1".into(),
        source: ObjectVersion {
            etag: "e".into(),
            version_id: None,
        },
        upload: Some("upload".into()),
        plan: serde_json::json!({"parts": 4, "ranges": [[0, 1], null], "rate": 0.5}),
    };
    ledger
        .record_attempt(&key("a"), claim.token, Some(attempt.clone()))
        .await
        .unwrap();
    let taken = claim_one(&ledger, "two", 10 + LEASE.as_millis() as u64).await;
    assert_eq!(taken.task.attempt, Some(attempt.clone()));
    ledger
        .fail(
            &key("a"),
            taken.token,
            failure(Kind::RetryAfter, 30_000),
            at(30_000),
        )
        .await
        .unwrap();
    let taken = claim_one(&ledger, "two", 30_000).await;
    assert_eq!(taken.task.attempt, Some(attempt));
    ledger
        .record_attempt(&key("a"), taken.token, None)
        .await
        .unwrap();
    assert_eq!(task(&ledger, "a").await.attempt, None);
}

/// After a person has mended something, nobody waits for a backoff to end.
pub async fn hurry_makes_waiting_tasks_due(ledger: Subject) {
    hurry(ledger, 1_500).await;
}

/// The same with few tasks, for services that are slow here.
pub async fn hurry_makes_some_waiting_tasks_due(ledger: Subject) {
    hurry(ledger, 50).await;
}

async fn hurry(ledger: Subject, tasks: usize) {
    submit(
        &ledger,
        (0..tasks)
            .map(|n| live(&format!("k{n:04}"), 1, 2))
            .collect(),
    )
    .await;
    let claims = ledger.claim(request("one", tasks, 10)).await.unwrap();
    let (held, failed) = claims.split_first().expect("claims");
    for claim in failed {
        ledger
            .release(&claim.task.task, claim.token, at(9_000_000))
            .await
            .unwrap();
    }
    submit(&ledger, vec![live("fresh", 1, 12)]).await;
    assert_eq!(
        ledger.hurry(RULE, DESTINATION, at(20)).await.unwrap(),
        tasks as u64 - 1
    );
    assert_eq!(ledger.hurry(RULE, DESTINATION, at(20)).await.unwrap(), 0);
    assert_eq!(
        ledger.claim(request("one", 9_999, 20)).await.unwrap().len(),
        tasks
    );
    assert_eq!(finish(&ledger, held, 21).await, Finished::Done);
}

/// Who compares the stores asks what is under way: of this destination alone, and whatever became of its owner.
pub async fn what_is_claimed_is_known(ledger: Subject) {
    let claimed = async || {
        let mut keys = ledger.claimed(RULE, DESTINATION).await.unwrap();
        keys.sort();
        keys.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(claimed().await.is_empty());
    submit(
        &ledger,
        vec![live("a", 1, 2), live("b", 1, 3), live("c", 1, 4)],
    )
    .await;
    assert!(claimed().await.is_empty(), "pending is not claimed");
    let claims = ledger.claim(request("one", 2, 10)).await.unwrap();
    assert_eq!(claimed().await, ["a", "b"]);
    assert!(ledger.claimed(RULE, "elsewhere").await.unwrap().is_empty());
    assert_eq!(finish(&ledger, &claims[0], 11).await, Finished::Done);
    assert_eq!(claimed().await, ["b"]);
    ledger
        .release(&key("b"), claims[1].token, at(99))
        .await
        .unwrap();
    assert!(claimed().await.is_empty());
}

/// Nobody has to poll.
pub async fn waiters_hear_of_claimable_tasks(ledger: Subject) {
    let mut arrivals = ledger.arrivals();
    let mut heard = move || {
        let changed = arrivals.has_rung();
        arrivals.forget();
        changed
    };
    assert!(!heard());
    submit(&ledger, vec![live("a", 1, 2)]).await;
    assert!(heard(), "submit");
    let claim = claim_one(&ledger, "one", 10).await;
    assert!(!heard(), "claim");
    submit(&ledger, vec![live("a", 3, 4)]).await;
    assert!(!heard(), "dirty");
    finish(&ledger, &claim, 11).await;
    assert!(heard(), "finish, again");
    let claim = claim_one(&ledger, "one", 12).await;
    ledger
        .fail(&key("a"), claim.token, failure(Kind::Denied, 13), at(14))
        .await
        .unwrap();
    assert!(heard(), "fail");
    let claim = claim_one(&ledger, "one", 15).await;
    ledger
        .release(&key("a"), claim.token, at(99))
        .await
        .unwrap();
    assert!(heard(), "release");
    assert_stale(ledger.release(&key("a"), claim.token, at(99)).await);
    assert!(!heard(), "refused");
    ledger.hurry(RULE, DESTINATION, at(16)).await.unwrap();
    assert!(heard(), "hurry");
    let claim = claim_one(&ledger, "one", 17).await;
    assert_eq!(finish(&ledger, &claim, 18).await, Finished::Done);
    assert!(!heard(), "done");
}
