//! Running cargo, and the subcommands it may lack.

use crate::{process, workspace};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A cargo subcommand that does not come with the toolchain.
pub(crate) struct Subcommand {
    /// As in `cargo <name>`.
    name: &'static str,
    /// Its package in the registry.
    package: &'static str,
    /// The version this project is checked with.
    version: &'static str,
}

/// The test runner. Without it, `cargo test` is used.
pub(crate) const NEXTEST: Subcommand = Subcommand {
    name: "nextest",
    package: "cargo-nextest",
    version: "0.9.143",
};

/// The checker of licences, duplicates and sources of dependencies.
pub(crate) const DENY: Subcommand = Subcommand {
    name: "deny",
    package: "cargo-deny",
    version: "0.20.2",
};

/// Tools are used for seconds and built once a machine: how long they take to build counts for more than how fast they run.
const QUICK_BUILD: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
];

impl Subcommand {
    /// Whether cargo knows it (any version).
    pub(crate) fn is_installed(&self) -> bool {
        cargo([self.name, "--version"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// What a person types to install it.
    pub(crate) fn install_line(&self) -> String {
        format!(
            "cargo install {} --version {} --locked",
            self.package, self.version
        )
    }

    /// Installs it where it is absent, saying so.
    pub(crate) fn ensure(&self) -> Result<()> {
        if self.is_installed() {
            return Ok(());
        }
        println!(
            "cargo {} is absent; installing: {}",
            self.name,
            self.install_line()
        );
        let mut install = cargo([
            "install",
            self.package,
            "--version",
            self.version,
            "--locked",
        ]);
        if !process::run(install.envs(QUICK_BUILD))? {
            bail!("`{}` failed", self.install_line());
        }
        Ok(())
    }
}

/// The product's program, built as it is released.
pub(crate) fn release_build() -> Result<PathBuf> {
    let build = ["build", "--release", "--package", "skyfresh-cli"];
    if !process::run(&mut cargo(build))? {
        bail!("the release build failed");
    }
    Ok(workspace::target().join("release").join("skyfresh"))
}

/// A cargo command in the workspace's root.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root()).args(arguments);
    // What `cargo run` tells this process of its own package: build scripts (ring's) run again where it differs from the last
    // build's, and with them most of the build.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
