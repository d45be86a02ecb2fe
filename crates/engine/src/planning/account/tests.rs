use super::*;
use crate::examples;
use skyfresh_ledger::{Claim, ClaimRequest, Completion, MemoryLedger, Origin, Signal, Submission};
use std::time::Duration;

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn usd(dollars: f64) -> Usd {
    Usd::from_usd(dollars)
}

fn receipt(published: Timestamp, spend: Usd) -> Receipt {
    Receipt {
        changed: published,
        notified: published,
        started: published,
        published,
        spend,
        ..examples::receipt("key")
    }
}

/// Leaves a receipt in the ledger, as a finished claim does.
async fn leave(ledger: &MemoryLedger, published: Timestamp, spend: Usd) {
    let receipt = receipt(published, spend);
    let signal = Signal {
        origin: Origin::Live,
        changed: published,
        notified: published,
        size: None,
    };
    let task = receipt.task.clone();
    let submission = Submission {
        task: task.clone(),
        signal,
    };
    ledger.submit(vec![submission]).await.unwrap();
    let request = ClaimRequest {
        rule: task.rule.clone(),
        destination: task.destination.clone(),
        owner: "me".into(),
        lease: Duration::from_secs(10),
        limit: 1,
        now: published,
    };
    let claims: Vec<Claim> = ledger.claim(request).await.unwrap();
    let completion = Completion {
        receipt,
        mark: None,
        tombstone: None,
    };
    let token = claims[0].token;
    ledger
        .finish(&task, token, completion, published)
        .await
        .unwrap();
}

#[test]
fn periods_are_those_of_the_calendar() {
    let at = time("2028-02-29T13:45:10Z");
    assert_eq!(begin(Period::Hour, at), time("2028-02-29T13:00:00Z"));
    assert_eq!(
        end(Period::Hour, begin(Period::Hour, at)),
        time("2028-02-29T14:00:00Z")
    );
    assert_eq!(begin(Period::Month, at), time("2028-02-01T00:00:00Z"));
    let december = begin(Period::Month, time("2026-12-31T23:59:59Z"));
    assert_eq!(end(Period::Month, december), time("2027-01-01T00:00:00Z"));
}

#[test]
fn a_new_period_begins_with_nothing_spent() {
    let budget = Budget {
        usd: usd(1.0),
        per: Period::Hour,
        on_cap: OnCap::Pause,
    };
    let account = Account::new(Some(budget));
    let now = time("2026-01-01T10:59:00Z");
    account.spend(&receipt(now, usd(0.9)));
    assert_eq!(account.spending(usd(0.05), now), Spending::Normal);
    assert_eq!(account.spending(usd(0.2), now), Spending::Paused);
    let status = account.status(now).unwrap();
    assert_eq!((status.spent, status.trouble()), (usd(0.9), None));
    account.spend(&receipt(now, usd(0.1)));
    let status = account.status(now).unwrap();
    assert_eq!(status.spending, Spending::Paused);
    let told = status.trouble().unwrap();
    assert!(
        told.contains("nothing is copied until 2026-01-01T11:00:00"),
        "{told}"
    );
    let next = account.renewed(now);
    assert_eq!(next, time("2026-01-01T11:00:00Z"));
    assert_eq!(account.spending(usd(0.2), next), Spending::Normal);
    account.spend(&receipt(now, usd(5.0)));
    account.spend(&receipt(next, usd(0.3)));
    assert_eq!(account.status(next).unwrap().spent, usd(0.3));
}

#[tokio::test]
async fn what_was_spent_survives_the_process_and_the_receipts() {
    let ledger = MemoryLedger::new();
    let budget = Some(Budget {
        usd: usd(10.0),
        per: Period::Month,
        on_cap: OnCap::Degrade,
    });
    let at = |text: &str| time(&format!("2026-03-{text}Z"));
    leave(&ledger, time("2026-02-28T23:59:59Z"), usd(7.0)).await;
    leave(&ledger, at("01T00:00:00"), usd(1.0)).await;
    leave(&ledger, at("02T00:00:00"), usd(2.0)).await;
    let now = at("20T00:00:00");
    let spent = |account: &Account| account.status(now).unwrap().spent;

    let account = Account::new(budget);
    account.load("rule", &ledger, now).await.unwrap();
    assert_eq!(spent(&account), usd(3.0));
    // What others published before is in it; what they publish now is not yet.
    account.remember(&receipt(at("02T00:00:00"), usd(2.0)));
    account.remember(&receipt(now, usd(0.5)));
    assert_eq!(spent(&account), usd(3.5));

    // Receipts are kept for less than a month.
    let kept = at("10T00:00:00");
    account.keep("rule", &ledger, kept).await.unwrap();
    account
        .keep("rule", &ledger, at("05T00:00:00"))
        .await
        .unwrap();
    while ledger.prune(kept).await.unwrap() > 0 {}
    leave(&ledger, at("15T00:00:00"), usd(0.25)).await;
    let again = Account::new(budget);
    again.load("rule", &ledger, now).await.unwrap();
    assert_eq!(spent(&again), usd(3.25));
    // And kept once more on top of what is kept.
    again
        .keep("rule", &ledger, at("16T00:00:00"))
        .await
        .unwrap();
    let third = Account::new(budget);
    third.load("rule", &ledger, now).await.unwrap();
    assert_eq!(spent(&third), usd(3.25));
}
