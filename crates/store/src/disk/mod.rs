//! A directory as an object store, for `file:///directory` locations.
//!
//! **In:** a directory, with whatever its owner keeps in it. **Out:** an [`ObjectStore`](crate::ObjectStore) whose objects are plain files at
//! plain paths, and, from [`DiskStore::watch`], which of them change.
//! **Never:** follows a symbolic link, reaches outside the directory, writes to a directory that is only read (the private
//! directory `.skyfresh/` is made by the first write), takes what it cannot read for absent.
//!
//! # Files
//!
//! The object `a/b/c` is the file `a/b/c`. Keys that cannot be paths are escaped: an empty, `.` or `..` segment, one that
//! begins with `.skyfresh` or is too long, and an object beside a directory of its name (`a` beside `a/b`) get names that
//! begin with `.skyfresh-`, which `names.rs` lists and reads back. Symbolic links, devices, sockets, pipes and
//! names that are not UTF-8 are no objects: listings report them as unusable, and reading them is an error, not "missing".
//!
//! | in `.skyfresh/` | what |
//! |---|---|
//! | `objects/` | attributes, tags, entity tag and checksum of each object written here |
//! | `uploads/` | unfinished multipart uploads: manifest and parts |
//! | `tmp/` | files being written; what dead processes left there is removed by the next one's first write |
//! | `locks/`, `tmp-gate` | files to lock |
//! | `names/` | segments too long to be names, by their SHA-256 |
//!
//! # Versions
//!
//! An object written here has an entity tag of its own, with the CRC64NVME of its bytes in it. A file put there by others
//! (or changed by them later) is known by inode, size, modification and change time. A file changed less than 20 ms ago
//! may change again without its times showing it; reads of such a file wait until that has passed, and every read looks at
//! the file again after each chunk and fails with [`Kind::Precondition`] where it has changed. What remains unseen: writes through a
//! memory map that the kernel has not stamped yet, and times set back on purpose with the change time forged.
//!
//! # Publishing
//!
//! Bytes go to a temporary file, summed as they are written, are made durable (`fsync`) and renamed into place, and the
//! directory is made durable. Sums are of what was handed to the kernel; they are not read back from the medium. Conditions
//! are atomic among all processes that use this module on the directory, on any host where the file system's `flock`
//! works between hosts. Against other programs, "only if absent" still is, and "only over this version" is checked directly before.

mod content_type;
mod listing;
mod names;
mod operations;
mod publish;
mod root;
mod sidecar;
mod staged;
mod staging;
#[cfg(test)]
mod tests;
mod trouble;
mod uploads;
mod version;
pub mod watch;

pub use watch::WatchEvent;

use crate::local::Refusal;
use crate::{Capabilities, ConditionSupport, Error, Result, UploadLimits, Verification};
use root::Root;
use skyfresh_sky::{Clock, Kind, Location, Scheme};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use trouble::Outcome;

/// What a directory can do, before [`probe`](crate::ObjectStore::probe) has looked whether its file system can.
pub const DISK_CAPABILITIES: Capabilities = Capabilities {
    put_if_absent: ConditionSupport::Enforced,
    put_if_version: ConditionSupport::Enforced,
    complete_if_absent: ConditionSupport::Enforced,
    complete_if_version: ConditionSupport::Enforced,
    delete_if_version: ConditionSupport::Enforced,
    get_if_version: ConditionSupport::Enforced,
    copy: true,
    copy_part: true,
    multipart: true,
    list_uploads: true,
    tags: true,
    versioned: false,
    verification: Verification::Returned,
    upload_limits: UploadLimits::LOCAL,
    metadata: crate::MetadataLimits::LOCAL,
    batch_delete: None,
    pull: false,
};

/// How a directory is used.
#[derive(Clone, Copy, Debug)]
pub struct DiskOptions {
    /// Make what is written survive a power failure before saying that it is written. Turned off where the data can be
    /// had again: in trials and benchmarks.
    pub durable: bool,
}

impl Default for DiskOptions {
    fn default() -> Self {
        DiskOptions { durable: true }
    }
}

/// A directory as an object store. See the [module](self).
pub struct DiskStore {
    location: Location,
    shared: Arc<Shared>,
    capabilities: Mutex<Capabilities>,
}

/// What blocking work needs.
struct Shared {
    path: PathBuf,
    durable: bool,
    clock: Arc<dyn Clock>,
    /// The file system the directory was on when first used.
    device: OnceLock<u64>,
    cleaned: OnceLock<()>,
}

impl DiskStore {
    /// A store of the directory at `location`, or of what lies below its prefix there; it may come to exist later: until then its bucket
    /// is missing.
    ///
    /// # Errors
    /// The location is none of a directory.
    pub fn open(
        location: Location,
        clock: Arc<dyn Clock>,
        options: DiskOptions,
    ) -> Result<Arc<Self>> {
        if location.scheme != Scheme::File {
            return Err(Error::new(
                Kind::Invalid,
                "open",
                location.to_string(),
                "this is not a file:// location",
            ));
        }
        let shared = Shared {
            path: PathBuf::from(&location.bucket),
            durable: options.durable,
            clock,
            device: OnceLock::new(),
            cleaned: OnceLock::new(),
        };
        let capabilities = Mutex::new(DISK_CAPABILITIES);
        Ok(Arc::new(DiskStore {
            location,
            shared: Arc::new(shared),
            capabilities,
        }))
    }

    /// The directory whose store a path belongs to: the nearest one around it, or itself, that holds what a store keeps beside
    /// its objects. `None` where none does.
    pub fn root_around(path: &Path) -> Option<&Path> {
        path.ancestors()
            .find(|directory| directory.join(names::PRIVATE).is_dir())
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    fn known_capabilities(&self) -> Capabilities {
        self.capabilities
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Shared {
    /// Opens the directory to read. One that suddenly is on another file system is refused: a disk that is not mounted
    /// (any more) must not be taken for an empty one.
    fn root(&self) -> Outcome<Root> {
        use trouble::Tried;
        let root = Root::open(&self.path, self.durable)?;
        let stat = rustix::fs::fstat(&root.dir).tried(|| "look at the directory".into())?;
        let device = version::Fingerprint::of(&stat).device;
        if *self.device.get_or_init(|| device) != device {
            let why = "the directory is on another file system than before: is its disk mounted?";
            return Err(Refusal::new(Kind::Denied, "OtherFileSystem", why).into());
        }
        Ok(root)
    }

    /// Opens the directory to write, the first time after removing what dead processes left.
    fn root_to_write(&self) -> Outcome<Root> {
        let root = self.root()?;
        self.cleaned.get_or_init(|| {
            if let Err(trouble) = staged::clean(&root) {
                tracing::warn!(path = %self.path.display(), ?trouble, "cannot remove what dead processes left");
            }
        });
        Ok(root)
    }
}

impl std::fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStore")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
