//! One process: a line in, a line out, or its end.

use super::PythonFunction;
use crate::function::Item;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// The package, so that what runs is of this version wherever it is installed.
const PACKAGE: &str = include_str!("../../../../../python/skyfresh/__init__.py");
/// Makes it importable and works.
const START: &str = "import sys, types
package = types.ModuleType('skyfresh')
sys.modules['skyfresh'] = package
exec(sys.argv[1], package.__dict__)
package._work(sys.argv[2], sys.argv[3])";
/// An answer longer than this is nonsense.
const MAX_ANSWER_BYTES: u64 = 256 << 20;
/// A start may take longer than a batch: it imports what the function needs.
const LEAST_START: Duration = Duration::from_secs(30);

/// A running process; it is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Process {
    pub(super) fn start(spec: &PythonFunction, timeout: Duration) -> Result<Self, String> {
        let mut child = Command::new(&spec.python)
            .args(["-u", "-c", START, PACKAGE, &spec.file, &spec.function])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", spec.python))?;
        let (sender, lines) = sync_channel(1);
        let (input, output) = (child.stdin.take(), child.stdout.take());
        if let Some(output) = output {
            std::thread::spawn(move || {
                let mut output = BufReader::new(output);
                let mut line = String::new();
                while output
                    .by_ref()
                    .take(MAX_ANSWER_BYTES)
                    .read_line(&mut line)
                    .is_ok_and(|read| read > 0)
                {
                    if sender.send(std::mem::take(&mut line)).is_err() {
                        return;
                    }
                }
            });
        }
        let process = Process {
            child,
            input,
            lines,
        };
        let ready = process.line(timeout.max(LEAST_START))?;
        match ready.starts_with("{\"ready\"") {
            true => Ok(process),
            false => Err(format!("it said {ready:?} instead of being ready")),
        }
    }

    fn line(&self, timeout: Duration) -> Result<String, String> {
        self.lines
            .recv_timeout(timeout)
            .map_err(|error| match error {
                RecvTimeoutError::Timeout => format!("it took longer than {timeout:?}"),
                RecvTimeoutError::Disconnected => {
                    "its process ended; what it said is in the log".to_owned()
                }
            })
    }

    /// The answer to some keys.
    pub(super) fn ask(&mut self, items: &[Item<'_>], timeout: Duration) -> Result<String, String> {
        let items: Vec<_> = items
            .iter()
            .map(|item| json!({"key": item.key, "events": item.events, "state": item.state}))
            .collect();
        let mut line = serde_json::to_vec(&items).unwrap_or_default();
        line.push(b'\n');
        // From a thread of its own: a process that does not read would block the writer for ever.
        let Some(mut input) = self.input.take() else {
            return Err("its process was lost".into());
        };
        let (sender, written) = sync_channel(1);
        std::thread::spawn(move || {
            let done = input.write_all(&line).and_then(|()| input.flush());
            // Nobody waits where the time was over.
            let _ = sender.send(done.map(|()| input));
        });
        match written.recv_timeout(timeout) {
            Ok(Ok(input)) => self.input = Some(input),
            Ok(Err(error)) => return Err(format!("its process ended: {error}")),
            Err(_) => return Err(format!("it took longer than {timeout:?} to read its keys")),
        }
        self.line(timeout)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
