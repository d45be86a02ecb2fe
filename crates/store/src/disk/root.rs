//! Walking the directory of a store by file descriptors, one name at a time: no symbolic link is ever followed, so
//! nothing outside the root can be reached whatever is in it.

use super::names::{self, Name, PRIVATE};
use super::trouble::{Outcome, Tried, Trouble};
use super::version::Fingerprint;
use crate::local::Refusal;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use skyfresh_sky::Kind;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Longest registered segment, bytes: a key's limit.
const SEGMENT_LIMIT_BYTES: u64 = 1024;
/// How often to begin anew when other writers change directories underfoot.
pub(super) const ATTEMPTS: usize = 32;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The open directory of a store.
pub(super) struct Root {
    pub(super) dir: OwnedFd,
    pub(super) path: PathBuf,
    /// Whether what is written is made to survive a power failure.
    pub(super) sync: bool,
}

/// An object's file.
pub(super) struct Found {
    /// The directory it is in.
    pub(super) dir: OwnedFd,
    pub(super) name: Name,
    pub(super) fingerprint: Fingerprint,
    /// Whether it has the name of a file beside a directory.
    pub(super) beside: bool,
}

/// The result of looking for an object.
pub(super) enum Lookup {
    Found(Found),
    Absent {
        /// Whether a directory has its plain name.
        directory: bool,
    },
}

pub(super) fn open_dir(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())
}

/// Opens a directory, made where it is absent.
fn make_dir(parent: BorrowedFd<'_>, name: &str, sync: bool) -> rustix::io::Result<OwnedFd> {
    loop {
        match open_dir(parent, name) {
            Err(Errno::NOENT) => {
                match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) if sync => rustix::fs::fsync(parent)?,
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
            }
            other => return other,
        }
    }
}

/// What a name is, without following it; `None` where it is nothing.
pub(super) fn stat(
    dir: BorrowedFd<'_>,
    name: &str,
) -> rustix::io::Result<Option<(FileType, Fingerprint)>> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some((
            FileType::from_raw_mode(stat.st_mode),
            Fingerprint::of(&stat),
        ))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Removes a file that may be gone already.
pub(super) fn unlink(dir: BorrowedFd<'_>, name: &str) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Renames a file to a name that must be free ([`Errno::EXIST`] otherwise).
pub(super) fn rename_new(
    from: BorrowedFd<'_>,
    from_name: &str,
    to: BorrowedFd<'_>,
    to_name: &str,
) -> rustix::io::Result<()> {
    match rustix::fs::renameat_with(from, from_name, to, to_name, RenameFlags::NOREPLACE) {
        // Not every file system knows the flag; a hard link is never made over something either.
        Err(Errno::INVAL | Errno::NOSYS) => {
            rustix::fs::linkat(from, from_name, to, to_name, AtFlags::empty())?;
            unlink(from, from_name)
        }
        other => other,
    }
}

fn not_followed(what: &str) -> Trouble {
    Refusal::new(
        Kind::Invalid,
        "NotAFile",
        format!("{what}, which is not read: only plain files are objects"),
    )
    .into()
}

/// Refuses what is neither a file nor a directory: taking it for absent would delete its copies elsewhere.
fn check_ordinary(kind: FileType, name: &str) -> Outcome<()> {
    match kind {
        FileType::RegularFile | FileType::Directory => Ok(()),
        FileType::Symlink => Err(not_followed(&format!("{name:?} is a symbolic link"))),
        _ => Err(not_followed(&format!(
            "{name:?} is a device, socket or pipe"
        ))),
    }
}

impl Root {
    /// Opens the directory; where it is absent, so is the bucket.
    pub(super) fn open(path: &Path, sync: bool) -> Outcome<Root> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(dir) => Ok(Root {
                dir,
                path: path.to_owned(),
                sync,
            }),
            Err(Errno::NOENT | Errno::NOTDIR) => {
                Err(
                    Refusal::new(Kind::Missing, "NoSuchBucket", "there is no such directory")
                        .into(),
                )
            }
            Err(errno) => Err(errno).tried(|| "open the directory".into()),
        }
    }

    /// A directory below `.skyfresh`, made where it is absent.
    pub(super) fn private(&self, below: &[&str]) -> Outcome<OwnedFd> {
        let mut dir =
            make_dir(self.dir.as_fd(), PRIVATE, self.sync).tried(|| format!("make {PRIVATE}"))?;
        for name in below {
            dir = make_dir(dir.as_fd(), name, self.sync)
                .tried(|| format!("make {PRIVATE}/{name}"))?;
        }
        Ok(dir)
    }

    /// A directory below `.skyfresh`, where it is there.
    pub(super) fn existing_private(&self, below: &[&str]) -> Outcome<Option<OwnedFd>> {
        let open = || {
            let mut dir = open_dir(self.dir.as_fd(), PRIVATE)?;
            for name in below {
                dir = open_dir(dir.as_fd(), name)?;
            }
            Ok(dir)
        };
        match open() {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno).tried(|| format!("open {PRIVATE}/{}", below.join("/"))),
        }
    }

    /// Reads a small file of ours; `None` where it is absent. More than `limit_bytes` is an error.
    pub(super) fn read_private(
        &self,
        dir: BorrowedFd<'_>,
        name: &str,
        limit_bytes: u64,
    ) -> Outcome<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno).tried(|| format!("open {PRIVATE}/…/{name}")),
        };
        let mut bytes = Vec::new();
        file.take(limit_bytes + 1)
            .read_to_end(&mut bytes)
            .tried(|| format!("read {PRIVATE}/…/{name}"))?;
        if bytes.len() as u64 > limit_bytes {
            return Err(Errno::FBIG).tried(|| format!("read {PRIVATE}/…/{name}"));
        }
        Ok(Some(bytes))
    }

    /// Writes a small file of ours, durably, in place.
    pub(super) fn write_private(
        &self,
        dir: BorrowedFd<'_>,
        name: &str,
        bytes: &[u8],
    ) -> Outcome<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let write = || -> std::io::Result<()> {
            let mut file = File::from(rustix::fs::openat(
                dir,
                name,
                flags,
                Mode::from_raw_mode(0o666),
            )?);
            file.write_all(bytes)?;
            if self.sync {
                file.sync_data()?;
                rustix::fs::fsync(dir)?;
            }
            Ok(())
        };
        write().tried(|| format!("write {PRIVATE}/…/{name}"))
    }

    /// Makes a directory's entries durable.
    pub(super) fn sync_dir(&self, dir: BorrowedFd<'_>) -> Outcome<()> {
        if self.sync {
            rustix::fs::fsync(dir).tried(|| "make a directory durable".into())?;
        }
        Ok(())
    }

    /// Records which segment a hash stands for, before a name with it is made.
    fn register(&self, name: &Name, segment: &str) -> Outcome<()> {
        let Some(hash) = &name.hash else {
            return Ok(());
        };
        let dir = self.private(&["names"])?;
        if self.registered(hash)?.is_none() {
            self.write_private(dir.as_fd(), hash, segment.as_bytes())?;
        }
        Ok(())
    }

    /// The segment that a hash stands for; `None` where that is not known (any more).
    pub(super) fn registered(&self, hash: &str) -> Outcome<Option<String>> {
        let Some(dir) = self.existing_private(&["names"])? else {
            return Ok(None);
        };
        let bytes = self.read_private(dir.as_fd(), hash, SEGMENT_LIMIT_BYTES)?;
        Ok(bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .filter(|segment| names::sha256_hex(segment) == hash))
    }

    /// Looks for an object's file.
    pub(super) fn find(&self, key: &str) -> Outcome<Lookup> {
        const ABSENT: Lookup = Lookup::Absent { directory: false };
        let mut dir = self.dir.try_clone().tried(|| "open the directory".into())?;
        let mut segments = key.split('/').peekable();
        while let Some(segment) = segments.next() {
            let plain = names::plain(segment);
            let kind =
                stat(dir.as_fd(), &plain.text).tried(|| format!("look at {:?}", plain.text))?;
            if let Some((kind, _)) = kind {
                check_ordinary(kind, &plain.text)?;
            }
            if segments.peek().is_none() {
                return self.find_last(dir, segment, plain, kind);
            }
            match kind {
                Some((FileType::Directory, _)) => match open_dir(dir.as_fd(), &plain.text) {
                    Ok(next) => dir = next,
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(ABSENT),
                    Err(errno) => return Err(errno).tried(|| format!("open {:?}", plain.text)),
                },
                _ => return Ok(ABSENT),
            }
        }
        Ok(ABSENT)
    }

    fn find_last(
        &self,
        dir: OwnedFd,
        segment: &str,
        plain: Name,
        kind: Option<(FileType, Fingerprint)>,
    ) -> Outcome<Lookup> {
        if let Some((FileType::RegularFile, fingerprint)) = kind {
            return Ok(Lookup::Found(Found {
                dir,
                name: plain,
                fingerprint,
                beside: false,
            }));
        }
        let directory = kind.is_some();
        let name = names::beside(segment);
        match stat(dir.as_fd(), &name.text).tried(|| format!("look at {:?}", name.text))? {
            None => Ok(Lookup::Absent { directory }),
            Some((FileType::RegularFile, fingerprint)) => Ok(Lookup::Found(Found {
                dir,
                name,
                fingerprint,
                beside: true,
            })),
            Some(_) => Err(not_followed(&format!("{:?} is not a file", name.text))),
        }
    }

    /// Looks for an object's file and opens it for reading.
    pub(super) fn open_object(&self, key: &str) -> Outcome<Option<(File, Found)>> {
        // A pipe put in the file's place meanwhile must not block us.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        for _ in 0..ATTEMPTS {
            let Lookup::Found(mut found) = self.find(key)? else {
                return Ok(None);
            };
            let file = match rustix::fs::openat(&found.dir, &found.name.text, flags, Mode::empty())
            {
                Ok(file) => file,
                // Replaced between looking and opening.
                Err(Errno::NOENT | Errno::LOOP) => continue,
                Err(errno) => return Err(errno).tried(|| format!("open {:?}", found.name.text)),
            };
            let stat =
                rustix::fs::fstat(&file).tried(|| format!("look at {:?}", found.name.text))?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                continue;
            }
            found.fingerprint = Fingerprint::of(&stat);
            return Ok(Some((File::from(file), found)));
        }
        Err(busy())
    }

    /// Opens the directory that a key's file belongs in, made where it is absent. An object that stands in the way
    /// (`a`, on the way to `a/b`) is moved aside.
    pub(super) fn make_parents(&self, key: &str) -> Outcome<OwnedFd> {
        let mut dir = self.dir.try_clone().tried(|| "open the directory".into())?;
        let mut segments = key.split('/').peekable();
        while let Some(segment) = segments.next() {
            if segments.peek().is_none() {
                break;
            }
            dir = self.make_parent(dir.as_fd(), segment)?;
        }
        Ok(dir)
    }

    fn make_parent(&self, dir: BorrowedFd<'_>, segment: &str) -> Outcome<OwnedFd> {
        let name = names::plain(segment);
        self.register(&name, segment)?;
        for _ in 0..ATTEMPTS {
            match make_dir(dir, &name.text, self.sync) {
                Ok(next) => return Ok(next),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    let what =
                        stat(dir, &name.text).tried(|| format!("look at {:?}", name.text))?;
                    let Some((kind, _)) = what else { continue };
                    check_ordinary(kind, &name.text)?;
                    if kind == FileType::RegularFile {
                        let aside = names::beside(segment);
                        self.register(&aside, segment)?;
                        match rustix::fs::renameat(dir, &name.text, dir, &aside.text) {
                            Ok(()) | Err(Errno::NOENT) => {}
                            Err(errno) => {
                                return Err(errno).tried(|| format!("move {:?} aside", name.text));
                            }
                        }
                    }
                }
                Err(errno) => {
                    return Err(errno).tried(|| format!("make the directory {:?}", name.text));
                }
            }
        }
        Err(busy())
    }

    /// The name to give a new object's file.
    pub(super) fn new_name(&self, segment: &str, directory: bool) -> Outcome<Name> {
        let name = if directory {
            names::beside(segment)
        } else {
            names::plain(segment)
        };
        self.register(&name, segment)?;
        Ok(name)
    }

    /// Removes the directories above a key that its deletion left empty.
    pub(super) fn prune(&self, key: &str) -> Outcome<()> {
        let Some((parents, _)) = key.rsplit_once('/') else {
            return Ok(());
        };
        let mut above: Vec<(OwnedFd, String)> = Vec::new();
        let mut dir = self.dir.try_clone().tried(|| "open the directory".into())?;
        for segment in parents.split('/') {
            let name = names::plain(segment).text;
            let Ok(next) = open_dir(dir.as_fd(), &name) else {
                break;
            };
            above.push((std::mem::replace(&mut dir, next), name));
        }
        for (parent, name) in above.into_iter().rev() {
            match rustix::fs::unlinkat(&parent, &name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => self.sync_dir(parent.as_fd())?,
                // Not empty, or not ours to remove: then it simply stays.
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// Other writers kept changing the directories of this key.
pub(super) fn busy() -> Trouble {
    Refusal::new(
        Kind::RetryAfter,
        "Busy",
        "other writers kept changing the directories of this key",
    )
    .into()
}
