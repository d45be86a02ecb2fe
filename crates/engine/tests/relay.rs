//! One destination read instead of the source, and what happens when it is not what it was.

mod harness;

use harness::{World, key, put};
use skyfresh_engine::{Engine, Rule};
use skyfresh_ledger::{Outcome, Receipt};
use skyfresh_sky::{Attributes, Region};
use std::time::Duration;

fn region(name: &str) -> Option<Region> {
    Some(name.parse().unwrap())
}

/// From Google to two regions of AWS: the second is served by the first for a quarter of the price.
fn rule() -> Rule {
    let mut rule = World::rule(2);
    rule.source_region = region("gcp:us-central1");
    rule.destinations[0].region = region("aws:eu-west-1");
    rule.destinations[1].region = region("aws:eu-central-1");
    rule.sweep_every = Duration::from_secs(86_400);
    rule.slo = "120s@p99".parse().unwrap();
    rule
}

const SIZE: usize = 20_000_000;

/// The receipt of the copy of `k` at each destination: what found it equal afterwards is left out.
async fn receipts(engine: &Engine) -> Vec<Receipt> {
    let told = engine.explain("rule", &key("k")).await.unwrap();
    let copied = |receipt: &Receipt| receipt.outcome == Outcome::Copied;
    told.into_iter()
        .filter_map(|it| it.receipts.into_iter().find(copied))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_cheaper_destination_is_read_and_told() {
    let mut world = World::new(1, 2);
    world.planned = true;
    let engine = world.engine(vec![rule()]).await;
    world.quiet(&engine).await;
    world.put("k", vec![7; SIZE]).await;
    world.notify(&engine, "k").await;
    world.quiet(&engine).await;
    let [first, second] = receipts(&engine).await.try_into().unwrap();
    assert!(!first.strategy.contains("read from"), "{}", first.strategy);
    assert!(
        second.strategy.ends_with(", read from d1"),
        "{}",
        second.strategy
    );
    assert!(
        second.spend.usd() < 0.5 * first.spend.usd(),
        "priced by where it was read"
    );
    assert_eq!(second.crc64, first.crc64);
    assert!(world.verify("mem://d2/").await.all_equal());
    let expected = second.expected.unwrap();
    assert!(
        expected.took_ms.is_some() && expected.candidates > 1,
        "{expected:?}"
    );
    engine.shutdown().await;
}

/// Somebody wrote over the first destination's object: its receipt still tells of the version that is gone.
#[tokio::test(start_paused = true)]
async fn a_relay_that_changed_is_not_read() {
    let mut world = World::new(2, 2);
    world.planned = true;
    world.sky.remove_bucket("d2");
    let engine = world.engine(vec![rule()]).await;
    world.put("k", vec![7; SIZE]).await;
    world.notify(&engine, "k").await;
    let first = world.store("mem://d1/");
    world
        .until("the first destination has it", || async {
            harness::read(first.as_ref(), "k").await.is_some()
        })
        .await;
    world.clock.sleep(Duration::from_secs(1)).await;
    put(
        first.as_ref(),
        "k",
        vec![9; SIZE].into(),
        Attributes::default(),
    )
    .await;
    world.sky.create_bucket("d2");
    world.quiet(&engine).await;
    let [_, second] = receipts(&engine).await.try_into().unwrap();
    assert!(
        !second.strategy.contains("read from"),
        "{}",
        second.strategy
    );
    assert!(world.verify("mem://d2/").await.all_equal());
    engine.shutdown().await;
}
