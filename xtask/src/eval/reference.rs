//! HiGHS, from its Python wheel: the other solver.

use crate::{python, workspace};
use anyhow::{Context, Result};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const REQUIREMENTS: &str = "xtask/bench-tools/highs-requirements.txt";
const PROGRAM: &str = "xtask/bench-tools/highs_reference.py";

/// A solver that runs beside.
pub(super) struct Reference {
    child: Child,
    tasks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Reference {
    /// Starts it; `Err` in the inner result says why it cannot be had.
    pub(super) fn start() -> Result<Result<Reference, String>> {
        let environment = workspace::target().join("bench-tools").join("highs");
        if let Some(why) = python::environment(&environment, REQUIREMENTS)? {
            return Ok(Err(format!("HiGHS ({REQUIREMENTS}) is not here: {why}")));
        }
        let mut child = Command::new(environment.join("bin/python"))
            .arg(workspace::root().join(PROGRAM))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start HiGHS")?;
        let tasks = child.stdin.take();
        let answers = child.stdout.take().context("HiGHS has no output")?;
        Ok(Ok(Reference {
            child,
            tasks,
            answers: BufReader::new(answers),
        }))
    }

    /// One task, one answer.
    pub(super) fn solve(&mut self, task: &Value) -> Result<Value> {
        let tasks = self.tasks.as_mut().context("HiGHS takes no more tasks")?;
        writeln!(tasks, "{task}").context("HiGHS takes no more tasks")?;
        tasks.flush().context("HiGHS takes no more tasks")?;
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .context("HiGHS gave no answer")?;
        serde_json::from_str(&line).with_context(|| format!("HiGHS answered {line:?} to {task}"))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // Without further tasks it ends.
        drop(self.tasks.take());
        let _ = self.child.wait();
    }
}
