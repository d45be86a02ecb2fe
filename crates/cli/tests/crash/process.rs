//! The binary as processes: begun, killed, stopped, asked.

use rustix::process::{Pid, Signal, kill_process};
use skyfresh_sky::{SystemClock, timeout};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;
use tokio::sync::oneshot;

/// A process says that it is ready within this, however busy the machine is.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The binary under test and what it is run with.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) path: PathBuf,
    /// Working directory, home, and where logs go.
    pub(crate) directory: PathBuf,
    /// The whole environment of every process.
    pub(crate) environment: Vec<(String, String)>,
}

impl Binary {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command
            .args(arguments)
            .current_dir(&self.directory)
            .env_clear()
            .env("HOME", &self.directory)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }

    /// Begins a process that prints a line once it is ready. Its log is appended to `NAME.log`.
    pub(crate) fn begin(&self, name: &'static str, arguments: &[&str]) -> Process {
        let log_path = self.log_path(name);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .expect("a log file");
        let mut command = self.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (ready, first_line) = oneshot::channel();
        std::thread::spawn(move || {
            let mut lines = output.lines().map_while(Result::ok);
            if let Some(line) = lines.next() {
                let _ = ready.send(line);
            }
            // A full pipe would stop the process.
            lines.for_each(drop);
        });
        Process {
            name,
            child,
            first_line: Some(first_line),
            log_path,
        }
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output().expect("the binary runs"))
            .await
            .expect("joins")
    }

    /// Runs a command that must exit with 0, and returns what it printed.
    pub(crate) async fn run_well(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "skyfresh {arguments:?}: {}\n{out}{err}",
            output.status
        );
        out
    }
}

/// A running process; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    first_line: Option<oneshot::Receiver<String>>,
    log_path: PathBuf,
}

impl Process {
    /// Waits for the ready line and returns it.
    pub(crate) async fn ready(&mut self) -> String {
        let first_line = self.first_line.take().expect("asked once");
        match timeout(&SystemClock, READY_WITHIN, first_line).await {
            Some(Ok(line)) => line,
            Some(Err(_)) => {
                let status = self.child.wait();
                panic!(
                    "{} ended before it was ready: {status:?}\n{}",
                    self.name,
                    tail(&self.log_path)
                )
            }
            None => panic!(
                "{} was not ready in time\n{}",
                self.name,
                tail(&self.log_path)
            ),
        }
    }

    /// # Panics
    /// It has ended by itself.
    pub(crate) fn check_running(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a child") {
            panic!(
                "{} ended by itself: {status}\n{}",
                self.name,
                tail(&self.log_path)
            );
        }
    }

    /// SIGKILL: whatever it was doing ends there.
    pub(crate) fn kill(mut self) {
        self.check_running();
        self.child.kill().expect("a child");
        self.child.wait().expect("a child");
    }

    /// SIGTERM, and how it ended.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("a child");
        tokio::task::spawn_blocking(move || self.child.wait().expect("a child"))
            .await
            .expect("joins")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The end of a log.
pub(crate) fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
