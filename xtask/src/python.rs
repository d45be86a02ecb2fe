//! Python environments of peers and solvers, under `target/`, at pinned versions.

use crate::{process, workspace};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes the environment that a requirements file (its path from the root) asks for; `Some` says why it could not. That a
/// registry cannot be reached is an outcome, not an error.
pub(crate) fn environment(environment: &Path, requirements_path: &str) -> Result<Option<String>> {
    let path = workspace::root().join(requirements_path);
    let requirements =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // Written last, so that an installation that broke off is begun again.
    let stamp = environment.join("installed-requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == requirements) {
        return Ok(None);
    }
    println!(
        "installing {requirements_path} into {}",
        environment.display()
    );
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(environment);
    if !process::run(&mut make).is_ok_and(|made| made) {
        return Ok(Some(
            "need Python 3 with venv: `python3 -m venv` failed".into(),
        ));
    }
    let mut install = Command::new(environment.join("bin/python"));
    install
        .current_dir(workspace::root())
        .args(["-m", "pip", "install", "--quiet", "--no-input"])
        .args([
            "--disable-pip-version-check",
            "--requirement",
            requirements_path,
        ]);
    if !process::run(&mut install)? {
        return Ok(Some(
            "could not be installed: pip's message is above".into(),
        ));
    }
    fs::write(&stamp, requirements).context("cannot record what was installed")?;
    Ok(None)
}
