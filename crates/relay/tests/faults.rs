//! What goes wrong on the way, and what comes of it.

mod harness;

use harness::proxy::Wire;
use harness::*;
use skyfresh_relay::topology::Security;
use skyfresh_sky::{Clock, Kind, SystemClock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Slows the writers at `ends` so that a test can get in between.
fn slowed(world: &mut World, ends: &[&str], pause_ms: u64) {
    for end in ends {
        let slow = Slow {
            inner: world.sinks[*end].clone(),
            pause: Duration::from_millis(pause_ms),
        };
        world.edges.sinks.insert((*end).into(), Arc::new(slow));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_killed_mid_stream_is_led_round_and_only_what_is_lacking_is_sent_again() {
    let shape = topology(&["a", "b"], &[&["s>r", "r>a", "r>b"]]);
    let mut world = World::new(&shape);
    slowed(&mut world, &["a", "b"], 20);
    let chunks = chunks(200, &shape);
    let executor = world.in_process();
    let killing = async {
        world.after(100).await;
        executor.kill("r").await;
    };
    let (report, ()) = tokio::join!(
        carry(job(&shape, &chunks), world.seams(executor.clone())),
        killing
    );
    let report = report.unwrap();
    world.assert_holds(&["a", "b"], &chunks);
    assert!(report.is_complete() && report.reroutes == 1, "{report:?}");
    assert!(world.heard().contains("NodeLost"), "{}", world.heard());
    assert!(
        report.resent_chunks > 0 && report.resent_chunks < 150,
        "{report:?}"
    );
    // Chunks were written once each: a late copy is acknowledged, not written.
    assert_eq!(world.sinks["a"].most_writes(), 1);
    assert!(
        report
            .edges
            .iter()
            .any(|edge| edge.from == id("s") && edge.to == id("a") && edge.bytes > 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_destination_fails_alone_and_its_children_go_on() {
    let shape = topology(&["a", "b"], &[&["s>a", "a>b"]]);
    let mut world = World::new(&shape);
    slowed(&mut world, &["a", "b"], 20);
    let chunks = chunks(100, &shape);
    let executor = world.in_process();
    let killing = async {
        world.after(40).await;
        executor.kill("a").await;
    };
    let (report, ()) = tokio::join!(
        carry(job(&shape, &chunks), world.seams(executor.clone())),
        killing
    );
    let report = report.unwrap();
    world.assert_holds(&["b"], &chunks);
    assert!(report.destinations[1].failed.is_none());
    let failed = report.destinations[0].failed.as_ref().expect("a is gone");
    assert!(failed.why.contains("lost: a"), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_destination_is_replaced_where_that_is_allowed() {
    let shape = topology(&["a"], &[&["s>a"]]);
    let mut world = World::new(&shape);
    slowed(&mut world, &["a"], 20);
    let chunks = chunks(100, &shape);
    let executor = world.in_process();
    let mut job = job(&shape, &chunks);
    job.options.max_replacements = 1;
    let killing = async {
        world.after(40).await;
        executor.kill("a").await;
    };
    let (report, ()) = tokio::join!(carry(job, world.seams(executor.clone())), killing);
    let report = report.unwrap();
    assert!(report.is_complete(), "{report:?}");
    world.assert_holds(&["a"], &chunks);
    assert!(world.heard().contains("NodeReplaced"), "{}", world.heard());
    assert!(report.resent_chunks < 80, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_link_is_led_round_while_its_ends_live() {
    let shape = topology(&["a", "b"], &[&["s>a", "s>b"]]);
    let mut world = World::new(&shape);
    slowed(&mut world, &["a", "b"], 20);
    let chunks = chunks(150, &shape);
    let executor = world.in_process();
    let wire = Arc::new(Wire::default());
    let led = wire.clone();
    executor
        .instead
        .lock()
        .unwrap()
        .insert(id("b"), Box::new(move |to| led.lead(to)));
    let cutting = async {
        world.after(60).await;
        wire.cut.cancel();
    };
    let (report, ()) = tokio::join!(
        carry(job(&shape, &chunks), world.seams(executor.clone())),
        cutting
    );
    // Both ways to b lead over its cut wire, so it fails, alone, after both were tried.
    let report = report.unwrap();
    world.assert_holds(&["a"], &chunks);
    assert!(report.destinations[0].failed.is_none());
    let heard = world.heard();
    assert!(
        heard.contains(r#"from: NodeId("s"), to: NodeId("b")"#),
        "{heard}"
    );
    assert!(
        heard.contains(r#"from: NodeId("a"), to: NodeId("b")"#),
        "{heard}"
    );
    let failed = report.destinations[1]
        .failed
        .as_ref()
        .expect("nothing leads to b");
    assert!(failed.why.contains("s to b"), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_are_opened_again_and_nothing_is_read_twice() {
    let shape = topology(&["a"], &[&["s>a"]]);
    let mut world = World::new(&shape);
    slowed(&mut world, &["a"], 10);
    let chunks = chunks(100, &shape);
    let executor = world.in_process();
    let wire = Arc::new(Wire::default());
    let led = wire.clone();
    executor
        .instead
        .lock()
        .unwrap()
        .insert(id("a"), Box::new(move |to| led.lead(to)));
    // In a job with TLS any flipped bit breaks the connection.
    wire.flip_at.store(150_000, Ordering::SeqCst);
    let report = carry(job(&shape, &chunks), world.seams(executor))
        .await
        .unwrap();
    world.assert_holds(&["a"], &chunks);
    assert!(wire.has_flipped());
    assert!(report.hop_resends > 0, "{report:?}");
    assert_eq!(
        (report.read_bytes, report.reroutes),
        (report.total_bytes, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_damaged_on_a_plain_wire_is_sent_again_over_that_hop() {
    let mut shape = topology(&["a"], &[&["s>a"]]);
    shape.security = Security::Plain;
    let world = World::new(&shape);
    let chunks = chunks(60, &shape);
    let executor = world.in_process();
    let wire = Arc::new(Wire::default());
    let led = wire.clone();
    executor
        .instead
        .lock()
        .unwrap()
        .insert(id("a"), Box::new(move |to| led.lead(to)));
    wire.flip_at.store(100_000, Ordering::SeqCst);
    let report = carry(job(&shape, &chunks), world.seams(executor))
        .await
        .unwrap();
    world.assert_holds(&["a"], &chunks);
    assert!(wire.has_flipped());
    assert_eq!(
        (report.hop_resends, report.resent_chunks),
        (1, 0),
        "{report:?}"
    );
    assert_eq!(report.read_bytes, report.total_bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_holds_memory_within_its_bound_and_a_fast_one_is_ahead_by_the_queue() {
    let shape = topology(&["fast", "slow"], &[&["s>fast", "s>slow"]]);
    let mut world = World::new(&shape);
    slowed(&mut world, &["slow"], 100);
    let chunks = chunks(150, &shape);
    let executor = world.in_process();
    let fast = world.sinks["fast"].clone();
    let slow = world.sinks["slow"].clone();
    let chunk_bytes = u64::from(shape.chunk_bytes);
    let watching = async {
        let mut lead = 0;
        while slow.object(0).len() < 100 * chunk_bytes as usize {
            SystemClock.sleep(Duration::from_millis(50)).await;
            lead = lead.max(
                fast.object(0).len().saturating_sub(slow.object(0).len()) as u64 / chunk_bytes,
            );
        }
        lead
    };
    let (report, lead) = tokio::join!(carry(job(&shape, &chunks), world.seams(executor)), watching);
    let report = report.unwrap();
    world.assert_holds(&["fast", "slow"], &chunks);
    let bound = u64::from(shape.queue_chunks) * chunk_bytes;
    for node in &report.nodes {
        assert!(node.peak_bytes <= bound, "{node:?}, bound {bound}");
    }
    // The source's queue, the slow one's queue: what lies between the two.
    assert!(
        lead >= u64::from(shape.queue_chunks),
        "ahead by {lead} chunks"
    );
    assert_eq!(report.read_bytes, report.total_bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spoiled_read_is_read_again_and_one_that_stays_spoiled_ends_the_job_with_the_reason() {
    let shape = topology(&["a"], &[&["s>a"]]);
    for (spoiled, holds) in [(3, true), (u64::MAX, false)] {
        let mut world = World::new(&shape);
        world.edges.source = Some(Arc::new(Spoiling {
            inner: world.source.clone(),
            spoiled: AtomicU64::new(spoiled),
        }));
        let mut chunks = chunks(20, &shape);
        for chunk in &mut chunks {
            let bytes = skyfresh_relay::edges::Generated::bytes(chunk);
            chunk.checksum = Some(crc_fast::checksum(
                crc_fast::CrcAlgorithm::Crc64Nvme,
                &bytes,
            ));
        }
        let result = carry(job(&shape, &chunks), world.seams(world.in_process())).await;
        if holds {
            assert!(result.unwrap().is_complete());
            world.assert_holds(&["a"], &chunks);
        } else {
            let error = result.unwrap_err();
            assert_eq!(error.kind, Kind::Corrupt);
            assert!(error.to_string().contains("checksum"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_its_destination_with_the_reason_and_no_other() {
    let shape = topology(&["a", "b", "c"], &[&["s>a", "a>b", "s>c"]]);
    let mut world = World::new(&shape);
    let full = Full {
        inner: world.sinks["a"].clone(),
        room: AtomicU64::new(20),
    };
    world.edges.sinks.insert("a".into(), Arc::new(full));
    let chunks = chunks(80, &shape);
    let report = carry(job(&shape, &chunks), world.seams(world.in_process()))
        .await
        .unwrap();
    // The full one goes on relaying.
    world.assert_holds(&["b", "c"], &chunks);
    let failed = report.destinations[0].failed.as_ref().expect("a is full");
    assert_eq!(failed.kind, Kind::Denied);
    assert!(failed.why.contains("no space left"), "{failed:?}");
    assert!(
        report.destinations[1..]
            .iter()
            .all(|end| end.failed.is_none())
    );
    assert!(!report.is_complete());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_destinations_failure_is_the_jobs() {
    let shape = topology(&["a"], &[&["s>a"]]);
    let mut world = World::new(&shape);
    world.edges.sinks.remove("a");
    let error = carry(
        job(&shape, &chunks(5, &shape)),
        world.seams(world.in_process()),
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(
        error.to_string().contains("\"a\" is not known here"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_dropped_leaves_no_node() {
    let shape = topology(&["a"], &[&["s>r", "r>a"]]);
    let mut world = World::new(&shape);
    slowed(&mut world, &["a"], 50);
    let chunks = chunks(500, &shape);
    let executor = world.in_process();
    {
        let mut job = job(&shape, &chunks);
        job.options.timing.lease_ms = 3_000;
        let carrying = carry(job, world.seams(executor.clone()));
        tokio::select! {
            _ = carrying => panic!("it cannot be done yet"),
            () = world.after(20) => {}
        }
    }
    // The executor of this test keeps handles of its own: only the lease is left to end the nodes.
    let lease = Duration::from_secs(10);
    let ended = skyfresh_sky::timeout(&SystemClock, lease, async {
        let handles: Vec<_> = executor.started.lock().unwrap().values().cloned().collect();
        for handle in handles {
            while handle.alive().await {
                SystemClock.sleep(Duration::from_millis(50)).await;
            }
        }
    });
    assert!(ended.await.is_some(), "a node goes on without its owner");
}
