//! A real Redis or Valkey: `SKYFRESH_TEST_REDIS` is its URL, with a password. `cargo xtask test` starts one.

use super::codec::Row;
use super::online::OnlineRows;
use super::redis::RedisRows;
use serde_json::{Value, json};
use skyfresh_sky::{Clock, Kind, SystemClock};
use std::io::Write as _;

/// The URL; `None`, and a line that says so, where there is no server.
#[expect(
    clippy::disallowed_methods,
    reason = "the test command names the server"
)]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
pub(super) fn url(test: &str) -> Option<String> {
    if let Ok(url) = std::env::var("SKYFRESH_TEST_REDIS") {
        return Some(url);
    }
    let line = format!("skipped: {test}: SKYFRESH_TEST_REDIS names no Redis or Valkey");
    println!("{line}");
    if let Ok(path) = std::env::var("SKYFRESH_TEST_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path);
        log.and_then(|mut log| writeln!(log, "{line}"))
            .expect("the skip log can be written");
    }
    None
}

/// A project that no other test has, so that tests can share a server.
pub(super) fn project(test: &str) -> String {
    let (process, now_ms) = (std::process::id(), SystemClock.now().unix_ms());
    format!("{test}-{process}-{now_ms}-{}", SystemClock.monotonic_ns())
}

fn row(event_ms: i64, version: u32) -> Row {
    Row {
        event_ms,
        version,
        created_ms: 7,
        records: 9,
        features: [("f".to_owned(), json!([1.5, "€", null]))]
            .into_iter()
            .collect(),
        state: json!({"not": "online"}),
    }
}

fn one(rows: &RedisRows, target: &str) -> Option<Row> {
    rows.read(&[target.to_owned()]).unwrap().remove(0)
}

#[test]
fn of_writers_at_once_the_newest_row_stays() {
    let Some(url) = url("of_writers_at_once_the_newest_row_stays") else {
        return;
    };
    let rows = RedisRows::connect(&url, &project("order")).unwrap();
    const WRITERS: i64 = 4;
    const WRITES: i64 = 100;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let rows = &rows;
            scope.spawn(move || {
                for write in 0..WRITES {
                    // Each in another order; event times below and above 0, versions with one and with several digits.
                    let number = (write * 37 + writer * 11) % WRITES;
                    let told = [(
                        "v\0k".to_owned(),
                        row(number / 10 - 5, (number % 10 * 3) as u32),
                    )];
                    rows.write(&told).unwrap();
                }
            });
        }
    });
    let newest = one(&rows, "v\0k").unwrap();
    assert_eq!((newest.event_ms, newest.version), (4, 27));
    let told = [
        ("v\0k".to_owned(), row(4, 27)),
        ("v\0k".to_owned(), row(4, 26)),
        ("v\0k".to_owned(), row(3, 99)),
        ("v\0k".to_owned(), row(4, 28)),
        ("v\0other".to_owned(), row(i64::MIN, 0)),
    ];
    assert_eq!(
        rows.write(&told).unwrap(),
        [false, false, false, true, true]
    );
    let stored = one(&rows, "v\0k").unwrap();
    assert_eq!(
        stored,
        Row {
            state: Value::Null,
            ..row(4, 28)
        }
    );
    assert_eq!(one(&rows, "w\0k"), None);
}

#[test]
fn many_rows_are_read_in_their_order_and_projects_are_apart() {
    let Some(url) = url("many_rows_are_read_in_their_order_and_projects_are_apart") else {
        return;
    };
    let rows = RedisRows::connect(&url, &project("many")).unwrap();
    let targets: Vec<String> = (0..2_500).map(|key| format!("v\0Zürich:{key}")).collect();
    let written: Vec<(String, Row)> = targets
        .iter()
        .step_by(2)
        .cloned()
        .map(|target| (target, row(1, 1)))
        .collect();
    assert!(rows.write(&written).unwrap().iter().all(|written| *written));
    let read = rows.read(&targets).unwrap();
    assert!(
        read.iter()
            .enumerate()
            .all(|(place, row)| row.is_some() == (place % 2 == 0))
    );
    let other = RedisRows::connect(&url, &project("other")).unwrap();
    assert!(other.read(&targets).unwrap().iter().all(Option::is_none));
    assert!(rows.read(&[]).unwrap().is_empty());
}

#[test]
fn connections_that_the_server_closed_are_replaced() {
    let Some(url) = url("connections_that_the_server_closed_are_replaced") else {
        return;
    };
    let rows = RedisRows::connect(&url, &project("closed")).unwrap();
    rows.write(&[("v\0k".to_owned(), row(1, 1))]).unwrap();
    let name = rows.kept_connection_id();
    let mut other = redis::Client::open(url.as_str())
        .unwrap()
        .get_connection()
        .unwrap();
    let killed: u32 = redis::cmd("CLIENT")
        .arg("KILL")
        .arg("ID")
        .arg(name)
        .query(&mut other)
        .unwrap();
    assert_eq!(killed, 1);
    assert!(one(&rows, "v\0k").is_some());
}

#[test]
fn what_is_not_ours_is_told_and_nothing_secret_is() {
    let Some(url) = url("what_is_not_ours_is_told_and_nothing_secret_is") else {
        return;
    };
    let project = project("foreign");
    let rows = RedisRows::connect(&url, &project).unwrap();
    let mut raw = redis::Client::open(url.as_str())
        .unwrap()
        .get_connection()
        .unwrap();
    for value in ["", "x", "000000000000000000000000000000{\"a\":1}"] {
        let key = format!("skyfresh:{project}:v:k");
        redis::cmd("SET")
            .arg(key)
            .arg(value)
            .query::<()>(&mut raw)
            .unwrap();
        let error = rows.read(&["v\0k".to_owned()]).unwrap_err();
        assert_eq!(error.kind, Kind::Corrupt, "{error}");
    }
    let (_, host) = url.rsplit_once('@').unwrap();
    let wrong = RedisRows::connect(&format!("redis://:not-the-secret@{host}"), "p").unwrap_err();
    assert_eq!(wrong.kind, Kind::Denied, "{wrong:?}");
    let nobody = RedisRows::connect("redis://:not-the-secret@127.0.0.1:1/0", "p").unwrap_err();
    assert_eq!(nobody.kind, Kind::RetryAfter, "{nobody:?}");
    let no_url = RedisRows::connect("redis://:not-the-secret@host:port/0", "p").unwrap_err();
    assert_eq!(no_url.kind, Kind::Invalid, "{no_url:?}");
    let password = url.split([':', '@']).nth(2).unwrap();
    for shown in [
        format!("{wrong:?} {wrong} {nobody:?} {no_url:?}"),
        format!("{rows:?}"),
    ] {
        assert!(
            !shown.contains("not-the-secret") && !shown.contains(password),
            "{shown}"
        );
    }
}

#[test]
fn a_server_that_says_nothing_is_waited_for_no_longer_than_the_limit() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let begun_ns = SystemClock.monotonic_ns();
    let address = silent.local_addr().unwrap();
    let error = RedisRows::connect(&format!("redis://{address}/0"), "p").unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter, "{error}");
    let took_s = (SystemClock.monotonic_ns() - begun_ns) as f64 / 1e9;
    assert!(took_s < 20.0, "{took_s} s");
}
