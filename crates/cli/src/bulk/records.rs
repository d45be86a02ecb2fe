//! One record for each object: to standard output with `--json`, to a file with `--report`.

use crate::context::Context;
use anyhow::Context as _;
use serde::Serialize;
use skyfresh_engine::bulk::{BulkListener, BulkRecord};
use skyfresh_sky::Location;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A record with its target by name.
#[derive(Serialize)]
struct Line<'a> {
    to: &'a str,
    #[serde(flatten)]
    record: &'a BulkRecord,
}

/// Where records go.
pub(super) struct Records(Option<Arc<Sinks>>);

struct Sinks {
    targets: Vec<String>,
    standard_output: bool,
    lines: Mutex<Lines>,
}

struct Lines {
    standard_output: BufWriter<std::io::Stdout>,
    file: Option<BufWriter<std::fs::File>>,
    /// The first failure to write; told at the end.
    failed: Option<std::io::Error>,
}

impl Records {
    /// Opens the report, where one is asked for.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn open(
        report: Option<&Path>,
        targets: &[Location],
        context: &Context,
    ) -> anyhow::Result<Self> {
        let file = report.map(|path| {
            std::fs::File::create(path)
                .with_context(|| format!("cannot write the report {}", path.display()))
        });
        let file = file.transpose()?.map(BufWriter::new);
        let standard_output = context.output.json;
        if file.is_none() && !standard_output {
            return Ok(Records(None));
        }
        Ok(Records(Some(Arc::new(Sinks {
            targets: targets.iter().map(Location::to_string).collect(),
            standard_output,
            lines: Mutex::new(Lines {
                standard_output: BufWriter::new(std::io::stdout()),
                file,
                failed: None,
            }),
        }))))
    }

    /// What writes records down; `None` where nobody wants any.
    pub(super) fn listener(&self) -> Option<BulkListener> {
        let sinks = Arc::clone(self.0.as_ref()?);
        Some(Arc::new(move |record| sinks.write(record)))
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// A record could not be written.
    pub(super) fn close(self) -> anyhow::Result<()> {
        let Some(sinks) = self.0 else { return Ok(()) };
        let mut lines = sinks.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = lines.standard_output.flush();
        let ended = ended.and(lines.file.as_mut().map_or(Ok(()), Write::flush));
        let failed = lines.failed.take().or(ended.err());
        match failed {
            // As with `| head`: nobody reads on.
            Some(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            Some(error) => Err(anyhow::Error::new(error).context("cannot write the records")),
            None => Ok(()),
        }
    }
}

impl Sinks {
    fn write(&self, record: &BulkRecord) {
        let to = self.targets.get(record.target).map_or("", String::as_str);
        let Ok(mut line) = serde_json::to_vec(&Line { to, record }) else {
            return;
        };
        line.push(b'\n');
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut written = Ok(());
        if self.standard_output {
            written = lines.standard_output.write_all(&line);
        }
        if let Some(file) = &mut lines.file {
            written = written.and(file.write_all(&line));
        }
        if let Err(error) = written {
            lines.failed.get_or_insert(error);
        }
    }
}
