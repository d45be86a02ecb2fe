//! Which objects of a directory change, as it happens, so that a sweep need not find out.
//!
//! Linux only (inotify): elsewhere watching is [`Kind::Unsupported`](skyfresh_sky::Kind::Unsupported) and sweeps do it alone. A watch tells of files
//! closed after writing, renamed, linked and deleted. It does not tell of a file that is written to but never closed, nor
//! of changes made by other hosts to a network file system: sweeps find those.

use super::DiskStore;
use crate::Result;
use futures::stream::BoxStream;
use skyfresh_sky::ObjectKey;

/// What a watch has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// This object was written, renamed or deleted: read its head to learn which.
    Changed(ObjectKey),
    /// Changes were missed, or a whole directory went: only a sweep can tell which objects changed.
    Rescan,
}

impl DiskStore {
    /// Watches the directory from now on. Should events come faster than they are read, the kernel keeps 16,384 (its
    /// default) and drops the rest, which shows as [`WatchEvent::Rescan`]. The stream ends, after a `Rescan`, when the
    /// directory is removed or unmounted or there are more directories than may be watched.
    ///
    /// # Errors
    /// The directory is missing, cannot be read, or has more subdirectories than `fs.inotify.max_user_watches` allows.
    pub async fn watch(&self) -> Result<BoxStream<'static, WatchEvent>> {
        #[cfg(target_os = "linux")]
        return linux::watch(self).await;
        #[cfg(not(target_os = "linux"))]
        Err(crate::Error::new(
            skyfresh_sky::Kind::Unsupported,
            "watch",
            self.location.to_string(),
            "directories can be watched on Linux only: rely on sweeps",
        ))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::WatchEvent;
    use crate::Result;
    use crate::disk::listing::entries;
    use crate::disk::names::{self, Meaning};
    use crate::disk::operations::blocking;
    use crate::disk::root::{Root, open_dir};
    use crate::disk::trouble::{Outcome, Tried, Trouble};
    use crate::disk::{DiskStore, Shared};
    use crate::local::Refusal;
    use futures::StreamExt;
    use futures::stream::{self, BoxStream};
    use rustix::fs::FileType;
    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
    use rustix::io::Errno;
    use skyfresh_sky::{Kind, ObjectKey};
    use std::collections::{HashMap, HashSet, VecDeque};
    use std::mem::MaybeUninit;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use tokio::io::unix::AsyncFd;

    /// Room for some hundred events at once, bytes.
    const BUFFER_BYTES: usize = 32 << 10;

    /// A watched directory.
    #[derive(Clone)]
    struct Watched {
        path: PathBuf,
        /// What the keys in it begin with.
        prefix: String,
    }

    /// The blocking side.
    struct Watcher {
        shared: Arc<Shared>,
        inotify: Arc<OwnedFd>,
        directories: HashMap<i32, Watched>,
        /// The watch of the root itself.
        top: i32,
    }

    struct Event {
        watch: i32,
        flags: ReadFlags,
        name: Option<String>,
    }

    /// What a batch of events comes to.
    #[derive(Default)]
    struct Batch {
        events: Vec<WatchEvent>,
        seen: HashSet<ObjectKey>,
        ended: bool,
    }

    impl Batch {
        fn changed(&mut self, key: String) {
            // A key that is no object here is none that could be copied; sweeps report it.
            if let Ok(key) = ObjectKey::new(key)
                && self.seen.insert(key.clone())
            {
                self.events.push(WatchEvent::Changed(key));
            }
        }

        fn rescan(&mut self) {
            if self.events.last() != Some(&WatchEvent::Rescan) {
                self.events.push(WatchEvent::Rescan);
            }
        }
    }

    pub(super) async fn watch(store: &DiskStore) -> Result<BoxStream<'static, WatchEvent>> {
        let shared = Arc::clone(&store.shared);
        let watcher = blocking(move || Watcher::new(shared))
            .await
            .map_err(|trouble| store.error("watch", None, trouble))?;
        #[allow(
            deprecated,
            reason = "its successor is unsafe to call; what that demands, an `OwnedFd` in an `Arc` gives"
        )]
        let ready = AsyncFd::new(Arc::clone(&watcher.inotify))
            .tried(|| "watch the directory".into())
            .map_err(|trouble| store.error("watch", None, trouble))?;
        let start = (Some(watcher), ready, VecDeque::new());
        Ok(
            stream::unfold(start, |(mut watcher, ready, mut waiting)| async move {
                loop {
                    if let Some(event) = waiting.pop_front() {
                        return Some((event, (watcher, ready, waiting)));
                    }
                    let mut working = watcher.take()?;
                    let mut batch = Batch::default();
                    match ready.readable().await {
                        Err(error) => {
                            tracing::warn!(%error, "watching ends");
                            batch.ended = true;
                        }
                        Ok(mut guard) => {
                            // Cleared first: what comes during the reading sets it again.
                            guard.clear_ready();
                            let outcome = blocking(move || {
                                let batch = working.read();
                                Ok((working, batch))
                            })
                            .await;
                            if let Ok((working, read)) = outcome {
                                watcher = Some(working);
                                batch = read;
                            } else {
                                batch.ended = true;
                            }
                        }
                    }
                    if batch.ended {
                        watcher = None;
                        batch.rescan();
                    }
                    waiting.extend(batch.events);
                }
            })
            .boxed(),
        )
    }

    impl Watcher {
        fn new(shared: Arc<Shared>) -> Outcome<Self> {
            let root = shared.root()?;
            let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
                .tried(|| "begin to watch".into())?;
            let mut watcher = Watcher {
                shared,
                inotify: Arc::new(inotify),
                directories: HashMap::new(),
                top: -1,
            };
            let top = Watched {
                path: root.path.clone(),
                prefix: String::new(),
            };
            watcher.top = watcher.add(&root, top, None)?;
            Ok(watcher)
        }

        /// Watches a directory and all below it. Files in them are told to `batch`: they may have come before the watch.
        fn add(
            &mut self,
            root: &Root,
            directory: Watched,
            mut batch: Option<&mut Batch>,
        ) -> Outcome<i32> {
            let flags = WatchFlags::CLOSE_WRITE
                | WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::MOVED_FROM
                | WatchFlags::MOVED_TO
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR
                | WatchFlags::EXCL_UNLINK;
            // The root itself may be reached through a link; what is in it may not.
            let flags = if directory.prefix.is_empty() {
                flags
            } else {
                flags | WatchFlags::DONT_FOLLOW
            };
            let added = match inotify::add_watch(&self.inotify, &directory.path, flags) {
                Err(Errno::NOSPC) => {
                    let why = "more directories than fs.inotify.max_user_watches allows: raise it, or rely on sweeps";
                    return Err(Refusal::new(Kind::Denied, "WatchLimit", why).into());
                }
                other => other.tried(|| format!("watch {:?}", directory.path))?,
            };
            let listed = open_path(root, &directory.path).and_then(|dir| entries(&dir));
            self.directories.insert(added, directory.clone());
            for (name, kind) in listed.tried(|| format!("list {:?}", directory.path))? {
                let Some(name) = name.to_str() else { continue };
                let Some(segment) = segment_of(root, name)? else {
                    continue;
                };
                let key = format!("{}{segment}", directory.prefix);
                match kind {
                    FileType::Directory => {
                        let below = Watched {
                            path: directory.path.join(name),
                            prefix: format!("{key}/"),
                        };
                        match self.add(root, below, batch.as_deref_mut()) {
                            // Gone again, or replaced by something else.
                            Err(Trouble::System {
                                errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP,
                                ..
                            }) => {}
                            other => drop(other?),
                        }
                    }
                    FileType::RegularFile => {
                        if let Some(batch) = batch.as_deref_mut() {
                            batch.changed(key);
                        }
                    }
                    _ => {}
                }
            }
            Ok(added)
        }

        /// Takes what has happened since the last time.
        fn read(&mut self) -> Batch {
            let mut batch = Batch::default();
            let outcome = self.take_events().and_then(|events| {
                let root = self.shared.root()?;
                events
                    .into_iter()
                    .try_for_each(|event| self.handle(&root, event, &mut batch))
            });
            if let Err(trouble) = outcome {
                tracing::warn!(path = %self.shared.path.display(), ?trouble, "watching ends");
                batch.ended = true;
            }
            batch
        }

        fn take_events(&self) -> Outcome<Vec<Event>> {
            let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
            let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
            let mut events = Vec::new();
            loop {
                match reader.next() {
                    Ok(event) => events.push(Event {
                        watch: event.wd(),
                        flags: event.events(),
                        name: event
                            .file_name()
                            .map(|name| name.to_string_lossy().into_owned()),
                    }),
                    Err(Errno::AGAIN) => return Ok(events),
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno).tried(|| "read what has happened".into()),
                }
            }
        }

        fn handle(&mut self, root: &Root, event: Event, batch: &mut Batch) -> Outcome<()> {
            let is = |flags| event.flags.intersects(flags);
            if is(ReadFlags::QUEUE_OVERFLOW) {
                let top = Watched {
                    path: root.path.clone(),
                    prefix: String::new(),
                };
                self.add(root, top, None)?;
                batch.rescan();
                return Ok(());
            }
            if event.watch == self.top
                && is(ReadFlags::DELETE_SELF
                    | ReadFlags::MOVE_SELF
                    | ReadFlags::UNMOUNT
                    | ReadFlags::IGNORED)
            {
                batch.ended = true;
                return Ok(());
            }
            if is(ReadFlags::IGNORED) {
                self.directories.remove(&event.watch);
                return Ok(());
            }
            let (Some(directory), Some(name)) =
                (self.directories.get(&event.watch), event.name.as_deref())
            else {
                return Ok(());
            };
            let Some(segment) = segment_of(root, name)? else {
                return Ok(());
            };
            let (path, key) = (
                directory.path.join(name),
                format!("{}{segment}", directory.prefix),
            );
            if !is(ReadFlags::ISDIR) {
                let linked = || is(ReadFlags::CREATE) && has_several_names(&path);
                let changes = ReadFlags::CLOSE_WRITE
                    | ReadFlags::MOVED_TO
                    | ReadFlags::MOVED_FROM
                    | ReadFlags::DELETE;
                if is(changes) || linked() {
                    batch.changed(key);
                }
            } else if is(ReadFlags::MOVED_FROM) {
                self.forget(&format!("{key}/"));
                batch.rescan();
            } else if is(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                let below = Watched {
                    path,
                    prefix: format!("{key}/"),
                };
                match self.add(root, below, Some(batch)) {
                    Err(Trouble::System {
                        errno: Errno::NOENT | Errno::NOTDIR | Errno::LOOP,
                        ..
                    }) => {}
                    other => drop(other?),
                }
            }
            Ok(())
        }

        /// Watches nothing below `prefix` any more: it has another name now, or is elsewhere.
        fn forget(&mut self, prefix: &str) {
            let inotify = Arc::clone(&self.inotify);
            self.directories.retain(|watch, directory| {
                let stays = !directory.prefix.starts_with(prefix);
                if !stays {
                    // It may be gone by itself.
                    let _ = inotify::remove_watch(&inotify, *watch);
                }
                stays
            });
        }
    }

    /// Opens a directory below the root, following no link on the way.
    fn open_path(root: &Root, path: &Path) -> rustix::io::Result<OwnedFd> {
        let mut dir = rustix::io::dup(&root.dir)?;
        for name in path.strip_prefix(&root.path).unwrap_or(path) {
            dir = open_dir(dir.as_fd(), name.to_str().ok_or(Errno::NOENT)?)?;
        }
        Ok(dir)
    }

    fn has_several_names(path: &Path) -> bool {
        std::fs::symlink_metadata(path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.nlink() > 1)
    }

    /// The segment that a name stands for.
    fn segment_of(root: &Root, name: &str) -> Outcome<Option<String>> {
        Ok(match names::meaning(name) {
            Meaning::Plain(segment) | Meaning::Beside(segment) => Some(segment),
            Meaning::Hashed { hash, .. } => root.registered(&hash)?,
            Meaning::Private | Meaning::Foreign => None,
        })
    }
}
