//! `/metrics`, read by a parser as strict as the format.

mod common;

use common::{location, notification, start_with};
use skyfresh_engine::Rule;
use skyfresh_server::ServerOptions;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A metric as scraped.
#[derive(Debug, Default)]
struct Metric {
    kind: String,
    samples: Vec<(BTreeMap<String, String>, f64)>,
}

fn is_name(name: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(starts) && name.chars().all(|c| starts(c) || c.is_ascii_digit())
}

/// Reads `name="value",…}`; returns what follows the brace.
fn labels(mut text: &str) -> (BTreeMap<String, String>, &str) {
    let mut found = BTreeMap::new();
    loop {
        let (name, rest) = text
            .split_once("=\"")
            .unwrap_or_else(|| panic!("no label in {text:?}"));
        assert!(is_name(name) && !name.contains(':'), "{name:?}");
        let (mut value, mut characters) = (String::new(), rest.char_indices());
        let end = loop {
            match characters
                .next()
                .unwrap_or_else(|| panic!("unclosed label in {text:?}"))
            {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next() {
                    Some((_, '\\')) => '\\',
                    Some((_, '"')) => '"',
                    Some((_, 'n')) => '\n',
                    other => panic!("unknown escape {other:?} in {text:?}"),
                }),
                (_, plain) => value.push(plain),
            }
        };
        assert_eq!(
            found.insert(name.to_owned(), value),
            None,
            "label {name} twice"
        );
        match rest[end + 1..].split_at(1) {
            (",", rest) => text = rest,
            ("}", rest) => return (found, rest),
            _ => panic!("expected , or }} in {text:?}"),
        }
    }
}

fn parse(page: &str) -> BTreeMap<String, Metric> {
    assert!(page.ends_with('\n'), "the last line must end");
    let (mut metrics, mut helped, mut current) = (
        BTreeMap::<String, Metric>::new(),
        BTreeSet::new(),
        String::new(),
    );
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(
                is_name(name) && !text.is_empty() && helped.insert(name),
                "{line}"
            );
            current = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, current, "TYPE follows its HELP");
            assert!(["counter", "gauge", "summary"].contains(&kind), "{line}");
            assert_eq!(
                kind == "counter",
                name.ends_with("_total"),
                "counters, and only they, end in _total: {line}"
            );
            let metric = Metric {
                kind: kind.to_owned(),
                samples: Vec::new(),
            };
            assert!(
                metrics.insert(name.to_owned(), metric).is_none(),
                "{name} twice"
            );
        } else {
            let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line:?}"));
            assert_eq!(&line[..end], current, "samples follow their TYPE");
            let (found, rest) = if line[end..].starts_with('{') {
                labels(&line[end + 1..])
            } else {
                (BTreeMap::new(), &line[end..])
            };
            let value: f64 = rest
                .strip_prefix(' ')
                .unwrap()
                .parse()
                .unwrap_or_else(|_| panic!("{line}"));
            let metric = metrics.get_mut(&current).unwrap();
            assert!(metric.kind != "counter" || value >= 0.0, "{line}");
            assert_eq!(
                found.contains_key("quantile"),
                metric.kind == "summary",
                "{line}"
            );
            assert!(
                metric.samples.iter().all(|(other, _)| *other != found),
                "series twice: {line}"
            );
            metric.samples.push((found, value));
        }
    }
    metrics
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_follow_the_format_and_tell_what_happened() {
    let sky = common::memory_sky();
    sky.create_bucket("second");
    let destinations = vec![location("mem://copy/"), location("mem://second/")];
    let rule = Rule::new("models", location("mem://source/"), destinations);
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
    let swept = |answer: &common::Answer| {
        let status = answer.json();
        status["destinations"]
            .as_array()
            .unwrap()
            .iter()
            .all(|lane| !lane["sweep"].is_null())
    };
    running.get_until("/v1/status/models", swept).await;
    running.put("k", b"12345").await;
    assert_eq!(
        running
            .send("POST", "/v1/notifications", &[], &notification("k"))
            .await
            .status,
        200
    );
    assert_eq!(
        running
            .send("POST", "/v1/notifications", &[], b"{}")
            .await
            .status,
        400
    );
    let copied =
        |answer: &common::Answer| answer.body.matches("outcome=\"copied\"} 1\n").count() == 2;
    let answer = running.get_until("/metrics", copied).await;
    assert_eq!(
        answer.header("Content-Type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );

    let metrics = parse(&answer.body);
    for name in [
        "skyfresh_watermark_timestamp_seconds",
        "skyfresh_proven_timestamp_seconds",
        "skyfresh_backlog_objects",
        "skyfresh_backlog_bytes",
        "skyfresh_slo_attainment_ratio",
        "skyfresh_in_flight",
        "skyfresh_bytes_moved_total",
        "skyfresh_requests_total",
        "skyfresh_spend_usd_total",
        "skyfresh_bytes_saved_total",
        "skyfresh_saved_usd_total",
        "skyfresh_lost_notifications_total",
    ] {
        let of: Vec<&str> = metrics[name]
            .samples
            .iter()
            .map(|(labels, _)| labels["destination"].as_str())
            .collect();
        assert_eq!(of, ["d1", "d2"], "{name}");
        assert!(
            metrics[name]
                .samples
                .iter()
                .all(|(labels, _)| labels["rule"] == "models" && labels.len() == 2)
        );
    }
    assert_eq!(
        metrics["skyfresh_lag_seconds"].samples.len(),
        6,
        "three quantiles for each destination"
    );
    assert_eq!(metrics["skyfresh_finished_total"].samples.len(), 10);
    assert_eq!(metrics["skyfresh_failures_total"].samples.len(), 16);
    assert!(
        metrics["skyfresh_bytes_moved_total"]
            .samples
            .iter()
            .all(|(_, bytes)| *bytes == 5.0)
    );
    assert!(
        metrics["skyfresh_watermark_timestamp_seconds"]
            .samples
            .iter()
            .all(|(_, at)| *at > 1.6e9 && *at < 1e11)
    );
    let by = |name: &str, label: &str, value: &str| {
        let found = metrics[name]
            .samples
            .iter()
            .find(|(labels, _)| labels[label] == value);
        found.unwrap_or_else(|| panic!("no {name} of {value}")).1
    };
    assert_eq!(
        by("skyfresh_notifications_total", "result", "accepted"),
        1.0
    );
    assert_eq!(by("skyfresh_notifications_total", "result", "refused"), 1.0);
    assert_eq!(
        by(
            "skyfresh_notifications_refused_total",
            "reason",
            "malformed"
        ),
        1.0
    );
    assert_eq!(
        by("skyfresh_notifications_refused_total", "reason", "ledger"),
        0.0
    );
    assert_eq!(by("skyfresh_state", "state", "ready"), 1.0);
    let documented = include_str!("../../../docs/api.md");
    for name in metrics.keys() {
        assert!(
            documented.contains(&format!("`{name}")),
            "docs/api.md does not mention {name}"
        );
    }
    if cfg!(target_os = "linux") {
        assert!(metrics["process_resident_memory_bytes"].samples[0].1 > 1e6);
        assert!(metrics["process_cpu_seconds_total"].samples[0].1 >= 0.0);
    }
    running.finish().await;
}
