//! Starting, steering and stopping a sky.

use crate::azure::Accounts;
use crate::config::{Protocol, RegionConfig, Secret, SkyConfig};
use crate::faults::Faults;
use crate::gcs::{self, Google, Ground};
use crate::meter::{Meter, MeterSnapshot};
use crate::net::{Listener, Port, Service, SharedLink, StrictRegions, bind};
use crate::notify::Notifications;
use crate::s3::Frontend;
use crate::store::{RegionStore, Surroundings};
use crate::{Error, Result, admin};
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};
use serde::Serialize;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Clock, Kind, Region, Rng, timeout};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long requests that were begun may take after a shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// A port and what it stands for.
#[derive(Clone, Debug, Serialize)]
pub struct Endpoint {
    /// The client's region; `None` for the unshaped port.
    pub from: Option<Region>,
    /// The store's region.
    pub to: Region,
    /// What is spoken there.
    pub protocol: Protocol,
    /// `http://127.0.0.1:port`.
    pub url: String,
    /// Where an Azure region's queues are reached, as `url` reaches its blobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_url: Option<String>,
}

/// A running sky. Dropping it stops it at once; [`LocalSky::shutdown`] lets begun requests finish.
#[derive(Debug)]
pub struct LocalSky {
    inner: Arc<Inner>,
}

/// What the admin endpoint shares with the owner.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) stores: StrictRegions,
    endpoints: BTreeMap<(Option<Region>, Region), String>,
    pub(crate) azure: Accounts,
    queue_endpoints: BTreeMap<(Option<Region>, Region), String>,
    admin_url: String,
    pub(crate) faults: Faults,
    pub(crate) notifications: Notifications,
    google: Arc<Google>,
    meter: Meter,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl LocalSky {
    /// Opens the stores, binds the ports and starts to serve.
    ///
    /// # Errors
    /// No region or one twice, a bad bucket name or webhook URL, a port that is taken, a directory that cannot be read.
    pub async fn start(config: SkyConfig, clock: Arc<dyn Clock>, rng: Rng) -> Result<LocalSky> {
        check(&config)?;
        let (stop, abort, tasks) = (
            CancellationToken::new(),
            CancellationToken::new(),
            TaskTracker::new(),
        );
        let topic = config.azure.topic(&config.access_key);
        let notifications = Notifications::new(
            clock.clone(),
            rng.fork(),
            tasks.clone(),
            stop.clone(),
            topic,
        );
        notifications.set(config.notifications.clone())?;
        let faults = Faults::new(config.faults.clone(), rng.fork());
        let stores = config
            .regions
            .iter()
            .filter(|region| region.protocol() != Protocol::Azure)
            .map(|region| open(region, &config, &clock, &rng, &notifications).map(Arc::new))
            .collect::<Result<Vec<_>>>()?;
        let stores = Arc::new(stores);
        let surroundings =
            |region: &RegionConfig| surroundings(region, &config, &clock, &rng, &notifications);
        let azure = Accounts::open(&config, surroundings, &tasks, &stop)?;
        let catalog = Catalog::embedded();
        let mut meter = Meter::new(catalog.clone());
        let ground = Ground {
            clock: clock.clone(),
            rng: rng.fork(),
            notifications: notifications.clone(),
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        let google = google(&config, &stores, &mut meter, ground);
        let mut next_port = config.listen_port;
        // Fixed ports follow one another; otherwise any.
        let mut take_port = || match &mut next_port {
            None => Ok(0),
            Some(next) => {
                let port = *next;
                *next = next.checked_add(1).ok_or_else(|| {
                    Error::new(
                        Kind::Invalid,
                        "listen",
                        "the ports after listen_port do not fit below 65536",
                    )
                })?;
                Ok(port)
            }
        };
        let (admin_socket, admin_address) = bind(take_port()?).await?;
        let (mut endpoints, mut queue_endpoints) = (BTreeMap::new(), BTreeMap::new());
        let mut listeners = Vec::new();
        let mut services: Vec<(Region, Service)> = stores
            .iter()
            .map(|store| (store.region().clone(), service(store, &config, &google)))
            .chain(azure.blob_services())
            .collect();
        services
            .sort_by_key(|(region, _)| config.regions.iter().position(|at| at.region == *region));
        let queues_from = services.len();
        // Last, so that they shift nobody's port.
        services.extend(azure.queue_services());
        for (index, (to, service)) in services.iter().enumerate() {
            let clients = config.regions.iter().map(|region| Some(&region.region));
            for from in std::iter::once(None).chain(clients) {
                let (socket, address) = bind(take_port()?).await?;
                let urls = if index < queues_from {
                    &mut endpoints
                } else {
                    &mut queue_endpoints
                };
                urls.insert((from.cloned(), to.clone()), format!("http://{address}"));
                let link = from.and_then(|from| config.shaping.link(&catalog, from, to));
                let port = Port {
                    region: to.clone(),
                    service: service.clone(),
                    faults: faults.clone(),
                    counters: meter.port(from.unwrap_or(to), to),
                    strict_regions: config.strict_regions.then(|| stores.clone()),
                    clock: clock.clone(),
                    rng: rng.fork(),
                };
                listeners.push(Listener {
                    socket,
                    port: Arc::new(port),
                    link: link
                        .map(|shape| Arc::new(SharedLink::new(shape, config.shaping.stragglers))),
                    clock: clock.clone(),
                    rng: rng.fork(),
                    tasks: tasks.clone(),
                    stop: stop.clone(),
                    abort: abort.clone(),
                });
            }
        }
        azure.introduce(&endpoints, &queue_endpoints);
        for listener in listeners {
            tasks.spawn(listener.run());
        }
        let inner = Arc::new(Inner {
            stores,
            endpoints,
            azure,
            queue_endpoints,
            admin_url: format!("http://{admin_address}"),
            faults,
            notifications,
            google,
            meter,
            clock,
            tasks: tasks.clone(),
            stop,
            abort,
        });
        tasks.spawn(admin::serve(
            admin_socket,
            Arc::downgrade(&inner),
            inner.stop.clone(),
        ));
        Ok(LocalSky { inner })
    }

    /// Where clients in `from` reach the store of `to`, as over the distance between them; without `from`, unshaped.
    /// `None` where this sky does not have the regions.
    pub fn find_endpoint(&self, from: Option<&Region>, to: &Region) -> Option<String> {
        self.inner
            .endpoints
            .get(&(from.cloned(), to.clone()))
            .cloned()
    }

    /// As [`LocalSky::find_endpoint`], for regions known to be in this sky.
    ///
    /// # Panics
    /// The sky does not have the regions.
    pub fn endpoint(&self, from: Option<&Region>, to: &Region) -> String {
        match self.find_endpoint(from, to) {
            Some(url) => url,
            None => panic!("this sky has no port from {from:?} to {to}"),
        }
    }

    /// As [`LocalSky::find_endpoint`], for the Queue service of an Azure region.
    pub fn find_queue_endpoint(&self, from: Option<&Region>, to: &Region) -> Option<String> {
        let key = (from.cloned(), to.clone());
        self.inner.queue_endpoints.get(&key).cloned()
    }

    /// What Azure's own clients connect with: the account, its key, and the endpoints of `to` as seen from `from`. `None`
    /// where this sky does not have the regions, or `to` does not speak Azure's protocols.
    pub fn azure_connection_string(&self, from: Option<&Region>, to: &Region) -> Option<String> {
        let blobs = self.find_endpoint(from, to)?;
        let queues = self.find_queue_endpoint(from, to)?;
        self.inner.azure.connection_string(to, &blobs, &queues)
    }

    /// All ports but the admin one.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.inner.endpoints()
    }

    /// The admin endpoint: GET /meter, GET and POST /faults, /notifications and /buckets, GET /endpoints and
    /// /google/service-account-key?endpoint=URL; JSON.
    pub fn admin_url(&self) -> &str {
        &self.inner.admin_url
    }

    /// What has been used since the start, and what it would cost.
    pub fn meter(&self) -> MeterSnapshot {
        self.inner.meter()
    }

    /// The faults in force.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// The notifications.
    pub fn notifications(&self) -> &Notifications {
        &self.inner.notifications
    }

    /// Makes a bucket unless it exists; `versioned` turns its versioning on either way.
    ///
    /// # Errors
    /// No such region, a bad name, or a directory that cannot be written.
    pub async fn create_bucket(&self, region: &Region, name: &str, versioned: bool) -> Result<()> {
        self.inner.create_bucket(region, name, versioned)
    }

    /// A service-account key file for Google's clients, whose `token_uri` is on `endpoint` (one of this sky's that speaks
    /// Google Cloud Storage). The first call makes the key, which takes about a second.
    ///
    /// # Errors
    /// `endpoint` is none of those, or the key could not be made.
    pub async fn google_service_account_key(&self, endpoint: &str) -> Result<Secret> {
        self.inner.service_account_key(endpoint).await
    }

    /// Stops: no new requests, those begun get two seconds.
    pub async fn shutdown(self) {
        let inner = &self.inner;
        inner.stop.cancel();
        inner.tasks.close();
        if timeout(&*inner.clock, SHUTDOWN_GRACE, inner.tasks.wait())
            .await
            .is_none()
        {
            inner.abort.cancel();
            inner.tasks.wait().await;
        }
    }
}

impl Drop for LocalSky {
    fn drop(&mut self) {
        self.inner.stop.cancel();
        self.inner.abort.cancel();
    }
}

impl Inner {
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        let protocol = |region: &Region| {
            let store = self.stores.iter().find(|store| store.region() == region);
            store.map_or(Protocol::S3, |store| store.surroundings.protocol)
        };
        let endpoint = |((from, to), url): (&(Option<Region>, Region), &String)| Endpoint {
            from: from.clone(),
            to: to.clone(),
            protocol: match self.azure.find(to) {
                Some(_) => Protocol::Azure,
                None => protocol(to),
            },
            url: url.clone(),
            queue_url: self
                .queue_endpoints
                .get(&(from.clone(), to.clone()))
                .cloned(),
        };
        self.endpoints.iter().map(endpoint).collect()
    }

    pub(crate) fn meter(&self) -> MeterSnapshot {
        self.meter.snapshot()
    }

    pub(crate) async fn service_account_key(&self, endpoint: &str) -> Result<Secret> {
        let fail = |kind, why: String| Error::new(kind, "make service-account key", why);
        let speaks = |known: &Endpoint| known.protocol == Protocol::Gcs && known.url == endpoint;
        if !self.endpoints().iter().any(speaks) {
            let why =
                format!("{endpoint} is no endpoint of this sky that speaks Google Cloud Storage");
            return Err(fail(Kind::Missing, why));
        }
        let made = self.google.service_account_key(endpoint).await;
        made.map(Secret::new)
            .map_err(|failure| fail(Kind::Internal, failure.message))
    }

    pub(crate) fn create_bucket(&self, region: &Region, name: &str, versioned: bool) -> Result<()> {
        if let Some(account) = self.azure.find(region) {
            return account.ensure_container(name, versioned);
        }
        let store = self
            .stores
            .iter()
            .find(|store| store.region() == region)
            .ok_or_else(|| {
                Error::new(
                    Kind::Missing,
                    "create bucket",
                    format!("this sky has no region {region}"),
                )
            })?;
        store.ensure_bucket(name, versioned)
    }
}

fn check(config: &SkyConfig) -> Result<()> {
    let invalid = |why: String| Error::new(Kind::Invalid, "start", why);
    if config.regions.is_empty() {
        return Err(invalid("a sky needs at least one region".into()));
    }
    for (index, region) in config.regions.iter().enumerate() {
        if config.regions[..index]
            .iter()
            .any(|other| other.region == region.region)
        {
            return Err(invalid(format!("region {} is listed twice", region.region)));
        }
    }
    if config.access_key.is_empty() || config.secret_key.expose().is_empty() {
        return Err(invalid(
            "access_key and secret_key must not be empty".into(),
        ));
    }
    Ok(())
}

fn open(
    region: &RegionConfig,
    config: &SkyConfig,
    clock: &Arc<dyn Clock>,
    rng: &Rng,
    notifications: &Notifications,
) -> Result<RegionStore> {
    let surroundings = surroundings(region, config, clock, rng, notifications);
    let store = RegionStore::open(region.directory.clone(), Arc::new(surroundings))?;
    for bucket in &region.buckets {
        store.ensure_bucket(&bucket.name, bucket.versioned)?;
    }
    Ok(store)
}

fn surroundings(
    region: &RegionConfig,
    config: &SkyConfig,
    clock: &Arc<dyn Clock>,
    rng: &Rng,
    notifications: &Notifications,
) -> Surroundings {
    Surroundings {
        region: region.region.clone(),
        protocol: region.protocol(),
        clock: clock.clone(),
        rng: rng.fork(),
        notifications: notifications.clone(),
        minimum_part_bytes: config.minimum_part_bytes,
        opaque_etags: config.opaque_etags,
    }
}

/// The one key pair there is.
struct OneAccount {
    access_key: String,
    secret_key: SecretKey,
}

#[async_trait::async_trait]
impl S3Auth for OneAccount {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access_key {
            return Ok(self.secret_key.clone());
        }
        Err(s3_error!(
            InvalidAccessKeyId,
            "The AWS Access Key Id you provided does not exist in our records."
        ))
    }
}

fn service(store: &Arc<RegionStore>, config: &SkyConfig, google: &Arc<Google>) -> Service {
    match store.surroundings.protocol {
        // Azure's regions keep their blobs in accounts (`azure::Accounts`) and have services of their own.
        Protocol::S3 | Protocol::Azure => Service::S3(s3_service(store, config)),
        Protocol::Gcs => Service::Gcs(gcs::Frontend::new(store.clone(), google.clone())),
    }
}

fn s3_service(store: &Arc<RegionStore>, config: &SkyConfig) -> S3Service {
    let mut builder = S3ServiceBuilder::new(Frontend {
        store: store.clone(),
    });
    builder.set_auth(OneAccount {
        access_key: config.access_key.clone(),
        secret_key: SecretKey::from(config.secret_key.expose()),
    });
    builder.build()
}

/// What the regions that speak Google Cloud Storage share, with a counter for what copies send from each to each.
fn google(
    config: &SkyConfig,
    stores: &StrictRegions,
    meter: &mut Meter,
    ground: Ground,
) -> Arc<Google> {
    let ours: Vec<Arc<RegionStore>> = stores
        .iter()
        .filter(|store| store.surroundings.protocol == Protocol::Gcs)
        .cloned()
        .collect();
    let mut transfers = HashMap::new();
    for from in ours.iter().map(|store| store.region()) {
        for to in ours.iter().map(|store| store.region()) {
            if from != to {
                transfers.insert((from.clone(), to.clone()), meter.port(from, to));
            }
        }
    }
    Google::new(config.google.clone(), ground, ours, transfers)
}
