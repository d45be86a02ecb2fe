//! Redis or Valkey, from the system's packages.

use super::Missing;
use super::server::{Health, Kind};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

/// What listens on loopback is open to everybody on the machine; and tests look for it in errors and logs.
const PASSWORD: &str = "skyfresh-test";

const INSTALL_LINE: &str = "apt-get install --no-install-recommends -y redis-server";

/// Programs of the server and of its client.
const PROGRAMS: [(&str, &str); 2] = [
    ("valkey-server", "valkey-cli"),
    ("redis-server", "redis-cli"),
];

/// A server whose rows stay in memory.
pub(super) struct Redis {
    server: PathBuf,
    client: PathBuf,
}

impl Redis {
    /// Its URL.
    pub(super) fn url(port: u16) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{port}/0")
    }

    /// What a person types to install it.
    pub(super) fn install_line() -> String {
        INSTALL_LINE.into()
    }

    /// The server.
    pub(super) fn kind(&self) -> Kind<'_> {
        Kind {
            name: "redis",
            ports: 1,
            command: Box::new(|ports| {
                let mut command = Command::new(&self.server);
                command
                    .args(["--bind", "127.0.0.1", "--port", &ports[0].to_string()])
                    .args(["--save", "", "--appendonly", "no"])
                    .args(["--requirepass", PASSWORD]);
                command
            }),
            health: Health::Command(Box::new(|ports| {
                let mut command = Command::new(&self.client);
                command.args(["-h", "127.0.0.1", "-p", &ports[0].to_string(), "ping"]);
                command
            })),
        }
    }
}

/// Finds the programs; what cannot be had is an outcome, not an error.
pub(super) fn redis() -> Result<Redis, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    programs(&path).ok_or_else(|| Missing {
        what: "Redis",
        why: "neither valkey-server nor redis-server is on the PATH with its client".into(),
        install_line: INSTALL_LINE.into(),
    })
}

fn programs(path: &OsStr) -> Option<Redis> {
    let find = |name: &str| {
        let mut places = std::env::split_paths(path).map(|directory| directory.join(name));
        places.find(|place| place.is_file())
    };
    PROGRAMS.iter().find_map(|(server, client)| {
        Some(Redis {
            server: find(server)?,
            client: find(client)?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_its_client_is_none() {
        let folder = tempfile::tempdir().expect("a directory");
        let touch = |name: &str| std::fs::write(folder.path().join(name), "").expect("a file");
        touch("valkey-server");
        touch("redis-server");
        assert!(programs(folder.path().as_os_str()).is_none());
        touch("redis-cli");
        let found = programs(folder.path().as_os_str()).expect("both");
        assert!(found.server.ends_with("redis-server"));
    }
}
