//! The reader: reads every key at a destination all the time, over connections of its own, knows nothing of the engine, and
//! holds what it sees against the guarantees: whole, content the source had, never older than what was there before.

use crate::content::version_of;
use crate::storm::{History, VERSION_METADATA, keys};
use futures::StreamExt;
use skyfresh_sky::{Clock, Kind, ObjectKey, SystemClock};
use skyfresh_store::{GetOptions, ObjectStore, Result};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Between two reads: the machine has other work too.
const PAUSE: Duration = Duration::from_millis(2);
/// After a read that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);

/// What all readers saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Objects read whole.
    pub(crate) objects: AtomicU64,
    /// Of these, versions that were not there at the read before.
    pub(crate) changes: AtomicU64,
    /// Of these, objects that were published in parts.
    pub(crate) large_changes: AtomicU64,
    /// Reads that found no object.
    pub(crate) absent: AtomicU64,
    /// Reads that failed: the store was down.
    pub(crate) failed: AtomicU64,
    violations: Mutex<Vec<String>>,
}

impl Seen {
    /// # Panics
    /// A guarantee was broken.
    pub(crate) fn check(&self) {
        let violations = self.violations.lock().unwrap();
        assert!(
            violations.is_empty(),
            "a reader saw:\n{}",
            violations.join("\n")
        );
    }
}

/// The readers at work, one for each destination.
#[derive(Debug)]
pub(crate) struct Readers {
    pub(crate) seen: Arc<Seen>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Readers {
    /// Begins.
    pub(crate) fn begin(
        destinations: Vec<Arc<dyn ObjectStore>>,
        history: &Arc<History>,
    ) -> Readers {
        let readers = Readers {
            seen: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        for store in destinations {
            let (history, seen, stop) = (
                Arc::clone(history),
                Arc::clone(&readers.seen),
                readers.stop.clone(),
            );
            readers.tasks.spawn(poll(store, history, seen, stop));
        }
        readers.tasks.close();
        readers
    }

    /// Ends.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

async fn poll(
    store: Arc<dyn ObjectStore>,
    history: Arc<History>,
    seen: Arc<Seen>,
    stop: CancellationToken,
) {
    let count = |counter: &AtomicU64| {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
    while !stop.is_cancelled() {
        for key in keys() {
            let mut pause = PAUSE;
            let verdict = match read(store.as_ref(), key).await {
                Ok(Some(found)) => {
                    count(&seen.objects);
                    judge(&history, key, &found, newest.get(key).copied()).map(|version| {
                        if newest.insert(key, version) != Some(version) {
                            count(&seen.changes);
                            if found.bytes.len() > 10 << 20 {
                                count(&seen.large_changes);
                            }
                        }
                    })
                }
                Ok(None) => {
                    count(&seen.absent);
                    Ok(())
                }
                Err(error) if matches!(error.kind, Kind::RetryAfter) => {
                    count(&seen.failed);
                    pause = PAUSE_AFTER_FAILURE;
                    Ok(())
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(why) = verdict {
                let place = store.location().bucket.clone();
                seen.violations
                    .lock()
                    .unwrap()
                    .push(format!("{key} at {place}: {why}"));
            }
            SystemClock.sleep(pause).await;
        }
    }
}

/// An object as it was found.
struct Found {
    bytes: Vec<u8>,
    version_in_metadata: Option<String>,
}

/// The version found, or which guarantee it breaks. `newest` is the newest version seen before.
fn judge(history: &History, key: &str, found: &Found, newest: Option<u64>) -> Result<u64, String> {
    let version =
        version_of(&history.run, key, &found.bytes).map_err(|why| format!("torn: {why}"))?;
    if !history.had(key, version, found.bytes.len()) {
        return Err(format!("version {version}, which the source never had"));
    }
    if found.version_in_metadata != Some(version.to_string()) {
        return Err(format!(
            "bytes of version {version} with metadata of {:?}",
            found.version_in_metadata
        ));
    }
    match newest {
        Some(newest) if version < newest => {
            Err(format!("went back from version {newest} to {version}"))
        }
        _ => Ok(version),
    }
}

async fn read(store: &dyn ObjectStore, key: &str) -> Result<Option<Found>> {
    let key = ObjectKey::new(key).expect("a key");
    let mut read = match store.get(&key, GetOptions::default()).await {
        Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => return Ok(None),
        read => read?,
    };
    let mut bytes = Vec::with_capacity(read.head.size as usize);
    while let Some(chunk) = read.body.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(Some(Found {
        bytes,
        version_in_metadata: read.head.attributes.user.remove(VERSION_METADATA),
    }))
}

/// The version that a store holds of a key, judged like any other.
pub(crate) async fn version_at(
    store: &dyn ObjectStore,
    history: &History,
    key: &str,
) -> Result<Option<u64>, String> {
    match read(store, key).await.map_err(|error| error.to_string())? {
        Some(found) => judge(history, key, &found, None).map(Some),
        None => Ok(None),
    }
}

#[test]
fn broken_guarantees_are_told() {
    use crate::content::content;
    let history = History::new("run".into());
    history.record_for_test("small/0", &[500, 600]);
    let found = |version: u64, size, metadata: &str| Found {
        bytes: content("run", "small/0", version, size).to_vec(),
        version_in_metadata: Some(metadata.into()),
    };
    let judge = |found, newest| judge(&history, "small/0", &found, newest);
    assert_eq!(judge(found(1, 500, "1"), None), Ok(1));
    assert_eq!(judge(found(2, 600, "2"), Some(1)), Ok(2));
    for (broken, newest, why) in [
        (found(1, 500, "1"), Some(2), "went back"),
        (found(1, 501, "1"), None, "never had"),
        (found(3, 500, "3"), None, "never had"),
        (found(1, 500, "2"), None, "metadata"),
        (
            Found {
                bytes: b"x".to_vec(),
                version_in_metadata: None,
            },
            None,
            "torn",
        ),
    ] {
        let told = judge(broken, newest).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
}
