//! Programs out of Debian's packages, beside the system, not in it.

use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Unpacks packages (`name`, or `name=version`) into a directory; `Some` says why it could not.
pub(crate) fn unpack(into: &Path, packages: &[&str]) -> Result<Option<String>> {
    println!(
        "unpacking Debian's {} into {}",
        packages.join(", "),
        into.display()
    );
    fs::create_dir_all(into).with_context(|| format!("cannot create {}", into.display()))?;
    let downloads = tempfile::tempdir_in(into).context("cannot make a directory")?;
    let mut download = Command::new("apt-get");
    download
        .args(["download", "--quiet=2"])
        .args(packages)
        .current_dir(downloads.path());
    if !process::run(&mut download).is_ok_and(|done| done) {
        let packages = packages.join(" ");
        let why = format!("`apt-get download {packages}` failed; `apt-get update` may help");
        return Ok(Some(why));
    }
    for entry in fs::read_dir(downloads.path())? {
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("--extract").arg(entry?.path()).arg(into);
        if !process::run(&mut unpack).is_ok_and(|done| done) {
            return Ok(Some("`dpkg-deb --extract` failed".into()));
        }
    }
    Ok(None)
}
