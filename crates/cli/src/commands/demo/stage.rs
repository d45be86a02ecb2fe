//! What the demo plays on: a local sky, an engine, and a server that hears the sky's notifications.

use crate::config::EngineSection;
use crate::context::Context;
use crate::open;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use skyfresh_engine::{Destination, Engine, OpenStore, Rule, Stores};
use skyfresh_ledger::{EmbeddedLedger, Ledger};
use skyfresh_localsky::{
    BucketConfig, DelayDistribution, LocalSky, RegionConfig, Secret, SkyConfig, WebhookTarget,
};
use skyfresh_server::ServerOptions;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Clock, Location, Provider, Region, Rng, Scheme, Usd};
use skyfresh_store::ObjectStore;
use skyfresh_store::azure::{AzureConfig, AzureCredentialSource, AzureStore};
use skyfresh_store::gcs::{GcsConfig, GcsStore, GoogleCredentialSource};
use skyfresh_store::s3::{Credentials, S3Config, S3Store};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The rule's name.
pub(super) const RULE: &str = "demo";
/// The source's region comes first.
const REGIONS: [(&str, &str); 3] = [
    ("virginia", "aws:us-east-1"),
    ("netherlands", "azure:westeurope"),
    ("iowa", "gcp:us-central1"),
];
/// The storage account of the region that speaks Azure's protocol.
const AZURE_ACCOUNT: &str = "skyfreshdemo";
/// What notifications suffer: one in fifty is lost, one in twenty repeated, one in ten overtaken.
const LOST: f64 = 0.02;
const REPEATED: f64 = 0.05;
const REORDERED: f64 = 0.1;
/// Parts small enough that a demo's large objects have several: the smallest that S3 takes.
const PART_BYTES: u64 = 5 << 20;
/// What no notification told is found within this.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Opens the demo's stores with the sky's own key.
#[derive(Debug)]
struct Opener {
    access_key_id: String,
    secret_access_key: Secret,
    google_token: Secret,
    /// The storage account and its key, Base64.
    azure: (String, Secret),
    clock: Arc<dyn Clock>,
    rng: Rng,
}

impl OpenStore for Opener {
    fn open(&self, location: &Location) -> skyfresh_store::Result<Arc<dyn ObjectStore>> {
        let (location, clock, rng) = (location.clone(), Arc::clone(&self.clock), self.rng.fork());
        Ok(match location.scheme {
            Scheme::Gcs => {
                let token = self.google_token.expose().to_owned();
                let config = GcsConfig {
                    credentials: GoogleCredentialSource::Token(token),
                    ..GcsConfig::default()
                };
                Arc::new(GcsStore::new(location, config, clock, rng)?)
            }
            Scheme::Azure => {
                let key = self.azure.1.expose().to_owned();
                let config = AzureConfig {
                    credentials: AzureCredentialSource::AccountKey(key),
                    ..AzureConfig::default()
                };
                Arc::new(AzureStore::new(location, config, clock, rng)?)
            }
            _ => {
                let credentials = Credentials::Static {
                    access_key_id: self.access_key_id.clone(),
                    secret_access_key: self.secret_access_key.expose().to_owned(),
                    session_token: None,
                };
                let config = S3Config {
                    credentials,
                    ..S3Config::default()
                };
                Arc::new(S3Store::new(location, config, clock, rng)?)
            }
        })
    }
}

/// Everything that runs.
pub(super) struct Stage {
    pub(super) engine: Arc<Engine>,
    pub(super) ledger: Arc<EmbeddedLedger>,
    sky: LocalSky,
    rule: Rule,
    regions: Vec<Region>,
    opener: Arc<Opener>,
    server: tokio::task::JoinHandle<skyfresh_engine::Result<()>>,
    stop: CancellationToken,
    /// Goes with the stage.
    directory: tempfile::TempDir,
}

impl Stage {
    pub(super) async fn build(context: &Context) -> anyhow::Result<Stage> {
        let regions = REGIONS
            .iter()
            .map(|(_, region)| region.parse())
            .collect::<Result<Vec<Region>, _>>()?;
        let secret = context.rng.token();
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("cannot listen on loopback")?;
        let address = listener.local_addr()?;
        let config = sky_config(
            &regions,
            &format!("http://{address}/v1/notifications"),
            &secret,
        );
        let opener = Arc::new(Opener {
            access_key_id: config.access_key.clone(),
            secret_access_key: config.secret_key.clone(),
            google_token: config.google.token.clone(),
            azure: (
                config.azure.account.clone().unwrap_or_default(),
                config.azure.key.clone().unwrap_or_default(),
            ),
            clock: Arc::clone(&context.clock),
            rng: context.rng.fork(),
        });
        let sky = LocalSky::start(config, Arc::clone(&context.clock), context.rng.fork())
            .await
            .context("cannot start the local sky")?;
        let rule = rule(&sky, &regions)?;
        let directory = tempfile::Builder::new()
            .prefix("skyfresh-demo-")
            .tempdir()
            .context("cannot create a temporary directory")?;
        let owner = open::owner(&context.rng);
        let ledger = Arc::new(open::ledger(&directory.path().join("ledger"), &owner).await?);
        let stores = Arc::new(Stores::new(Arc::clone(&opener) as Arc<dyn OpenStore>));
        let section = EngineSection {
            part_size_bytes: PART_BYTES,
            ..EngineSection::default()
        };
        let engine = Arc::new(open::engine(
            context,
            &section,
            &owner,
            Arc::clone(&ledger) as Arc<dyn Ledger>,
            stores,
            Catalog::embedded(),
            None,
            None,
        )?);
        let stop = CancellationToken::new();
        let options = ServerOptions {
            webhook_secret: Some(secret),
            ..ServerOptions::default()
        };
        let serving = skyfresh_server::serve(
            listener,
            Arc::clone(&engine),
            Arc::clone(&context.clock),
            options,
            stop.clone(),
        );
        let server = tokio::spawn(serving);
        Ok(Stage {
            engine,
            ledger,
            sky,
            rule,
            regions,
            opener,
            server,
            stop,
            directory,
        })
    }

    /// Starts the rule.
    pub(super) async fn start(&self) -> anyhow::Result<()> {
        self.engine
            .apply(vec![self.rule.clone()])
            .await
            .context("cannot start the rule")?;
        Ok(())
    }

    /// What there is, in lines.
    pub(super) fn describe(&self) -> Vec<String> {
        let (catalog, home) = (Catalog::embedded(), &self.regions[0]);
        let mut lines = vec![format!("{:<11} {home}: the source", REGIONS[0].0)];
        for ((name, _), region) in REGIONS.iter().zip(&self.regions).skip(1) {
            let far = catalog.link(home, region).map_or_else(String::new, |link| {
                format!(
                    ": {:.0} ms away, {:.0} MB/s a connection, {} per GB",
                    link.rtt_ms,
                    link.throughput_gbps * 1e3 / 8.0 / 64.0,
                    link.egress_usd_per_gb
                )
            });
            lines.push(format!("{name:<11} {region}{far}"));
        }
        lines.push(format!(
            "of the notifications {:.0}% are lost, {:.0}% repeated, {:.0}% overtaken; listings are compared every {} s",
            LOST * 100.0,
            REPEATED * 100.0,
            REORDERED * 100.0,
            SWEEP_EVERY.as_secs()
        ));
        lines
    }

    /// What left its region so far costs by the sky's own meter, which knows nothing of receipts.
    pub(super) fn metered_egress(&self) -> Usd {
        self.sky.meter().egress_usd
    }

    /// The source as its users see it: without the distance.
    pub(super) fn writer_store(&self) -> Arc<dyn ObjectStore> {
        self.direct(0)
    }

    /// The source as the final comparison sees it.
    pub(super) fn source_store(&self) -> Arc<dyn ObjectStore> {
        self.direct(0)
    }

    /// The destinations as the final comparison sees them, by name.
    pub(super) fn target_stores(&self) -> Vec<(String, Arc<dyn ObjectStore>)> {
        (1..self.regions.len())
            .map(|index| (REGIONS[index].0.to_owned(), self.direct(index)))
            .collect()
    }

    fn direct(&self, index: usize) -> Arc<dyn ObjectStore> {
        let location = location(&self.sky, None, &self.regions[index], bucket(index));
        let opened = location.and_then(|location| Ok(self.opener.open(&location)?));
        opened.unwrap_or_else(|error| unreachable!("the same location was opened before: {error}"))
    }

    /// Takes everything down, and leaves nothing behind.
    pub(super) async fn strike(self) {
        self.stop.cancel();
        let _ = self.server.await;
        self.engine.shutdown().await;
        self.ledger.close().await;
        self.sky.shutdown().await;
        if let Err(error) = self.directory.close() {
            tracing::warn!(%error, "cannot remove the temporary directory");
        }
    }
}

fn bucket(index: usize) -> &'static str {
    REGIONS[index].0
}

fn sky_config(regions: &[Region], webhook: &str, secret: &str) -> SkyConfig {
    let region = |(index, region): (usize, &Region)| RegionConfig {
        region: region.clone(),
        protocol: None,
        directory: None,
        buckets: vec![BucketConfig {
            name: bucket(index).into(),
            versioned: false,
        }],
    };
    let mut config = SkyConfig {
        regions: regions.iter().enumerate().map(region).collect(),
        ..SkyConfig::default()
    };
    config.azure.account = Some(AZURE_ACCOUNT.into());
    config.azure.key = Some(Secret::new(BASE64.encode(secret)));
    let mut target = WebhookTarget::new(webhook, Some(Secret::new(secret)));
    target.bucket = Some(bucket(0).into());
    config.notifications.targets = vec![target];
    config.notifications.drop_probability = LOST;
    config.notifications.duplicate_probability = REPEATED;
    config.notifications.reorder_probability = REORDERED;
    config.notifications.delay = DelayDistribution {
        p50_ms: 20.0,
        p99_ms: 250.0,
    };
    config
}

/// A bucket of the sky, seen from a region.
fn location(
    sky: &LocalSky,
    from: Option<&Region>,
    to: &Region,
    bucket: &str,
) -> anyhow::Result<Location> {
    let root = match to.provider {
        Provider::Gcp => format!("gs://{bucket}/"),
        Provider::Azure => format!("az://{AZURE_ACCOUNT}/{bucket}/"),
        Provider::Aws | Provider::Cloudflare | Provider::Local => format!("s3://{bucket}/"),
    };
    let endpoint = sky.endpoint(from, to);
    Ok(format!("{root}?endpoint={endpoint}&region={}", to.name).parse()?)
}

/// The engine runs in the source's region: reading is near, writing is far.
fn rule(sky: &LocalSky, regions: &[Region]) -> anyhow::Result<Rule> {
    let home = &regions[0];
    let mut rule = Rule::new(RULE, location(sky, Some(home), home, bucket(0))?, vec![]);
    rule.source_region = Some(home.clone());
    rule.slo = "5s@p99".parse()?;
    rule.delete = true;
    rule.max_deletes = 1_000_000;
    rule.sweep_every = SWEEP_EVERY;
    for (index, region) in regions.iter().enumerate().skip(1) {
        rule.destinations.push(Destination {
            name: REGIONS[index].0.into(),
            location: location(sky, Some(home), region, bucket(index))?,
            region: Some(region.clone()),
            storage_class: BTreeMap::new(),
            server_copy: false,
        });
    }
    Ok(rule)
}
