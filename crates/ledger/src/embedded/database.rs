//! The file, its lock, and whether it is usable.

use super::CACHE_BYTES;
use super::failure::Failure;
use super::view::{View, create_tables};
use crate::tables::{META_FORMAT, Table};
use crate::transaction::{Read, read_counter};
use crate::{Error, Result};
use skyfresh_sky::Kind;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The format of the tables. A file with a greater one was written by a newer version.
const FORMAT: u64 = 1;

/// Opens or creates the database: a function, so that tests can put a failing disk below it.
pub(super) type Opener = fn(&Path) -> Result<redb::Database, redb::Error>;

/// The database at a path of the file system.
pub(super) fn open_file(path: &Path) -> Result<redb::Database, redb::Error> {
    Ok(builder().create(path)?)
}

pub(super) fn builder() -> redb::Builder {
    let mut builder = redb::Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_repair_callback(|repair| {
        tracing::info!(
            progress = repair.progress(),
            "checking the ledger after a crash"
        );
    });
    builder
}

#[derive(Debug)]
enum State {
    Open(redb::Database),
    /// Not usable until it is opened again.
    Failed(Failure),
    Closed,
}

/// What the writer and the readers share.
#[derive(Debug)]
pub(super) struct Shared {
    path: PathBuf,
    opener: Opener,
    state: RwLock<State>,
    /// Held as long as the ledger is open.
    lock: RwLock<Option<File>>,
}

impl Shared {
    pub(super) fn open(path: PathBuf, owner: &str, opener: Opener) -> Result<Self> {
        let failed = |failure: Failure| failure.error("open", &path.display().to_string());
        let lock = lock(&path, owner).map_err(failed)?;
        create(&path, opener).map_err(failed)?;
        let database = prepare(&path, opener).map_err(failed)?;
        Ok(Shared {
            state: RwLock::new(State::Open(database)),
            lock: RwLock::new(Some(lock)),
            path,
            opener,
        })
    }

    /// The file's name, for messages.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Runs a read over a snapshot of the last committed state.
    pub(super) fn read<T>(
        &self,
        operation: &'static str,
        step: impl FnOnce(&dyn Read) -> Result<T>,
    ) -> Result<T> {
        let run = |database: &redb::Database| View::new(database, operation, self.name());
        let view = self
            .with(run)
            .map_err(|failure| failure.error(operation, &self.name()))?;
        step(&view)
    }

    /// Runs `body` on the database, which cannot be closed meanwhile.
    pub(super) fn with<T>(
        &self,
        body: impl FnOnce(&redb::Database) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match &*self.state() {
            State::Open(database) => body(database),
            State::Failed(failure) => Err(failure.clone()),
            State::Closed => Err(Failure::new(Kind::Denied, "the ledger is closed")),
        }
    }

    /// Drops the database after a failure: what it holds in memory is worth nothing now.
    pub(super) fn fail(&self, failure: &Failure) {
        let mut state = self.state_mut();
        if let State::Open(_) = *state {
            let reason = &failure.context;
            tracing::error!(path = %self.path.display(), reason, "the ledger cannot be written");
            *state = State::Failed(failure.clone());
        }
    }

    /// Opens the database again if it has failed. It stays failed, with the newest reason, where that does not work.
    pub(super) fn recover(&self) {
        if !self.is_failed() {
            return;
        }
        let mut state = self.state_mut();
        if let State::Failed(_) = *state {
            // What is in memory of the failed database must be gone, with its lock, before it is opened again.
            *state = match prepare(&self.path, self.opener) {
                Ok(database) => {
                    tracing::info!(path = %self.path.display(), "the ledger is open again");
                    State::Open(database)
                }
                Err(failure) => State::Failed(failure),
            };
        }
    }

    /// Closes the file and unlocks it.
    pub(super) fn close(&self) {
        *self.state_mut() = State::Closed;
        *self.lock.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// True once it was closed on purpose.
    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.state(), State::Closed)
    }

    fn is_failed(&self) -> bool {
        matches!(*self.state(), State::Failed(_))
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the file if there is none. It gets its name once it is complete: a crash half-way leaves no file that would then
/// be taken for something else.
fn create(path: &Path, opener: Opener) -> Result<(), Failure> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > 0 => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let unfinished = beside(path, ".new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => drop(prepare(&unfinished, opener)?),
    }
    std::fs::rename(&unfinished, path)?;
    sync_directory(path)
}

/// The path with something added to its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens the database and checks that it is of a format we know.
fn prepare(path: &Path, opener: Opener) -> Result<redb::Database, Failure> {
    let database = opener(path)?;
    let transaction = database.begin_write().map_err(redb::Error::from)?;
    create_tables(&transaction)?;
    transaction.commit().map_err(redb::Error::from)?;
    let view = View::new(&database, "open", path.display().to_string())?;
    let broken = |error: Error| Failure::new(error.kind, error.to_string());
    match read_counter(&view, META_FORMAT).map_err(broken)? {
        0 => {
            let row = (META_FORMAT.to_vec(), Some(FORMAT.to_be_bytes().to_vec()));
            super::view::apply(&database, vec![(Table::Meta, [row].into())])?;
        }
        FORMAT => {}
        newer => {
            let why = format!(
                "the file has format {newer}; this program knows {FORMAT}: use a newer one"
            );
            return Err(Failure::new(Kind::Unsupported, why));
        }
    }
    drop(view);
    Ok(database)
}

/// Takes the lock file beside the ledger and writes who we are into it. The operating system releases it when we die.
fn lock(path: &Path, owner: &str) -> Result<File, Failure> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(beside(path, ".lock"))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            write!(file, "{} {owner}", std::process::id())?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.rewind()?;
            // What stands there is for people: unreadable is as good as unknown.
            let _ = file.take(256).read_to_string(&mut holder);
            let pid = holder
                .split(' ')
                .next()
                .and_then(|pid| pid.parse::<u32>().ok());
            let who = match pid {
                Some(pid) if pid == std::process::id() => {
                    "locked by this process: it has it open already".into()
                }
                Some(pid) => format!("locked by another process (pid {pid})"),
                None => "locked by another process".to_owned(),
            };
            Err(Failure::new(
                Kind::Denied,
                format!("{who}; stop it, or give another path"),
            ))
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Makes a file just created survive a power failure: its name is in the directory.
fn sync_directory(path: &Path) -> Result<(), Failure> {
    if cfg!(unix) {
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}
