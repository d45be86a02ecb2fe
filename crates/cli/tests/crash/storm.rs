//! The writer: the only one who writes to the source. Puts, overwrites and deletes few keys as fast as it may, and remembers
//! what the source may hold.

use crate::content::{LEAST_BYTES, content};
use skyfresh_sky::{Attributes, Clock, ObjectKey, Rng, SystemClock};
use skyfresh_store::{ObjectStore, Precondition, PutOptions, single_chunk};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The user metadata that names the version once more: bytes and metadata must not be of two versions.
pub(crate) const VERSION_METADATA: &str = "version";

/// One kind of objects, written by one task in turn.
struct Kind {
    keys: &'static [&'static str],
    sizes: std::ops::Range<u64>,
    /// Mean pause between two writes, in milliseconds.
    pause_ms: u64,
    delete_chance: f64,
}

const SMALL: Kind = Kind {
    keys: &[
        "small/0", "small/1", "small/2", "small/3", "small/4", "small/5",
    ],
    sizes: LEAST_BYTES as u64..20_000,
    pause_ms: 20,
    delete_chance: 0.15,
};

/// Three parts of 5 MiB each, the last one short.
const LARGE: Kind = Kind {
    keys: &["large/0", "large/1"],
    sizes: (10 << 20) + 1..12 << 20,
    pause_ms: 600,
    delete_chance: 0.1,
};

/// All keys of a run.
pub(crate) fn keys() -> impl Iterator<Item = &'static str> {
    SMALL.keys.iter().chain(LARGE.keys).copied()
}

/// What one key went through.
#[derive(Debug, Default)]
struct KeyHistory {
    /// The size of every version that was ever sent to the source; versions count from 1.
    sizes: Vec<usize>,
    /// What the source may hold: more than one while a write is under way, or when its answer was lost.
    held: Vec<Option<u64>>,
}

/// What the source was told, and by whom everything found elsewhere is judged.
#[derive(Debug)]
pub(crate) struct History {
    /// Keeps the contents of two runs apart.
    pub(crate) run: String,
    keys: Mutex<BTreeMap<&'static str, KeyHistory>>,
    pub(crate) puts: AtomicU64,
    pub(crate) deletes: AtomicU64,
    /// Writes without an answer: the store may have been killed before or after it did them.
    pub(crate) unanswered: AtomicU64,
}

impl History {
    pub(crate) fn new(run: String) -> Self {
        let empty = || KeyHistory {
            held: vec![None],
            ..KeyHistory::default()
        };
        History {
            run,
            keys: Mutex::new(keys().map(|key| (key, empty())).collect()),
            puts: AtomicU64::new(0),
            deletes: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
        }
    }

    fn with<T>(&self, key: &str, act: impl FnOnce(&mut KeyHistory) -> T) -> T {
        act(self
            .keys
            .lock()
            .unwrap()
            .get_mut(key)
            .expect("a key of this run"))
    }

    fn begin_put(&self, key: &str, size: usize) -> u64 {
        self.with(key, |history| {
            history.sizes.push(size);
            let version = history.sizes.len() as u64;
            history.held.push(Some(version));
            version
        })
    }

    fn begin_delete(&self, key: &str) {
        self.with(key, |history| history.held.push(None));
    }

    /// The last write was answered: the source holds that and nothing else.
    fn settle(&self, key: &str) {
        self.with(key, |history| {
            drop(history.held.drain(..history.held.len() - 1))
        });
    }

    /// As if these sizes had been put and answered, for tests of the judgement.
    pub(crate) fn record_for_test(&self, key: &str, sizes: &[usize]) {
        for size in sizes {
            self.begin_put(key, *size);
        }
        self.settle(key);
    }

    /// What the source may hold now.
    pub(crate) fn held(&self, key: &str) -> Vec<Option<u64>> {
        self.with(key, |history| history.held.clone())
    }

    /// Whether the source was ever sent this version with this size.
    pub(crate) fn had(&self, key: &str, version: u64, size: usize) -> bool {
        self.with(key, |history| {
            version
                .checked_sub(1)
                .is_some_and(|index| history.sizes.get(index as usize) == Some(&size))
        })
    }
}

/// The writer at work.
#[derive(Debug)]
pub(crate) struct Storm {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Storm {
    /// Begins. `store` is the source.
    pub(crate) fn begin(store: Arc<dyn ObjectStore>, history: Arc<History>, rng: &Rng) -> Storm {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        for kind in [SMALL, LARGE] {
            tasks.spawn(write(
                kind,
                Arc::clone(&store),
                Arc::clone(&history),
                rng.fork(),
                stop.clone(),
            ));
        }
        tasks.close();
        Storm { stop, tasks }
    }

    /// Ends, once the writes under way are answered.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

async fn write(
    kind: Kind,
    store: Arc<dyn ObjectStore>,
    history: Arc<History>,
    rng: Rng,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let key = kind.keys[rng.below(kind.keys.len() as u64) as usize];
        let object_key = ObjectKey::new(key).expect("a key");
        let written = if rng.chance(kind.delete_chance) {
            history.begin_delete(key);
            history.deletes.fetch_add(1, Ordering::Relaxed);
            store.delete(&object_key, &Precondition::None).await
        } else {
            let size = (kind.sizes.start + rng.below(kind.sizes.end - kind.sizes.start)) as usize;
            let version = history.begin_put(key, size);
            history.puts.fetch_add(1, Ordering::Relaxed);
            let mut attributes = Attributes::default();
            attributes
                .user
                .insert(VERSION_METADATA.into(), version.to_string());
            let options = PutOptions {
                size: size as u64,
                attributes,
                precondition: Precondition::None,
            };
            let bytes = content(&history.run, key, version, size);
            store
                .put(&object_key, options, single_chunk(bytes))
                .await
                .map(drop)
        };
        match written {
            Ok(()) => history.settle(key),
            Err(_) => {
                history.unanswered.fetch_add(1, Ordering::Relaxed);
            }
        }
        let pause = Duration::from_millis(rng.below(2 * kind.pause_ms));
        stop.run_until_cancelled(SystemClock.sleep(pause)).await;
    }
}
