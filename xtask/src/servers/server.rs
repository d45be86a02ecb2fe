//! Starting one server and waiting until it answers.

use crate::process::{self, Group};
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

/// Makes a command for a server's ports.
type OnPorts<'a> = Box<dyn Fn(&[u16]) -> Command + 'a>;

/// A kind of server, and how one is started and asked whether it can be used.
pub(super) struct Kind<'a> {
    /// Also the name of its log file.
    pub(super) name: &'static str,
    /// How many ports it listens on.
    pub(super) ports: usize,
    /// The command that serves on these ports.
    pub(super) command: OnPorts<'a>,
    pub(super) health: Health<'a>,
}

/// When a server can be used.
pub(super) enum Health<'a> {
    /// Its first port answers a GET of this path with this status.
    Http { path: &'static str, status: u16 },
    /// A command succeeds.
    Command(OnPorts<'a>),
}

/// A running server.
pub(super) struct Server {
    group: Group,
    ports: Vec<u16>,
}

impl Server {
    /// Starts it on free ports and waits until it answers.
    pub(super) fn start(kind: &Kind<'_>, directory: &Path) -> Result<Server> {
        let log = directory.join(format!("{}.log", kind.name));
        for _ in 0..ATTEMPTS {
            let ports = free_ports(kind.ports)?;
            let mut server = Server {
                group: spawn(kind, &ports, directory, &log)?,
                ports,
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

    /// Its ports, in the order of its kind.
    pub(super) fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// False where the process ended instead.
    fn wait_until_healthy(&mut self, kind: &Kind<'_>) -> Result<bool> {
        let deadline = Instant::now() + HEALTH_TIMEOUT;
        while Instant::now() < deadline {
            if self.group.try_wait()?.is_some() {
                return Ok(false);
            }
            if kind.health.answers(&self.ports) {
                return Ok(true);
            }
            std::thread::sleep(HEALTH_POLL);
        }
        bail!(
            "{} on the ports {:?} did not answer within {} s",
            kind.name,
            self.ports,
            HEALTH_TIMEOUT.as_secs()
        )
    }
}

impl Health<'_> {
    fn answers(&self, ports: &[u16]) -> bool {
        match self {
            Health::Http { path, status } => {
                let agent = ureq::Agent::new_with_config(
                    ureq::Agent::config_builder()
                        .timeout_global(Some(REQUEST_TIMEOUT))
                        .http_status_as_error(false)
                        .proxy(None)
                        .build(),
                );
                agent
                    .get(format!("{}{path}", http(ports[0])))
                    .call()
                    .is_ok_and(|response| response.status().as_u16() == *status)
            }
            Health::Command(command) => process::succeeds(&mut command(ports)),
        }
    }
}

/// `http://127.0.0.1:<port>`.
pub(super) fn http(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn spawn(kind: &Kind<'_>, ports: &[u16], directory: &Path, log: &PathBuf) -> Result<Group> {
    let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = (kind.command)(ports);
    // No credentials, profile or endpoint of whoever runs the tests reaches a server.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("AWS_") || text.starts_with("AZURE_") {
            command.env_remove(name);
        }
    }
    if command.get_current_dir().is_none() {
        command.current_dir(directory);
    }
    command.stdout(output.try_clone()?).stderr(output);
    Group::spawn(&mut command)
}

/// Held together until all are found, so that they differ.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<Vec<_>, _>>()
        .context("cannot find a free port")?;
    listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect()
}

fn tail(log: &Path) -> String {
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
