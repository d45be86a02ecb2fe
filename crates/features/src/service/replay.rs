//! Files as sources: their rows are pushed in order, as they happened or faster, and each once, however often the process starts.
//!
//! **In:** a CSV file with a heading, JSON lines, or Parquet; rows in order of their time. **Out:** events in the store, with the number of rows
//! that are in it, in one commit. **Never:** a row twice, or left out, but one without a key or a time, which is logged.

use super::source::FileSource;
use super::store::Progress;
use super::views::Service;
use crate::function::Event;
use crate::{Error, Result};
use serde_json::{Map, Value};
use skyfresh_sky::Kind;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Rows in one commit at most.
const BATCH: usize = 1_000;
/// A line of JSON longer than this is refused.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// Rows that happen within this are pushed together.
const GRAIN: Duration = Duration::from_millis(20);

pub(super) type Row = Map<String, Value>;
type Rows = Box<dyn Iterator<Item = Result<Row>> + Send>;

/// The rows of a file, by what its name ends with.
pub(super) fn rows(path: &Path) -> Result<Rows> {
    let name = path.display().to_string();
    let cannot = |error: std::io::Error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound {
            Kind::Missing
        } else {
            Kind::Denied
        };
        Error::new(kind, "read source", &name, error.to_string())
    };
    match path.extension().and_then(|end| end.to_str()) {
        Some("csv") => csv_rows(File::open(path).map_err(cannot)?, name.clone()),
        Some("jsonl" | "ndjson") => Ok(json_rows(File::open(path).map_err(cannot)?, name.clone())),
        Some("parquet") => parquet_rows(File::open(path).map_err(cannot)?, name.clone()),
        _ => Err(Error::invalid(
            "read source",
            name,
            "files end with .csv, .jsonl or .parquet",
        )),
    }
}

#[cfg(feature = "parquet")]
use super::columnar::rows as parquet_rows;

#[cfg(not(feature = "parquet"))]
fn parquet_rows(_: File, name: String) -> Result<Rows> {
    Err(super::history::no_parquet("read source", name))
}

fn csv_rows(file: File, name: String) -> Result<Rows> {
    let bad = move |error: csv::Error| Error::invalid("read source", &name, error.to_string());
    let mut reader = csv::Reader::from_reader(file);
    let heading: Vec<String> = reader
        .headers()
        .map_err(&bad)?
        .iter()
        .map(|cell| cell.trim().to_owned())
        .collect();
    Ok(Box::new(reader.into_records().map(move |record| {
        let record = record.map_err(&bad)?;
        let cells = record.iter().map(cell);
        Ok(heading.iter().cloned().zip(cells).collect())
    })))
}

/// A number, true or false, nothing, or a text.
fn cell(text: &str) -> Value {
    let text = text.trim();
    let whole = || text.parse::<i64>().ok().map(Value::from);
    let number = || {
        let number = text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())?;
        Some(Value::from(number))
    };
    match text {
        "" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => whole().or_else(number).unwrap_or_else(|| Value::from(text)),
    }
}

fn json_rows(file: File, name: String) -> Rows {
    let mut reader = BufReader::new(file);
    let mut number = 0u64;
    Box::new(std::iter::from_fn(move || {
        loop {
            number += 1;
            let bad =
                |why: String| Error::invalid("read source", format!("{name}, line {number}"), why);
            let mut line = Vec::new();
            match reader
                .by_ref()
                .take(MAX_LINE_BYTES)
                .read_until(b'\n', &mut line)
            {
                Ok(0) => return None,
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) => {
                    return Some(
                        serde_json::from_slice(&line).map_err(|error| bad(error.to_string())),
                    );
                }
                Err(error) => return Some(Err(bad(error.to_string()))),
            }
        }
    }))
}

/// Rows that are due, for every view of the source.
struct Due {
    /// Rows read so far, these included.
    position: u64,
    rows: Vec<Row>,
}

impl Service {
    /// Replays a file until its end, or until `stop` is cancelled.
    ///
    /// # Errors
    /// The file cannot be read, or is not of its form; or the store cannot be written. What was pushed stays.
    pub async fn replay(
        self: Arc<Self>,
        source: &FileSource,
        stop: &CancellationToken,
    ) -> Result<()> {
        let target = format!("{}\0{}", source.name, source.file);
        let done = self.store.position(&target)?;
        let reading = rows(Path::new(&source.file))?;
        let time = self.time_column(&source.name)?;
        let mut began: Option<(i64, u64)> = None;
        let mut due = Due {
            position: 0,
            rows: Vec::new(),
        };
        for row in reading {
            let row = row?;
            if due.position < done {
                due.position += 1;
                continue;
            }
            let at_ms = row.get(&time).and_then(super::table::time_ms);
            if let (Some(speed), Some(at_ms)) = (source.speed, at_ms) {
                let (first_ms, start_ns) = *began.get_or_insert((at_ms, self.clock.monotonic_ns()));
                let after_ns = (at_ms - first_ms).max(0) as f64 * 1e6 / speed;
                let passed_ns = self.clock.monotonic_ns().saturating_sub(start_ns) as f64;
                if after_ns > passed_ns + GRAIN.as_nanos() as f64 {
                    due = self.push_due(&source.name, &target, due).await?;
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = self.clock.sleep(Duration::from_nanos((after_ns - passed_ns) as u64)) => {}
                    }
                }
            }
            due.position += 1;
            due.rows.push(row);
            if due.rows.len() >= BATCH {
                due = self.push_due(&source.name, &target, due).await?;
                if stop.is_cancelled() {
                    return Ok(());
                }
            }
        }
        let end = self.push_due(&source.name, &target, due).await?;
        tracing::info!(
            source = source.name,
            file = source.file,
            rows = end.position,
            "the file is replayed"
        );
        Ok(())
    }

    /// The column of the time, which all views of a source share.
    fn time_column(&self, source: &str) -> Result<String> {
        let mut views = self
            .views
            .values()
            .filter(|view| view.spec.source() == source);
        let missing = || Error::invalid("replay", source, "no view takes data from this source");
        Ok(views.next().ok_or_else(missing)?.spec.time.clone())
    }

    async fn push_due(self: &Arc<Self>, source: &str, target: &str, due: Due) -> Result<Due> {
        if due.rows.is_empty() {
            return Ok(due);
        }
        let progress = Progress {
            name: target.to_owned(),
            from: due.position - due.rows.len() as u64,
            to: due.position,
        };
        let (service, source, position) = (Arc::clone(self), source.to_owned(), due.position);
        let pushed = tokio::task::spawn_blocking(move || {
            let rows: Vec<&Row> = due.rows.iter().collect();
            service.take_rows(&source, &rows, &[progress])
        });
        pushed
            .await
            .map_err(|error| Error::new(Kind::Internal, "replay", "source", error.to_string()))??;
        Ok(Due {
            position,
            rows: Vec::new(),
        })
    }

    /// Takes in rows for every view of a source, and how far these take what they are from. Rows without a key or a time are logged and
    /// passed over. Blocks.
    pub(super) fn take_rows(
        &self,
        source: &str,
        rows: &[&Row],
        progress: &[Progress],
    ) -> Result<()> {
        let mut taken = Vec::new();
        for view in self
            .views
            .values()
            .filter(|view| view.spec.source() == source)
        {
            let mut events: Vec<(String, Event)> = Vec::with_capacity(rows.len());
            for row in rows {
                match self.event(view, row) {
                    Ok(event) => events.push(event),
                    Err(error) => tracing::warn!(source, %error, "a row is passed over"),
                }
            }
            taken.push((Arc::clone(view), events));
        }
        self.take(taken, progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(name: &str, text: &str) -> Vec<Result<Row>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        rows(&path).unwrap().collect()
    }

    #[test]
    fn csv_cells_have_types() {
        let told = read(
            "a.csv",
            "key,v,text,flag,none\n7,1.5,\"a, \"\"b\"\"\",true,\nx,3,1e999,false,\n",
        );
        let told: Vec<Value> = told
            .into_iter()
            .map(|row| Value::Object(row.unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                json!({"key": 7, "v": 1.5, "text": "a, \"b\"", "flag": true, "none": null}),
                json!({"key": "x", "v": 3, "text": "1e999", "flag": false, "none": null}),
            ]
        );
        assert!(
            read("a.csv", "a,b\n1\n")[0]
                .as_ref()
                .unwrap_err()
                .to_string()
                .contains("a.csv")
        );
    }

    #[test]
    fn lines_of_json_are_rows_and_wrong_ones_are_named() {
        let told = read("a.jsonl", "{\"a\": [1]}\n\n{\"b\": null}\n[1]\n");
        assert_eq!(
            Value::Object(told[0].as_ref().unwrap().clone()),
            json!({"a": [1]})
        );
        assert_eq!(
            Value::Object(told[1].as_ref().unwrap().clone()),
            json!({"b": null})
        );
        assert!(told[2].as_ref().unwrap_err().to_string().contains("line 4"));
        assert!(rows(Path::new("a.txt")).is_err_and(|error| error.to_string().contains(".jsonl")));
        assert!(rows(Path::new("none.csv")).is_err_and(|error| error.kind == Kind::Missing));
    }
}
