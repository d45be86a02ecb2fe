//! Whole jobs that go well.

mod harness;

use futures::FutureExt;
use harness::*;
use skyfresh_relay::topology::{RegionTree, Security, spread};
use std::sync::Arc;

async fn carries(
    topology: skyfresh_relay::topology::Topology,
    count: u64,
) -> (World, skyfresh_relay::job::JobReport) {
    let world = World::new(&topology);
    let chunks = chunks(count, &topology);
    let executor = world.in_process();
    let report = carry(job(&topology, &chunks), world.seams(executor.clone()))
        .await
        .unwrap();
    let ends: Vec<&str> = topology.destinations.iter().map(|end| &*end.name).collect();
    world.assert_holds(&ends, &chunks);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(
        report.read_bytes, report.total_bytes,
        "the source is read once"
    );
    assert_eq!(
        (report.resent_chunks, report.reroutes),
        (0, 0),
        "{}",
        world.heard()
    );
    assert_eq!(world.source.read_bytes(), report.total_bytes);
    for (name, sink) in &world.sinks {
        assert_eq!(sink.most_writes(), 1, "{name}");
    }
    for (node, handle) in executor.started.lock().unwrap().iter() {
        assert!(
            !handle.alive().now_or_never().unwrap_or(true),
            "{node} goes on"
        );
    }
    (world, report)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_hop_plain_and_sealed() {
    for security in [Security::Plain, Security::Sealed] {
        let mut shape = topology(&["a"], &[&["s>a"]]);
        shape.security = security;
        let (_, report) = carries(shape, 40).await;
        assert_eq!(report.edges.len(), 1);
        assert_eq!(report.edges[0].bytes, report.total_bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_through_relays_that_hold_no_key() {
    let (_, report) = carries(topology(&["a"], &[&["s>q", "q>r", "r>a"]]), 40).await;
    assert_eq!(report.edges.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fan_out_to_six_reads_the_source_once() {
    let ends = ["a", "b", "c", "d", "e", "f"];
    let (_, report) = carries(
        topology(&ends, &[&["s>r", "r>a", "r>b", "r>c", "s>d", "d>e", "d>f"]]),
        30,
    )
    .await;
    let carried = |from: &str, to: &str| {
        report
            .edges
            .iter()
            .find(|edge| edge.from == id(from) && edge.to == id(to))
            .map(|edge| edge.bytes)
    };
    for (from, to) in [("s", "r"), ("r", "a"), ("s", "d"), ("d", "e"), ("d", "f")] {
        assert_eq!(
            carried(from, to),
            Some(report.total_bytes),
            "{from} to {to}"
        );
    }
    assert_eq!(report.edges.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_a_region_share_its_load() {
    let mut shape = topology(&["a1"], &[&["s>r1", "r1>a1"], &["s>r2", "r2>a2"]]);
    let region = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    shape.destinations[0].nodes.push(id("a2"));
    shape.trees = spread(
        &[RegionTree {
            stripes: 1,
            edges: vec![region("s", "r"), region("r", "a")],
        }],
        &shape.nodes,
    )
    .unwrap();
    let (_, report) = carries(shape, 120).await;
    assert_eq!(report.edges.len(), 4);
    for edge in &report.edges {
        assert!(
            edge.bytes > report.total_bytes / 10,
            "{edge:?} of {}",
            report.total_bytes
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_trees_carry_their_shares() {
    let mut shape = topology(&["a"], &[&["s>r", "r>a"], &["s>a"]]);
    shape.trees[0].stripes = 3;
    let (_, report) = carries(shape, 80).await;
    let over_relay = report
        .edges
        .iter()
        .find(|edge| edge.to == id("r"))
        .unwrap()
        .bytes;
    let share = over_relay as f64 / report.total_bytes as f64;
    assert!((share - 0.75).abs() < 0.02, "{share}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_may_be_a_destination_and_a_job_may_have_no_hop() {
    carries(topology(&["s", "a"], &[&["s>a"]]), 20).await;
    carries(topology(&["s"], &[&[]]), 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_compresses_is_compressed_once_the_hop_is_known() {
    struct Text;
    #[async_trait::async_trait]
    impl skyfresh_relay::ChunkSource for Text {
        async fn read(
            &self,
            chunk: &skyfresh_relay::Chunk,
        ) -> skyfresh_relay::Result<bytes::Bytes> {
            Ok(
                b"the same again and again ".repeat(1 + chunk.length as usize / 25)
                    [..chunk.length as usize]
                    .to_vec()
                    .into(),
            )
        }
    }
    let mut shape = topology(&["a"], &[&["s>a"]]);
    shape.compress = true;
    let mut world = World::new(&shape);
    world.edges.source = Some(Arc::new(Text));
    // A slow writer makes a slow hop: then the processor has time to compress.
    world.edges.sinks.insert(
        "a".into(),
        Arc::new(Slow {
            inner: world.sinks["a"].clone(),
            pause: std::time::Duration::from_millis(150),
        }),
    );
    let chunks = chunks(400, &shape);
    let report = carry(job(&shape, &chunks), world.seams(world.in_process()))
        .await
        .unwrap();
    let sent = report.edges[0].bytes;
    assert!(
        sent < report.total_bytes * 9 / 10,
        "{sent} of {}",
        report.total_bytes
    );
    let text = world.sinks["a"].object(0);
    assert_eq!(text.len() as u64, report.total_bytes);
    assert!(text.starts_with(b"the same again and again the"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_nothing_is_done_at_once_and_a_bad_one_is_refused() {
    let shape = topology(&["a"], &[&["s>a"]]);
    let world = World::new(&shape);
    let report = carry(job(&shape, &[]), world.seams(world.in_process()))
        .await
        .unwrap();
    assert_eq!(report.total_bytes, 0);
    let mut chunks = chunks(3, &shape);
    chunks[1].id = 7;
    let error = carry(job(&shape, &chunks), world.seams(world.in_process()))
        .await
        .unwrap_err();
    assert_eq!(error.kind, skyfresh_sky::Kind::Invalid);
}
