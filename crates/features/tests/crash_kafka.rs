//! kill -9 of a process that reads a topic: each row is counted once.
//!
//! The child is this executable again.
#![cfg(feature = "kafka")]
#![expect(
    clippy::disallowed_methods,
    reason = "the child is told what to do by its environment, and real processes take real time"
)]

use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use skyfresh_features::service::{FeaturesConfig, Service, Store};
use skyfresh_sky::{Rng, SystemClock};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const PARTITIONS: i32 = 3;
const KEYS: u64 = 5;
const CONFIG: &str = "SKYFRESH_CRASH_CONFIG";
const STORE: &str = "SKYFRESH_CRASH_STORE";

#[test]
#[ignore = "the child process of `crash_kill_minus_nine_counts_each_row_once`"]
fn child() {
    let (Ok(config), Ok(store)) = (std::env::var(CONFIG), std::env::var(STORE)) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = FeaturesConfig::parse(&config).unwrap();
    let store = Store::open(Path::new(&store)).unwrap();
    let service = Service::open(config, store, Arc::new(SystemClock), &Rng::seeded(1)).unwrap();
    runtime.block_on(Arc::new(service).run(CancellationToken::new()));
}

fn start(config: &str, store: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(CONFIG, config)
        .env(STORE, store)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn counted(store: &Path) -> u64 {
    let store = Store::open(store).unwrap();
    let rows = (0..KEYS).filter_map(|key| store.get("counts", &key.to_string()).unwrap());
    rows.map(|row| row.features["price_count"].as_u64().unwrap())
        .sum()
}

#[test]
fn crash_kill_minus_nine_counts_each_row_once() {
    let brokers = MockCluster::new(1).unwrap();
    let address = brokers.bootstrap_servers();
    brokers.create_topic("clicks", PARTITIONS, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("features.redb");
    let config = format!(
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
kafka = {address:?}
topic = "clicks"
group = "g"
options = {{ "session.timeout.ms" = "1000", "max.poll.interval.ms" = "1000", "heartbeat.interval.ms" = "200" }}
"#
    );
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &address)
        .create()
        .unwrap();
    let mut sent = 0u64;
    let mut send = |count: u64| {
        for row in sent..sent + count {
            let value = format!(
                "{{\"user\": {}, \"event_timestamp\": {row}, \"price\": 1}}",
                row % KEYS
            );
            let record = BaseRecord::to("clicks")
                .key("k")
                .payload(&value)
                .partition((row / KEYS) as i32 % PARTITIONS);
            assert!(producer.send(record).is_ok());
            producer.poll(Duration::ZERO);
        }
        sent += count;
        producer.flush(Duration::from_secs(60)).unwrap();
        sent
    };
    // Killed while rows come, at other moments of its work each time.
    let mut before = 0;
    for round in 0..6 {
        let mut child = start(&config, &store);
        let until = Instant::now() + Duration::from_millis(2_500 + 137 * round);
        while Instant::now() < until {
            send(50);
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(
            child.try_wait().unwrap().is_none(),
            "the child died by itself"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        let now = counted(&store);
        assert!(now >= before);
        before = now;
    }
    assert!(before > 0, "no child counted anything");
    let sent = send(1);
    let begun = Instant::now();
    loop {
        let mut child = start(&config, &store);
        std::thread::sleep(Duration::from_secs(5));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = counted(&store);
        assert!(now <= sent, "{now} counted of {sent}");
        if now == sent {
            break;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "{now} of {sent}"
        );
    }
}
