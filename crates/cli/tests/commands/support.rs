//! Runs the binary with a clean environment.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_skyfresh");
/// What a local sky asks for.
pub(crate) const ACCESS_KEY: &str = "skyfresh";
pub(crate) const SECRET_KEY: &str = "skyfresh-local-secret";
/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory with everything one test needs: `src`, `dst`, a home without credentials.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["src", "dst", "home"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Place { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.path("home"))
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::new(self.command(args).output().unwrap())
    }

    /// Starts a process and waits for its first line on standard output.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn new(output: Output) -> Self {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Asserts the exit code and gives everything that was printed, for a snapshot.
    pub(crate) fn exits(&self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        format!("{}---\n{}", self.stdout, self.stderr)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        let last = self
            .stdout
            .lines()
            .last()
            .unwrap_or_else(|| panic!("no output: {self:?}"));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A process under way; killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) first_line: String,
    stdout: Option<std::thread::JoinHandle<String>>,
    stderr: Option<std::thread::JoinHandle<String>>,
}

/// Starts a process that prints nothing until its end.
pub(crate) fn spawn(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

impl Running {
    pub(crate) fn start(command: Command) -> Self {
        let mut child = spawn(command);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut first_line = String::new();
        stdout.read_line(&mut first_line).unwrap();
        if first_line.is_empty() {
            panic!(
                "it ended at once: {:?} {}",
                child.wait(),
                stderr.join().unwrap()
            );
        }
        let rest = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        Running {
            child,
            first_line,
            stdout: Some(rest),
            stderr: Some(stderr),
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end(mut self, signal: &str) -> Ran {
        self.signal(signal);
        let code = self.child.wait().unwrap().code();
        let stdout = self.first_line.clone() + &self.stdout.take().unwrap().join().unwrap();
        Ran {
            code,
            stdout,
            stderr: self.stderr.take().unwrap().join().unwrap(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A local sky of one region with one bucket, `data`.
pub(crate) struct Sky {
    _running: Running,
    pub(crate) url: String,
}

impl Sky {
    pub(crate) fn start(place: &Place) -> Self {
        Sky::start_with(place, &[])
    }

    pub(crate) fn start_with(place: &Place, more: &[&str]) -> Self {
        let args = [
            "localsky",
            "--json",
            "--regions",
            "aws:us-east-1",
            "--bucket",
            "data",
            "--bucket",
            "copy",
        ];
        let running = place.start(&[&args, more].concat());
        let told: serde_json::Value = serde_json::from_str(&running.first_line).unwrap();
        let url = told["endpoints"][0]["url"].as_str().unwrap().to_owned();
        Sky {
            _running: running,
            url,
        }
    }

    /// Puts objects into `data`, by way of `src`.
    pub(crate) fn fill(&self, place: &Place, objects: &[(&str, &str)]) {
        for (name, content) in objects {
            place.write(&format!("src/{name}"), content);
        }
        let filled = place.run(&["replicate", "./src", &self.location("data/"), "--once"]);
        assert_eq!(filled.code, Some(0), "{filled:?}");
    }

    pub(crate) fn location(&self, path: &str) -> String {
        format!("s3://{path}?endpoint={}&region=us-east-1", self.url)
    }
}

/// Objects with keys that are easily mistaken for something else.
pub(crate) const AWKWARD: [(&str, &str); 5] = [
    ("100% +.txt", "abc"),
    ("line\nbreak\u{1b}[2J.bin", "12345"),
    ("models/a.bin", FIVE_THOUSAND),
    ("models/deep/b.bin", "b"),
    ("ä b.bin", "12"),
];

const FIVE_THOUSAND: &str = match std::str::from_utf8(&[b'x'; 5000]) {
    Ok(text) => text,
    Err(_) => panic!(),
};

/// A daemon with one rule, `files`, from `src` to `dst`.
pub(crate) struct Daemon {
    pub(crate) place: Place,
    pub(crate) running: Running,
    pub(crate) url: String,
}

pub(crate) const RULE: &str = r#"
[[rule]]
name = "files"
source = "file://DIR/src"
delete = true
[[rule.destination]]
name = "copy"
location = "file://DIR/dst"
"#;

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::start_in(Place::new())
    }

    pub(crate) fn start_in(place: Place) -> Self {
        let rule = with_directory(RULE, place.dir.path());
        place.write(
            "skyfresh.toml",
            format!("[server]\nlisten = \"127.0.0.1:0\"\n{rule}"),
        );
        let running = place.start(&["serve", "--json"]);
        let ready: serde_json::Value = serde_json::from_str(&running.first_line).unwrap();
        let url = ready["url"].as_str().unwrap().to_owned();
        Daemon {
            place,
            running,
            url,
        }
    }

    /// Asks the daemon.
    pub(crate) fn ask(&self, args: &[&str]) -> Ran {
        let mut all = args.to_vec();
        all.extend(["--server", &self.url]);
        self.place.run(&all)
    }

    /// Asks, and demands success.
    pub(crate) fn told(&self, args: &[&str]) -> String {
        let ran = self.ask(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        ran.stdout
    }
}

pub(crate) fn with_directory(text: &str, directory: &Path) -> String {
    text.replace("DIR", directory.to_str().unwrap())
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Lines on standard output in an order that does not depend on what was faster.
pub(crate) fn sorted(text: &str) -> String {
    let (stdout, stderr) = text.split_once("---\n").unwrap();
    let mut lines: Vec<&str> = stdout.lines().collect();
    lines.sort_unstable();
    format!("{}\n---\n{stderr}", lines.join("\n"))
}

/// Compares with a snapshot, without what differs from run to run.
pub(crate) fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"(/[\w.-]+)+/\.tmp\w+", "[DIR]");
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]");
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]");
    settings.add_filter(r"replicate-[0-9a-f]{16}", "replicate-[HASH]");
    settings.add_filter(r"\b\d+(\.\d)?(ms|s|m\d\ds) ago", "[AGE] ago");
    settings.add_filter(
        r"\b\d+(\.\d)?(ms|s) / \d+(\.\d)?(ms|s) / \d+(\.\d)?(ms|s)",
        "[LAG]",
    );
    settings.add_filter(r"\blag \d+(\.\d)?(ms|s)", "lag [LAG]");
    settings.add_filter(r"\bversion \S+,", "version [VERSION],");
    settings.add_filter(r"\bpid \d+", "pid [PID]");
    // Columns are as wide as what stands in them.
    settings.add_filter(r"(\S) {3,}(\S)", "$1  $2");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// A test server's address; without one the skip is put on record.
pub(crate) fn server(variable: &str, test: &str) -> Option<String> {
    let address = std::env::var(variable)
        .ok()
        .filter(|address| !address.is_empty());
    if address.is_none() {
        let line = format!("skipped: {test}: {variable} is not set\n");
        if let Ok(path) = std::env::var("SKYFRESH_TEST_SKIP_LOG") {
            let log = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path);
            log.and_then(|mut log| log.write_all(line.as_bytes()))
                .expect("the skip log can be written");
        }
        std::io::stderr()
            .write_all(line.as_bytes())
            .expect("is told");
    }
    address
}
