//! The kinds of store, each on a server of its own protocol, and how they are opened.

use crate::meddle::{Meddled, Once};
use skyfresh_engine::OpenStore;
use skyfresh_localsky::{BucketConfig, LocalSky, RegionConfig, ShapingProfile, SkyConfig};
use skyfresh_sky::{Clock, Location, Region, Rng, Scheme, SystemClock};
use skyfresh_store::azure::{AzureConfig, AzureCredentialSource, AzureStore};
use skyfresh_store::disk::{DiskOptions, DiskStore};
use skyfresh_store::gcs::{GcsConfig, GcsStore, GoogleCredentialSource};
use skyfresh_store::s3::{Credentials, S3Config, S3Store};
use skyfresh_store::{ObjectStore, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The clouds' regions, as the local sky plays them.
const S3_REGION: &str = "aws:us-east-1";
const GCS_REGION: &str = "gcp:us-central1";
const AZURE_REGION: &str = "azure:westeurope";
/// The bucket, or container, in each.
const BUCKET: &str = "matrix";

/// Servers keep larger objects than this on disk.
const IN_MEMORY_BYTES: u64 = 128 << 20;

/// A kind of store.
#[derive(Debug)]
pub(crate) struct Place {
    /// The rule's name, and the destination's.
    pub(crate) name: &'static str,
    /// Its objects as a source.
    pub(crate) source: Location,
    /// `scheme://bucket/`, or a directory with a `/` at its end.
    root: String,
    /// `?name=value…`, or nothing.
    options: String,
}

impl Place {
    fn new(name: &'static str, root: String, options: String) -> Place {
        Place {
            name,
            source: format!("{root}in/{options}").parse().expect("a location"),
            root,
            options,
        }
    }
}

/// What has happened to the objects of one source.
#[derive(Clone, Debug, Default)]
struct Meddling {
    overwritten: Arc<Once>,
    deleted: Arc<Once>,
}

/// All places, and the servers behind them.
pub(crate) struct Places {
    pub(crate) all: Vec<Place>,
    sky: LocalSky,
    opener: Arc<Opener>,
    _directory: tempfile::TempDir,
}

impl Places {
    /// Starts the servers; `large_bytes` is the size of the largest object.
    pub(crate) async fn start(rng: Rng, large_bytes: u64) -> Places {
        let directory = tempfile::tempdir().expect("a directory");
        let region = |name: &str| name.parse::<Region>().expect("a region");
        let with_bucket = |name: &str| RegionConfig {
            buckets: vec![BucketConfig {
                name: BUCKET.into(),
                versioned: false,
            }],
            // Every region holds five of them.
            directory: (large_bytes > IN_MEMORY_BYTES)
                .then(|| directory.path().join("sky").join(name.replace(':', "-"))),
            ..RegionConfig::in_memory(region(name))
        };
        let config = SkyConfig {
            regions: vec![
                with_bucket(S3_REGION),
                with_bucket(GCS_REGION),
                with_bucket(AZURE_REGION),
            ],
            shaping: ShapingProfile::unshaped(),
            ..SkyConfig::default()
        };
        let credentials = Credentials::Static {
            access_key_id: config.access_key.clone(),
            secret_access_key: config.secret_key.expose().to_owned(),
            session_token: None,
        };
        let google_token = config.google.token.expose().to_owned();
        let sky = LocalSky::start(config, Arc::new(SystemClock), rng.fork())
            .await
            .expect("the sky starts");
        let endpoint = |name: &str| sky.endpoint(None, &region(name));
        let azure = sky
            .azure_connection_string(None, &region(AZURE_REGION))
            .expect("the region speaks Azure's protocol");
        let account = azure
            .split(';')
            .find_map(|field| field.strip_prefix("AccountName="))
            .expect("a connection string names the account")
            .to_owned();
        let all = vec![
            Place::new(
                "s3",
                format!("s3://{BUCKET}/"),
                format!("?endpoint={}&region=us-east-1", endpoint(S3_REGION)),
            ),
            Place::new(
                "gs",
                format!("gs://{BUCKET}/"),
                format!("?endpoint={}", endpoint(GCS_REGION)),
            ),
            Place::new(
                "az",
                format!("az://{account}/{BUCKET}/"),
                format!("?endpoint={}", endpoint(AZURE_REGION)),
            ),
            Place::new(
                "disk",
                format!("file://{}/", directory.path().display()),
                String::new(),
            ),
        ];
        for place in all.iter().filter(|place| place.name == "disk") {
            make_directories(place, &all);
        }
        let meddlings = all
            .iter()
            .map(|place| (place.source.clone(), Meddling::default()))
            .collect();
        let opener = Arc::new(Opener {
            credentials,
            google_token,
            azure,
            rng: Mutex::new(rng),
            meddlings,
        });
        Places {
            all,
            sky,
            opener,
            _directory: directory,
        }
    }

    /// Where `to` keeps what comes from `from`.
    pub(crate) fn destination(&self, from: &Place, to: &Place) -> Location {
        destination(from, to)
    }

    /// A store without meddling.
    pub(crate) fn direct(&self, location: &Location) -> Arc<dyn ObjectStore> {
        self.opener
            .direct(location)
            .unwrap_or_else(|error| panic!("{location}: {error}"))
    }

    /// Opens stores; the sources are [`Meddled`] with.
    pub(crate) fn meddling_opener(&self) -> Arc<dyn OpenStore> {
        Arc::clone(&self.opener) as Arc<dyn OpenStore>
    }

    /// Waits until every source has been meddled with.
    pub(crate) async fn meddled_with(&self, patience: Duration) {
        let deadline = SystemClock.now().after(patience);
        while !self
            .opener
            .meddlings
            .values()
            .all(|meddling| meddling.overwritten.is_done() && meddling.deleted.is_done())
        {
            assert!(
                SystemClock.now() < deadline,
                "not every source was read within {patience:?}: {:?}",
                self.opener.meddlings
            );
            SystemClock.sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops the servers.
    pub(crate) async fn shutdown(self) {
        self.sky.shutdown().await;
    }
}

fn destination(from: &Place, to: &Place) -> Location {
    format!("{}from-{}/{}", to.root, from.name, to.options)
        .parse()
        .expect("a location")
}

fn make_directories(place: &Place, all: &[Place]) {
    let folders = all.iter().map(|from| destination(from, place));
    for location in folders.chain([place.source.clone()]) {
        std::fs::create_dir_all(&location.bucket).expect("a directory");
    }
}

/// Opens stores with the credentials of their servers.
#[derive(Debug)]
struct Opener {
    credentials: Credentials,
    google_token: String,
    /// A connection string.
    azure: String,
    rng: Mutex<Rng>,
    meddlings: BTreeMap<Location, Meddling>,
}

impl Opener {
    fn direct(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let rng = self
            .rng
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fork();
        Ok(match location.scheme {
            Scheme::S3 => {
                let config = S3Config {
                    credentials: self.credentials.clone(),
                    ..S3Config::default()
                };
                Arc::new(S3Store::new(location.clone(), config, clock, rng)?)
            }
            Scheme::File => DiskStore::open(location.clone(), clock, DiskOptions::default())?,
            Scheme::Gcs => {
                let config = GcsConfig {
                    credentials: GoogleCredentialSource::Token(self.google_token.clone()),
                    ..GcsConfig::default()
                };
                Arc::new(GcsStore::new(location.clone(), config, clock, rng)?)
            }
            Scheme::Azure => {
                let config = AzureConfig {
                    credentials: AzureCredentialSource::ConnectionString(self.azure.clone()),
                    ..AzureConfig::default()
                };
                Arc::new(AzureStore::new(location.clone(), config, clock, rng)?)
            }
            Scheme::Memory => {
                unreachable!("no place of this kind: {location}")
            }
        })
    }
}

impl OpenStore for Opener {
    fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        let inner = self.direct(location)?;
        let Some(meddling) = self.meddlings.get(location) else {
            return Ok(inner);
        };
        Ok(Arc::new(Meddled {
            inner,
            other: self.direct(location)?,
            overwritten: Arc::clone(&meddling.overwritten),
            deleted: Arc::clone(&meddling.deleted),
        }))
    }
}
