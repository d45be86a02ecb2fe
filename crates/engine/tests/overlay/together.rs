//! Rules with several destinations whose parts go by one tree: read once, each hop paid once, and no destination held up by another.

use super::standing::{
    Bad, Plans, Ruled, assert_equal, prices, ruled, ruled_with, standing, virtual_sky,
};
use super::{MIB, Opens, Scene, location};
use skyfresh_engine::{EngineConfig, Rule};
use skyfresh_relay::executor::Executor;
use skyfresh_sky::Usd;
use skyfresh_store::ObjectStore;
use skyfresh_store::memory::{Fault, OperationKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of a part of these objects.
const PART: usize = 8 * MIB;

impl Scene {
    fn together(&self) -> Plans {
        Plans {
            alone: None,
            together: Some(standing(self.topology(), self.nodes.clone())),
        }
    }

    async fn pair(&self, plans: Plans) -> Ruled {
        let opener = Arc::new(Opens(self.sky.clone()));
        ruled(opener, &self.clock, plans, &["d0", "d1"]).await
    }

    async fn both_are_fresh(&self) {
        let source = self.store("source");
        for bucket in ["d0", "d1"] {
            let target = self.store(bucket);
            assert_equal(source.as_ref(), target.as_ref(), self.clock.as_ref()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_read_once_for_all_destinations_and_each_hop_is_paid_once() {
    let scene = Scene::new();
    let rule = scene.pair(scene.together()).await;
    let clock = scene.clock.as_ref();
    let mut before = rule.relayed_to_each(clock).await;
    let size = 3 * PART + 17;
    for seed in 1..40 {
        let reads = scene.count(OperationKind::Get, "source");
        scene.write("large", size, seed).await;
        let now = rule.relayed_to_each(clock).await;
        scene.both_are_fresh().await;
        let reads = scene.count(OperationKind::Get, "source") - reads;
        // A verification by bytes reads the source too, once a destination.
        let (both, verified) = (prices(2), 2);
        let all = skyfresh_relay::DestinationSet::first(2);
        let share = Usd::from_units(both.usd_per_gb(all).units() / 2);
        let expected = (share.per_gb(size as u64).usd() * 1e9).round() as u64;
        let spent: Vec<u64> = now.iter().zip(&before).map(|(a, b)| a - b).collect();
        if spent.iter().all(|spent| spent.abs_diff(expected) <= 4) {
            assert_eq!(reads, 4 + verified, "each part once for both");
            return rule.end().await;
        }
        before = now;
    }
    panic!("the destinations never had a whole object together");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_objects_at_once_go_together_too() {
    let scene = Scene::new();
    let rule = scene.pair(scene.together()).await;
    let clock = scene.clock.as_ref();
    scene.write("first", 4 * PART, 1).await;
    rule.relayed_to_each(clock).await;
    let before = scene.count(OperationKind::Get, "source");
    for seed in 2..14 {
        scene
            .write(&format!("object-{seed}"), 2 * PART + 5, seed)
            .await;
    }
    rule.relayed_to_each(clock).await;
    let reads = scene.count(OperationKind::Get, "source") - before;
    scene.both_are_fresh().await;
    let parts = 12 * 3;
    // Alone, each destination would read every part.
    assert!(
        reads <= parts + parts / 4,
        "{reads} reads of {parts} parts for two destinations"
    );
    rule.end().await;
}

/// A destination whose parts are written only after so long, once it is told to.
fn slow_parts(scene: &Scene, bucket: &'static str, delay: Duration) -> Arc<AtomicBool> {
    let slow = Arc::new(AtomicBool::new(false));
    let is_slow = Arc::clone(&slow);
    scene.faults(move |operation| {
        let part = operation.kind == OperationKind::UploadPart && operation.bucket == bucket;
        (part && is_slow.load(Ordering::SeqCst)).then_some(Fault::Delay(delay))
    });
    slow
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_destination_does_not_hold_up_a_fast_one() {
    let scene = Scene::new();
    let slow = slow_parts(&scene, "d1", Duration::from_secs(8));
    let rule = scene.pair(scene.together()).await;
    let clock = scene.clock.as_ref();
    scene.write("first", 4 * PART, 1).await;
    rule.relayed_to_each(clock).await;
    slow.store(true, Ordering::SeqCst);
    let began = clock.now();
    scene.write("large", 6 * PART, 2).await;
    rule.engine.sweep("rule").unwrap();
    let key = skyfresh_sky::ObjectKey::new("large").unwrap();
    let (fast, late) = (scene.store("d0"), scene.store("d1"));
    while fast.head(&key).await.is_err() {
        clock.sleep(Duration::from_millis(20)).await;
    }
    let took = clock.now().since(began);
    assert!(took < Duration::from_secs(7), "{took:?}");
    assert!(late.head(&key).await.is_err(), "it is slow, as meant");
    rule.proven(began, clock).await;
    scene.both_are_fresh().await;
    rule.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_destination_does_not_go_at_the_pace_of_a_slow_one() {
    let scene = Scene::new();
    let slow = slow_parts(&scene, "d1", Duration::from_millis(1_500));
    let opener = Arc::new(Opens(scene.sky.clone()));
    let set = |config: &mut EngineConfig, rule: &mut Rule| {
        (config.parts_in_flight, config.sizing.max_workers) = (1, 1);
        rule.slo.delay = Duration::from_secs(8);
    };
    let plans = scene.together();
    let rule = ruled_with(opener, &scene.clock, plans, &["d0", "d1"], set).await;
    let clock = scene.clock.as_ref();
    scene.write("first", 4 * PART, 1).await;
    rule.relayed_to_each(clock).await;
    slow.store(true, Ordering::SeqCst);
    scene.write("large", 10 * PART, 2).await;
    rule.engine.sweep("rule").unwrap();
    let key = skyfresh_sky::ObjectKey::new("large").unwrap();
    let (began, fast) = (clock.now(), scene.store("d0"));
    while fast.head(&key).await.is_err() {
        clock.sleep(Duration::from_millis(20)).await;
    }
    // Part by part with the other it would be fifteen seconds; it may wait for one, and for one more part.
    let took = clock.now().since(began);
    assert!(took < Duration::from_secs(6), "{took:?}");
    slow.store(false, Ordering::SeqCst);
    rule.relayed_to_each(clock).await;
    scene.both_are_fresh().await;
    rule.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_destination_alone_lacks_pays_for_no_hop_of_the_tree() {
    let scene = Scene::new();
    let rule = scene.pair(scene.together()).await;
    let clock = scene.clock.as_ref();
    scene.write("first", 4 * PART, 1).await;
    scene.write("large", 4 * PART, 2).await;
    let before = rule.relayed_to_each(clock).await;
    let key = skyfresh_sky::ObjectKey::new("large").unwrap();
    let none = skyfresh_store::Precondition::None;
    scene.store("d1").delete(&key, &none).await.unwrap();
    assert_eq!(rule.relayed_to_each(clock).await, before, "no hop was paid");
    scene.both_are_fresh().await;
    rule.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn together_is_left_where_apart_costs_less() {
    let scene = Scene::new();
    let mut plans = scene.together();
    let cheap = Some(vec![Some(Usd::from_usd(0.1)); 2]);
    plans.together.as_mut().unwrap().otherwise = cheap;
    let rule = scene.pair(plans).await;
    let clock = scene.clock.as_ref();
    scene.write("large", 4 * PART, 1).await;
    assert_eq!(rule.relayed_to_each(clock).await, [0, 0]);
    scene.both_are_fresh().await;
    rule.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_that_die_with_parts_of_several_lose_none() {
    let scene = Scene::new();
    scene.write("large", 12 * PART, 4).await;
    scene.write("other", 5 * PART, 5).await;
    let nodes = Arc::clone(&scene.nodes);
    let counted = AtomicU64::new(0);
    scene.faults(move |operation| {
        let part = operation.kind == OperationKind::UploadPart && operation.bucket == "d1";
        if part && counted.fetch_add(1, Ordering::SeqCst) == 5 {
            let all: Vec<_> = nodes.started.lock().unwrap().values().cloned().collect();
            tokio::spawn(async move {
                for node in all {
                    node.stop().await;
                }
            });
        }
        None
    });
    let rule = scene.pair(scene.together()).await;
    rule.relayed_to_each(scene.clock.as_ref()).await;
    scene.both_are_fresh().await;
    rule.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_waits_four_seconds_at_most_for_destinations_that_do_not_come() {
    let (clock, sky) = virtual_sky();
    // The other destination answers, but begins no upload for a long time.
    sky.set_fault(Box::new(|operation| {
        let late = operation.kind == OperationKind::CreateUpload && operation.bucket == "d1";
        late.then_some(Fault::Delay(Duration::from_secs(120)))
    }));
    let bad = Arc::new(Bad {
        hangs: true,
        starts: AtomicU64::new(0),
    });
    let executor: Arc<dyn Executor> = bad.clone();
    let plans = Plans {
        alone: None,
        together: Some(standing(Scene::new().topology(), executor)),
    };
    let opener = Arc::new(Opens(sky.clone()));
    let rule = ruled(opener, &clock, plans, &["d0", "d1"]).await;
    let source = sky.store(location("source"));
    let key = skyfresh_sky::ObjectKey::new("large").unwrap();
    super::put(source.as_ref(), &key, super::content(20 * PART, 1)).await;
    let began = clock.now();
    rule.engine.sweep("rule").unwrap();
    let fast = sky.store(location("d0"));
    while fast.head(&key).await.is_err() {
        clock.sleep(Duration::from_millis(20)).await;
    }
    let took = clock.now().since(began);
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(5),
        "{took:?}"
    );
    rule.proven(began, clock.as_ref()).await;
    rule.end().await;
}
