//! With the real interpreter.

use super::*;
use crate::function::Event;
use serde_json::json;
use std::path::Path;

const CODE: &str = r#"
import os, time
import skyfresh

@skyfresh.transform
def total(key, events, state):
    print("this goes to the log")
    if key == "crash":
        os._exit(3)
    if key == "hang":
        time.sleep(60)
    if key == "wrong":
        return 7, None
    if key == "raise":
        raise ValueError("no such luck")
    sum_ = (state or 0) + sum(event["v"] for event in events)
    return {"sum": sum_, "last": events[-1]["event_timestamp"], "process": os.getpid(), "other": 1}, sum_
"#;

fn pool(folder: &Path, timeout_s: f64) -> PythonPool {
    let file = folder.join("functions.py");
    std::fs::write(&file, CODE).unwrap();
    let spec = PythonFunction {
        file: file.display().to_string(),
        function: "total".into(),
        features: vec![
            "sum".into(),
            "last".into(),
            "process".into(),
            "absent".into(),
        ],
        processes: 2,
        timeout_s,
        python: python(),
    };
    spec.checked().unwrap()
}

fn events(values: &[f64]) -> Vec<Event> {
    let event = |(index, value): (usize, &f64)| Event {
        at_ms: 1_000 * index as i64,
        columns: [("v".to_owned(), json!(value))].into_iter().collect(),
    };
    values.iter().enumerate().map(event).collect()
}

#[test]
fn batches_are_computed_in_their_order_by_all_processes() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), 30.0);
    let names: Vec<String> = (0..300).map(|key| key.to_string()).collect();
    let all: Vec<Vec<Event>> = (0..300).map(|key| events(&[f64::from(key), 0.5])).collect();
    let items: Vec<Item<'_>> = names
        .iter()
        .zip(&all)
        .map(|(key, events)| Item {
            key,
            events,
            state: &Value::Null,
        })
        .collect();
    let updates = pool.on_batch(&items);
    assert_eq!(updates.len(), 300);
    let mut processes = std::collections::BTreeSet::new();
    for (key, update) in updates.into_iter().enumerate() {
        let update = update.unwrap();
        assert_eq!(update.features["sum"], json!(key as f64 + 0.5));
        assert_eq!(update.features["last"], json!(1.0));
        assert_eq!(update.features["absent"], Value::Null);
        assert!(!update.features.contains_key("other"));
        processes.insert(update.features["process"].as_i64());
    }
    assert_eq!(processes.len(), 2, "both work");
    // What it kept comes back.
    let again = pool.on_events("0", &events(&[1.0]), &json!(41.0)).unwrap();
    assert_eq!(
        (&again.features["sum"], &again.state),
        (&json!(42.0), &json!(42.0))
    );
}

#[test]
fn a_crash_a_hang_or_an_error_fails_its_own_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(folder.path(), 2.0);
    let one = events(&[1.0]);
    let keys = ["a", "crash", "b", "wrong", "c", "raise", "d", "hang", "e"];
    let items = keys.map(|key| Item {
        key,
        events: &one,
        state: &Value::Null,
    });
    let updates = pool.on_batch(&items);
    for (key, update) in keys.iter().zip(&updates) {
        let why = match *key {
            "crash" => "ended",
            "hang" => "longer than 2s",
            "wrong" => "not a dictionary",
            "raise" => "no such luck",
            _ => {
                assert_eq!(update.as_ref().unwrap().features["sum"], 1.0, "{key}");
                continue;
            }
        };
        let error = update.as_ref().unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(key), "{key}: {error}");
    }
}

#[test]
fn what_cannot_be_started_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let good = pool(folder.path(), 5.0).spec;
    let told = |spec: PythonFunction| {
        let pool = spec.checked().unwrap();
        pool.on_events("k", &[], &Value::Null)
            .unwrap_err()
            .to_string()
    };
    let spec = PythonFunction {
        python: "no-such-python".into(),
        ..good.clone()
    };
    assert!(told(spec).contains("no-such-python"));
    let spec = PythonFunction {
        function: "none".into(),
        ..good.clone()
    };
    assert!(told(spec).contains("ended"));
    let spec = PythonFunction {
        processes: 0,
        ..good
    };
    assert!(spec.checked().is_err());
}
