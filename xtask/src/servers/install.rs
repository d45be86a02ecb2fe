//! A Python environment with the test servers in it, and the browser that the system has.

use super::Missing;
use crate::{process, workspace};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const REQUIREMENTS: &str = include_str!("../../test-servers/requirements.txt");
const REQUIREMENTS_PATH: &str = "xtask/test-servers/requirements.txt";

/// An environment that has everything in `requirements.txt`.
pub(super) struct Python {
    directory: PathBuf,
}

impl Python {
    /// The interpreter.
    pub(super) fn interpreter(&self) -> PathBuf {
        self.program("python")
    }

    /// A program that a package installed.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join("bin").join(name)
    }

    /// What a person types to install the packages by hand.
    pub(super) fn install_line(&self) -> String {
        format!(
            "{} -m pip install --requirement {REQUIREMENTS_PATH}",
            self.interpreter().display()
        )
    }

    /// Written last, so that an installation that broke off is begun again; holds what was installed.
    fn stamp(&self) -> PathBuf {
        self.directory.join("installed-requirements.txt")
    }

    fn is_current(&self) -> bool {
        fs::read_to_string(self.stamp()).is_ok_and(|installed| installed == REQUIREMENTS)
            // The system's Python, which the environment links to, may have been replaced since.
            && process::succeeds(Command::new(self.interpreter()).args(["-c", "import boto3, google.cloud.storage, azure.storage.blob, azure.storage.queue"]))
    }
}

/// Finds or makes the environment; what cannot be had is an outcome, not an error.
pub(super) fn python(servers: &Path) -> Result<Result<Python, Missing>> {
    let python = Python {
        directory: servers.join("python"),
    };
    if python.is_current() {
        return Ok(Ok(python));
    }
    println!(
        "test servers: installing {REQUIREMENTS_PATH} into {} (about a minute)",
        python.directory.display()
    );
    fs::create_dir_all(servers).with_context(|| format!("cannot create {}", servers.display()))?;
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&python.directory);
    if !process::run(&mut make).is_ok_and(|made| made) {
        return Ok(Err(Missing {
            what: "Python 3 with venv",
            why: "`python3 -m venv` failed".into(),
            install_line: "apt-get install --no-install-recommends -y python3 python3-venv".into(),
        }));
    }
    let mut install = Command::new(python.interpreter());
    install
        .current_dir(workspace::root())
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ])
        .args(["--requirement", REQUIREMENTS_PATH]);
    if !process::run(&mut install)? {
        return Ok(Err(Missing {
            what: "the Python test servers",
            why: "pip failed; its message is above".into(),
            install_line: python.install_line(),
        }));
    }
    fs::write(python.stamp(), REQUIREMENTS).context("cannot record what was installed")?;
    Ok(Ok(python))
}

const FEAST_REQUIREMENTS_PATH: &str = "xtask/test-servers/feast-requirements.txt";

/// Finds or makes the environment with Feast in it, apart from the others: it pins what they pin, differently. Its interpreter.
pub(crate) fn feast(servers: &Path) -> Result<Result<PathBuf, Missing>> {
    let directory = servers.join("feast");
    let failure = crate::python::environment(&directory, FEAST_REQUIREMENTS_PATH)?;
    let interpreter = directory.join("bin/python");
    Ok(match failure {
        None => Ok(interpreter),
        Some(why) => Err(Missing {
            what: "Feast",
            why,
            install_line: format!(
                "{} -m pip install --requirement {FEAST_REQUIREMENTS_PATH}",
                interpreter.display()
            ),
        }),
    })
}

/// Finds Chromium. It is not installed here: it needs some dozens of system libraries.
pub(super) fn chromium() -> Result<PathBuf, Missing> {
    let named = std::env::var_os("SKYFRESH_TEST_CHROMIUM").map(PathBuf::from);
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&search).flat_map(|directory| {
        ["chromium", "chromium-browser", "google-chrome"].map(|name| directory.join(name))
    });
    named
        .into_iter()
        .chain(found)
        .find(|path| path.is_file())
        .ok_or_else(|| Missing {
            what: "Chromium",
            why: "it is neither on the PATH nor named by SKYFRESH_TEST_CHROMIUM".into(),
            install_line: "apt-get install --no-install-recommends -y chromium".into(),
        })
}

#[cfg(test)]
mod tests {
    use super::REQUIREMENTS;

    #[test]
    fn every_requirement_is_pinned_exactly() {
        let feast = include_str!("../../test-servers/feast-requirements.txt");
        let kafka = include_str!("../../test-servers/kafka-requirements.txt");
        let lines = REQUIREMENTS
            .lines()
            .chain(feast.lines())
            .chain(kafka.lines())
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut count = 0;
        for line in lines {
            let (package, version) = line
                .split_once("==")
                .unwrap_or_else(|| panic!("not pinned: {line}"));
            assert!(
                !package.is_empty() && version.starts_with(|first: char| first.is_ascii_digit()),
                "{line}"
            );
            count += 1;
        }
        assert!(count > 3, "the list is not complete");
    }
}
