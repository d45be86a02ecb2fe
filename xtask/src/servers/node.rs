//! The servers that run on Node.js: Azurite and `@vercel/cosmosdb-server`.

use super::Missing;
use super::server::{Health, Kind};
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MANIFEST: &str = include_str!("../../test-servers/package.json");
const LOCK: &str = include_str!("../../test-servers/package-lock.json");
const LOCK_PATH: &str = "xtask/test-servers/package-lock.json";

/// Runs no package's install script, asks nobody about advisories, and takes exactly what the lock file has.
const INSTALL: [&str; 5] = [
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
];

/// A folder that has everything in `package-lock.json`.
pub(super) struct Node {
    directory: PathBuf,
}

impl Node {
    /// What a person types to install the packages by hand.
    pub(super) fn install_line(&self) -> String {
        format!(
            "(cd {} && npm {})",
            self.directory.display(),
            INSTALL.join(" ")
        )
    }

    /// A program that a package installed.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("node");
        command.arg(self.directory.join("node_modules/.bin").join(name));
        command
    }

    /// Azurite, with Blob, Queue and Table storage. Data stays in memory, and nothing is told to its makers.
    pub(super) fn azurite(&self) -> Kind<'_> {
        Kind {
            name: "azurite",
            ports: 3,
            command: Box::new(|ports| {
                let mut command = self.program("azurite");
                command.args([
                    "--silent",
                    "--inMemoryPersistence",
                    "--disableTelemetry",
                    // SDKs speak newer versions of the protocol than it knows.
                    "--skipApiVersionCheck",
                ]);
                for (service, port) in ["blob", "queue", "table"].iter().zip(ports) {
                    command
                        .args([format!("--{service}Host"), "127.0.0.1".into()])
                        .args([format!("--{service}Port"), port.to_string()]);
                }
                command
            }),
            // It refuses what is not signed: that is an answer.
            health: Health::Http {
                path: "/devstoreaccount1?comp=list",
                status: 403,
            },
        }
    }

    /// Cosmos DB, without TLS and without looking at signatures.
    pub(super) fn cosmos(&self) -> Kind<'_> {
        Kind {
            name: "cosmosdb-server",
            ports: 1,
            command: Box::new(|ports| {
                let mut command = self.program("cosmosdb-server");
                command.args(["--host", "127.0.0.1", "--no-ssl", "--port"]);
                command.arg(ports[0].to_string());
                command
            }),
            health: Health::Http {
                path: "/",
                status: 200,
            },
        }
    }

    /// Written last, so that an installation that broke off is begun again; holds what was installed.
    fn stamp(&self) -> PathBuf {
        self.directory.join("installed-package-lock.json")
    }
}

/// Finds or fills the folder; what cannot be had is an outcome, not an error.
pub(super) fn node(servers: &Path) -> Result<Result<Node, Missing>> {
    let node = Node {
        directory: servers.join("node"),
    };
    let runs = process::succeeds(Command::new("node").arg("--version"));
    if runs && fs::read_to_string(node.stamp()).is_ok_and(|installed| installed == LOCK) {
        return Ok(Ok(node));
    }
    if !runs || !process::succeeds(Command::new("npm").arg("--version")) {
        return Ok(Err(Missing {
            what: "Node.js with npm",
            why: "`node` or `npm` is not on the PATH".into(),
            install_line: "apt-get install --no-install-recommends -y nodejs npm".into(),
        }));
    }
    println!(
        "test servers: installing {LOCK_PATH} into {} (about half a minute)",
        node.directory.display()
    );
    fs::create_dir_all(&node.directory)
        .with_context(|| format!("cannot create {}", node.directory.display()))?;
    for (name, text) in [("package.json", MANIFEST), ("package-lock.json", LOCK)] {
        fs::write(node.directory.join(name), text)
            .with_context(|| format!("cannot write {name} into {}", node.directory.display()))?;
    }
    let mut install = Command::new("npm");
    install.current_dir(&node.directory).args(INSTALL);
    if !process::run(&mut install)? {
        return Ok(Err(Missing {
            what: "the Node.js test servers",
            why: "npm failed; its message is above".into(),
            install_line: node.install_line(),
        }));
    }
    fs::write(node.stamp(), LOCK).context("cannot record what was installed")?;
    Ok(Ok(node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_package_is_pinned_by_its_content_and_none_by_a_host() {
        let lock: Value = serde_json::from_str(LOCK).expect("JSON");
        let packages = lock["packages"].as_object().expect("packages");
        assert!(packages.len() > 100, "the list is not complete");
        for (path, package) in packages.iter().filter(|(path, _)| !path.is_empty()) {
            assert!(
                package["integrity"]
                    .as_str()
                    .is_some_and(|hash| hash.starts_with("sha512-") || hash.starts_with("sha1-")),
                "{path} has no checksum"
            );
            assert!(
                package.get("resolved").is_none(),
                "{path} names the registry it came from; npm needs no such line"
            );
        }
    }

    #[test]
    fn the_servers_themselves_are_pinned_exactly() {
        let manifest: Value = serde_json::from_str(MANIFEST).expect("JSON");
        let wanted = manifest["dependencies"].as_object().expect("dependencies");
        assert_eq!(wanted.len(), 2);
        for (package, version) in wanted {
            let version = version.as_str().expect("a version");
            assert!(
                version.split('.').count() == 3
                    && version
                        .chars()
                        .all(|character| character == '.' || character.is_ascii_digit()),
                "{package} {version}"
            );
        }
    }
}
