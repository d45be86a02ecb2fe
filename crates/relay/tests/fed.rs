//! Jobs whose chunks come while they run.

mod harness;

use async_trait::async_trait;
use bytes::Bytes;
use harness::*;
use skyfresh_relay::edges::Memory;
use skyfresh_relay::job::{Answers, Feed, JobReport, feed, run_fed};
use skyfresh_relay::{Chunk, ChunkSink, DestinationSet, Error, Receipt, Result};
use skyfresh_sky::Kind;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

fn start(
    world: &World,
    topology: &skyfresh_relay::topology::Topology,
) -> (Feed, JoinHandle<Result<JobReport>>) {
    let (give, fed) = feed(4);
    let running = run_fed(job(topology, &[]), fed, world.seams(world.in_process()));
    (give, tokio::spawn(running))
}

async fn give_all(give: &Feed, chunks: &[Chunk], wanted: DestinationSet) -> Vec<Answers> {
    let carried = chunks.iter().map(|chunk| give.carry(chunk.clone(), wanted));
    futures::future::join_all(carried).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_are_carried_as_they_come_and_the_job_ends_with_its_feed() {
    let topology = topology(&["a", "b"], &[&["s>a", "a>b"]]);
    let world = World::new(&topology);
    let (give, running) = start(&world, &topology);
    let chunks = chunks(20, &topology);
    let (first, second) = chunks.split_at(7);
    for some in [first, second] {
        for answers in give_all(&give, some, topology.all()).await {
            assert_eq!(answers.len(), 2);
            assert!(answers.values().all(|answer| answer.is_ok()), "{answers:?}");
        }
    }
    assert!(!give.is_over());
    drop(give);
    let report = running.await.unwrap().unwrap();
    world.assert_holds(&["a", "b"], &chunks);
    assert!(report.is_complete() && report.read_bytes == report.total_bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_goes_only_to_who_lacks_it() {
    let topology = topology(&["a", "b"], &[&["s>a", "a>b"]]);
    let world = World::new(&topology);
    let (give, running) = start(&world, &topology);
    let chunks = chunks(3, &topology);
    let answers = give_all(&give, &chunks, DestinationSet::one(1)).await;
    assert!(answers.iter().all(|it| it.len() == 1 && it[&1].is_ok()));
    drop(give);
    running.await.unwrap().unwrap();
    world.assert_holds(&["b"], &chunks);
    assert!(world.sinks["a"].object(0).is_empty());
}

/// Refuses what its notes say it must, and remembers the rest.
struct Choosy {
    inner: Arc<Memory>,
    notes: Mutex<Vec<String>>,
}

#[async_trait]
impl ChunkSink for Choosy {
    async fn write(&self, chunk: &Chunk, bytes: Bytes) -> Result<Receipt> {
        assert!(chunk.notes.len() <= 1, "a sink is given its own alone");
        self.notes.lock().unwrap().push(chunk.note().to_owned());
        match chunk.note() {
            "refuse" => Err(Error::new(Kind::Missing, "write", "no such upload")),
            _ => self.inner.write(chunk, bytes).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_that_is_refused_fails_alone_and_notes_reach_their_sink_only() {
    let topology = topology(&["a", "b"], &[&["s>a", "a>b"]]);
    let mut world = World::new(&topology);
    let choosy = Arc::new(Choosy {
        inner: world.sinks["b"].clone(),
        notes: Mutex::default(),
    });
    world.edges.sinks.insert("b".into(), choosy.clone());
    let (give, running) = start(&world, &topology);
    let mut chunks = chunks(6, &topology);
    for (at, chunk) in chunks.iter_mut().enumerate() {
        let note = if at == 2 { "refuse" } else { "take" };
        chunk.notes = vec!["of a".into(), note.into()];
    }
    let answers = give_all(&give, &chunks, topology.all()).await;
    for (at, answers) in answers.iter().enumerate() {
        assert!(answers[&0].is_ok(), "the other destination has all");
        match &answers[&1] {
            Ok(_) => assert_ne!(at, 2),
            Err(failed) => {
                assert_eq!((at, failed.kind), (2, Kind::Missing));
                assert!(failed.why.contains("no such upload"), "{}", failed.why);
            }
        }
    }
    assert!(
        choosy
            .notes
            .lock()
            .unwrap()
            .iter()
            .all(|note| note != "of a")
    );
    drop(give);
    let report = running.await.unwrap().unwrap();
    assert!(report.is_complete(), "no destination was given up");
    world.assert_holds(&["a"], &chunks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_job_that_ended_did_not_carry_is_answered() {
    let topology = topology(&["a"], &[&["s>a"]]);
    let world = World::new(&topology);
    let executor = world.in_process();
    let (give, fed) = feed(4);
    let running = tokio::spawn(run_fed(
        job(&topology, &[]),
        fed,
        world.seams(executor.clone()),
    ));
    let chunks = chunks(4, &topology);
    give_all(&give, &chunks[..1], topology.all()).await;
    executor.kill("s").await;
    let answers = give_all(&give, &chunks[1..], topology.all()).await;
    for answers in answers {
        let failed = answers[&0].as_ref().unwrap_err();
        assert_eq!(failed.kind, Kind::RetryAfter, "{}", failed.why);
    }
    // A chunk that breaks the job's rules is answered too, by itself.
    let mut large = chunks[0].clone();
    large.length = topology.chunk_bytes + 1;
    let answers = give.carry(large, topology.all()).await;
    assert!(answers[&0].is_err());
    drop(give);
    assert!(
        running.await.unwrap().is_err(),
        "nothing reaches the destination"
    );
}
