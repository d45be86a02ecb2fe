//! Source and destination: two servers in memory, on loopback.

use super::install::Installed;
use super::work::Work;
use crate::bench::child::Measured;
use crate::process::Group;
use crate::workspace;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::Value;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Both servers have it, and nothing else.
pub(super) const BUCKET: &str = "bench";

/// The region of a server without a long way, and the tool's own.
const NEAR: &str = "aws:us-east-1";

/// The region at the end of the long way.
const FAR: &str = "aws:eu-west-1";

/// Where files are memory.
const MEMORY_DISK: &str = "/dev/shm";

/// How long a server may take until it accepts connections.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Key pair of s3s-fs, and of nothing else.
const KEY: &str = "skyfresh";

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Servers {
    /// `skyfresh localsky`, twice
    Localsky,
    /// s3s-fs on a memory disk, twice: so that nothing shown is an artefact of localsky
    #[value(name = "s3s-fs")]
    S3sFs,
}

impl Servers {
    pub(super) fn can_shape(self) -> bool {
        self == Servers::Localsky
    }
}

/// A running source and destination.
pub(super) struct Pair {
    /// `http://127.0.0.1:port`.
    pub(super) source: String,
    /// As a tool reaches it: over the long way where the work has one.
    pub(super) destination: String,
    /// The same store, for checks that nobody waits for.
    pub(super) unshaped_destination: String,
    access: String,
    secret: String,
    scratch: TempDir,
    logs: PathBuf,
    _running: Vec<Running>,
}

/// Ends when it is dropped.
enum Running {
    Localsky { _process: Measured },
    S3sFs { _process: Group, _root: TempDir },
}

impl Pair {
    pub(super) fn start(
        servers: Servers,
        skyfresh: &Path,
        installed: &Installed,
        work: Work,
    ) -> Result<Pair> {
        let logs = workspace::target().join("bench").join("copy");
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let scratch = memory_directory()?;
        match servers {
            Servers::Localsky => {
                let source = localsky(skyfresh, work, None, &logs.join("source.log"))?;
                let to = localsky(skyfresh, work, work.link(), &logs.join("destination.log"))?;
                let text = |name: &str| {
                    let value = to.ready[name].as_str();
                    value.with_context(|| format!("localsky gave no {name}"))
                };
                let shaped = work.link().is_some();
                Ok(Pair {
                    source: endpoint(&source.ready, false)?,
                    destination: endpoint(&to.ready, shaped)?,
                    unshaped_destination: endpoint(&to.ready, false)?,
                    access: text("access_key_id")?.to_owned(),
                    secret: text("secret_access_key")?.to_owned(),
                    scratch,
                    logs,
                    _running: vec![
                        Running::Localsky { _process: source },
                        Running::Localsky { _process: to },
                    ],
                })
            }
            Servers::S3sFs => {
                let program = installed.s3s_fs()?;
                let (source, from) = s3s_fs(&program, &logs.join("source.log"))?;
                let (destination, to) = s3s_fs(&program, &logs.join("destination.log"))?;
                Ok(Pair {
                    source,
                    unshaped_destination: destination.clone(),
                    destination,
                    access: KEY.into(),
                    secret: KEY.into(),
                    scratch,
                    logs,
                    _running: vec![from, to],
                })
            }
        }
    }

    /// Credentials as every tool takes them, and nothing of whoever runs this.
    pub(super) fn set_environment(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let ours = ["AWS_", "RCLONE_", "S3_", "SKYFRESH_"];
            if ours.iter().any(|prefix| text.starts_with(prefix)) || text.ends_with("_proxy") {
                command.env_remove(&name);
            }
        }
        command
            .env("AWS_ACCESS_KEY_ID", &self.access)
            .env("AWS_SECRET_ACCESS_KEY", &self.secret)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("HOME", self.scratch.path());
    }

    /// An empty directory on a memory disk, for tools that cannot copy from endpoint to endpoint.
    pub(super) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Removes what a tool left there.
    pub(super) fn clear_scratch(&self) -> Result<()> {
        for entry in fs::read_dir(self.scratch())? {
            let path = entry?.path();
            let removed = match path.is_dir() {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// Where the words of one row's last run go.
    pub(super) fn log(&self, work: Work, label: &str) -> PathBuf {
        let name: String = label
            .chars()
            .map(|letter| {
                if letter.is_alphanumeric() {
                    letter
                } else {
                    '-'
                }
            })
            .collect();
        self.logs.join(format!("{}-{name}.log", work.letter()))
    }
}

fn memory_directory() -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix("skyfresh-bench-")
        .tempdir_in(MEMORY_DISK)
        .with_context(|| format!("cannot make a directory in {MEMORY_DISK}"))
}

fn localsky(program: &Path, work: Work, link: Option<&str>, log: &Path) -> Result<Measured> {
    let mut command = Command::new(program);
    command.args(["localsky", "--json", "--bucket", BUCKET]);
    match link {
        None => command.args(["--regions", NEAR]),
        Some(link) => command.args(["--regions", &format!("{NEAR},{FAR}"), "--link", link]),
    };
    if work.copies() {
        // MD5 would be most of the time of every copy, whatever the tool; a comparison has use for it.
        command.arg("--opaque-etags");
    }
    // What was freed is used again, not given back and faulted in anew in the next run: fresh pages are most of what a
    // store in memory costs.
    command
        .env("MALLOC_ARENA_MAX", "1")
        .env("MALLOC_MMAP_THRESHOLD_", (32_u64 << 20).to_string())
        .env("MALLOC_TOP_PAD_", (64_u64 << 20).to_string())
        .env("MALLOC_TRIM_THRESHOLD_", (1_u64 << 36).to_string());
    Measured::start(&mut command, log).context("skyfresh localsky")
}

/// The port of what `localsky --json` said: the one without shaping, or the one over the long way.
fn endpoint(ready: &Value, shaped: bool) -> Result<String> {
    let endpoints = ready["endpoints"]
        .as_array()
        .context("localsky named no endpoints")?;
    // With a long way there is a second region, and it leads there.
    let far = endpoints.iter().any(|endpoint| endpoint["to"] == FAR);
    let region = if far { FAR } else { NEAR };
    endpoints
        .iter()
        .find(|endpoint| endpoint["to"] == region && endpoint["from"].is_null() != shaped)
        .and_then(|endpoint| Some(endpoint["url"].as_str()?.to_owned()))
        .with_context(|| format!("localsky has no such port to {region}"))
}

fn s3s_fs(program: &Path, log: &Path) -> Result<(String, Running)> {
    let root = memory_directory()?;
    fs::create_dir(root.path().join(BUCKET)).context("cannot make the bucket's directory")?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .context("cannot find a free port")?
        .port();
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(program);
    command
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--access-key", KEY, "--secret-key", KEY])
        .arg(root.path())
        .env("RUST_LOG", "off")
        .stdout(output.try_clone()?)
        .stderr(output);
    let mut process = Group::spawn(&mut command)?;
    let deadline = Instant::now() + READY_TIMEOUT;
    while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
        if process.try_wait()?.is_some() || Instant::now() > deadline {
            bail!("s3s-fs did not become ready; see {}", log.display());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let running = Running::S3sFs {
        _process: process,
        _root: root,
    };
    Ok((format!("http://127.0.0.1:{port}"), running))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_told_apart() {
        let port = |from: Option<&str>, to: &str, url: &str| serde_json::json!({ "from": from, "to": to, "url": url });
        let one = serde_json::json!({ "endpoints": [port(None, "aws:us-east-1", "A")] });
        assert_eq!(endpoint(&one, false).expect("it is there"), "A");
        assert!(endpoint(&one, true).is_err());
        let two = serde_json::json!({ "endpoints": [
            port(None, "aws:us-east-1", "A"),
            port(None, "aws:eu-west-1", "B"),
            port(Some("aws:us-east-1"), "aws:eu-west-1", "C"),
            port(Some("aws:eu-west-1"), "aws:us-east-1", "D"),
        ] });
        assert_eq!(endpoint(&two, false).expect("it is there"), "B");
        assert_eq!(endpoint(&two, true).expect("it is there"), "C");
    }
}
