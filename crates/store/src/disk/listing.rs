//! Listing in byte order of keys by walking directories: the names of one directory at a time are in memory, and a page
//! begins where the last one ended without visiting what lies before.

use super::names::{self, Meaning};
use super::publish::head_of;
use super::root::{Found, Root, open_dir, stat};
use super::trouble::{Outcome, Tried};
use crate::{LevelPage, ListPage, ListedObject};
use rustix::fs::{Dir, FileType};
use rustix::io::Errno;
use skyfresh_sky::ObjectKey;
use std::collections::HashSet;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

/// The names in a directory with what each is, unsorted, without `.` and `..`.
pub(super) fn entries(dir: &OwnedFd) -> rustix::io::Result<Vec<(OsString, FileType)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            // Not every file system says so in the listing.
            match rustix::fs::statat(
                dir,
                entry.file_name(),
                rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
            ) {
                Ok(stat) => kind = FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            }
        }
        found.push((OsString::from_vec(name.to_vec()), kind));
    }
    Ok(found)
}

enum What {
    /// An object's file, and whether it has the name of one beside a directory.
    File {
        beside: bool,
    },
    Directory,
    /// Something that cannot be an object here.
    Unusable,
}

struct Entry {
    /// Whole key, or what all keys below begin with, `/` included.
    key: String,
    name: String,
    what: What,
}

/// One page being gathered.
pub(super) struct Walk<'a> {
    root: &'a Root,
    /// Only keys that begin with this.
    prefix: &'a str,
    after: Option<&'a str>,
    /// What is named like `after` itself belongs to the page: at the beginning, the file named like the prefix.
    from_it: bool,
    limit: usize,
    page: ListPage,
    /// The common prefixes, where one level is wanted; else directories are visited.
    prefixes: Option<Vec<String>>,
    last: Option<String>,
}

/// A page of at most `limit` keys that begin with `prefix`, by what follows it, after `after`. Names that cannot be keys are whole.
pub(super) fn page(
    root: &Root,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Outcome<ListPage> {
    gather(root, prefix, after, limit, false).map(|(page, _)| page)
}

/// A page of the level that begins with `prefix`: a directory with anything below it is one line, and is not visited further than
/// to see that.
pub(super) fn level(
    root: &Root,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Outcome<LevelPage> {
    let (page, prefixes) = gather(root, prefix, after, limit, true)?;
    Ok(LevelPage {
        objects: page.objects,
        prefixes,
        unusable: page.unusable,
        next: page.next,
    })
}

fn gather(
    root: &Root,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    one_level: bool,
) -> Outcome<(ListPage, Vec<String>)> {
    let from_it = after.is_none();
    let after = match (prefix, after) {
        ("", after) => after.map(str::to_owned),
        (prefix, after) => Some(format!("{prefix}{}", after.unwrap_or_default())),
    };
    let mut walk = Walk {
        root,
        prefix,
        after: after.as_deref(),
        from_it,
        limit,
        page: ListPage::default(),
        prefixes: one_level.then(Vec::new),
        last: None,
    };
    let dir = root.dir.try_clone().tried(|| "open the directory".into())?;
    walk.directory(dir, "")?;
    let mut page = walk.page;
    page.next = page.next.map(|next| next[prefix.len()..].to_owned());
    Ok((page, walk.prefixes.unwrap_or_default()))
}

/// The directory that an entry is; `None` where it was removed or replaced since: then its keys are gone, too.
fn below(dir: &OwnedFd, entry: &Entry) -> Outcome<Option<OwnedFd>> {
    match open_dir(dir.as_fd(), &entry.name) {
        Ok(below) => Ok(Some(below)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno).tried(|| format!("open {:?}", entry.key)),
    }
}

impl Walk<'_> {
    /// Visits a directory whose keys begin with `prefix`. False ends the walk: the page is full.
    fn directory(&mut self, dir: OwnedFd, prefix: &str) -> Outcome<bool> {
        for entry in self.sorted(&dir, prefix)? {
            // What begins with it stands together, and what comes before it comes before the page.
            if !entry.key.starts_with(self.prefix) && !self.prefix.starts_with(&entry.key) {
                return Ok(false);
            }
            let go_on = match entry.what {
                What::Directory => match below(&dir, &entry)? {
                    Some(below) if self.folds(&entry.key) => self.fold(&below, entry.key)?,
                    Some(below) => self.directory(below, &entry.key)?,
                    None => true,
                },
                What::File { beside } => self.file(&dir, entry, beside)?,
                What::Unusable => {
                    self.has_room() && {
                        self.last = Some(entry.key.clone());
                        self.page.unusable.push(entry.key);
                        true
                    }
                }
            };
            if !go_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether all that begins with this, which ends in `/`, is one line: one level is wanted, and it lies deeper.
    fn folds(&self, key: &str) -> bool {
        self.prefixes.is_some() && key.len() > self.prefix.len()
    }

    /// Adds a directory as one line, where there is anything below it. False ends the walk: the page is full.
    fn fold(&mut self, below: &OwnedFd, key: String) -> Outcome<bool> {
        // The page before may have ended with it.
        if self.after == Some(key.as_str()) || !self.holds_any(below, &key)? {
            return Ok(true);
        }
        if !self.has_room() {
            return Ok(false);
        }
        let common = key[self.prefix.len()..].to_owned();
        self.prefixes.get_or_insert_default().push(common);
        self.last = Some(key);
        Ok(true)
    }

    /// Whether a listing would show anything of this directory.
    fn holds_any(&self, dir: &OwnedFd, prefix: &str) -> Outcome<bool> {
        let cannot = || format!("list {prefix:?}");
        // Most directories hold a file, and are not read to their end then.
        for entry in Dir::read_from(dir).tried(cannot)? {
            let entry = entry.tried(cannot)?;
            let is_private = matches!(
                names::meaning(&entry.file_name().to_string_lossy()),
                Meaning::Private
            );
            if entry.file_type() == FileType::RegularFile && !is_private {
                return Ok(true);
            }
        }
        for entry in self.sorted(dir, prefix)? {
            match entry.what {
                What::Directory => {
                    if let Some(below) = below(dir, &entry)?
                        && self.holds_any(&below, &entry.key)?
                    {
                        return Ok(true);
                    }
                }
                What::File { .. } | What::Unusable => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Whether the page takes another line; where not, it says where to go on.
    fn has_room(&mut self) -> bool {
        let prefixes = self.prefixes.as_ref().map_or(0, Vec::len);
        if self.page.objects.len() + self.page.unusable.len() + prefixes < self.limit {
            return true;
        }
        self.page.next = self.last.take();
        false
    }

    fn file(&mut self, dir: &OwnedFd, entry: Entry, beside: bool) -> Outcome<bool> {
        let looked =
            stat(dir.as_fd(), &entry.name).tried(|| format!("look at {:?}", entry.name))?;
        // Gone, or no file any more, since the directory was read.
        let Some((FileType::RegularFile, fingerprint)) = looked else {
            return Ok(true);
        };
        if !self.has_room() {
            return Ok(false);
        }
        self.last = Some(entry.key.clone());
        let Ok(key) = ObjectKey::new(&entry.key[self.prefix.len()..]) else {
            self.page.unusable.push(entry.key);
            return Ok(true);
        };
        let name = names::Name {
            text: entry.name,
            hash: None,
        };
        let dir = dir.try_clone().tried(|| "open a directory".into())?;
        let found = Found {
            dir,
            name,
            fingerprint,
            beside,
        };
        let (head, _) = head_of(self.root, &entry.key, &found)?;
        self.page.objects.push(ListedObject {
            key,
            size: head.size,
            etag: head.version.etag,
            modified: head.modified,
        });
        Ok(true)
    }

    /// What of a directory comes after `after`, in the order of keys: `a` before `a-b` before all of `a/`.
    fn sorted(&self, dir: &OwnedFd, prefix: &str) -> Outcome<Vec<Entry>> {
        let mut found = Vec::new();
        let mut plain_files = HashSet::new();
        for (name, kind) in entries(dir).tried(|| format!("list {prefix:?}"))? {
            let (name, readable) = match name.into_string() {
                Ok(name) => (name, true),
                Err(name) => (name.to_string_lossy().into_owned(), false),
            };
            let (segment, beside) = match names::meaning(&name) {
                Meaning::Private => continue,
                _ if !readable => (None, false),
                Meaning::Plain(segment) => (Some(segment), false),
                Meaning::Beside(segment) => (Some(segment), true),
                Meaning::Hashed { hash, beside } => (self.root.registered(&hash)?, beside),
                Meaning::Foreign => (None, false),
            };
            // A name that we would not give to what it stands for is not ours.
            let segment = segment.filter(|segment| {
                let given = if beside {
                    names::beside(segment)
                } else {
                    names::plain(segment)
                };
                given.text == name
            });
            let (key, what) = match (segment, kind) {
                (Some(segment), FileType::RegularFile) => {
                    if !beside {
                        plain_files.insert(segment.clone());
                    }
                    (format!("{prefix}{segment}"), What::File { beside })
                }
                (Some(segment), FileType::Directory) if !beside => {
                    (format!("{prefix}{segment}/"), What::Directory)
                }
                _ => (format!("{prefix}{name}"), What::Unusable),
            };
            if self.is_wanted(&key, &what) {
                found.push(Entry { key, name, what });
            }
        }
        // Of two files for one key, which a user can make, the plainly named one counts.
        found.retain(|entry| {
            !matches!(entry.what, What::File { beside: true })
                || !plain_files.contains(&entry.key[prefix.len()..])
        });
        found.sort_unstable_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
        Ok(found)
    }

    fn is_wanted(&self, key: &str, what: &What) -> bool {
        let Some(after) = self.after else { return true };
        match what {
            // Keys below it may come after, though what they all begin with does not.
            What::Directory => key > after || after.starts_with(key),
            _ => key > after || (self.from_it && key == after),
        }
    }
}
