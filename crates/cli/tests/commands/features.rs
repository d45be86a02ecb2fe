//! `skyfresh features`.

use crate::support::{Place, Running, eventually, snapshot};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Two weeks of hours for a few keys: some wander, all have a season.
fn log() -> String {
    let mut text = "key,time,value\n".to_owned();
    for key in 0..6u32 {
        let mut level = 50.0;
        for hour in 0..336u32 {
            // A fixed sequence that looks like noise.
            let noise = f64::from((hour * 7_919 + key * 104_729) % 101) / 101.0 - 0.5;
            if key < 2 {
                level += 3.0 * noise;
            }
            let value = level + f64::from(hour % 24) + noise;
            let _ = writeln!(text, "{key},{},{value:.3}", hour * 3_600);
        }
    }
    text
}

#[test]
fn a_log_is_replayed_under_several_policies() {
    let place = Place::new();
    place.write("log.csv", log());
    let arguments = [
        "features",
        "simulate",
        "--data",
        "log.csv",
        "--policy",
        "regret,round-robin,update-all",
        "--budget",
        ".05,.2",
        "--seeds",
        "2",
    ];
    let ran = place.run(&[&arguments[..], &["--svg", "loss.svg"]].concat());
    snapshot("features_simulate", &ran.exits(0));
    assert!(place.read("loss.svg").contains("round-robin"));

    let ran = place.run(&[&arguments[..], &["--json"]].concat());
    let rows: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 2 * 2 * 2 + 2, "{ran:?}");
    let mut names: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    names.sort();
    let expected = [
        "budget",
        "mase",
        "mse",
        "policy",
        "regret",
        "seed",
        "staleness_mean",
        "starved",
        "updates",
    ];
    assert_eq!(names, expected);
    let all = rows
        .iter()
        .find(|row| row["policy"] == "update-all")
        .unwrap();
    assert_eq!(all["regret"], 0.0);
}

#[test]
fn what_cannot_be_replayed_is_said() {
    let place = Place::new();
    let simulate = |data: &str, policy: &str, budget: &str| {
        place.run(&[
            "features", "simulate", "--data", data, "--policy", policy, "--budget", budget,
            "--seeds", "1",
        ])
    };
    let unknown = simulate("log.csv", "best", ".1");
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("round-robin"), "{unknown:?}");
    let budget = simulate("log.csv", "regret", "2");
    assert!(
        budget.code == Some(2) && budget.stderr.contains("at most 1"),
        "{budget:?}"
    );
    let missing = simulate("log.csv", "regret", ".1");
    assert!(
        missing.code == Some(4) && missing.stderr.contains("log.csv"),
        "{missing:?}"
    );
    place.write("short.csv", "time,value\n0,1\n3600,2\n");
    let short = simulate("short.csv", "regret", ".1");
    assert!(
        short.code == Some(2) && short.stderr.contains("336"),
        "{short:?}"
    );
}

const VIEWS: &str = r#"
listen = "127.0.0.1:0"
[[view]]
name = "carts"
key = "user_id"
source = "clicks"
[view.function]
kind = "window-aggregates"
column = "price"
window_s = 86400.0
aggregates = ["count", "sum"]
max_values = 1000000
"#;

/// Starts the daemon, and gives its address.
fn serve(place: &Place) -> (Running, String) {
    let running = place.start(&["features", "serve", "--json"]);
    let ready: Value = serde_json::from_str(&running.first_line).unwrap();
    let url = ready["url"].as_str().unwrap().to_owned();
    (running, url)
}

/// `POST`s JSON; `None` where no whole answer comes.
fn post(url: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .ok()?;
    let body = body.to_string();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let body = match body {
        "" => Value::Null,
        body => serde_json::from_str(body).ok()?,
    };
    Some((status, body))
}

fn count(url: &str, user: u64) -> u64 {
    let asked = json!({"features": ["carts:price_count"], "entities": {"user_id": [user]}});
    let (_, answer) = post(url, "/get-online-features", &asked).unwrap();
    answer["results"][1]["values"][0].as_u64().unwrap_or(0)
}

#[test]
fn kill_minus_nine_under_load_loses_nothing() {
    let place = Place::new();
    place.write("features.toml", VIEWS);
    let (acknowledged, sent) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut at_s = 1_000_000;
    for _ in 0..3 {
        let (running, url) = serve(&place);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    // Each event has a time of its own: two at one time would be one value.
                    at_s += 1;
                    let df = json!({"user_id": [1], "event_timestamp": [at_s], "price": [1.0]});
                    sent.fetch_add(1, Ordering::SeqCst);
                    let answer = post(
                        &url,
                        "/push",
                        &json!({"push_source_name": "clicks", "df": df}),
                    );
                    if answer.is_some_and(|(status, _)| status == 200) {
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
            let before = acknowledged.load(Ordering::SeqCst);
            eventually("some pushes", || {
                acknowledged.load(Ordering::SeqCst) >= before + 20
            });
            // Dropping it is kill -9, in the midst of pushes and updates.
            drop(running);
            stop.store(true, Ordering::SeqCst);
        });
    }
    let (_running, url) = serve(&place);
    let (acknowledged, sent) = (acknowledged.into_inner(), sent.into_inner());
    eventually("everything acknowledged is counted", || {
        count(&url, 1) >= acknowledged
    });
    let status = place.run(&["features", "status", "--server", &url, "--json"]);
    assert_eq!(status.json()["schedule"]["pending"], 0, "{status:?}");
    let counted = count(&url, 1);
    assert!(counted <= sent, "{counted} counted of {sent} sent");
    let table = place.run(&["features", "status", "--server", &url]);
    assert!(
        table.code == Some(0) && table.stdout.contains("carts"),
        "{table:?}"
    );
}

#[test]
fn what_cannot_be_served_is_said() {
    let place = Place::new();
    let missing = place.run(&["features", "serve"]);
    assert!(
        missing.code == Some(2) && missing.stderr.contains("docs/features.md"),
        "{missing:?}"
    );
    place.write("features.toml", "[[view]]\nname = \"v\"\nkey = \"k\"\n");
    let wrong = place.run(&["features", "serve"]);
    assert!(
        wrong.code == Some(2) && wrong.stderr.contains("either a function"),
        "{wrong:?}"
    );
    place.write("features.toml", VIEWS);
    let (_running, _) = serve(&place);
    let second = place.run(&["features", "serve"]);
    assert!(
        second.code == Some(4) && second.stderr.contains("another process"),
        "{second:?}"
    );
}

#[test]
fn a_training_set_is_as_of_its_time() {
    let place = Place::new();
    place.write("features.toml", format!("history = \"history\"\n{VIEWS}"));
    let labels = "user_id,event_timestamp,label\n1,1600000000,0\n1,4000000000,1\n2,4000000000,1\n";
    place.write("labels.csv", labels);
    let (running, url) = serve(&place);
    let df = json!({"user_id": [1, 1], "event_timestamp": [3_999_999_000u32, 3_999_999_001u32], "price": [2.0, 3.0]});
    let pushed = post(
        &url,
        "/push",
        &json!({"push_source_name": "clicks", "df": df}),
    );
    assert_eq!(pushed, Some((200, Value::Null)));
    eventually("both are counted", || count(&url, 1) == 2);
    running.end("-TERM");
    let arguments = [
        "features",
        "history",
        "--asof",
        "labels.csv",
        "--features",
        "carts:price_count,carts:price_sum",
    ];
    let ran = place.run(&arguments);
    snapshot("features_history", &ran.exits(0));
    let ran_as_lines = ran;
    let ran = place.run(&[&arguments[..], &["--by", "event", "--output", "set.jsonl"]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(place.read("set.jsonl").lines().count(), 3);
    // In Parquet, it may be asked for once more.
    if cfg!(feature = "parquet") {
        let set = [&arguments[..], &["--output", "set.parquet"]].concat();
        assert_eq!(place.run(&set).code, Some(0));
        let of_parquet = ["features", "history", "--asof", "set.parquet"];
        let again = place.run(&[&of_parquet[..], &arguments[4..]].concat());
        assert_eq!(again.exits(0), ran_as_lines.exits(0));
    }
    let unknown = place.run(&[
        "features",
        "history",
        "--asof",
        "labels.csv",
        "--features",
        "carts:none",
    ]);
    assert!(
        unknown.code == Some(2) && unknown.stderr.contains("no such feature"),
        "{unknown:?}"
    );
}

/// Free ports of this machine.
fn free_ports() -> [u16; 2] {
    let listeners = [0, 1].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

#[test]
fn two_processes_with_shards_answer_as_one() {
    const USERS: u64 = 20;
    let place = Place::new();
    let ports = free_ports();
    let mine = ["[0, 3]", "[1, 2]"];
    for own in [0, 1] {
        let other = 1 - own;
        let views = VIEWS.replace("127.0.0.1:0", &format!("127.0.0.1:{}", ports[own]));
        let text = format!(
            "store = \"{own}.redb\"\n{views}\n[sharding]\nshards = 4\nmine = {}\npeers = {{ \"http://127.0.0.1:{}\" = {} }}\n",
            mine[own], ports[other], mine[other]
        );
        place.write(&format!("{own}.toml"), text);
    }
    let start =
        |own: usize| place.start(&["features", "serve", "--json", "-c", &format!("{own}.toml")]);
    let url = |own: usize| format!("http://127.0.0.1:{}", ports[own]);
    let first = start(0);
    let second = start(1);
    let push = |own: usize, at_s: u64| {
        let users: Vec<u64> = (0..USERS).collect();
        let df = json!({"user_id": users, "event_timestamp": vec![at_s; users.len()], "price": vec![1.0; users.len()]});
        post(
            &url(own),
            "/push",
            &json!({"push_source_name": "clicks", "df": df}),
        )
    };
    assert_eq!(push(0, 1_000), Some((200, Value::Null)));
    assert_eq!(push(1, 1_001), Some((200, Value::Null)));
    let counted = |each: u64| {
        eventually("both count every user", || {
            (0..USERS).all(|user| (0..2).all(|own| count(&url(own), user) == each))
        });
    };
    counted(2);
    let status = place.run(&["features", "status", "--server", &url(0)]);
    assert!(
        status.code == Some(0) && status.stdout.contains("SHARD"),
        "{status:?}"
    );
    // One is killed: the other names it, and goes on with its own keys.
    drop(second);
    let (code, answer) = push(0, 1_002).unwrap();
    assert_eq!(code, 503, "{answer}");
    assert!(answer.to_string().contains(&url(1)), "{answer}");
    let own = (0..USERS).filter(|user| {
        let asked = json!({"features": ["carts:price_count"], "entities": {"user_id": [user]}});
        post(&url(0), "/get-online-features", &asked).unwrap().0 == 200
    });
    let own = own.count() as u64;
    assert!(own > 0 && own < USERS, "{own} of {USERS}");
    // It is back with all that it had acknowledged.
    let _second = start(1);
    counted(2);
    assert_eq!(push(0, 1_003), Some((200, Value::Null)));
    counted(3);
    drop(first);
}
