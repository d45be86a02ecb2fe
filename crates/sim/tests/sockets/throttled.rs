//! The destination refuses everything for a while, while events keep coming and one is lost.

use crate::scene::{Scene, arrival, receipts, until};
use skyfresh_engine::Rule;
use skyfresh_ledger::{Ledger, MemoryLedger, Origin};
use skyfresh_localsky::{Fault, FaultRule, OperationClass};
use skyfresh_sky::{Clock, ObjectVersion, SystemClock};
use std::sync::Arc;
use std::time::Duration;

/// Objects written during the outage. Writes are refused from the first of them on, everything from the middle one on.
const WRITTEN: usize = 44;
const BETWEEN_WRITES: Duration = Duration::from_millis(70);
/// The one of them that nobody tells of.
const LOST: &str = "k30";
/// After the outage: objects, and how long the destination takes for each request about one of them.
const WAVE: usize = 60;
const LATENCY: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_throttles_for_a_while_costs_time_and_nothing_else() {
    let mut scene = Scene::open().await;
    scene.rule = Rule {
        sweep_every: Duration::from_secs(1),
        ..scene.rule
    };
    scene.config.notification_grace = Duration::from_millis(100);
    let ledger = Arc::new(MemoryLedger::new());
    let engine = scene.engine(Arc::clone(&ledger) as _, "one").await;
    scene.webhook.tell(Some(&engine));
    let swept = || async {
        let status = engine.status(None).await.unwrap();
        status[0].destinations[0].sweep.is_some()
    };
    until("the rule is swept", swept).await;
    let written = writes_during_outage(&scene).await;
    for (name, _) in &written {
        let receipts = receipts(ledger.as_ref(), name).await;
        assert!(
            receipts.is_empty(),
            "nothing can have arrived: {receipts:?}"
        );
    }
    let backlog = ledger.backlog("rule", "d1").await.unwrap();
    assert_eq!(
        backlog.objects as usize,
        written.len() - 1,
        "all that was heard of is pending, the lost one is not: {backlog:?}"
    );

    scene.sky.faults().clear();
    for (name, source) in &written {
        let receipt = arrival(ledger.as_ref(), name, source).await;
        let published = scene.all_published(name).await;
        assert_eq!(published.len(), 1, "{name}: {published:?}");
        assert_eq!(receipt.destination.as_ref(), Some(&published[0].version));
        assert_eq!(scene.read(name, None).await, Some(1));
        if name == LOST {
            assert_eq!(receipt.origin, Origin::Repair, "only a sweep can tell");
        }
    }

    let took = wave(&scene, ledger.as_ref()).await;
    let one_at_a_time = LATENCY * WAVE as u32 * 2;
    assert!(
        took < one_at_a_time / 2,
        "{WAVE} objects took {took:?}; one request after the other takes {one_at_a_time:?}"
    );
    engine.shutdown().await;
}

/// Users write on, through the whole outage; one of the events is lost.
async fn writes_during_outage(scene: &Scene) -> Vec<(String, ObjectVersion)> {
    let refuse = |operations| FaultRule {
        region: Some(scene.target_region.clone()),
        operations,
        ..FaultRule::new(Fault::SlowDown)
    };
    let lose = |probability| {
        let notifications = scene.sky.notifications();
        let lost = notifications.update(|settings| settings.drop_probability = probability);
        lost.unwrap();
    };
    let mut written = Vec::new();
    for number in 0..WRITTEN {
        match number {
            0 => scene.sky.faults().set(vec![refuse(OperationClass::Write)]),
            _ if number == WRITTEN / 2 => scene.sky.faults().set(vec![refuse(OperationClass::Any)]),
            _ => {}
        }
        let name = format!("k{number}");
        lose(if name == LOST { 1.0 } else { 0.0 });
        let source = scene.put(&name, 1, 3_000).await;
        written.push((name, source));
        SystemClock.sleep(BETWEEN_WRITES).await;
    }
    assert_eq!(scene.sky.notifications().counts().dropped, 1);
    scene.all_is_told().await;
    written
}

/// Many objects at once, to a destination that is far away: how long until all have arrived.
async fn wave(scene: &Scene, ledger: &dyn Ledger) -> Duration {
    let far_away = FaultRule {
        region: Some(scene.target_region.clone()),
        path_prefix: "/target/wave".into(),
        ..FaultRule::new(Fault::Delay {
            delay_ms: LATENCY.as_millis() as u64,
        })
    };
    scene.sky.faults().set(vec![far_away]);
    let began = SystemClock.now();
    let names = Vec::from_iter((0..WAVE).map(|number| format!("wave{number}")));
    let puts = names.iter().map(|name| scene.put(name, 1, 3_000));
    let sources = futures::future::join_all(puts).await;
    for (name, source) in names.iter().zip(&sources) {
        arrival(ledger, name, source).await;
    }
    SystemClock.now().since(began)
}
