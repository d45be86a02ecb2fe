//! A program under measurement, and the first line it prints.

use super::usage::Usage;
use crate::process::Group;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a program may take until it says that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// A running program. It ends when this is dropped.
pub(crate) struct Measured {
    group: Group,
    /// The JSON it printed when it was ready.
    pub(crate) ready: Value,
}

impl Measured {
    /// Starts a program that prints one line of JSON when it is ready; its log goes to a file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Measured> {
        let (reader, writer) = io::pipe().context("cannot make a pipe")?;
        let log_file = std::fs::File::create(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let group = Group::spawn(command.stdout(writer).stderr(log_file))?;
        // The command holds the writing end; without this the reader never sees the end of a program that fails.
        command.stdout(std::process::Stdio::null());
        let Ok(line) = first_line(reader).recv_timeout(READY_TIMEOUT) else {
            bail!("it did not become ready; see {}", log.display());
        };
        let ready = serde_json::from_str(&line)
            .with_context(|| format!("it said {line:?} instead of JSON; see {}", log.display()))?;
        Ok(Measured { group, ready })
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.group.id())
    }
}

/// The first line, while the rest is read and dropped, so that the program never blocks on a full pipe.
fn first_line(reader: PipeReader) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(reader).lines().map_while(Result::ok) {
            // Nobody listens after the first line.
            let _ = sender.send(line);
        }
    });
    receiver
}
