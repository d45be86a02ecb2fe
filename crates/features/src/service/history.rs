//! Every feature that was ever written, in files that are only added to.
//!
//! **In:** rows, in the commit that writes them. **Out:** segments of JSON lines or Parquet in a directory, oldest first, which anyone may read
//! while the server runs. **Never:** a row that is in the store and neither in the directory nor on its way there; a segment that
//! changes once it is there.
//!
//! A row waits in the store until its segment is on the disk under its final name, which is the number of its first row: a crash
//! between the two writes the same segment again.

use super::codec::Row;
use super::config::HistoryFormat;
use super::store::Store;
use crate::function::Features;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Kind;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Rows of a segment at most.
pub(super) const SEGMENT_ROWS: usize = 100_000;

/// A feature that was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// The view.
    pub view: String,
    /// The key.
    pub key: String,
    /// The newest event in it, milliseconds since 1970.
    pub event_ms: i64,
    /// When it was written, milliseconds since 1970: what was asked for since got it.
    pub created_ms: u64,
    /// Its version.
    pub version: u32,
    /// The features.
    pub features: Features,
}

impl Written {
    pub(super) fn of(target: &str, row: Row) -> Option<Self> {
        let (view, key) = target.split_once('\0')?;
        Some(Written {
            view: view.to_owned(),
            key: key.to_owned(),
            event_ms: row.event_ms,
            created_ms: row.created_ms,
            version: row.version,
            features: row.features,
        })
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(
        Kind::Denied,
        "write history",
        path.display().to_string(),
        error.to_string(),
    )
    .with_source(error)
}

/// Moves what waits in the store into segments; how many rows.
pub(super) fn export(store: &Store, directory: &Path, format: HistoryFormat) -> Result<usize> {
    let mut moved = 0;
    loop {
        let rows = store.unexported(SEGMENT_ROWS)?;
        let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) else {
            return Ok(moved);
        };
        let (first, last) = (*first, *last);
        let written: Vec<&Written> = rows.iter().map(|(_, row)| row).collect();
        segment(directory, first, &written, format).map_err(|error| failed(directory, error))?;
        store.exported(last)?;
        moved += rows.len();
    }
}

impl HistoryFormat {
    /// What the names of its files end with.
    fn extension(self) -> &'static str {
        match self {
            HistoryFormat::Jsonl => "jsonl",
            HistoryFormat::Parquet => "parquet",
        }
    }

    fn other(self) -> Self {
        match self {
            HistoryFormat::Jsonl => HistoryFormat::Parquet,
            HistoryFormat::Parquet => HistoryFormat::Jsonl,
        }
    }
}

fn segment(
    directory: &Path,
    first: u64,
    rows: &[&Written],
    format: HistoryFormat,
) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let unfinished = directory.join("unfinished");
    let file = BufWriter::new(File::create(&unfinished)?);
    let file = match format {
        HistoryFormat::Jsonl => lines(file, rows)?,
        HistoryFormat::Parquet => columns(file, rows)?,
    };
    file.into_inner()
        .map_err(std::io::IntoInnerError::into_error)?
        .sync_all()?;
    let path =
        |format: HistoryFormat| directory.join(format!("{first:020}.{}", format.extension()));
    std::fs::rename(&unfinished, path(format))?;
    // A crash before the store knew of a segment, and another format since, would leave its rows there twice.
    match std::fs::remove_file(path(format.other())) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::open(directory)?.sync_all()
}

fn lines(mut file: BufWriter<File>, rows: &[&Written]) -> std::io::Result<BufWriter<File>> {
    for row in rows {
        serde_json::to_writer(&mut file, row)?;
        file.write_all(b"\n")?;
    }
    Ok(file)
}

#[cfg(feature = "parquet")]
fn columns(file: BufWriter<File>, rows: &[&Written]) -> std::io::Result<BufWriter<File>> {
    super::columnar::segment(file, rows).map_err(std::io::Error::other)
}

#[cfg(not(feature = "parquet"))]
fn columns(_: BufWriter<File>, _: &[&Written]) -> std::io::Result<BufWriter<File>> {
    // A configuration that asks for it is refused.
    Err(std::io::ErrorKind::Unsupported.into())
}

/// That this build has no Parquet.
pub(super) fn no_parquet(operation: &'static str, target: impl Into<String>) -> Error {
    let why = "this build has no Parquet: build with the feature `parquet`";
    Error::invalid(operation, target, why)
}

/// Every row of the segments in a directory, oldest first.
///
/// # Errors
/// The directory or a segment cannot be read; it is named.
pub fn read_history(directory: &Path, mut row: impl FnMut(Written)) -> Result<()> {
    let cannot = |path: &Path, why: String| {
        Error::new(
            Kind::Denied,
            "read history",
            path.display().to_string(),
            why,
        )
    };
    let listed =
        std::fs::read_dir(directory).map_err(|error| cannot(directory, error.to_string()))?;
    let mut segments: Vec<PathBuf> = Vec::new();
    for entry in listed {
        let path = entry
            .map_err(|error| cannot(directory, error.to_string()))?
            .path();
        if path
            .extension()
            .is_some_and(|end| end == "jsonl" || end == "parquet")
        {
            segments.push(path);
        }
    }
    // By the number of their first row.
    segments.sort();
    for path in segments {
        let file = File::open(&path).map_err(|error| cannot(&path, error.to_string()))?;
        if path.extension().is_some_and(|end| end == "parquet") {
            parquet_segment(file, path.display().to_string(), &mut row)?;
            continue;
        }
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let told = line.map_err(|error| error.to_string());
            let told = told
                .and_then(|line| serde_json::from_str(&line).map_err(|error| error.to_string()));
            row(told.map_err(|why| cannot(&path, format!("line {}: {why}", number + 1)))?);
        }
    }
    Ok(())
}

#[cfg(feature = "parquet")]
use super::columnar::history as parquet_segment;

#[cfg(not(feature = "parquet"))]
fn parquet_segment(_: File, name: String, _: impl FnMut(Written)) -> Result<()> {
    Err(no_parquet("read history", name))
}
