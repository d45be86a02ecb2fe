//! Part pools.

use super::*;

const NEVER: Duration = Duration::from_secs(1_000_000);

fn done(number: u32) -> PartDone {
    PartDone {
        number,
        etag: format!("etag-{number}"),
        size: 5,
        crc64: Some(u64::from(number)),
        crc32c: None,
    }
}

async fn claim(
    ledger: &Subject,
    worker: &str,
    limit: usize,
    after: Duration,
    now: u64,
) -> Vec<(u32, bool)> {
    let claims = ledger
        .claim_parts("x", worker, limit, LEASE, after, at(now))
        .await
        .unwrap();
    claims
        .into_iter()
        .map(|claim| (claim.number, claim.duplicate))
        .collect()
}

/// Opening is idempotent, closing too, and a closed pool says so.
pub async fn pools_open_once_and_close(ledger: Subject) {
    assert_eq!(ledger.parts("x").await.unwrap(), None);
    assert_kind(
        ledger.claim_parts("x", "w", 1, LEASE, NEVER, at(1)).await,
        Kind::Missing,
    );
    assert_kind(ledger.open_pool("x", 0).await, Kind::Invalid);
    ledger.open_pool("x", 3).await.unwrap();
    ledger.open_pool("xx", 9).await.unwrap();
    assert_eq!(
        claim(&ledger, "w", 2, NEVER, 1).await,
        [(1, false), (2, false)]
    );
    assert_kind(ledger.finish_part("x", done(4)).await, Kind::Invalid);
    assert_kind(ledger.finish_part("x", done(0)).await, Kind::Invalid);
    let state = ledger.finish_part("x", done(2)).await.unwrap();
    assert_eq!(
        state,
        PoolState {
            total: 3,
            done: 1,
            completed_now: false
        }
    );

    ledger.open_pool("x", 3).await.unwrap();
    assert_kind(ledger.open_pool("x", 4).await, Kind::Invalid);
    assert_eq!(ledger.parts("x").await.unwrap(), Some((3, vec![done(2)])));
    assert_eq!(claim(&ledger, "w", 9, NEVER, 1).await, [(3, false)]);
    ledger.finish_part("x", done(3)).await.unwrap();
    let state = ledger.finish_part("x", done(1)).await.unwrap();
    assert_eq!(
        state,
        PoolState {
            total: 3,
            done: 3,
            completed_now: true
        }
    );
    let other = PartDone {
        etag: "other".into(),
        ..done(1)
    };
    let state = ledger.finish_part("x", other).await.unwrap();
    assert_eq!(
        state,
        PoolState {
            total: 3,
            done: 3,
            completed_now: false
        }
    );
    assert_eq!(
        ledger.parts("x").await.unwrap(),
        Some((3, vec![done(1), done(2), done(3)]))
    );
    assert!(claim(&ledger, "w", 9, Duration::ZERO, 1).await.is_empty());

    ledger.close_pool("x").await.unwrap();
    ledger.close_pool("x").await.unwrap();
    assert_eq!(ledger.parts("x").await.unwrap(), None);
    assert_kind(
        ledger.claim_parts("x", "w", 1, LEASE, NEVER, at(1)).await,
        Kind::Missing,
    );
    assert_kind(ledger.finish_part("x", done(1)).await, Kind::Missing);
    ledger.release_part("x", "w", 1).await.unwrap();
    assert_eq!(
        ledger.parts("xx").await.unwrap(),
        Some((9, vec![])),
        "the neighbour is untouched"
    );
}

/// A hold is a lease.
pub async fn parts_of_a_dead_worker_come_back(ledger: Subject) {
    ledger.open_pool("x", 2).await.unwrap();
    assert_eq!(
        claim(&ledger, "dead", 2, NEVER, 100).await,
        [(1, false), (2, false)]
    );
    ledger.finish_part("x", done(1)).await.unwrap();
    let expiry = at(100).after(LEASE).unix_ms();
    assert!(claim(&ledger, "w", 9, NEVER, expiry - 1).await.is_empty());
    assert_eq!(claim(&ledger, "w", 9, NEVER, expiry).await, [(2, false)]);
    // The dead one was only slow: its result is as good as any.
    assert!(
        ledger
            .finish_part("x", done(2))
            .await
            .unwrap()
            .completed_now
    );
}

/// What a worker could not copy, another may.
pub async fn a_part_given_back_is_given_out_again(ledger: Subject) {
    ledger.open_pool("x", 3).await.unwrap();
    assert_eq!(
        claim(&ledger, "a", 2, NEVER, 1).await,
        [(1, false), (2, false)]
    );
    ledger.release_part("x", "b", 1).await.unwrap();
    ledger.release_part("x", "a", 2).await.unwrap();
    ledger.release_part("x", "a", 3).await.unwrap();
    assert_eq!(
        claim(&ledger, "b", 9, NEVER, 2).await,
        [(2, false), (3, false)]
    );
    // Of two holders, the other keeps it.
    assert_eq!(claim(&ledger, "b", 1, Duration::ZERO, 3).await, [(1, true)]);
    ledger.release_part("x", "b", 1).await.unwrap();
    assert!(claim(&ledger, "b", 9, NEVER, 4).await.is_empty());
    ledger.release_part("x", "a", 1).await.unwrap();
    assert_eq!(claim(&ledger, "b", 9, NEVER, 5).await, [(1, false)]);
}

/// Only when the pool is dry, only old enough, one at a time, the longest held first, two holders at most.
pub async fn only_the_slowest_parts_are_duplicated(ledger: Subject) {
    let after = Duration::from_millis(50);
    ledger.open_pool("x", 3).await.unwrap();
    assert_eq!(claim(&ledger, "a", 1, after, 1_000).await, [(1, false)]);
    assert_eq!(claim(&ledger, "b", 1, after, 1_010).await, [(2, false)]);
    assert_eq!(
        claim(&ledger, "c", 1, after, 2_000).await,
        [(3, false)],
        "not while one is free"
    );
    assert_eq!(
        claim(&ledger, "c", 9, Duration::from_secs(5), 2_000).await,
        []
    );
    assert_eq!(claim(&ledger, "c", 0, after, 2_000).await, []);
    assert_eq!(
        claim(&ledger, "a", 9, after, 2_000).await,
        [(2, true)],
        "not its own"
    );
    assert_eq!(claim(&ledger, "c", 9, after, 2_000).await, [(1, true)]);
    assert_eq!(
        claim(&ledger, "d", 9, after, 2_049).await,
        [],
        "two have it, or too young"
    );
    assert_eq!(claim(&ledger, "d", 9, after, 2_050).await, [(3, true)]);
    ledger.finish_part("x", done(1)).await.unwrap();
    assert_eq!(claim(&ledger, "e", 9, after, 3_000).await, []);
    let parts = ledger.parts("x").await.unwrap();
    assert_eq!(parts, Some((3, vec![done(1)])));
    // The first holder of 2 has died: the one who is left may be helped.
    let expiry = at(1_010).after(LEASE).unix_ms();
    assert_eq!(claim(&ledger, "e", 9, after, expiry).await, [(2, true)]);
}

/// A resumed upload starts with parts that nobody claimed.
pub async fn parts_that_the_destination_already_has_are_not_given_out(ledger: Subject) {
    ledger.open_pool("x", 6).await.unwrap();
    for number in [1, 3, 4, 6] {
        ledger.finish_part("x", done(number)).await.unwrap();
    }
    assert_eq!(
        claim(&ledger, "a", 9, NEVER, 1).await,
        [(2, false), (5, false)]
    );
    assert!(claim(&ledger, "b", 9, NEVER, 1).await.is_empty());
    ledger.finish_part("x", done(2)).await.unwrap();
    assert!(
        ledger
            .finish_part("x", done(5))
            .await
            .unwrap()
            .completed_now
    );
}
