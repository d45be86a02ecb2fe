//! Two processes' services over real sockets: answers are those of one process, or say which peer is the trouble.

use super::sharded_tests::{START_S, Step, call, request, service, sums};
use super::*;
use serde_json::json;
use skyfresh_sky::{Clock, SystemClock, timeout};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Two services that have two shards each of four, over sockets; they stop when the token is cancelled.
struct Pair {
    services: [Arc<Service>; 2],
    stop: [CancellationToken; 2],
    _serving: Vec<tokio::task::JoinHandle<crate::Result<()>>>,
    _folders: [tempfile::TempDir; 2],
}

const MINE: [&str; 2] = ["[0, 2]", "[1, 3]"];

async fn pair(timeout_s: f64) -> Pair {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut listeners = Vec::new();
    for _ in 0..2 {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let address = |place: usize| listeners[place].local_addr().unwrap();
    let services = [0, 1].map(|place| {
        let other = 1 - place;
        let sharding = format!(
            "[sharding]\nshards = 4\nmine = {}\npeers = {{ \"http://{}\" = {} }}\npeer_timeout_s = {timeout_s:?}",
            MINE[place],
            address(other),
            MINE[other],
        );
        service(folders[place].path(), &sharding, Arc::new(SystemClock))
    });
    let stop = [CancellationToken::new(), CancellationToken::new()];
    let serving = listeners.into_iter().enumerate().map(|(place, listener)| {
        tokio::spawn(serve(
            listener,
            Arc::clone(&services[place]),
            stop[place].clone(),
        ))
    });
    Pair {
        _serving: serving.collect(),
        services,
        stop,
        _folders: folders,
    }
}

fn users() -> Vec<u8> {
    (0..12).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_answer_as_one_whichever_is_asked() {
    let pair = pair(10.0).await;
    let folder = tempfile::tempdir().unwrap();
    let whole = service(folder.path(), "", Arc::new(SystemClock));
    let steps = [
        Step::Push(
            users()
                .into_iter()
                .map(|user| (user, user % 5, user))
                .collect(),
        ),
        Step::Update,
        Step::Push(vec![(1, 1, 9), (2, 3, 8), (3, 2, 7), (1, 4, 6)]),
        Step::Ask(users()),
        Step::Write(users().into_iter().map(|user| (user, user % 7)).collect()),
        Step::Write(vec![(3, 8), (4, 0)]),
        Step::Feedback {
            user: 1,
            version: 1,
            query: 1,
        },
        Step::Feedback {
            user: 2,
            version: 1,
            query: 1,
        },
        Step::Feedback {
            user: 1,
            version: 1,
            query: 1,
        },
        Step::Update,
        Step::Ask((0..14).collect()),
        Step::Ask(vec![5]),
        Step::Ask(vec![6]),
    ];
    for (number, step) in steps.iter().enumerate() {
        // In turn, so that each gets requests for the other's keys.
        let asked = &pair.services[number % 2];
        match request(step, START_S + number as u64) {
            Some((path, body)) => {
                let told = call(asked, path, &body).await;
                assert_eq!(told, call(&whole, path, &body).await, "{path} {body}");
                assert_eq!(told.0, 200, "{told:?}");
            }
            None => {
                let updated: usize = pair
                    .services
                    .iter()
                    .map(|one| one.update(1_000).unwrap())
                    .sum();
                assert_eq!(updated, whole.update(1_000).unwrap());
            }
        }
    }
    let [a, b] = &pair.services;
    assert_eq!(sums(&[a, b]), sums(&[&whole]));
    // Each has keys, and those of its own shards alone.
    for (service, shards) in [(a, [0, 2]), (b, [1, 3])] {
        let status = service.status();
        assert!(status.iter().all(|shard| shards.contains(&shard.shard)));
        assert!(
            status
                .iter()
                .any(|shard| shard.view == "users" && shard.keys > 0)
        );
        let text = super::metrics::text(&status, None);
        let label = format!(
            "skyfresh_features_keys{{view=\"users\",shard=\"{}\"}}",
            shards[1]
        );
        assert!(text.contains(&label), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_away_or_hangs_is_named_and_nothing_of_the_request_is_kept() {
    let pair = pair(0.3).await;
    let [asked, other] = &pair.services;
    let (path, push) = request(
        &Step::Push(users().into_iter().map(|user| (user, 0, 1)).collect()),
        START_S,
    )
    .unwrap();
    let own = users()
        .into_iter()
        .find(|user| asked.shards.place(&format!("user-{user}")).is_some())
        .unwrap();
    // The peer takes no connection any more.
    pair.stop[1].cancel();
    eventually_refused(asked, other).await;
    let address = asked.shards.peer(0).to_owned();
    let (status, _, body) = call(asked, path, &push).await;
    assert_eq!(status, 503, "{body}");
    assert!(
        body.contains(&address) && body.contains("no answer"),
        "{body}"
    );
    assert_eq!(
        sums(&[asked])[1].2,
        0,
        "own rows are not taken where a peer's were not"
    );
    let (path, ask) = request(&Step::Ask(users()), START_S).unwrap();
    assert_eq!(call(asked, path, &ask).await.0, 503);
    // Own keys go on being answered.
    let mine = json!({"features": ["profile:age"], "entities": {"user": [format!("user-{own}")]}});
    assert_eq!(call(asked, path, &mine).await.0, 200);

    // One that accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sharding = format!(
        "[sharding]\nshards = 2\nmine = [0]\npeers = {{ \"http://{}\" = [1] }}\npeer_timeout_s = 0.3",
        silent.local_addr().unwrap()
    );
    let waiting = service(folder.path(), &sharding, Arc::new(SystemClock));
    let answer = timeout(
        &SystemClock,
        Duration::from_secs(30),
        call(&waiting, path, &ask),
    )
    .await;
    let (status, _, body) = answer.expect("it waits no longer than it is told");
    assert!(
        status == 503 && body.contains("within 0.3 s"),
        "{status} {body}"
    );
}

/// Until the peer's listener is gone.
async fn eventually_refused(asked: &Arc<Service>, _other: &Arc<Service>) {
    let address = asked
        .shards
        .peer(0)
        .trim_start_matches("http://")
        .to_owned();
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(&address).await.is_err() {
            return;
        }
        SystemClock.sleep(Duration::from_millis(50)).await;
    }
    panic!("{address} still takes connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_never_forwards_twice() {
    // Both say that the other has everything but one shard: without a refusal, requests would go in a circle.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let sharding = |peer: String| {
        format!("[sharding]\nshards = 2\nmine = [0]\npeers = {{ \"http://{peer}\" = [1] }}")
    };
    let asked = service(
        folders[0].path(),
        &sharding(address.to_string()),
        Arc::new(SystemClock),
    );
    let other = service(
        folders[1].path(),
        &sharding("127.0.0.1:1".into()),
        Arc::new(SystemClock),
    );
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, other, stop.clone()));
    let all: Vec<Step> = vec![
        Step::Push(users().into_iter().map(|user| (user, 0, 1)).collect()),
        Step::Write(users().into_iter().map(|user| (user, 0)).collect()),
        Step::Ask(users()),
    ];
    for step in &all {
        let (path, body) = request(step, START_S).unwrap();
        let (status, _, told) = call(&asked, path, &body).await;
        assert_eq!(status, 421, "{path}: {told}");
        assert!(
            told.contains("does not have the key's shard") && told.contains("[sharding]"),
            "{told}"
        );
    }
    let foreign = users()
        .into_iter()
        .find(|user| shard_of(&format!("user-{user}"), 2) == 1)
        .unwrap();
    let (path, body) = request(
        &Step::Feedback {
            user: foreign,
            version: 1,
            query: 1,
        },
        START_S,
    )
    .unwrap();
    assert_eq!(call(&asked, path, &body).await.0, 421);
    // Nor may a library push what is another process's.
    let event = crate::function::Event {
        at_ms: 1,
        columns: Default::default(),
    };
    let key = format!("user-{foreign}");
    assert!(
        asked
            .push("users", vec![(key.clone(), event.clone())])
            .is_err()
    );
    assert!(asked.write("profile", vec![(key, event)]).is_err());
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_process_takes_its_own_keys_out_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clicks.csv");
    let rows: String = (0..100)
        .map(|row| format!("user-{},{row},1,1\n", row % 10))
        .collect();
    std::fs::write(&file, format!("user,event_timestamp,item,price\n{rows}")).unwrap();
    let mut keys = Vec::new();
    for (place, mine) in MINE.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let sharding = format!(
            "[[source]]\nname = \"clicks\"\nfile = {:?}\n[sharding]\nshards = 4\nmine = {mine}\npeers = {{ \"http://127.0.0.1:1\" = {} }}",
            file.display().to_string(),
            MINE[1 - place],
        );
        let service = service(folder.path(), &sharding, Arc::new(SystemClock));
        let Source::File(source) = service.config.sources[0].clone() else {
            panic!("it is a file");
        };
        Arc::clone(&service)
            .replay(&source, &CancellationToken::new())
            .await
            .unwrap();
        service.update(100).unwrap();
        for key in (0..10).map(|user| format!("user-{user}")) {
            if let Some(row) = service.store.get("users", &key).unwrap() {
                assert_eq!(row.features["price_count"], 10);
                keys.push(key);
            }
        }
    }
    keys.sort_unstable();
    assert_eq!(
        keys,
        (0..10)
            .map(|user| format!("user-{user}"))
            .collect::<Vec<_>>()
    );
}

#[cfg(feature = "kafka")]
#[test]
fn each_process_reads_a_topic_by_a_group_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let view = "[[view]]\nname = \"v\"\nkey = \"k\"\nsource = \"clicks\"\n[view.function]\nkind = \"exponential-mean\"\ncolumn = \"c\"\nhalf_life_s = 1.0\n";
    let topic = "[[source]]\nname = \"clicks\"\nkafka = \"b:9092\"\ntopic = \"t\"\ngroup = \"g\"\n";
    let group = |sharding: &str| {
        let text = format!(
            "store = {:?}\n{view}{topic}{sharding}",
            folder.path().join("s").display().to_string()
        );
        let config = FeaturesConfig::parse(&text).unwrap();
        match &config.sources[0] {
            Source::Kafka(topic) => topic.group.clone(),
            Source::File(_) => panic!("it is a topic"),
        }
    };
    let of = |mine: &str, others: &str| {
        group(&format!(
            "[sharding]\nshards = 4\nmine = {mine}\npeers = {{ \"http://127.0.0.1:1\" = {others} }}"
        ))
    };
    assert_eq!(
        group("[sharding]\nshards = 4"),
        "g",
        "all shards are its own"
    );
    let (one, other) = (of("[3, 0]", "[1, 2]"), of("[1, 2]", "[0, 3]"));
    assert_eq!(
        (one.as_str(), other.as_str()),
        ("g.shards-0-3", "g.shards-1-2")
    );
}
