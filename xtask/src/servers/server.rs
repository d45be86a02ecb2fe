//! Starting one server and waiting until it answers.

use super::install::Python;
use crate::process::Group;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a server may take to answer; they take 2 s on an idle machine.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(90);

/// How long one question may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a server that does not answer yet is asked.
const HEALTH_POLL: Duration = Duration::from_millis(100);

/// A port found free may be taken before the server binds it; it then exits, and another is tried.
const ATTEMPTS: usize = 3;

/// How many of a failed server's last log lines an error quotes.
const LOG_LINES: usize = 20;

/// A kind of server.
pub(super) struct Kind {
    /// Also the name of its log file.
    pub(super) name: &'static str,
    /// The program in the Python environment.
    program: &'static str,
    arguments: fn(port: u16) -> Vec<String>,
    variables: fn(port: u16) -> Vec<(&'static str, String)>,
    /// Answers 200 when it can be used.
    health_path: &'static str,
}

/// moto, in server mode (docs.getmoto.org, "Non-Python SDKs / Server Mode").
pub(super) const MOTO: Kind = Kind {
    name: "moto",
    program: "moto_server",
    arguments: |port| {
        vec![
            "-H".into(),
            "127.0.0.1".into(),
            "-p".into(),
            port.to_string(),
        ]
    },
    variables: |_| vec![],
    health_path: "/moto-api/",
};

/// MiniStack. Its SFTP and MQTT listeners are off: they ignore `BIND_HOST` and would listen on every address.
pub(super) const MINISTACK: Kind = Kind {
    name: "ministack",
    program: "ministack",
    arguments: |_| vec![],
    variables: |port| {
        vec![
            ("BIND_HOST", "127.0.0.1".into()),
            ("MINISTACK_HOST", "127.0.0.1".into()),
            ("GATEWAY_PORT", port.to_string()),
            ("SFTP_ENABLED", "false".into()),
            ("IOT_MTLS_ENABLED", "false".into()),
        ]
    },
    health_path: "/_ministack/health",
};

/// A running server.
pub(super) struct Server {
    group: Group,
    port: u16,
}

impl Server {
    /// Starts it on a free port and waits until it answers.
    pub(super) fn start(kind: &Kind, python: &Python, directory: &Path) -> Result<Server> {
        let log = directory.join(format!("{}.log", kind.name));
        for _ in 0..ATTEMPTS {
            let port = free_port()?;
            let mut server = Server {
                group: spawn(kind, python, port, directory, &log)?,
                port,
            };
            if server.wait_until_healthy(kind)? {
                return Ok(server);
            }
        }
        bail!(
            "{} ended {ATTEMPTS} times before it answered; the end of {}:\n{}",
            kind.name,
            log.display(),
            tail(&log)
        )
    }

    /// `http://127.0.0.1:<port>`.
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// False where the process ended instead.
    fn wait_until_healthy(&mut self, kind: &Kind) -> Result<bool> {
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .timeout_global(Some(REQUEST_TIMEOUT))
                .proxy(None)
                .build(),
        );
        let url = format!("{}{}", self.address(), kind.health_path);
        let deadline = Instant::now() + HEALTH_TIMEOUT;
        while Instant::now() < deadline {
            if self.group.try_wait()?.is_some() {
                return Ok(false);
            }
            if agent
                .get(&url)
                .call()
                .is_ok_and(|response| response.status() == 200)
            {
                return Ok(true);
            }
            std::thread::sleep(HEALTH_POLL);
        }
        bail!(
            "{} did not answer {url} within {} s",
            kind.name,
            HEALTH_TIMEOUT.as_secs()
        )
    }
}

fn spawn(
    kind: &Kind,
    python: &Python,
    port: u16,
    directory: &Path,
    log: &PathBuf,
) -> Result<Group> {
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(python.program(kind.program));
    // No credentials, profile or endpoint of whoever runs the tests reaches a server.
    let own = std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("AWS_"));
    command
        .env_clear()
        .envs(own)
        .envs((kind.variables)(port))
        .args((kind.arguments)(port))
        .current_dir(directory)
        .stdout(output.try_clone()?)
        .stderr(output);
    Group::spawn(&mut command)
}

fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot find a free port")?;
    Ok(listener.local_addr()?.port())
}

fn tail(log: &Path) -> String {
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
