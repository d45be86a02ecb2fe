//! Files as sources, and functions in Python, at work in a service.

use super::*;
use skyfresh_sky::{Clock, ManualClock, Rng, SystemClock, Timestamp};
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub(super) fn open(folder: &Path, views: &str, clock: Arc<dyn Clock>) -> Arc<Service> {
    let config = FeaturesConfig::parse(views).unwrap();
    let store = Store::open(&folder.join("features.redb")).unwrap();
    Arc::new(Service::open(config, store, clock, &Rng::seeded(1)).unwrap())
}

fn first_file(service: &Service) -> FileSource {
    match &service.config.sources[0] {
        Source::File(file) => file.clone(),
        Source::Kafka(_) => panic!("it is a file"),
    }
}

const COUNTS: &str = r#"
[[view]]
name = "counts"
key = "user"
source = "clicks"
[view.function]
kind = "window-aggregates"
column = "price"
window_s = 1e9
aggregates = ["count", "sum"]
"#;

fn with_source(folder: &Path, speed: &str) -> String {
    let file = folder.join("clicks.csv");
    format!(
        "[[source]]\nname = \"clicks\"\nfile = {:?}\n{speed}\n{COUNTS}",
        file.display().to_string()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_taken_in_once_however_often_it_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "user,event_timestamp,price\n".to_owned();
    for row in 0..2_500 {
        text.push_str(&format!("{},{},{}\n", row % 5, 1_000 + row, row));
    }
    text.push_str("7,noon,1\n");
    std::fs::write(folder.path().join("clicks.csv"), &text).unwrap();
    let views = with_source(folder.path(), "");
    let clock = ManualClock::at(Timestamp::from_unix_ms(1_795_737_600_000));
    let stop = CancellationToken::new();
    let count = |service: &Arc<Service>| {
        service.update(100).unwrap();
        let rows = (0..5).map(|user| {
            service
                .store
                .get("counts", &user.to_string())
                .unwrap()
                .unwrap()
        });
        rows.map(|row| row.features["price_count"].as_u64().unwrap())
            .sum::<u64>()
    };
    // Stopped after its first thousand rows, and started again.
    stop.cancel();
    let service = open(folder.path(), &views, Arc::new(clock.clone()));
    let source = first_file(&service);
    Arc::clone(&service).replay(&source, &stop).await.unwrap();
    assert_eq!(count(&service), 1_000);
    drop(service);
    for expected in [2_500, 2_500] {
        let service = open(folder.path(), &views, Arc::new(clock.clone()));
        Arc::clone(&service)
            .replay(&source, &CancellationToken::new())
            .await
            .unwrap();
        assert_eq!(count(&service), expected);
    }
    // What is added to the file is taken in by the next start.
    text.push_str("1,5000,1\n");
    std::fs::write(folder.path().join("clicks.csv"), &text).unwrap();
    let service = open(folder.path(), &views, Arc::new(clock.clone()));
    Arc::clone(&service)
        .replay(&source, &CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(count(&service), 2_501);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_replayed_as_fast_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let text = "user,event_timestamp,price\n1,0,1\n1,30,1\n1,60,1\n";
    std::fs::write(folder.path().join("clicks.csv"), text).unwrap();
    // A minute in 600 ms.
    let views = with_source(folder.path(), "speed = 100.0");
    let service = open(folder.path(), &views, Arc::new(SystemClock));
    let source = first_file(&service);
    let begun_ns = SystemClock.monotonic_ns();
    Arc::clone(&service)
        .replay(&source, &CancellationToken::new())
        .await
        .unwrap();
    let took_ms = (SystemClock.monotonic_ns() - begun_ns) / 1_000_000;
    assert!((590..30_000).contains(&took_ms), "{took_ms} ms");
    assert_eq!(service.status()[0].schedule.pending, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_in_python_makes_features_and_a_bad_key_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("functions.py");
    let code = "import os, skyfresh\n@skyfresh.transform\ndef spend(key, events, state):\n    if key == 'bad':\n        os._exit(1)\n    total = (state or 0) + sum(e['price'] for e in events)\n    return {'total': total}, total\n";
    std::fs::write(&file, code).unwrap();
    let views = format!(
        "[[view]]\nname = \"spend\"\nkey = \"user\"\n[view.function]\nkind = \"python\"\nfile = {:?}\nfunction = \"spend\"\nfeatures = [\"total\"]\n",
        file.display().to_string()
    );
    let clock = ManualClock::at(Timestamp::from_unix_ms(1_795_737_600_000));
    let service = open(folder.path(), &views, Arc::new(clock.clone()));
    let event = |key: &str, price: f64| {
        let columns = [("price".to_owned(), price.into())].into_iter().collect();
        (key.to_owned(), crate::function::Event { at_ms: 1, columns })
    };
    let all = vec![
        event("a", 1.0),
        event("bad", 1.0),
        event("b", 2.0),
        event("a", 3.0),
    ];
    service.push("spend", all).unwrap();
    let error = service.update(10).unwrap_err().to_string();
    assert!(error.contains("bad"), "{error}");
    let total = |key: &str| {
        service
            .store
            .get("spend", key)
            .unwrap()
            .map(|row| row.features["total"].as_f64())
    };
    assert_eq!(
        (total("a"), total("b"), total("bad")),
        (Some(Some(4.0)), Some(Some(2.0)), None)
    );
    service.push("spend", vec![event("a", 0.5)]).unwrap();
    assert_eq!(
        service.update(10).unwrap(),
        1,
        "the bad key does not come up again at once"
    );
    assert_eq!(total("a"), Some(Some(4.5)));
    // Its event is not lost: it is tried again once its lease has run out.
    clock.advance(std::time::Duration::from_secs(61));
    let error = service.update(10).unwrap_err().to_string();
    assert!(error.contains("bad"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_feature_that_was_written_is_in_the_history_once() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("history");
    let views = format!("history = {:?}\n{COUNTS}", directory.display().to_string());
    let clock = ManualClock::at(Timestamp::from_unix_ms(1_795_737_600_000));
    let event = |user: u32, at_ms: i64| {
        let columns = [("price".to_owned(), 2.0.into())].into_iter().collect();
        (user.to_string(), crate::function::Event { at_ms, columns })
    };
    let read = || {
        let mut all = Vec::new();
        read_history(&directory, |written| {
            all.push((
                written.key,
                written.version,
                written.features["price_count"].clone(),
            ))
        })
        .unwrap();
        all
    };
    let service = open(folder.path(), &views, Arc::new(clock.clone()));
    service
        .push("counts", vec![event(1, 1), event(2, 1)])
        .unwrap();
    service.update(10).unwrap();
    assert_eq!(service.export_history().unwrap(), 2);
    service.push("counts", vec![event(1, 2)]).unwrap();
    service.update(10).unwrap();
    // It dies before the next export, and again between a segment and the note of it.
    drop(service);
    let (store, copy) = (
        folder.path().join("features.redb"),
        folder.path().join("copy"),
    );
    std::fs::copy(&store, &copy).unwrap();
    let service = open(folder.path(), &views, Arc::new(clock.clone()));
    assert_eq!(service.export_history().unwrap(), 1);
    drop(service);
    std::fs::copy(&copy, &store).unwrap();
    let service = open(folder.path(), &views, Arc::new(clock.clone()));
    assert_eq!(service.export_history().unwrap(), 1);
    assert_eq!(service.export_history().unwrap(), 0);
    let mut expected = vec![
        ("1".to_owned(), 1, 1.into()),
        ("2".to_owned(), 1, 1.into()),
        ("1".to_owned(), 2, 2.into()),
    ];
    let mut told = read();
    told[..2].sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told, expected);
    service.push("counts", vec![event(2, 3)]).unwrap();
    service.update(10).unwrap();
    service.export_history().unwrap();
    expected.push(("2".to_owned(), 2, 2.into()));
    assert_eq!(read().len(), expected.len());
    assert_eq!(read().last(), expected.last());
}

#[cfg(feature = "parquet")]
#[tokio::test(flavor = "multi_thread")]
async fn a_parquet_file_is_taken_in_once_and_makes_the_features_that_csv_makes() {
    let folder = tempfile::tempdir().unwrap();
    let (csv, parquet) = (
        folder.path().join("clicks.csv"),
        folder.path().join("clicks.parquet"),
    );
    let mut text = "user,event_timestamp,price\n".to_owned();
    let mut rows = Vec::new();
    for row in 0..2_500i64 {
        text.push_str(&format!("{},{},{}\n", row % 5, 1_000 + row, row));
        let cells =
            serde_json::json!({"user": row % 5, "event_timestamp": 1_000 + row, "price": row});
        rows.push(cells.as_object().unwrap().clone());
    }
    std::fs::write(&csv, &text).unwrap();
    write_rows(std::fs::File::create(&parquet).unwrap(), &rows).unwrap();
    let mut told = Vec::new();
    for file in [&csv, &parquet] {
        let place = tempfile::tempdir().unwrap();
        let views = format!(
            "[[source]]\nname = \"clicks\"\nfile = {:?}\n{COUNTS}",
            file.display().to_string()
        );
        let clock = ManualClock::at(Timestamp::from_unix_ms(1_795_737_600_000));
        // Twice: the second time, all is known.
        for _ in 0..2 {
            let service = open(place.path(), &views, Arc::new(clock.clone()));
            let source = first_file(&service);
            Arc::clone(&service)
                .replay(&source, &CancellationToken::new())
                .await
                .unwrap();
            service.update(100).unwrap();
            let features = (0..5).map(|user| {
                service
                    .store
                    .get("counts", &user.to_string())
                    .unwrap()
                    .unwrap()
                    .features
            });
            told.push(features.collect::<Vec<_>>());
        }
    }
    assert_eq!(told[0][0]["price_count"], 500);
    assert!(told.iter().all(|features| *features == told[0]));
}

#[cfg(feature = "parquet")]
#[tokio::test(flavor = "multi_thread")]
async fn a_history_in_parquet_goes_on_from_one_in_json_and_trains() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("history");
    let views = |format: &str| {
        format!(
            "history = {:?}\nhistory_format = {format:?}\n{COUNTS}",
            directory.display().to_string()
        )
    };
    let clock = ManualClock::at(Timestamp::from_unix_ms(1_795_737_600_000));
    let event = |at_ms: i64| {
        let columns = [("price".to_owned(), 2.0.into())].into_iter().collect();
        ("1".to_owned(), crate::function::Event { at_ms, columns })
    };
    let store = folder.path().join("features.redb");
    let copy = folder.path().join("copy");
    for (round, format) in ["jsonl", "parquet", "jsonl"].into_iter().enumerate() {
        let service = open(folder.path(), &views(format), Arc::new(clock.clone()));
        service.push("counts", vec![event(round as i64)]).unwrap();
        service.update(10).unwrap();
        drop(service);
        if round == 1 {
            // A crash between the segment and the note of it, and another format since.
            std::fs::copy(&store, &copy).unwrap();
            let other = open(folder.path(), &views("jsonl"), Arc::new(clock.clone()));
            assert_eq!(other.export_history().unwrap(), 1);
            drop(other);
            std::fs::copy(&copy, &store).unwrap();
        }
        let service = open(folder.path(), &views(format), Arc::new(clock.clone()));
        assert_eq!(service.export_history().unwrap(), 1);
        assert_eq!(service.export_history().unwrap(), 0);
        clock.advance(std::time::Duration::from_secs(1));
    }
    let mut names: Vec<String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "00000000000000000001.jsonl",
        "00000000000000000002.parquet",
        "00000000000000000003.jsonl",
    ];
    assert_eq!(names, expected);
    let mut told = Vec::new();
    read_history(&directory, |written| {
        told.push((written.version, written.features["price_sum"].as_f64()))
    })
    .unwrap();
    assert_eq!(told, [(1, Some(2.0)), (2, Some(4.0)), (3, Some(6.0))]);
    // Each row gets what was served at its time.
    let labels = folder.path().join("labels.parquet");
    let at = |ms: u64| Timestamp::from_unix_ms(1_795_737_600_000 + ms).to_string();
    let rows =
        [0, 1_000, 2_500].map(|ms| serde_json::json!({"user": 1, "event_timestamp": at(ms)}));
    let rows: Vec<_> = rows
        .iter()
        .map(|row| row.as_object().unwrap().clone())
        .collect();
    write_rows(std::fs::File::create(&labels).unwrap(), &rows).unwrap();
    let config = FeaturesConfig::parse(&views("parquet")).unwrap();
    let wanted = TrainingSet {
        config: &config,
        features: &["counts:price_sum".to_owned()],
        time: "event_timestamp",
        as_of: AsOf::Served,
        full_feature_names: false,
    };
    let joined = training_set(&wanted, &labels, &directory).unwrap();
    let sums: Vec<_> = joined.iter().map(|row| row["price_sum"].as_f64()).collect();
    assert_eq!(sums, [Some(2.0), Some(4.0), Some(6.0)]);
}

#[test]
fn rows_that_were_taken_in_are_refused_with_all_that_came_with_them() {
    use super::store::Progress;
    let folder = tempfile::tempdir().unwrap();
    let service = open(folder.path(), COUNTS, Arc::new(SystemClock));
    let row = serde_json::json!({"user": 1, "event_timestamp": 1, "price": 1});
    let row = row.as_object().unwrap();
    let progress = |name: &str, from, to| Progress {
        name: name.to_owned(),
        from,
        to,
    };
    service
        .take_rows("clicks", &[row], &[progress("a", 3, 5)])
        .unwrap();
    // Offsets may be left out, as compaction does, but none is gone through twice.
    let twice = [progress("b", 0, 1), progress("a", 4, 6)];
    let told = service.take_rows("clicks", &[row], &twice).unwrap_err();
    assert_eq!(told.kind, skyfresh_sky::Kind::Precondition);
    let known = |name: &str| service.store.position(name).unwrap();
    assert_eq!((known("a"), known("b")), (5, 0));
    assert_eq!(service.status()[0].schedule.pending, 1);
    service
        .take_rows("clicks", &[row], &[progress("a", 9, 10)])
        .unwrap();
    assert_eq!(known("a"), 10);
}
