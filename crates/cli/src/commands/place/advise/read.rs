//! Logs and inventories from files, directories and standard input.

use crate::commands::place::asked::usage;
use crate::context::Context;
use crate::exit::{Exit, Told};
use flate2::read::MultiGzDecoder;
use skyfresh_placement::logs::{Format, InventoryReader, LogCounts, LogReader, Tally};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

/// Read at a time.
const CHUNK_BYTES: usize = 1 << 20;
/// Directories within directories.
const MAX_DEPTH: usize = 32;

/// Where logs come from.
pub(super) struct Input<'a> {
    format: Option<Format>,
    reader: LogReader,
    buffer: Vec<u8>,
    context: &'a Context,
}

fn cannot(path: &Path, error: &std::io::Error) -> Told {
    let why = format!("cannot read {}: {error}", path.display());
    Told::new(Exit::Failed, why)
}

impl<'a> Input<'a> {
    pub(super) fn new(format: Option<Format>, context: &'a Context) -> Self {
        Input {
            format,
            reader: LogReader::new(format),
            buffer: vec![0; CHUNK_BYTES],
            context,
        }
    }

    pub(super) fn counts(&self) -> LogCounts {
        self.reader.counts().clone()
    }

    /// Reads all logs; false where it was asked to stop.
    pub(super) fn logs(&mut self, paths: &[PathBuf], tally: &mut Tally) -> Result<bool, Told> {
        let mut files = Vec::new();
        for path in paths {
            if path.is_dir() {
                let before = files.len();
                list(path, MAX_DEPTH, &mut files)?;
                files[before..].sort();
            } else {
                files.push(path.clone());
            }
        }
        for path in &files {
            let mut take = |access: skyfresh_placement::logs::Access<'_>| tally.add(&access);
            if let Some(file) = self.parquet(path)? {
                if !self.rows(file, path, &mut take)? {
                    return Ok(false);
                }
                continue;
            }
            let mut file = open(path)?;
            while let Some(length) = self.next(&mut *file, path)? {
                self.reader.feed(&self.buffer[..length], &mut take);
                if self.context.stop.is_cancelled() {
                    return Ok(false);
                }
            }
            self.reader.end(&mut take);
        }
        Ok(true)
    }

    /// A file that is to be read as Parquet: it is said to be, or begins like it.
    fn parquet(&self, path: &Path) -> Result<Option<File>, Told> {
        // Pipes cannot be read out of order, nor looked at without taking something from them.
        if !path.is_file() || self.format.is_some_and(|format| format != Format::Parquet) {
            return Ok(None);
        }
        let unreadable = |error| usage(format!("cannot read {}: {error}", path.display()));
        let mut file = File::open(path).map_err(unreadable)?;
        let mut beginning = Vec::with_capacity(4);
        (&mut file)
            .take(4)
            .read_to_end(&mut beginning)
            .and_then(|_| file.rewind())
            .map_err(|error| cannot(path, &error))?;
        let is_asked = self.format == Some(Format::Parquet);
        let is_parquet = is_asked || Format::guess(&beginning) == Format::Parquet;
        Ok(is_parquet.then_some(file))
    }

    /// Reads a file of Parquet; false where it was asked to stop.
    #[cfg(feature = "parquet")]
    fn rows(
        &mut self,
        file: File,
        path: &Path,
        take: &mut dyn FnMut(skyfresh_placement::logs::Access<'_>),
    ) -> Result<bool, Told> {
        let wrong = |error: skyfresh_sky::Invalid| Told::new(Exit::Failed, error.to_string());
        let name = path.display().to_string();
        let mut log = skyfresh_placement::logs::ParquetLog::open(file, &name).map_err(wrong)?;
        while log.read(&mut self.reader, take).map_err(wrong)? {
            if self.context.stop.is_cancelled() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[cfg(not(feature = "parquet"))]
    fn rows(
        &mut self,
        _: File,
        path: &Path,
        _: &mut dyn FnMut(skyfresh_placement::logs::Access<'_>),
    ) -> Result<bool, Told> {
        let why = format!("{} is Parquet, which this build has not", path.display());
        Err(usage(why).hint("build with the feature `parquet`"))
    }

    /// Reads an inventory; false where it was asked to stop.
    pub(super) fn inventory(&mut self, path: &Path, tally: &mut Tally) -> anyhow::Result<bool> {
        let mut inventory = InventoryReader::default();
        let mut file = open(path)?;
        while let Some(length) = self.next(&mut *file, path)? {
            inventory.feed(&self.buffer[..length], tally)?;
            if self.context.stop.is_cancelled() {
                return Ok(false);
            }
        }
        inventory.end(tally)?;
        Ok(true)
    }

    /// How many bytes came into the buffer; `None` at the end.
    fn next(&mut self, file: &mut dyn Read, path: &Path) -> Result<Option<usize>, Told> {
        loop {
            match file.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(length) => return Ok(Some(length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(cannot(path, &error)),
            }
        }
    }
}

fn open(path: &Path) -> Result<Box<dyn Read>, Told> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    let file = File::open(path)
        .map_err(|error| usage(format!("cannot read {}: {error}", path.display())))?;
    Ok(match path.extension() {
        Some(extension) if extension == "gz" => Box::new(MultiGzDecoder::new(file)),
        _ => Box::new(file),
    })
}

/// All files below a directory but those whose names begin with a dot.
fn list(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Told> {
    for entry in std::fs::read_dir(directory).map_err(|error| cannot(directory, &error))? {
        let entry = entry.map_err(|error| cannot(directory, &error))?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Links are not followed: there is no way to go round in circles.
        let kind = entry.file_type().map_err(|error| cannot(&path, &error))?;
        if kind.is_dir() && depth > 0 {
            list(&path, depth - 1, files)?;
        } else if kind.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
