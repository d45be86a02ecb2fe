//! The demo's user: loads files, then keeps changing them, as unkindly as real users do.

use crate::context::Context;
use anyhow::Context as _;
use bytes::Bytes;
use skyfresh_sky::{Attributes, Clock, ObjectKey, Rng, format_bytes};
use skyfresh_store::{ObjectStore, Precondition, PutOptions, single_chunk};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Between two changes, on average.
const PAUSE: Duration = Duration::from_millis(40);
/// A large object is put and overwritten this often.
const LARGE_EVERY: Duration = Duration::from_secs(4);
/// Large enough to go in several parts, and to take a while over the shaped link.
const LARGE_BYTES: usize = 24 << 20;
/// A large object is overwritten this long after it was put: while it is being copied.
const OVERWRITE_AFTER: Duration = Duration::from_millis(700);
/// Larger files are left out of the load.
const MOST_FILE_BYTES: u64 = 4 << 20;
/// Folders whose files nobody would call real.
const SKIPPED: [&str; 3] = ["target", ".git", "node_modules"];

/// Writes to the source, and to nothing else.
pub(super) struct Writer {
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    rng: Rng,
}

/// What was loaded.
pub(super) struct Loaded {
    files: usize,
    generated: usize,
    bytes: u64,
}

impl std::fmt::Display for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} files from here and {} generated ones, {}",
            self.files,
            self.generated,
            format_bytes(self.bytes)
        )
    }
}

/// What the live writer did.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) puts: u64,
    pub(super) overwrites: u64,
    pub(super) deletes: u64,
    /// Large objects changed while they were being copied.
    pub(super) changed_underway: u64,
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} puts, {} overwrites, {} deletes, {} large objects overwritten while they were being copied",
            self.puts, self.overwrites, self.deletes, self.changed_underway
        )
    }
}

impl Writer {
    pub(super) fn new(store: Arc<dyn ObjectStore>, context: &Context) -> Self {
        Writer {
            store,
            clock: Arc::clone(&context.clock),
            rng: context.rng.fork(),
        }
    }

    /// Puts `count` objects: files below the current directory first, generated ones where those do not suffice.
    pub(super) async fn load(&self, count: u32) -> anyhow::Result<Loaded> {
        let wanted = count as usize;
        let files = tokio::task::spawn_blocking(move || files_below(Path::new("."), wanted))
            .await
            .context("cannot list files")?;
        let mut loaded = Loaded {
            files: 0,
            generated: 0,
            bytes: 0,
        };
        for path in files {
            let Some(name) = path.strip_prefix("./").ok().and_then(Path::to_str) else {
                continue;
            };
            let Ok(key) = ObjectKey::new(format!("files/{name}")) else {
                continue;
            };
            // A file that vanished, or may not be read, is no reason to stop a demo.
            let Ok(bytes) = tokio::fs::read(&path).await else {
                continue;
            };
            loaded.files += 1;
            loaded.bytes += bytes.len() as u64;
            self.put(&key, bytes.into()).await?;
        }
        while loaded.files + loaded.generated < wanted {
            let bytes = self.content(self.rng.below(64 << 10) as usize);
            loaded.bytes += bytes.len() as u64;
            self.put(
                &ObjectKey::new(format!("generated/{:05}", loaded.generated))?,
                bytes,
            )
            .await?;
            loaded.generated += 1;
        }
        Ok(loaded)
    }

    /// Changes objects for so long.
    pub(super) async fn run(&self, period: Duration) -> anyhow::Result<Written> {
        let ends = self.clock.now().after(period);
        let small = self.change_small(ends);
        let large = self.change_large(ends);
        let (mut written, changed_underway) = futures::try_join!(small, large)?;
        written.changed_underway = changed_underway;
        Ok(written)
    }

    async fn change_small(&self, ends: skyfresh_sky::Timestamp) -> anyhow::Result<Written> {
        let mut written = Written::default();
        let mut live: BTreeSet<ObjectKey> = BTreeSet::new();
        let mut number = 0;
        while self.clock.now() < ends {
            let chosen = live
                .iter()
                .nth(self.rng.below(live.len() as u64) as usize)
                .cloned();
            match (self.rng.below(10), chosen) {
                (0 | 1, Some(key)) => {
                    self.store.delete(&key, &Precondition::None).await?;
                    live.remove(&key);
                    written.deletes += 1;
                }
                (2..=4, Some(key)) => {
                    self.put(&key, self.content(self.rng.below(256 << 10) as usize))
                        .await?;
                    written.overwrites += 1;
                }
                _ => {
                    number += 1;
                    let key = ObjectKey::new(format!("live/{number:05}"))?;
                    self.put(&key, self.content(self.rng.below(256 << 10) as usize))
                        .await?;
                    live.insert(key);
                    written.puts += 1;
                }
            }
            self.clock.sleep(PAUSE.mul_f64(2.0 * self.rng.unit())).await;
        }
        Ok(written)
    }

    async fn change_large(&self, ends: skyfresh_sky::Timestamp) -> anyhow::Result<u64> {
        let mut changed = 0;
        while self.clock.now().after(LARGE_EVERY / 4) < ends {
            let key = ObjectKey::new(format!("large/{}", changed % 3))?;
            self.put(&key, self.content(LARGE_BYTES)).await?;
            self.clock.sleep(OVERWRITE_AFTER).await;
            self.put(&key, self.content(LARGE_BYTES + 1)).await?;
            changed += 1;
            let left = ends.since(self.clock.now());
            self.clock.sleep(LARGE_EVERY.min(left)).await;
        }
        Ok(changed)
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> anyhow::Result<()> {
        let options = PutOptions {
            size: bytes.len() as u64,
            attributes: Attributes::default(),
            precondition: Precondition::None,
        };
        self.store
            .put(key, options, single_chunk(bytes))
            .await
            .with_context(|| format!("cannot put {key}"))?;
        Ok(())
    }

    /// Bytes that nothing else has: a random word, then a cheap sequence that depends on it.
    fn content(&self, size: usize) -> Bytes {
        let mut word = self.rng.u64() | 1;
        let mut bytes = Vec::with_capacity(size + 8);
        while bytes.len() < size {
            bytes.extend_from_slice(&word.to_le_bytes());
            // Knuth's multiplicative step: every prefix tells which word began it.
            word = word
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
        }
        bytes.truncate(size);
        bytes.into()
    }
}

/// Up to `most` regular files below a directory, in a stable order.
fn files_below(root: &Path, most: usize) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let skipped = SKIPPED.iter().any(|name| entry.file_name() == *name);
            if kind.is_dir() && !skipped {
                open.push(entry.path());
            } else if kind.is_file()
                && entry
                    .metadata()
                    .is_ok_and(|metadata| metadata.len() <= MOST_FILE_BYTES)
            {
                found.push(entry.path());
                if found.len() == most {
                    return found;
                }
            }
        }
    }
    found
}
