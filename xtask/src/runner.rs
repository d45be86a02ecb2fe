//! Running the tests and keeping the runner's summary for last.

use crate::process::Group;
use anyhow::{Context, Result};
use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::process::Command;

/// A finished run.
pub(crate) struct Run {
    /// Whether the runner says that everything passed.
    pub(crate) passed: bool,
    /// The runner's summary and whatever it said after it, not printed yet.
    summary: Vec<Vec<u8>>,
}

impl Run {
    /// Whether there was a summary; there is none where building failed.
    pub(crate) fn finished(&self) -> bool {
        !self.summary.is_empty()
    }

    /// Prints the summary that was held back.
    pub(crate) fn print_summary(&self) -> Result<()> {
        print_lines(&self.summary)
    }
}

/// Runs a test runner, passing its output on line by line, but for the summary at its end.
pub(crate) fn run(mut command: Command) -> Result<Run> {
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut group = Group::spawn(&mut command)?;
    // Holds the writing ends, without which the reader sees the end.
    drop(command);
    let forwarding = std::thread::spawn(move || forward(reader));
    let status = group.wait()?;
    let summary = forwarding
        .join()
        .map_err(|_| anyhow::anyhow!("reading the output failed"))??;
    Ok(Run {
        passed: status.success(),
        summary,
    })
}

fn forward(reader: PipeReader) -> Result<Vec<Vec<u8>>> {
    let mut reader = BufReader::new(reader);
    let mut tail = Tail::default();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(tail.held);
        }
        print_lines(&tail.push(line))?;
    }
}

fn print_lines(lines: &[Vec<u8>]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    for line in lines {
        stdout.write_all(line)?;
    }
    Ok(stdout.flush()?)
}

/// Holds back everything from the last line that looks like a summary.
#[derive(Default)]
struct Tail {
    held: Vec<Vec<u8>>,
}

impl Tail {
    /// Takes a line; gives those that may be printed now.
    fn push(&mut self, line: Vec<u8>) -> Vec<Vec<u8>> {
        if is_summary(&line) {
            // The rule that nextest draws above its summary stays with it.
            let rule = self.held.pop_if(|last| is_rule(last));
            let earlier = std::mem::take(&mut self.held);
            self.held.extend(rule);
            self.held.push(line);
            return earlier;
        }
        if self.held.is_empty() && !is_rule(&line) {
            return vec![line];
        }
        if self.held.len() == 1 && is_rule(&self.held[0]) {
            // A rule that no summary followed.
            let mut lines = std::mem::take(&mut self.held);
            lines.push(line);
            return lines;
        }
        self.held.push(line);
        Vec::new()
    }
}

/// nextest: `Summary [   1.234s] 5 tests run: 5 passed, 0 skipped`; cargo test: `test result: ok. 5 passed; …`.
fn is_summary(line: &[u8]) -> bool {
    let text = without_colours(line);
    let text = text.trim_start();
    text.starts_with("Summary [") || text.starts_with("test result: ")
}

fn is_rule(line: &[u8]) -> bool {
    let text = without_colours(line);
    let text = text.trim();
    !text.is_empty() && text.chars().all(|character| character == '─')
}

/// The text without the escape sequences that set colours (`ESC [ … m`).
fn without_colours(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(start) = rest.find("\u{1b}[") {
        plain.push_str(&rest[..start]);
        rest = rest[start..].split_once('m').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed at once, and what is held to the end.
    fn split(output: &str) -> (String, String) {
        let mut tail = Tail::default();
        let mut printed = Vec::new();
        for line in output.split_inclusive('\n') {
            printed.extend(tail.push(line.as_bytes().to_vec()));
        }
        let text = |lines: Vec<Vec<u8>>| String::from_utf8(lines.concat()).expect("utf-8");
        (text(printed), text(tail.held))
    }

    #[test]
    fn the_summary_of_nextest_is_held_with_its_rule_and_the_failures_after_it() {
        let before = "   Compiling a\n────────────\n Nextest run ID x\n        PASS [ 0.1s] a b\n        FAIL [ 0.1s] a c\n";
        let after = "────────────\n\u{1b}[31;1m     Summary\u{1b}[0m [   0.2s] 2 tests run: 1 passed, 1 failed, 0 skipped\n        FAIL [ 0.1s] a c\nerror: test run failed\n";
        assert_eq!(
            split(&format!("{before}{after}")),
            (before.to_owned(), after.to_owned())
        );
    }

    #[test]
    fn only_the_last_summary_of_cargo_test_is_held() {
        let (printed, held) =
            split("a\ntest result: ok. 1 passed\n\nb\ntest result: ok. 2 passed\n\n");
        assert_eq!(printed, "a\ntest result: ok. 1 passed\n\nb\n");
        assert_eq!(held, "test result: ok. 2 passed\n\n");
    }

    #[test]
    fn output_without_a_summary_is_printed_whole() {
        assert_eq!(split("error: no\n"), ("error: no\n".into(), String::new()));
    }

    #[test]
    fn a_run_reports_the_exit_code() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'Summary [ 0s]'; exit 3"]);
        let run = run(command).expect("runs");
        assert!(!run.passed);
        assert_eq!(run.summary, [b"Summary [ 0s]\n".to_vec()]);
    }
}
