use super::*;
use crate::service::history::Written;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::Write as _;

fn row(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(row) => row,
        other => panic!("{other} is no row"),
    }
}

fn read(bytes: &[u8]) -> crate::Result<Vec<Map<String, Value>>> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    rows(File::open(file.path()).unwrap(), "a.parquet".into())?.collect()
}

fn written(number: u32) -> Written {
    let features = [
        ("x".to_owned(), json!(f64::from(number) / 3.0)),
        ("t".to_owned(), json!([null, "é"])),
    ];
    Written {
        view: "v".into(),
        key: format!("key {number}"),
        event_ms: -5 + i64::from(number),
        created_ms: 1_795_737_600_123,
        version: u32::MAX - number,
        features: features.into_iter().collect(),
    }
}

#[test]
fn rows_are_read_as_they_were_written() {
    let whole = vec![
        row(
            json!({"key": 7, "flag": true, "v": 1.5, "whole": 1, "text": "a", "list": [1.0, null, 2.5], "odd": {"a": 1}}),
        ),
        row(
            json!({"key": 8, "flag": null, "v": 2, "whole": -3, "text": "é", "list": [], "odd": [1, "x"]}),
        ),
        row(json!({"key": 9, "none": null})),
    ];
    let bytes = write_rows(Vec::new(), &whole).unwrap();
    let told = read(&bytes).unwrap();
    assert_eq!(told.len(), 3);
    for (told, wrote) in told.iter().zip(&whole) {
        for column in ["key", "flag", "whole", "text", "list", "none"] {
            assert_eq!(
                told[column],
                wrote.get(column).cloned().unwrap_or(Value::Null),
                "{column}"
            );
        }
        let number = wrote.get("v").and_then(Value::as_f64);
        assert_eq!(told["v"].as_f64(), number);
        // What has no type of its own is a text of JSON.
        let odd = told["odd"]
            .as_str()
            .map(|text| serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(odd, wrote.get("odd").cloned());
    }
}

#[test]
fn a_segment_of_the_history_has_every_digit() {
    let wrote: Vec<Written> = (0..3).map(written).collect();
    let bytes = segment(Vec::new(), &wrote.iter().collect::<Vec<_>>()).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let mut told = Vec::new();
    let opened = || File::open(file.path()).unwrap();
    history(opened(), "s".into(), |row| told.push(row)).unwrap();
    assert_eq!(told, wrote);
    // As rows, its times are times.
    let first = rows(opened(), "s".into()).unwrap().next().unwrap().unwrap();
    assert_eq!(first["created_ms"], json!("2026-11-27T00:00:00.123Z"));
    // Another file of Parquet is no segment.
    let mut other = tempfile::NamedTempFile::new().unwrap();
    other
        .write_all(&write_rows(Vec::new(), &[row(json!({"a": 1}))]).unwrap())
        .unwrap();
    let told = history(File::open(other.path()).unwrap(), "s".into(), |_| {});
    assert!(told.unwrap_err().to_string().contains("no segment"));
}

#[test]
fn what_is_no_parquet_is_named() {
    for bytes in [b"".as_slice(), b"key,v\n1,2\n", b"PAR1PAR1", &[0; 5_000]] {
        let told = read(bytes).unwrap_err().to_string();
        assert!(told.contains("a.parquet"), "{told}");
    }
}

proptest! {
    /// Whatever a file that is cut off or changed holds, reading it ends, with rows or an error.
    #[test]
    fn damage_ends_with_an_error_or_rows(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let wrote: Vec<_> = (0..50).map(|i| row(json!({"k": format!("key {}", i % 7), "v": i, "l": [i as f64]}))).collect();
        let mut bytes = write_rows(Vec::new(), &wrote).unwrap();
        for (place, byte) in &changes {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        match read(&bytes) {
            Ok(told) => prop_assert!(told.len() <= 50 || !changes.is_empty()),
            Err(error) => prop_assert!(error.to_string().contains("a.parquet")),
        }
    }
}

/// A file that pyarrow 26.0.1 wrote, in two row groups with dictionaries and Snappy.
#[test]
fn what_pyarrow_writes_is_read() {
    let told = read(include_bytes!("files/pyarrow.parquet")).unwrap();
    let expected = [
        json!({
            "user": 1, "event_timestamp": "2026-11-27T00:00:00.123Z", "at_us": "2026-11-27T00:00:00.123Z", "day": "2026-11-27",
            "price": 1.5, "small": 1, "city": "Zürich", "flag": true, "embedding": [1.0, 2.5], "where": {"x": 1, "y": "a"},
            "amount": 12.34,
        }),
        json!({
            "user": 2, "event_timestamp": "2026-11-27T00:00:01Z", "at_us": null, "day": null, "price": null, "small": 2,
            "city": null, "flag": false, "embedding": [], "where": null, "amount": null,
        }),
        json!({
            "user": null, "event_timestamp": null, "at_us": "1970-01-01T00:00:00Z", "day": "1969-12-31", "price": -2.0,
            "small": 3, "city": "Zürich", "flag": null, "embedding": null, "where": {"x": null, "y": "b"}, "amount": -0.05,
        }),
    ];
    assert_eq!(
        told.into_iter().map(Value::Object).collect::<Vec<_>>(),
        expected
    );
}
