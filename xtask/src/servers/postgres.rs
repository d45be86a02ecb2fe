//! PostgreSQL, from the system's packages, with a database of its own for the run.

use super::Missing;
use super::server::{Health, Kind};
use crate::process;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Who runs the server where root starts the tests, in this order: it refuses to run as root.
const SERVICE_USERS: [&str; 2] = ["postgres", "nobody"];

/// Where Debian keeps the server's programs: not on the PATH, as several versions may stand beside each other.
const DEBIAN_VERSIONS: &str = "/usr/lib/postgresql";

/// The only user of the database, and its password: what listens on loopback is open to everybody on the machine.
const USER: &str = "skyfresh";
const PASSWORD: &str = "skyfresh-test";

const INSTALL_LINE: &str = "apt-get install --no-install-recommends -y postgresql";

/// A database that goes when this is dropped. It lies in the system's temporary directory: where the tests run as root, the
/// user that serves it may not be able to reach `target/`.
pub(super) struct Postgres {
    programs: PathBuf,
    owner: Option<Owner>,
    directory: TempDir,
}

/// A user of the system, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    user: u32,
    group: u32,
}

impl Postgres {
    /// Its connection URL. There is no TLS on loopback: tests of TLS bring their own.
    pub(super) fn url(port: u16) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres?sslmode=disable")
    }

    /// What a person types to install it.
    pub(super) fn install_line() -> String {
        INSTALL_LINE.into()
    }

    /// The server over this database.
    pub(super) fn kind(&self) -> Kind<'_> {
        Kind {
            name: "postgresql",
            ports: 1,
            command: Box::new(|ports| {
                let mut command = self.program("postgres");
                command
                    .arg("-D")
                    .arg(self.data())
                    .args(["-h", "127.0.0.1", "-p", &ports[0].to_string()])
                    // No socket beside the port; room for many test processes; nothing here outlives the machine.
                    .args(["-c", "unix_socket_directories="])
                    .args(["-c", "max_connections=200"])
                    .args(["-c", "shared_buffers=32MB"])
                    .args(["-c", "fsync=off"]);
                command
            }),
            health: Health::Command(Box::new(|ports| {
                let mut command = self.program("pg_isready");
                command.args(["-q", "-h", "127.0.0.1", "-p", &ports[0].to_string()]);
                command
            })),
        }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// One of the server's programs, to be run by its user.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        if let Some(owner) = self.owner {
            command.uid(owner.user).gid(owner.group);
        }
        // The directory we are in may be one that this user cannot enter.
        command.current_dir(self.directory.path());
        // No connection setting of whoever runs the tests reaches it.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
    }

    fn initialise(&self, log: &Path) -> Result<()> {
        let password_file = self.directory.path().join("password");
        fs::write(&password_file, PASSWORD).context("cannot write the password")?;
        if let Some(owner) = self.owner {
            for path in [self.directory.path(), password_file.as_path()] {
                chown(path, Some(owner.user), Some(owner.group))
                    .with_context(|| format!("cannot give {} away", path.display()))?;
            }
        }
        let output =
            File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = self.program("initdb");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-U", USER, "--auth=scram-sha-256", "--pwfile"])
            .arg(&password_file)
            .args(["-E", "UTF8", "--locale=C", "--no-sync"])
            .stdout(output.try_clone()?)
            .stderr(output);
        if !process::run(&mut command)? {
            bail!("initdb failed; see {}", log.display());
        }
        Ok(())
    }
}

/// Finds the programs and makes an empty database; what cannot be had is an outcome, not an error.
pub(super) fn postgres(servers: &Path) -> Result<Result<Postgres, Missing>> {
    let missing = |why: String| Missing {
        what: "PostgreSQL",
        why,
        install_line: INSTALL_LINE.into(),
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Some(programs) = programs(Path::new(DEBIAN_VERSIONS), &path) else {
        let why = format!("initdb is neither under {DEBIAN_VERSIONS} nor on the PATH");
        return Ok(Err(missing(why)));
    };
    let owner = if rustix::process::geteuid().is_root() {
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        match SERVICE_USERS.iter().find_map(|name| owner(&accounts, name)) {
            Some(owner) => Some(owner),
            None => {
                let why = "it does not run as root, and there is no user postgres or nobody";
                return Ok(Err(missing(why.into())));
            }
        }
    } else {
        None
    };
    let postgres = Postgres {
        programs,
        owner,
        directory: tempfile::Builder::new()
            .prefix("skyfresh-postgresql-")
            .tempdir()
            .context("cannot make a temporary directory")?,
    };
    fs::create_dir_all(servers).with_context(|| format!("cannot create {}", servers.display()))?;
    match postgres.initialise(&servers.join("postgresql-initdb.log")) {
        Ok(()) => Ok(Ok(postgres)),
        Err(error) => Ok(Err(missing(format!("{error:#}")))),
    }
}

/// The newest version under `versions`, else what is on the path.
fn programs(versions: &Path, path: &OsStr) -> Option<PathBuf> {
    let number = |directory: &PathBuf| -> Option<u32> {
        directory.file_name()?.to_string_lossy().parse().ok()
    };
    let mut found: Vec<PathBuf> = fs::read_dir(versions)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|directory| number(directory).is_some())
        .collect();
    found.sort_by_key(|directory| std::cmp::Reverse(number(directory)));
    found
        .into_iter()
        .map(|directory| directory.join("bin"))
        .chain(std::env::split_paths(path))
        .find(|directory| directory.join("initdb").is_file())
}

/// A user's numbers, from the text of `/etc/passwd`.
fn owner(accounts: &str, name: &str) -> Option<Owner> {
    let line = accounts
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some(Owner {
        user: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_numbers_are_read() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\npostgres:x:101:104:,,,:/var:/bin/sh\n";
        let expected = Owner {
            user: 101,
            group: 104,
        };
        assert_eq!(owner(accounts, "postgres"), Some(expected));
        assert_eq!(owner(accounts, "post"), None);
        assert_eq!(owner("postgres:x:a:b", "postgres"), None);
    }

    #[test]
    fn the_newest_version_is_taken_and_the_path_comes_last() {
        let root = tempfile::tempdir().expect("a directory");
        let on_path = root.path().join("bin");
        let path = on_path.clone().into_os_string();
        let put = |directory: &Path| {
            fs::create_dir_all(directory).expect("a directory");
            fs::write(directory.join("initdb"), "").expect("a file");
        };
        assert_eq!(programs(root.path(), &path), None);
        put(&on_path);
        assert_eq!(programs(root.path(), &path), Some(on_path));
        for version in ["9", "15", "16"] {
            put(&root.path().join(version).join("bin"));
        }
        // Without its server.
        fs::create_dir_all(root.path().join("17/bin")).expect("a directory");
        assert_eq!(
            programs(root.path(), &path),
            Some(root.path().join("16/bin"))
        );
    }
}
