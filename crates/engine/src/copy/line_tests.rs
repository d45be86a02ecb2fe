use super::*;
use proptest::prelude::{Strategy, prop, prop_assert, prop_assert_eq, proptest};
use skyfresh_sky::{Timestamp, Usd, VirtualClock, timeout};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Due so long after the start.
fn due(after_ms: u64) -> Pending {
    Pending {
        deadline: START.after(ms(after_ms)),
        takes_s: 1.0,
        regret_per_s: 1.0,
        cost: Usd::ZERO,
    }
}

fn pending() -> impl Strategy<Value = Pending> {
    (0u64..20_000, 0u32..5, 0u32..3).prop_map(|(deadline_ms, regret, cents)| Pending {
        regret_per_s: f64::from(regret),
        cost: Usd::from_usd(f64::from(cents) / 100.0),
        ..due(deadline_ms)
    })
}

/// Runs in virtual time, from [`START`].
fn virtually<T>(test: impl AsyncFnOnce(Arc<dyn Clock>) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async { test(Arc::new(VirtualClock::starting_at(START))).await })
}

/// One order: when it comes, what it needs, for how long it works, and after how long it is dropped, if it is.
#[derive(Clone, Debug)]
struct Order {
    pending: Pending,
    comes_ms: u64,
    wanted: u32,
    works_ms: u64,
    looks: u32,
    dropped_ms: Option<u64>,
}

fn order() -> impl Strategy<Value = Order> {
    let dropped = prop::option::of(0u64..400);
    (pending(), 0u64..300, 0u32..7, 1u64..100, 0u32..4, dropped).prop_map(
        |(pending, comes_ms, wanted, works_ms, looks, dropped_ms)| Order {
            pending,
            comes_ms,
            wanted,
            works_ms,
            looks,
            dropped_ms,
        },
    )
}

/// Counts what is held; uncounted when dropped.
struct Held<'a>(&'a AtomicU32, u32);

impl<'a> Held<'a> {
    fn more(held: &'a AtomicU32, turn: &Turn, most: &AtomicU32) -> Self {
        let now = held.fetch_add(turn.wanted, Ordering::SeqCst) + turn.wanted;
        most.fetch_max(now, Ordering::SeqCst);
        Held(held, turn.wanted)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::SeqCst);
    }
}

proptest! {
    /// Whatever comes, whoever is dropped wherever it stands, and whoever gives way: no more is held than there is, everybody
    /// is served, and in the end everything is free.
    #[test]
    fn no_more_than_there_is_and_everybody_is_served(
        total in 1usize..6, orders in prop::collection::vec(order(), 1..30)
    ) {
        let (served, most, free) = virtually(async |clock| {
            let line = Line::new(total, Arc::clone(&clock));
            let (held, most, served) = <(Arc<AtomicU32>, Arc<AtomicU32>, Arc<AtomicU32>)>::default();
            let mut all = JoinSet::new();
            for order in orders.clone() {
                let (line, clock) = (Arc::clone(&line), Arc::clone(&clock));
                let (held, most, served) = (Arc::clone(&held), Arc::clone(&most), Arc::clone(&served));
                all.spawn(async move {
                    clock.sleep(ms(order.comes_ms)).await;
                    let work = async {
                        let mut turn = line.enter(order.wanted as usize, order.pending).await;
                        for _ in 0..=order.looks {
                            let counted = Held::more(&held, &turn, &most);
                            clock.sleep(ms(order.works_ms)).await;
                            drop(counted);
                            if turn.gives_way() {
                                turn.again().await;
                            }
                        }
                    };
                    let limit = order.dropped_ms.map_or(Duration::from_secs(3_600), ms);
                    if timeout(&*clock, limit, work).await.is_some() || order.dropped_ms.is_some() {
                        served.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            while all.join_next().await.is_some() {}
            let state = line.state();
            let idle = state.waiting.is_empty() && state.queue.is_empty() && !state.giving_way;
            let free = if idle { state.free } else { u32::MAX };
            (served.load(Ordering::SeqCst), most.load(Ordering::SeqCst), free)
        });
        prop_assert_eq!(served as usize, orders.len());
        prop_assert!(most as usize <= total, "{} of {} held at once", most, total);
        prop_assert_eq!(free as usize, total);
    }

    /// With one permit they are served as [`in_order`] says.
    #[test]
    fn one_by_one_it_is_the_order_of_the_plan(all in prop::collection::vec(pending(), 1..20), now_ms in 0u64..20_000) {
        let (order, now) = virtually(async |clock| {
            let line = Line::new(1, Arc::clone(&clock));
            let first = line.enter(1, due(0)).await;
            let served = Arc::new(Mutex::new(Vec::new()));
            let mut waiting = JoinSet::new();
            for (index, pending) in all.iter().copied().enumerate() {
                let (line, served) = (Arc::clone(&line), Arc::clone(&served));
                waiting.spawn(async move {
                    let _turn = line.enter(1, pending).await;
                    served.lock().expect("not poisoned").push(index);
                });
            }
            clock.sleep(ms(now_ms)).await;
            // Turns follow from the time at which they are given, which may not be that of the end.
            let now = clock.now();
            drop(first);
            while waiting.join_next().await.is_some() {}
            (served.lock().expect("not poisoned").clone(), now)
        });
        prop_assert_eq!(order, in_order(&all, now));
    }
}

#[test]
fn one_gives_way_to_one_that_is_more_urgent() {
    virtually(async |clock| {
        let line = Line::new(2, Arc::clone(&clock));
        let mut slow = line.enter(1, due(60_000)).await;
        let mut other = line.enter(1, due(50_000)).await;
        assert!(!slow.gives_way(), "nobody waits");
        let equal = tokio::spawn({
            let line = Arc::clone(&line);
            async move { line.enter(1, due(60_000)).await }
        });
        tokio::task::yield_now().await;
        assert!(
            !slow.gives_way() && !other.gives_way(),
            "what is no more urgent waits"
        );
        let urgent = tokio::spawn({
            let line = Arc::clone(&line);
            async move { line.enter(1, due(5_000)).await }
        });
        tokio::task::yield_now().await;
        assert!(slow.gives_way() && slow.gives_way());
        assert!(!other.gives_way(), "one is enough");
        let others = async {
            drop(urgent.await.expect("admitted"));
            // It came before the one that gave way came again.
            let equal = equal.await.expect("admitted");
            drop(other);
            equal
        };
        let ((), equal) = futures::join!(slow.again(), others);
        assert_eq!(line.state().free, 0);
        drop((slow, equal));
        assert_eq!(line.state().free, 2);
    });
}

/// What cannot be had at once is had in the end: more than there is counts as all there is.
#[test]
fn an_order_that_wants_more_than_there_is_gets_all() {
    virtually(async |clock| {
        let line = Line::new(3, clock);
        let small = line.enter(1, due(60_000)).await;
        let big = line.enter(100, due(60_000));
        let both = async {
            tokio::task::yield_now().await;
            drop(small);
        };
        let (big, ()) = futures::join!(big, both);
        assert_eq!((big.wanted, line.state().free), (3, 0));
    });
}

/// What is free, and what was given out beyond that.
fn given(line: &Line) -> (u32, u32) {
    let state = line.state();
    (state.free, state.owed)
}

/// Who does not wait makes others wait the longer, and no more than twice of what there is is given out.
#[test]
fn what_is_begun_without_waiting_is_paid_back_first() {
    virtually(async |clock| {
        let line = Line::new(4, Arc::clone(&clock));
        let first = line.begin(3, due(60_000)).await;
        assert!(line.is_short());
        let second = line.begin(3, due(60_000)).await;
        assert_eq!(given(&line), (0, 2));
        let (waits, beyond) = (line.enter(1, due(1_000)), line.begin(3, due(2_000)));
        let both = async {
            tokio::task::yield_now().await;
            assert_eq!(line.state().queue.len(), 2, "beyond twice one waits, too");
            drop(first);
            assert_eq!(given(&line), (0, 0));
            drop(second);
        };
        let (waited, begun, ()) = futures::join!(waits, beyond, both);
        assert_eq!((waited.wanted, begun.wanted), (1, 3));
        drop((waited, begun));
        assert_eq!(given(&line), (4, 0));
        assert!(!line.is_short());
    });
}
