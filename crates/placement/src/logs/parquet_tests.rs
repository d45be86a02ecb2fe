//! Logs in Parquet say what the same log in CSV says.

use super::*;
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::parser::parse_message_type;
use skyfresh_sky::Rng;
use std::io::{Read, Seek, Write};
use std::sync::Arc;

/// A row: seconds, operation, key, bytes, region.
type Request = (i64, &'static str, String, Option<i64>, Option<&'static str>);

fn requests(count: u64) -> Vec<Request> {
    let rng = Rng::seeded(3);
    let rows = (0..count).map(|row| {
        let operation = ["GET", "PUT", "delete", "LIST"][rng.below(4) as usize];
        let bytes = (rng.below(3) > 0).then(|| rng.below(1 << 40) as i64);
        let region = (rng.below(2) > 0).then_some("aws-eu-west-1");
        (
            1_700_000_000 + row as i64,
            operation,
            format!("p{}/k{row}", row % 9),
            bytes,
            region,
        )
    });
    rows.collect()
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, std::fs::File>,
    values: Vec<Option<T::T>>,
) {
    let defined: Vec<i16> = values
        .iter()
        .map(|value| i16::from(value.is_some()))
        .collect();
    let present: Vec<T::T> = values.into_iter().flatten().collect();
    let mut column = group.next_column().unwrap().expect("a column");
    column
        .typed::<T>()
        .write_batch(&present, Some(&defined), None)
        .unwrap();
    column.close().unwrap();
}

/// How a log may write its times and numbers.
#[derive(Clone, Copy, Debug)]
enum Style {
    Seconds,
    Nanoseconds,
    Text,
}

fn log(requests: &[Request], style: Style, per_group: usize) -> std::fs::File {
    let (time, bytes) = match style {
        Style::Seconds => ("int64 time", "int64 bytes"),
        Style::Nanoseconds => ("int64 time (timestamp(nanos,true))", "double bytes"),
        Style::Text => ("binary time (utf8)", "binary bytes (utf8)"),
    };
    let schema = format!(
        "message log {{ optional {time}; optional binary extra (utf8); optional binary Operation (utf8); optional binary key; optional {bytes}; optional binary region (utf8); }}"
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut file = tempfile::tempfile().unwrap();
    let properties = Arc::new(WriterProperties::default());
    let mut writer =
        SerializedFileWriter::new(file.try_clone().unwrap(), schema, properties).unwrap();
    for rows in requests.chunks(per_group) {
        let mut row_group = writer.next_row_group().unwrap();
        let group = &mut row_group;
        let text = |text: &str| Some(ByteArray::from(text.as_bytes().to_vec()));
        match style {
            Style::Seconds => {
                column::<Int64Type>(group, rows.iter().map(|row| Some(row.0)).collect())
            }
            Style::Nanoseconds => {
                column::<Int64Type>(
                    group,
                    rows.iter().map(|row| Some(row.0 * 1_000_000_000)).collect(),
                );
            }
            Style::Text => {
                let texts = rows.iter().map(|row| {
                    text(&skyfresh_sky::Timestamp::from_unix_ms(row.0 as u64 * 1000).to_string())
                });
                column::<ByteArrayType>(group, texts.collect());
            }
        }
        column::<ByteArrayType>(group, rows.iter().map(|_| None).collect());
        column::<ByteArrayType>(group, rows.iter().map(|row| text(row.1)).collect());
        column::<ByteArrayType>(group, rows.iter().map(|row| text(&row.2)).collect());
        match style {
            Style::Seconds => column::<Int64Type>(group, rows.iter().map(|row| row.3).collect()),
            // As pandas has it: what is missing is no number.
            Style::Nanoseconds => column::<DoubleType>(
                group,
                rows.iter()
                    .map(|row| Some(row.3.map_or(f64::NAN, |bytes| bytes as f64)))
                    .collect(),
            ),
            Style::Text => column::<ByteArrayType>(
                group,
                rows.iter().map(|row| text(&row.3?.to_string())).collect(),
            ),
        }
        column::<ByteArrayType>(group, rows.iter().map(|row| row.4.and_then(text)).collect());
        row_group.close().unwrap();
    }
    writer.close().unwrap();
    file.rewind().unwrap();
    file
}

/// What was told, without the names of buckets, which tables do not have.
type Told = (Operation, u64, String, u64, Option<String>);

fn told(access: &Access<'_>) -> Told {
    let region = match access.origin {
        Origin::Region(region) => Some(region.to_owned()),
        _ => None,
    };
    (
        access.operation,
        access.time_ms,
        access.key.clone().into_owned(),
        access.bytes,
        region,
    )
}

fn read(file: std::fs::File) -> Result<(Vec<Told>, LogCounts), skyfresh_sky::Invalid> {
    let mut reader = LogReader::new(None);
    let mut found = Vec::new();
    let mut take = |access: Access<'_>| found.push(told(&access));
    let mut log = ParquetLog::open(file, "a.parquet")?;
    while log.read(&mut reader, &mut take)? {}
    let counts = reader.counts().clone();
    Ok((found, counts))
}

#[test]
fn a_log_in_parquet_says_what_the_same_in_csv_says() {
    let requests = requests(10_000);
    let mut reader = LogReader::new(Some(Format::Csv));
    let mut expected = Vec::new();
    let mut take = |access: Access<'_>| expected.push(told(&access));
    reader.feed(b"time,operation,key,bytes,region\n", &mut take);
    for (seconds, operation, key, bytes, region) in &requests {
        let bytes = bytes.map_or(String::new(), |bytes| bytes.to_string());
        let line = format!(
            "{seconds},{operation},{key},{bytes},{}\n",
            region.unwrap_or("-")
        );
        reader.feed(line.as_bytes(), &mut take);
    }
    reader.end(&mut take);
    let counts = reader.counts().clone();
    assert!(counts.others > 1_000 && counts.bad == 0);
    for style in [Style::Seconds, Style::Nanoseconds, Style::Text] {
        let (found, counted) = read(log(&requests, style, 4_500)).unwrap();
        assert_eq!(found, expected, "{style:?}");
        assert_eq!(
            (counted.accesses, counted.bad),
            (counts.accesses, 0),
            "{style:?}"
        );
        assert_eq!(counted.records, 10_000);
    }
}

#[test]
fn rows_that_cannot_be_read_are_counted_and_shown_by_number() {
    let mut requests = requests(10);
    requests[3] = (-1, "GET", "before 1970".into(), None, None);
    requests[4] = (1, "GET", "negative".into(), Some(-5), None);
    requests[5] = (1, "GET", String::new(), None, None);
    requests[6] = (1, "", "k".into(), None, None);
    let (_, counts) = read(log(&requests, Style::Seconds, 100)).unwrap();
    let shown: Vec<(u64, &str, &str)> = counts
        .shown
        .iter()
        .map(|bad| (bad.number, bad.why, bad.text.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            (4, "the time is none", "before 1970"),
            (5, "bytes are no number", "negative"),
            (6, "no key", ""),
            (7, "no operation", "k"),
        ]
    );
}

#[test]
fn files_with_other_columns_are_refused_by_name() {
    let with = |schema: &str| {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let file = tempfile::tempfile().unwrap();
        let writer =
            SerializedFileWriter::new(file.try_clone().unwrap(), schema, Default::default());
        writer.unwrap().close().unwrap();
        ParquetLog::open(file, "a.parquet").unwrap_err().to_string()
    };
    let missing = with("message log { required int64 time; required binary key; }");
    assert!(missing.contains("no column operation"), "{missing}");
    let known = "required int64 time; required binary operation; required binary key;";
    let wrong = with(&format!(
        "message log {{ {known} required boolean bytes; }}"
    ));
    assert!(
        wrong.contains("column bytes is BOOLEAN") && wrong.contains("whole numbers"),
        "{wrong}"
    );
    let wrong = with(
        "message log { required double time; required binary operation; required binary key; }",
    );
    assert!(wrong.contains("column time is DOUBLE"), "{wrong}");
    let nested = with(&format!("message log {{ {known} repeated int64 bytes; }}"));
    assert!(nested.contains("column bytes is a list"), "{nested}");
    let mut text = tempfile::tempfile().unwrap();
    text.write_all(b"time,operation,key\n").unwrap();
    let none = ParquetLog::open(text, "a.parquet").unwrap_err().to_string();
    assert!(
        none.contains("a.parquet") && none.contains("damaged"),
        "{none}"
    );
}

/// A stream cannot be read from its end: that is said once, and the next log is read as before.
#[test]
fn parquet_in_a_stream_is_one_bad_record() {
    let mut bytes = Vec::new();
    log(&requests(50), Style::Text, 100)
        .read_to_end(&mut bytes)
        .unwrap();
    assert_eq!(Format::guess(&bytes), Format::Parquet);
    let mut reader = LogReader::new(None);
    let mut count = 0;
    let mut take = |_: Access<'_>| count += 1;
    for piece in bytes.chunks(5_000) {
        reader.feed(piece, &mut take);
    }
    reader.end(&mut take);
    reader.feed(b"time,operation,key\n1,GET,a\n", &mut take);
    reader.end(&mut take);
    assert_eq!(count, 1);
    assert_eq!(reader.counts().bad, 1);
    assert!(reader.counts().shown[0].why.contains("name the file"));
}

/// Whatever a damaged file holds, reading it ends, with rows or an error that names it.
#[test]
fn damage_ends_with_an_error_or_rows() {
    let rng = Rng::seeded(5);
    let mut whole = Vec::new();
    log(&requests(300), Style::Seconds, 100)
        .read_to_end(&mut whole)
        .unwrap();
    let mut errors = 0;
    for _ in 0..400 {
        let mut bytes = whole.clone();
        if rng.below(4) == 0 {
            bytes.truncate(rng.below(bytes.len() as u64) as usize);
        }
        for _ in 0..rng.below(4) {
            if let Some(byte) = bytes.get_mut(rng.below(whole.len() as u64) as usize) {
                *byte = rng.below(256) as u8;
            }
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        if let Err(error) = read(file) {
            assert!(error.to_string().contains("a.parquet"));
            errors += 1;
        }
    }
    assert!(errors > 50, "{errors}");
}

/// A file that DuckDB 2.0.1 wrote, with Zstandard.
#[test]
fn what_duckdb_writes_is_read() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(include_bytes!("files/duckdb.parquet"))
        .unwrap();
    let (found, counts) = read(file).unwrap();
    let at = |seconds: u64| 1_795_737_600_000 + seconds * 1_000;
    let expected = [
        (
            Operation::Get,
            at(0),
            "a/b".to_owned(),
            1_000,
            Some("aws-eu-west-1".to_owned()),
        ),
        // What a write sent is what the object has, where the log has nothing else.
        (Operation::Put, at(1), "a/c".to_owned(), 5, None),
    ];
    assert_eq!(found, expected);
    assert_eq!((counts.records, counts.bad), (2, 0));
}
