//! Feast's own server, and requests to either.

use skyfresh_sky::{Clock, SystemClock};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How often a server that does not answer yet is asked, and how many times.
const POLL: Duration = Duration::from_millis(250);
const POLLS: usize = 480;

/// The interpreter with Feast.
#[expect(
    clippy::disallowed_methods,
    reason = "the test command names the interpreter"
)]
pub(crate) fn feast_python() -> Option<PathBuf> {
    std::env::var("SKYFRESH_TEST_FEAST").ok().map(PathBuf::from)
}

#[expect(clippy::disallowed_methods, reason = "the test command names the list")]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
pub(crate) fn tell_skip(test: &str) {
    let line = format!("skipped: {test}: SKYFRESH_TEST_FEAST names no Python with feast");
    println!("{line}");
    if let Ok(path) = std::env::var("SKYFRESH_TEST_SKIP_LOG") {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path);
        log.and_then(|mut log| writeln!(log, "{line}"))
            .expect("the skip log can be written");
    }
}

/// Feast counts its users over the network unless told not to.
pub(crate) fn quiet(mut command: Command) -> Command {
    command
        .env("FEAST_USAGE", "False")
        .env("PYTHONWARNINGS", "ignore");
    command
}

/// A copy of the repository of `tests-python/feast_repository`, applied.
pub(crate) fn repository(python: &Path, folder: &Path) -> PathBuf {
    let from = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests-python/feast_repository"
    ));
    let repository = folder.join("feast");
    std::fs::create_dir_all(repository.join("data")).unwrap();
    for name in ["feature_store.yaml", "definitions.py"] {
        std::fs::copy(from.join(name), repository.join(name)).unwrap();
    }
    let applied = quiet(Command::new(python.with_file_name("feast")))
        .args(["apply", "--skip-source-validation"])
        .current_dir(&repository)
        .output()
        .unwrap();
    assert!(
        applied.status.success(),
        "{}",
        String::from_utf8_lossy(&applied.stderr)
    );
    repository
}

/// Feast's server; it ends when this is dropped.
pub(crate) struct Peer {
    child: Child,
    pub(crate) address: String,
}

impl Peer {
    pub(crate) async fn start(python: &Path, folder: &Path) -> Peer {
        let repository = repository(python, folder);
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let log = std::fs::File::create(folder.join("feast.log")).unwrap();
        let child = quiet(Command::new(python.with_file_name("feast")))
            .args([
                "serve",
                "--host",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--no-access-log",
            ])
            .current_dir(&repository)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let peer = Peer {
            child,
            address: format!("127.0.0.1:{port}"),
        };
        for _ in 0..POLLS {
            if TcpStream::connect(&peer.address).await.is_ok() {
                return peer;
            }
            SystemClock.sleep(POLL).await;
        }
        let log = std::fs::read_to_string(folder.join("feast.log")).unwrap_or_default();
        panic!("Feast's server did not start: {log}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Its workers end with it: they watch their parent.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
    }
}

/// Status, type of the content, and body.
pub(crate) async fn post(
    address: &str,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let kind = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-type")
            .then(|| value.trim().to_owned())
    });
    (status, kind.unwrap_or_default(), body.to_owned())
}
