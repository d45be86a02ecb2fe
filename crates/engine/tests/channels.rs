//! Channels pulled by the real engine in virtual time: nothing is acknowledged before it is durable, nothing unreadable circulates
//! for ever or vanishes, nothing that comes twice does harm.

mod harness;

use async_trait::async_trait;
use harness::World;
use skyfresh_channel::memory::MemoryQueue;
use skyfresh_channel::{Channel, Delivery};
use skyfresh_engine::{ChannelStatus, DeadLetterPolicy, Engine, PulledChannel};
use skyfresh_ledger::Ledger;
use skyfresh_sky::Kind;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn event(key: &str) -> String {
    format!(
        r#"{{"Records":[{{"eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"source"}},"object":{{"key":"{key}"}}}}}}]}}"#
    )
}

fn queue(world: &World) -> MemoryQueue {
    MemoryQueue::new("mem-queue", Arc::clone(&world.clock), world.rng.fork())
}

fn pulled(channel: Arc<dyn Channel>, dead_letters: DeadLetterPolicy) -> PulledChannel {
    PulledChannel {
        name: "events".into(),
        channel,
        rules: Vec::new(),
        dead_letters,
        receivers: 2,
    }
}

const RECORD: DeadLetterPolicy = DeadLetterPolicy::Record { attempts: 3 };

fn send(queue: &MemoryQueue, body: impl Into<bytes::Bytes>) {
    queue.send(body, BTreeMap::new());
}

async fn status(engine: &Engine) -> ChannelStatus {
    engine.channels().await.expect("status").remove(0)
}

/// A rule that no sweep serves while the test looks.
fn rule() -> skyfresh_engine::Rule {
    let mut rule = World::rule(1);
    rule.sweep_every = Duration::from_secs(30 * 86_400);
    rule
}

#[tokio::test(start_paused = true)]
async fn what_a_channel_tells_is_brought_to_the_destination() {
    let mut world = World::new(1, 1);
    let queue = queue(&world);
    let engine = Arc::new(world.engine(vec![rule()]).await);
    world.quiet(&engine).await;
    engine
        .pull(vec![pulled(Arc::new(queue.clone()), RECORD)])
        .await
        .expect("is pulled");
    for number in 0..50 {
        world.put(&format!("k{number}"), vec![7; number]).await;
        send(&queue, event(&format!("k{number}")));
    }
    send(&queue, r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#);
    // Of a bucket that no rule has.
    send(&queue, event("x").replace("source", "elsewhere"));
    world
        .until("the queue is empty", || async { queue.is_empty() })
        .await;
    world.quiet(&engine).await;
    assert!(world.verify("mem://d1/").await.all_equal());
    let told = &engine.status(None).await.expect("status")[0];
    let totals = &told.destinations[0].totals;
    assert_eq!(
        (totals.told_changes, totals.lost_notification_rate()),
        (50, Some(0.0))
    );
    let channel = &told.channels[0];
    assert_eq!(
        (
            channel.received,
            channel.accepted,
            channel.refused,
            channel.duplicate
        ),
        (52, 52, 0, 0)
    );
    assert!(channel.last_message.is_some() && channel.last_message_age_ms.is_some());
    engine.shutdown().await;
}

/// Checks at every acknowledgement that the ledger has more than was acknowledged before.
#[derive(Debug)]
struct Checked {
    queue: MemoryQueue,
    ledger: Arc<dyn Ledger>,
    acknowledged: AtomicU64,
}

#[async_trait]
impl Channel for Checked {
    fn name(&self) -> &str {
        self.queue.name()
    }

    async fn receive(&self, limit: usize, wait: Duration) -> skyfresh_store::Result<Vec<Delivery>> {
        self.queue.receive(limit, wait).await
    }

    async fn acknowledge(&self, handles: &[String]) -> skyfresh_store::Result<Vec<String>> {
        let count = self
            .acknowledged
            .fetch_add(handles.len() as u64, Ordering::SeqCst);
        let backlog = self
            .ledger
            .backlog("rule", "d1")
            .await
            .expect("the backlog");
        assert!(
            backlog.objects >= count + handles.len() as u64,
            "{} acknowledged, {} in the ledger",
            count + handles.len() as u64,
            backlog.objects
        );
        self.queue.acknowledge(handles).await
    }

    async fn give_back(&self, handles: &[String], delay: Duration) -> skyfresh_store::Result<()> {
        self.queue.give_back(handles, delay).await
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_acknowledged_before_it_is_in_the_ledger() {
    let mut world = World::new(2, 1);
    let queue = queue(&world);
    let mut paused = rule();
    paused.paused = true;
    let engine = Arc::new(world.engine(vec![paused]).await);
    let checked = Arc::new(Checked {
        queue: queue.clone(),
        ledger: Arc::clone(&world.ledger) as _,
        acknowledged: AtomicU64::new(0),
    });
    engine
        .pull(vec![pulled(Arc::clone(&checked) as _, RECORD)])
        .await
        .expect("is pulled");
    for number in 0..100 {
        send(&queue, event(&format!("k{number}")));
    }
    world
        .until("the queue is empty", || async { queue.is_empty() })
        .await;
    assert_eq!(checked.acknowledged.load(Ordering::SeqCst), 100);
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_message_is_tried_again_then_recorded_and_the_rest_goes_on() {
    let mut world = World::new(3, 1);
    let queue = queue(&world);
    let engine = Arc::new(world.engine(vec![rule()]).await);
    engine
        .pull(vec![pulled(Arc::new(queue.clone()), RECORD)])
        .await
        .expect("is pulled");
    let poison = "{\"Records\":\"\x1b[2J\"}";
    send(&queue, poison);
    send(
        &queue,
        vec![b' '; skyfresh_channel::MESSAGE_LIMIT_BYTES + 1],
    );
    world.put("k", "content").await;
    send(&queue, event("k"));
    let begin = world.clock.now();
    world
        .until("the good one is through", || async { queue.len() == 2 })
        .await;
    world
        .until("the others are recorded", || async { queue.is_empty() })
        .await;
    let took = world.clock.now().since(begin);
    assert!(
        took >= Duration::from_secs(10 + 20),
        "delays grow: {took:?}"
    );
    let told = status(&engine).await;
    assert_eq!((told.accepted, told.refused, told.dead_lettered), (1, 6, 2));
    assert_eq!((told.dead_letters, told.newest_dead_letters.len()), (2, 2));
    let letter = told
        .newest_dead_letters
        .iter()
        .find(|letter| letter.length_bytes == poison.len() as u64)
        .expect("its letter");
    assert_eq!(letter.attempts, 3);
    assert!(letter.excerpt.contains("\\x1b[2J"), "{letter:?}");
    assert!(!letter.why.is_empty());
    let long = told
        .newest_dead_letters
        .iter()
        .find(|letter| letter.why.contains("the limit is"));
    assert!(long.is_some(), "{told:?}");
    engine.shutdown().await;
    // The next process shows them too.
    let engine = Arc::new(world.engine(vec![rule()]).await);
    engine
        .pull(vec![pulled(Arc::new(queue), RECORD)])
        .await
        .expect("is pulled");
    assert_eq!(
        status(&engine).await.newest_dead_letters,
        told.newest_dead_letters
    );
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_with_its_own_dead_letters_keeps_them() {
    let mut world = World::new(4, 1);
    let queue = queue(&world);
    let engine = Arc::new(world.engine(vec![rule()]).await);
    engine
        .pull(vec![pulled(
            Arc::new(queue.clone()),
            DeadLetterPolicy::LeaveToQueue,
        )])
        .await
        .expect("is pulled");
    send(&queue, "poison");
    world
        .until("it was tried often", || async {
            status(&engine).await.refused >= 10
        })
        .await;
    let told = status(&engine).await;
    assert_eq!(
        (queue.len(), told.dead_lettered, told.dead_letters),
        (1, 0, 0)
    );
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn trouble_with_the_channel_is_shown_and_passes() {
    let mut world = World::new(5, 1);
    let queue = queue(&world);
    queue.fail(Some(Kind::Denied));
    let engine = Arc::new(world.engine(vec![rule()]).await);
    engine
        .pull(vec![pulled(Arc::new(queue.clone()), RECORD)])
        .await
        .expect("is pulled");
    world
        .until("it failed", || async {
            status(&engine).await.failures >= 4
        })
        .await;
    let told = status(&engine).await;
    assert!(told.trouble.expect("shown").contains("told to fail"));
    let failures = told.failures;
    world.clock.sleep(Duration::from_secs(60)).await;
    let more = status(&engine).await.failures - failures;
    assert!(more <= 30, "{more} calls a minute while it cannot work");
    queue.fail(None);
    world.put("k", "content").await;
    send(&queue, event("k"));
    world
        .until("the queue is empty", || async { queue.is_empty() })
        .await;
    let told = status(&engine).await;
    assert_eq!((told.accepted, told.trouble), (1, None));
    assert!(told.last_failure.is_some());
    engine.shutdown().await;
}

/// Loses every acknowledgement until told otherwise.
#[derive(Debug)]
struct Forgetful(MemoryQueue, AtomicU64);

#[async_trait]
impl Channel for Forgetful {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn receive(&self, limit: usize, wait: Duration) -> skyfresh_store::Result<Vec<Delivery>> {
        self.0.receive(limit, wait).await
    }

    async fn acknowledge(&self, handles: &[String]) -> skyfresh_store::Result<Vec<String>> {
        match self.1.fetch_sub(1, Ordering::SeqCst) {
            0 => {
                self.1.store(0, Ordering::SeqCst);
                self.0.acknowledge(handles).await
            }
            _ => Ok(handles.to_vec()),
        }
    }

    async fn give_back(&self, handles: &[String], delay: Duration) -> skyfresh_store::Result<()> {
        self.0.give_back(handles, delay).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_again_is_known() {
    let mut world = World::new(6, 1);
    let queue = queue(&world);
    let engine = Arc::new(world.engine(vec![rule()]).await);
    let mut source = pulled(
        Arc::new(Forgetful(queue.clone(), AtomicU64::new(3))),
        RECORD,
    );
    source.receivers = 1;
    engine.pull(vec![source]).await.expect("is pulled");
    world.put("k", "content").await;
    send(&queue, event("k"));
    world
        .until("it is gone at last", || async { queue.is_empty() })
        .await;
    let told = status(&engine).await;
    assert_eq!(
        (
            told.received,
            told.accepted,
            told.duplicate,
            told.not_acknowledged
        ),
        (4, 1, 3, 3)
    );
    engine.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn several_processes_pull_one_channel_and_a_channel_serves_the_rules_it_is_for() {
    let mut world = World::new(7, 1);
    let queue = queue(&world);
    let mut engines = Vec::new();
    for _ in 0..3 {
        let engine = Arc::new(world.engine(vec![rule()]).await);
        engine
            .pull(vec![pulled(Arc::new(queue.clone()), RECORD)])
            .await
            .expect("is pulled");
        engines.push(engine);
    }
    for number in 0..60 {
        world.put(&format!("k{number}"), "content").await;
        send(&queue, event(&format!("k{number}")));
    }
    world
        .until("the queue is empty", || async { queue.is_empty() })
        .await;
    let mut received = Vec::new();
    for engine in &engines {
        world.quiet(engine).await;
        received.push(status(engine).await.received);
    }
    assert_eq!(received.iter().sum::<u64>(), 60, "{received:?}");
    assert!(world.verify("mem://d1/").await.all_equal());
    // For another rule only: accepted, and nobody's.
    let mut other = pulled(Arc::new(queue.clone()), RECORD);
    other.rules = vec!["another".into()];
    engines[0].pull(vec![other]).await.expect("is pulled");
    assert!(
        engines[0].status(None).await.expect("status")[0]
            .channels
            .is_empty()
    );
    for engine in engines {
        engine.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_the_next_message() {
    let mut world = World::new(8, 1);
    let queue = queue(&world);
    let engine = Arc::new(world.engine(vec![rule()]).await);
    engine
        .pull(vec![pulled(Arc::new(queue), RECORD)])
        .await
        .expect("is pulled");
    world.clock.sleep(Duration::from_secs(1)).await;
    let begin = world.clock.now();
    engine.shutdown().await;
    assert!(world.clock.now().since(begin) < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn two_channels_of_one_name_are_refused() {
    let mut world = World::new(9, 1);
    let one = pulled(Arc::new(queue(&world)), RECORD);
    let engine = Arc::new(world.engine(vec![rule()]).await);
    let refused = engine.pull(vec![one.clone(), one.clone()]).await;
    assert_eq!(refused.expect_err("one name").kind, Kind::Invalid);
    let none = PulledChannel {
        receivers: 0,
        ..one
    };
    assert_eq!(
        engine.pull(vec![none]).await.expect_err("nobody").kind,
        Kind::Invalid
    );
    engine.shutdown().await;
}
