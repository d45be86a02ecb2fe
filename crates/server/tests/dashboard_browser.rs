//! The dashboard in a real browser: headless Chromium runs the page against a running server and prints the DOM.
//!
//! The binary is `SKYFRESH_TEST_CHROMIUM`, or `/usr/bin/chromium`; without one the test says `skipped:` (also in the file
//! that `SKYFRESH_TEST_SKIP_LOG` names).
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test reads the environment and prints that it skips"
)]

mod common;

use common::{Running, models, notification, start_with};
use skyfresh_server::ServerOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

fn chromium(test: &str) -> Option<PathBuf> {
    let binary = std::env::var("SKYFRESH_TEST_CHROMIUM")
        .map_or_else(|_| "/usr/bin/chromium".into(), PathBuf::from);
    if binary.exists() {
        return Some(binary);
    }
    let line = format!(
        "skipped: {test}: no {} (set SKYFRESH_TEST_CHROMIUM; apt-get install -y chromium)",
        binary.display()
    );
    println!("{line}");
    if let Ok(log) = std::env::var("SKYFRESH_TEST_SKIP_LOG") {
        let mut log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        writeln!(log, "{line}").unwrap();
    }
    None
}

/// The page's DOM after it has polled for a while.
async fn dom(binary: &Path, running: &Running) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(binary)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args([
            "--window-size=1600,900",
            "--virtual-time-budget=5000",
            "--dump-dom",
        ])
        .arg(format!("http://{}/", running.address))
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The text of an element with this id, as the page's DOM has it.
fn text_of<'a>(dom: &'a str, id: &str) -> &'a str {
    let (_, rest) = dom
        .split_once(&format!("id=\"{id}\""))
        .unwrap_or_else(|| panic!("no #{id} in {dom}"));
    let (_, rest) = rest.split_once('>').unwrap();
    rest.split_once('<').unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_shows_the_rule_its_lag_and_what_fails() {
    let Some(chromium) = chromium("the_dashboard_shows_the_rule_its_lag_and_what_fails") else {
        return;
    };
    let sky = common::memory_sky();
    let mut rule = models();
    // A prefix that would be markup if the page did not escape what it shows.
    rule.destinations.push(skyfresh_engine::Destination {
        name: "elsewhere".into(),
        location: common::location("mem://nosuch/<img src=x onerror=alert(1)>"),
        region: None,
        storage_class: Default::default(),
        server_copy: false,
    });
    let options = ServerOptions {
        allow_unauthenticated_notifications: true,
        ..ServerOptions::default()
    };
    let running = start_with(
        options,
        vec![rule],
        Arc::new(skyfresh_ledger::MemoryLedger::new()),
        sky,
    )
    .await;
    running.ready().await;
    running
        .get_until("/v1/status/models", |answer| {
            !answer.json()["destinations"][0]["sweep"].is_null()
        })
        .await;
    running.put("k", b"12345").await;
    assert_eq!(
        running
            .send("POST", "/v1/notifications", &[], &notification("k"))
            .await
            .status,
        200
    );
    let copied = |answer: &common::Answer| {
        answer.json()["destinations"][0]["totals"]["outcomes"]["copied"] == 1
    };
    running.get_until("/v1/status/models", copied).await;

    let dom = dom(&chromium, &running).await;
    assert_eq!(text_of(&dom, "message"), "", "errors in the page");
    assert_eq!(
        text_of(&dom, "verdict"),
        "1 of 2 destinations is in trouble"
    );
    let table = dom.split_once("<section").unwrap().1;
    for shown in [
        "models",
        "SLO 1m@p99",
        "100 %",
        "1 change",
        "unreachable",
        "&lt;img src=x",
        "mem://copy/",
    ] {
        assert!(table.contains(shown), "{shown:?} is not in {table}");
    }
    let first_row = table
        .split_once("<tr class=\"lane\">")
        .unwrap()
        .1
        .split_once("</tr>")
        .unwrap()
        .0;
    let lag = first_row.split("<td").nth(3).unwrap();
    assert!(
        lag.contains(" ms<") || lag.contains(" s<"),
        "no lag in {lag}"
    );
    assert!(
        !table.contains("<img"),
        "markup in a location must stay text"
    );
    assert!(
        table.matches("<polyline").count() == 4,
        "two charts for each destination"
    );
    running.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_asks_for_the_token() {
    let Some(chromium) = chromium("the_dashboard_asks_for_the_token") else {
        return;
    };
    let options = ServerOptions {
        api_token: Some("t0ken".into()),
        ..ServerOptions::default()
    };
    let running = common::start(options).await;
    running.ready().await;
    let dom = dom(&chromium, &running).await;
    assert_eq!(text_of(&dom, "message"), "", "errors in the page");
    let form = dom
        .split_once("<form")
        .unwrap()
        .1
        .split_once('>')
        .unwrap()
        .0;
    assert!(!form.contains("hidden"), "the form must be shown: {form}");
    assert!(
        !dom.contains("models"),
        "nothing is shown without the token"
    );
    running.finish().await;
}
