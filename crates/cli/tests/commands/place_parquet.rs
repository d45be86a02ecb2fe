//! Access logs in Parquet.

use crate::support::Place;
use serde_json::{Value, json};

/// SkyPIE's price tables.
const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../placement/tables");

const ASKED: [&str; 10] = [
    "place",
    "advise",
    "logs",
    "--prices",
    TABLES,
    "--regions",
    "aws",
    "--stores",
    "General Purpose",
    "--at=aws-us-east-2-s3-General Purpose",
];

#[test]
fn advice_from_parquet_is_that_from_the_same_in_csv() {
    let place = Place::new();
    let mut csv = "time,operation,key,bytes,object_bytes,region\n".to_owned();
    let mut rows = Vec::new();
    for access in 0..6_000u64 {
        let (time, key) = (
            1_790_000_000 + access * 60,
            format!("site/img/{}", access % 50),
        );
        let (operation, bytes) = if access % 9 == 0 {
            ("PUT", 5_000_000)
        } else {
            ("GET", 1_000)
        };
        let region = ["aws-eu-west-1", "aws-us-east-2"][access as usize % 2];
        csv.push_str(&format!(
            "{time},{operation},{key},{bytes},5000000,{region}\n"
        ));
        let row = json!({"time": time, "operation": operation, "key": key, "bytes": bytes, "object_bytes": 5_000_000, "region": region});
        rows.push(row.as_object().unwrap().clone());
    }
    let told = |name: &str, bytes: &[u8]| {
        let _ = std::fs::remove_dir_all(place.path("logs"));
        place.write(name, bytes);
        let told = place.run(&[&ASKED[..], &["--json"]].concat());
        told.exits(0);
        told.stdout
    };
    let expected = told("logs/log.csv", csv.as_bytes());
    let parquet = skyfresh_features::service::write_rows(Vec::new(), &rows).unwrap();
    // Its name does not matter.
    let from_parquet = told("logs/log", &parquet);
    let without_records = |text: &str| -> Vec<Value> {
        let lines = text.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            // The heading of the CSV is a record as well.
            if let Some(summary) = line.get_mut("summary").and_then(Value::as_object_mut) {
                summary.retain(|name, _| !["records", "lines", "others"].contains(&name.as_str()));
            }
            line
        });
        lines.collect()
    };
    assert_eq!(without_records(&from_parquet), without_records(&expected));
    assert_eq!(without_records(&expected)[0]["summary"]["accesses"], 6_000);

    place.write("logs/log", &parquet[..parquet.len() - 9]);
    let damaged = place.run(&ASKED);
    assert!(
        damaged.code == Some(1) && damaged.stderr.contains("logs/log"),
        "{damaged:?}"
    );
    assert!(damaged.stderr.contains("damaged"), "{damaged:?}");
}
