//! One region's storage account: its containers and queues.

use super::auth::Keys;
use super::container::Container;
use super::error::{self, Result};
use super::management::Subscription;
use super::queue::Queues;
use crate::store::Surroundings;
use crate::store::disk::{Disk, Storage};
use crate::{Error, Result as SkyResult};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use skyfresh_sky::{Kind, Region, Timestamp};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Entity tags: ticks of 100 ns since the year 1, as Azure's look, each greater than the one before.
#[derive(Debug, Default)]
pub(crate) struct Ticks(AtomicU64);

/// Ticks from the year 1 to 1970.
const UNIX_EPOCH_TICKS: u64 = 621_355_968_000_000_000;

impl Ticks {
    pub(crate) fn next(&self, now: Timestamp) -> u64 {
        let wanted = UNIX_EPOCH_TICKS + now.unix_ms() * 10_000;
        let step = |last: u64| wanted.max(last + 1);
        // The closure never gives `None`, so this is the old value either way.
        let last = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(step(last))
            })
            .unwrap_or_else(|last| last);
        step(last)
    }

    /// A tag of an earlier run.
    pub(crate) fn seen(&self, ticks: u64) {
        self.0.fetch_max(ticks, Ordering::Relaxed);
    }
}

/// Where this sky's stores are reached, known once their ports are bound.
#[derive(Clone, Debug, Default)]
pub(crate) struct Neighbours {
    /// This region's own Blob endpoint: `http://127.0.0.1:port`.
    pub(crate) blob_url: String,
    /// This region's own Queue endpoint.
    pub(crate) queue_url: String,
    /// The port by which this region reaches its own Blob service, as a value of `routes`.
    pub(crate) own_url: String,
    /// From any port of this sky, to the port by which this region reaches the same store.
    pub(crate) routes: BTreeMap<u16, String>,
}

/// The store of one region that speaks Azure's protocols.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) keys: Keys,
    pub(crate) storage: Storage,
    pub(crate) surroundings: Arc<Surroundings>,
    pub(crate) queues: Queues,
    pub(crate) neighbours: OnceLock<Neighbours>,
    /// For reading the sources of copies.
    pub(crate) client: Client<HttpConnector, Empty<Bytes>>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    ticks: Arc<Ticks>,
    subscriptions: Mutex<BTreeMap<String, Subscription>>,
    containers: RwLock<BTreeMap<String, Arc<Container>>>,
}

impl Account {
    /// Opens the account: empty in memory, or what `directory` holds. Queues live in memory.
    pub(crate) fn open(
        directory: Option<PathBuf>,
        surroundings: Arc<Surroundings>,
        keys: Keys,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> SkyResult<Self> {
        let ticks = Arc::new(Ticks::default());
        let mut containers = BTreeMap::new();
        let storage = match directory {
            None => Storage::Memory,
            Some(root) => {
                let disk = Disk::open(root, surroundings.rng.fork())?;
                let mut referenced = HashSet::new();
                for name in disk.bucket_names()? {
                    let container = Container::load(
                        &name,
                        &disk,
                        surroundings.clone(),
                        ticks.clone(),
                        &mut referenced,
                    )?;
                    containers.insert(name, Arc::new(container));
                }
                disk.remove_unreferenced(&referenced)?;
                Storage::Disk(Arc::new(disk))
            }
        };
        Ok(Account {
            keys,
            storage,
            queues: Queues::new(surroundings.clone()),
            surroundings,
            neighbours: OnceLock::new(),
            client: new_client(),
            tasks,
            stop,
            ticks,
            subscriptions: Mutex::default(),
            containers: RwLock::new(containers),
        })
    }

    pub(crate) fn region(&self) -> &Region {
        &self.surroundings.region
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.surroundings.clock.now()
    }

    pub(crate) fn neighbours(&self) -> Neighbours {
        self.neighbours.get().cloned().unwrap_or_default()
    }

    /// The event subscriptions by name, under their lock.
    pub(crate) fn subscriptions<T>(
        &self,
        act: impl FnOnce(&mut BTreeMap<String, Subscription>) -> T,
    ) -> T {
        act(&mut self
            .subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    /// A string that looks like a GUID.
    pub(crate) fn guid(&self) -> String {
        let (a, b) = (self.surroundings.rng.u64(), self.surroundings.rng.u64());
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xffff,
            b >> 48,
            b & 0xffff_ffff_ffff
        )
    }

    pub(crate) fn container(&self, name: &str) -> Result<Arc<Container>> {
        self.containers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
            .ok_or_else(error::container_not_found)
    }

    pub(crate) fn containers(&self) -> Vec<Arc<Container>> {
        self.containers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn create_container(
        &self,
        name: &str,
        metadata: BTreeMap<String, String>,
    ) -> Result<Arc<Container>> {
        let mut containers = self
            .containers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if containers.contains_key(name) {
            return Err(error::container_already_exists());
        }
        let container = Arc::new(Container::create(
            name,
            metadata,
            self.storage.disk().map(AsRef::as_ref),
            self.surroundings.clone(),
            self.ticks.clone(),
        )?);
        containers.insert(name.to_owned(), container.clone());
        Ok(container)
    }

    pub(crate) fn delete_container(
        &self,
        name: &str,
        check: impl FnOnce(&Container) -> Result<()>,
    ) -> Result<()> {
        let mut containers = self
            .containers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let container = containers
            .get(name)
            .ok_or_else(error::container_not_found)?;
        check(container)?;
        container.destroy()?;
        containers.remove(name);
        Ok(())
    }

    /// Makes a container unless it exists, for configuration and tests.
    pub(crate) fn ensure_container(&self, name: &str, versioned: bool) -> SkyResult<()> {
        if versioned {
            let context = format!("{name}: containers of the local sky have no versions");
            return Err(Error::new(Kind::Unsupported, "create container", context));
        }
        let fail = |kind, why: &str| Error::new(kind, "create container", format!("{name}: {why}"));
        if !is_container_name(name) {
            return Err(fail(
                Kind::Invalid,
                "container names have 3 to 63 lower-case letters, digits and single hyphens",
            ));
        }
        match self.create_container(name, BTreeMap::new()) {
            Err(error) if error.code != "ContainerAlreadyExists" => {
                Err(fail(Kind::Internal, &error.message))
            }
            _ => Ok(()),
        }
    }

    /// Runs a change of a container: at once in memory, on the blocking pool where it writes files.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        change: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match &self.storage {
            Storage::Memory => change(),
            Storage::Disk(_) => tokio::task::spawn_blocking(change)
                .await
                .map_err(|_| error::internal("a change did not come to its end"))?,
        }
    }
}

fn new_client() -> Client<HttpConnector, Empty<Bytes>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// What Azure's own clients are given to connect with.
pub(crate) fn connection_string(account: &Account, blob_url: &str, queue_url: &str) -> String {
    let (name, key) = (&account.keys.account, BASE64.encode(&account.keys.key));
    format!(
        "DefaultEndpointsProtocol=http;AccountName={name};AccountKey={key};BlobEndpoint={blob_url}/{name};\
         QueueEndpoint={queue_url}/{name};"
    )
}

/// learn.microsoft.com/azure/storage/common/storage-account-overview, "Storage account name".
pub(super) fn is_account_name(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata; queues alike.
pub(crate) fn is_container_name(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_never_repeat_and_look_like_azures() {
        let ticks = Ticks::default();
        let now = Timestamp::from_unix_ms(1_700_000_000_000);
        let first = ticks.next(now);
        assert_eq!(format!("{first:X}"), "8DBE55EE8E40000");
        assert_eq!(ticks.next(now), first + 1);
        assert_eq!(ticks.next(Timestamp::ZERO), first + 2);
        ticks.seen(u64::MAX / 2);
        assert!(ticks.next(now) > u64::MAX / 2);
    }

    #[test]
    fn names_follow_the_rules() {
        for good in ["abc", "a-b", "0-1-2", &"a".repeat(63)] {
            assert!(is_container_name(good), "{good}");
        }
        for bad in [
            "ab",
            "A-b",
            "-ab",
            "ab-",
            "a--b",
            "a.b",
            "a_b",
            &"a".repeat(64),
        ] {
            assert!(!is_container_name(bad), "{bad}");
        }
        assert!(is_account_name("skyfresh") && !is_account_name("sky-fresh"));
    }
}
