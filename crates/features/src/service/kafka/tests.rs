//! Against the mock cluster that librdkafka brings, and a broker where `SKYFRESH_TEST_KAFKA` names one.

use super::super::source_tests::open;
use super::super::{FeaturesConfig, Source};
use super::*;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use skyfresh_sky::{Clock, SystemClock};
use std::io::Write as _;
use std::path::Path;

const PARTITIONS: i32 = 4;
const KEYS: usize = 7;
/// Longer than any of it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where topics are.
struct Brokers {
    address: String,
    mock: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Brokers {
    fn mock() -> Self {
        let mock = MockCluster::new(1).unwrap();
        Brokers {
            address: mock.bootstrap_servers(),
            mock: Some(mock),
        }
    }

    /// A mock cluster, and a broker if there is one.
    fn all(test: &str) -> Vec<Self> {
        let mut all = vec![Brokers::mock()];
        match real() {
            Some(address) => all.push(Brokers {
                address,
                mock: None,
            }),
            None => tell_skip(test),
        }
        all
    }

    async fn topic(&self, name: &str) -> String {
        let name = format!("{name}-{:x}", SystemClock.now().unix_ms());
        if let Some(mock) = &self.mock {
            mock.create_topic(&name, PARTITIONS, 1).unwrap();
            return name;
        }
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.address)
            .create()
            .unwrap();
        let topic = NewTopic::new(&name, PARTITIONS, TopicReplication::Fixed(1));
        let made = admin.create_topics([&topic], &AdminOptions::new()).await;
        made.unwrap().remove(0).unwrap();
        name
    }

    /// Sends values, each to a partition.
    fn send<'a>(&self, topic: &str, values: impl Iterator<Item = (i32, Option<&'a str>)>) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.address)
            .create()
            .unwrap();
        for (partition, value) in values {
            let record = BaseRecord::to(topic).key("key").partition(partition);
            let record = match value {
                Some(value) => record.payload(value),
                None => record,
            };
            assert!(producer.send(record).is_ok());
        }
        producer.flush(PATIENCE).unwrap();
    }

    /// Sends rows of their own times: where they end.
    fn rows(&self, topic: &str, from: usize, count: usize) -> usize {
        let rows: Vec<String> = (from..from + count)
            .map(|row| {
                format!(
                    "{{\"user\": {}, \"event_timestamp\": {row}, \"price\": 1}}",
                    row % KEYS
                )
            })
            .collect();
        let partition = |row: usize| (row / KEYS) as i32 % PARTITIONS;
        let values = rows.iter().enumerate();
        self.send(
            topic,
            values.map(|(row, value)| (partition(from + row), Some(value.as_str()))),
        );
        from + count
    }

    fn config(&self, topic: &str) -> String {
        // Sessions are short, so that a member that went is missed soon; a real broker waits for half of the poll's interval.
        format!(
            r#"
[[view]]
name = "counts"
key = "user"
source = "clicks"
[view.function]
kind = "window-aggregates"
column = "price"
window_s = 1e9
aggregates = ["count"]
max_values = 1000000
[[source]]
name = "clicks"
kafka = {:?}
topic = {topic:?}
group = "group-{topic}"
options = {{ "session.timeout.ms" = "6000", "max.poll.interval.ms" = "6000", "heartbeat.interval.ms" = "500" }}
"#,
            self.address
        )
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test command names the broker"
)]
fn real() -> Option<String> {
    std::env::var("SKYFRESH_TEST_KAFKA").ok()
}

#[expect(clippy::disallowed_methods, reason = "the test command names the list")]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn tell_skip(test: &str) {
    let line = format!("skipped: {test}: SKYFRESH_TEST_KAFKA names no broker");
    println!("{line}");
    if let Ok(path) = std::env::var("SKYFRESH_TEST_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path);
        log.and_then(|mut log| writeln!(log, "{line}"))
            .expect("the skip log can be written");
    }
}

/// A service that runs.
struct Running {
    service: Arc<Service>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(folder: &Path, config: &str) -> Self {
        let service = open(folder, config, Arc::new(SystemClock));
        let stop = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&service).run(stop.clone()));
        Running {
            service,
            stop,
            task,
        }
    }

    /// Rows that are in features.
    fn count(&self) -> usize {
        let keys = (0..KEYS).filter_map(|key| {
            let row = self.service.store.get("counts", &key.to_string()).unwrap();
            row.and_then(|row| row.features["price_count"].as_u64())
        });
        keys.sum::<u64>() as usize
    }

    /// Ends it; what it counted.
    async fn end(self) -> usize {
        self.stop.cancel();
        self.task.await.unwrap();
        self.service.update(1_000).unwrap();
        let keys = (0..KEYS).filter_map(|key| {
            let row = self.service.store.get("counts", &key.to_string()).unwrap();
            row.and_then(|row| row.features["price_count"].as_u64())
        });
        keys.sum::<u64>() as usize
    }
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun_ns = SystemClock.monotonic_ns();
    while !holds() {
        let passed = Duration::from_nanos(SystemClock.monotonic_ns() - begun_ns);
        assert!(passed < PATIENCE, "{what}: not after {passed:?}");
        SystemClock.sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_counts_once_over_restarts_and_whatever_the_brokers_know() {
    for brokers in Brokers::all("each_row_counts_once_over_restarts_and_whatever_the_brokers_know")
    {
        let folder = tempfile::tempdir().unwrap();
        let topic = brokers.topic("once").await;
        let config = brokers.config(&topic);
        let mut sent = brokers.rows(&topic, 0, 500);
        // No rows: passed over.
        let odd = [
            Some("{"),
            Some("[1]"),
            None,
            Some("{\"user\": 1}"),
            Some("{\"event_timestamp\": 1}"),
        ];
        brokers.send(&topic, odd.into_iter().map(|value| (2, value)));
        sent = brokers.rows(&topic, sent, 100);
        let running = Running::start(folder.path(), &config);
        eventually("all rows are counted", || running.count() >= sent).await;
        assert_eq!(running.end().await, sent);

        // The brokers forget what they were told, as if the process had died before it told them.
        let group = ClientConfig::new()
            .set("bootstrap.servers", &brokers.address)
            .set("group.id", format!("group-{topic}"))
            .set("enable.auto.commit", "false")
            .set("session.timeout.ms", "6000")
            .set("max.poll.interval.ms", "6000")
            .create::<BaseConsumer>()
            .unwrap();
        // Brokers take offsets from members alone.
        group.subscribe(&[&topic]).unwrap();
        eventually("it is a member", || {
            let _ = group.poll(Duration::from_millis(10));
            group.assignment().unwrap().count() > 0
        })
        .await;
        let mut offsets = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let name = offsets.add_partition_offset(&topic, partition, Offset::Offset(1));
            name.unwrap();
        }
        let known = group.committed_offsets(offsets.clone(), PATIENCE).unwrap();
        let told = known
            .elements()
            .iter()
            .map(|one| one.offset().to_raw().unwrap())
            .sum::<i64>();
        assert_eq!(
            told as usize,
            sent + odd.len(),
            "the brokers know how far the group is"
        );
        group.commit(&offsets, CommitMode::Sync).unwrap();
        drop(group);

        let running = Running::start(folder.path(), &config);
        sent = brokers.rows(&topic, sent, 300);
        eventually("what was added is counted", || running.count() >= sent).await;
        assert_eq!(running.end().await, sent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_partitions_and_each_row_is_in_one_store() {
    for brokers in Brokers::all("members_share_partitions_and_each_row_is_in_one_store") {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let topic = brokers.topic("shared").await;
        let config = brokers.config(&topic);
        let mut sent = brokers.rows(&topic, 0, 400);
        let first = Running::start(folders[0].path(), &config);
        eventually("the first has rows", || first.count() > 0).await;
        let second = Running::start(folders[1].path(), &config);
        // Rows come while partitions move.
        let begun_ns = SystemClock.monotonic_ns();
        while second.count() == 0 {
            assert!(SystemClock.monotonic_ns() - begun_ns < PATIENCE.as_nanos() as u64);
            sent = brokers.rows(&topic, sent, 40);
            SystemClock.sleep(Duration::from_millis(100)).await;
        }
        eventually("both have all", || first.count() + second.count() >= sent).await;
        assert_eq!(first.count() + second.count(), sent);
        // The second one goes; the first gets its partitions back.
        let others = second.end().await;
        sent = brokers.rows(&topic, sent, 400);
        eventually("the first has the rest", || first.count() + others >= sent).await;
        assert_eq!(first.end().await + others, sent);
        assert!(others > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_away_are_waited_for() {
    let brokers = Brokers::mock();
    let mock = brokers.mock.as_ref().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let topic = brokers.topic("away").await;
    let sent = brokers.rows(&topic, 0, 100);
    mock.broker_down(1).unwrap();
    let running = Running::start(folder.path(), &brokers.config(&topic));
    SystemClock.sleep(Duration::from_secs(1)).await;
    assert_eq!(running.count(), 0);
    mock.broker_up(1).unwrap();
    eventually("they are back", || running.count() >= sent).await;
    // Away in between, too.
    mock.broker_down(1).unwrap();
    SystemClock.sleep(Duration::from_secs(1)).await;
    mock.broker_up(1).unwrap();
    let sent = brokers.rows(&topic, sent, 100);
    eventually("they are back again", || running.count() >= sent).await;
    assert_eq!(running.end().await, sent);
}

#[test]
fn trouble_is_told_with_what_becomes_of_it_and_not_all_the_time() {
    let of = |code| next(&KafkaError::MessageConsumption(code));
    assert!(of(RDKafkaErrorCode::AllBrokersDown).contains("cannot be reached"));
    assert!(of(RDKafkaErrorCode::UnknownTopicOrPartition).contains("topic is not there"));
    assert!(of(RDKafkaErrorCode::TopicAuthorizationFailed).contains("tries again"));
    let mut trouble = Trouble::default();
    let minute_ns = 60_000_000_000;
    let due = [0, 1, minute_ns - 1, minute_ns, minute_ns + 1].map(|now_ns| trouble.is_due(now_ns));
    assert_eq!(due, [true, false, false, true, false]);
}

#[test]
fn options_that_cannot_be_are_refused_without_their_values() {
    let config = |option: &str| {
        let brokers = "kafka = \"127.0.0.1:9\"\ntopic = \"t\"\ngroup = \"g\"\n";
        FeaturesConfig::parse(&format!(
            "[[view]]\nname = \"v\"\nkey = \"k\"\nfeatures = [\"x\"]\n[[source]]\nname = \"v\"\n{brokers}options = {{ {option} }}\n"
        ))
    };
    let fine = config("\"sasl.password\" = \"hunter2\"").unwrap();
    assert!(matches!(&fine.sources[0], Source::Kafka(_)));
    assert!(!format!("{fine:?}").contains("hunter2"));
    for (option, why) in [
        ("\"no.such.thing\" = \"hunter2\"", "no.such.thing"),
        ("\"session.timeout.ms\" = \"hunter2\"", "session.timeout.ms"),
        ("\"group.id\" = \"hunter2\"", "set by the source itself"),
    ] {
        let told = config(option).unwrap_err().to_string();
        assert!(told.contains(why) && !told.contains("hunter2"), "{told}");
    }
}
