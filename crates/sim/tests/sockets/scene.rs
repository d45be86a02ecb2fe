//! A sky of two regions, and what users, the engine and an observer do in it, each over connections of its own.

use crate::content::{content, version_of};
use crate::webhook::{Publish, Webhook};
use futures::StreamExt;
use skyfresh_engine::{
    Engine, EngineConfig, InProcess, LaneState, OpenStore, Parts, Rule, Sizing, Stores,
};
use skyfresh_ledger::{Ledger, Receipt, TaskKey};
use skyfresh_localsky::{
    BucketConfig, Fault, FaultRule, LocalSky, RegionConfig, ShapingProfile, SkyConfig,
    WebhookTarget,
};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{
    Attributes, Clock, Kind, Location, ObjectKey, ObjectVersion, Region, Rng, SystemClock, timeout,
};
use skyfresh_store::s3::{Credentials, S3Config, S3Store};
use skyfresh_store::{GetOptions, ObjectStore, Precondition, PutOptions, single_chunk};
use std::sync::Arc;
use std::time::Duration;

/// The smallest part S3 takes; what is larger than one goes in parts.
pub(crate) const PART_BYTES: usize = 5 << 20;
/// Short, so that a takeover is a matter of seconds; renewed every third of it, on a machine that has other work too.
pub(crate) const LEASE: Duration = Duration::from_millis(1_500);
/// Far beyond what anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

/// Two regions with a bucket each, `source` and `target`. `target` keeps all versions, and tells of each.
pub(crate) struct Scene {
    pub(crate) sky: LocalSky,
    pub(crate) webhook: Arc<Webhook>,
    pub(crate) source: Arc<dyn ObjectStore>,
    pub(crate) target: Arc<dyn ObjectStore>,
    pub(crate) target_region: Region,
    pub(crate) rule: Rule,
    pub(crate) config: EngineConfig,
}

#[derive(Debug)]
struct OverHttp;

impl OpenStore for OverHttp {
    fn open(&self, location: &Location) -> skyfresh_store::Result<Arc<dyn ObjectStore>> {
        let credentials = Credentials::Static {
            access_key_id: SkyConfig::default().access_key,
            secret_access_key: SkyConfig::default().secret_key.expose().to_owned(),
            session_token: None,
        };
        let config = S3Config {
            credentials,
            ..S3Config::default()
        };
        let (clock, rng) = (Arc::new(SystemClock), Rng::seeded(1));
        Ok(Arc::new(S3Store::new(
            location.clone(),
            config,
            clock,
            rng,
        )?))
    }
}

/// The store of a location, over a connection of its own.
pub(crate) fn over_http(location: &Location) -> Arc<dyn ObjectStore> {
    OverHttp.open(location).unwrap()
}

impl Scene {
    pub(crate) async fn open() -> Scene {
        let (east, west): (Region, Region) = (
            "aws:us-east-1".parse().unwrap(),
            "aws:us-west-2".parse().unwrap(),
        );
        let region = |region: &Region, name: &str, versioned| RegionConfig {
            buckets: vec![BucketConfig {
                name: name.into(),
                versioned,
            }],
            ..RegionConfig::in_memory(region.clone())
        };
        let config = SkyConfig {
            regions: vec![
                region(&east, "source", false),
                region(&west, "target", true),
            ],
            shaping: ShapingProfile::unshaped(),
            ..SkyConfig::default()
        };
        let sky = LocalSky::start(config, Arc::new(SystemClock), Rng::seeded(7))
            .await
            .unwrap();
        let webhook = Arc::new(Webhook::default());
        let url = webhook.serve().await;
        let hears = |bucket: &str| {
            let mut target = WebhookTarget::new(format!("{url}/{bucket}"), None);
            target.bucket = Some(bucket.into());
            target
        };
        sky.notifications()
            .update(|settings| settings.targets = vec![hears("source"), hears("target")])
            .unwrap();
        let location = |bucket: &str, region: &Region| -> Location {
            let (endpoint, name) = (sky.endpoint(None, region), &region.name);
            format!("s3://{bucket}/?endpoint={endpoint}&region={name}")
                .parse()
                .unwrap()
        };
        let (from, to) = (location("source", &east), location("target", &west));
        let mut config = EngineConfig::new("to be set");
        config.lease = LEASE;
        config.janitor_period = Duration::from_secs(1);
        config.sizing = Sizing {
            part_bytes: PART_BYTES as u64,
            max_workers: 1,
            ..config.sizing
        };
        Scene {
            webhook,
            source: over_http(&from),
            target: over_http(&to),
            target_region: west,
            rule: Rule::new("rule", from, vec![to]),
            config,
            sky,
        }
    }

    /// An engine of this owner, ready to work.
    pub(crate) async fn engine(&self, ledger: Arc<dyn Ledger>, owner: &str) -> Arc<Engine> {
        let config = EngineConfig {
            owner: owner.into(),
            ..self.config.clone()
        };
        start(config, self.rule.clone(), ledger).await
    }

    /// A user writes a version of a key.
    pub(crate) async fn put(&self, name: &str, version: u64, bytes: usize) -> ObjectVersion {
        let (key, body) = (key(name), content(name, version, bytes));
        let options = PutOptions {
            size: body.len() as u64,
            attributes: Attributes::default(),
            precondition: Precondition::None,
        };
        let put = self.source.put(&key, options, single_chunk(body));
        put.await.unwrap().version
    }

    /// Which version of a key is readable at the destination: now, or as a certain version there.
    pub(crate) async fn read(&self, name: &str, version: Option<&ObjectVersion>) -> Option<u64> {
        let options = GetOptions {
            range: None,
            version: version.cloned(),
        };
        let read = match self.target.get(&key(name), options).await {
            Err(error) if error.kind == Kind::Missing => return None,
            read => read.unwrap(),
        };
        let mut bytes = Vec::new();
        let mut body = read.body;
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        Some(version_of(name, &bytes))
    }

    /// Which versions of a key were published, each read as it was then.
    pub(crate) async fn versions_published(&self, name: &str) -> Vec<u64> {
        let mut versions = Vec::new();
        for publish in self.all_published(name).await {
            versions.extend(self.read(name, Some(&publish.version)).await);
        }
        versions
    }

    /// What was published of a key, once all that happened has been told.
    pub(crate) async fn all_published(&self, name: &str) -> Vec<Publish> {
        self.all_is_told().await;
        self.webhook.published(name)
    }

    /// Waits until no notification is on its way.
    pub(crate) async fn all_is_told(&self) {
        let told = || async {
            let counts = self.sky.notifications().counts();
            counts.delivered + counts.dropped == counts.emitted + counts.duplicated
        };
        until("everything is told", told).await;
    }

    /// The ids of unfinished uploads of a key at the destination.
    pub(crate) async fn uploads(&self, name: &str) -> Vec<String> {
        let page = self.target.list_uploads(None).await.unwrap();
        let of_key = page
            .uploads
            .into_iter()
            .filter(|listed| listed.key == key(name));
        of_key.map(|listed| listed.upload).collect()
    }

    /// A fault that hits so many requests about a key at the destination: of this method, with this parameter.
    pub(crate) fn fault(
        &self,
        name: &str,
        (method, parameter): (&str, Option<&str>),
        fault: Fault,
        times: u64,
    ) {
        self.sky.faults().add(FaultRule {
            region: Some(self.target_region.clone()),
            path_prefix: format!("/target/{name}"),
            method: Some(method.into()),
            parameter: parameter.map(str::to_owned),
            next: Some(times),
            ..FaultRule::new(fault)
        });
    }

    /// Waits until every fault has struck.
    pub(crate) async fn faults_struck(&self) {
        let struck = || async { self.sky.faults().rules().is_empty() };
        until("every fault has struck", struck).await;
    }
}

/// An engine of one rule, ready to work.
pub(crate) async fn start(
    config: EngineConfig,
    rule: Rule,
    ledger: Arc<dyn Ledger>,
) -> Arc<Engine> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let stores = Arc::new(Stores::new(Arc::new(OverHttp)));
    let executor = InProcess::new(
        Arc::clone(&stores),
        Arc::clone(&ledger),
        Arc::clone(&clock),
        64,
    );
    let engine = Engine::new(Parts {
        config,
        ledger,
        stores,
        executor: Arc::new(executor),
        catalog: Catalog::embedded(),
        clock,
        rng: Rng::seeded(3),
        planning: None,
    });
    engine.apply(vec![rule]).await.unwrap();
    let ready = || async {
        let status = engine.status(None).await.unwrap();
        status[0].destinations[0].state == LaneState::Ready
    };
    until("the engine is ready", ready).await;
    Arc::new(engine)
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

pub(crate) fn task(name: &str) -> TaskKey {
    TaskKey {
        rule: "rule".into(),
        destination: "d1".into(),
        key: key(name),
    }
}

/// A key's receipts.
pub(crate) async fn receipts(ledger: &dyn Ledger, name: &str) -> Vec<Receipt> {
    ledger.receipts_by_key(&task(name), 100).await.unwrap()
}

/// Waits until a receipt says that this version of the source has arrived, and nothing more is pending for its key.
pub(crate) async fn arrival(ledger: &dyn Ledger, name: &str, source: &ObjectVersion) -> Receipt {
    let of_version = || async {
        let pending = ledger.task(&task(name)).await.unwrap().is_some();
        let mut receipts = receipts(ledger, name).await.into_iter();
        receipts.find(|receipt| !pending && receipt.source.as_ref() == Some(source))
    };
    let arrived = || async { of_version().await.is_some() };
    until(&format!("{source} of {name} has arrived"), arrived).await;
    of_version().await.unwrap()
}

/// Waits until a condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let met = async {
        while !condition().await {
            SystemClock.sleep(Duration::from_millis(10)).await;
        }
    };
    let met = timeout(&SystemClock, LIMIT, met).await;
    assert!(met.is_some(), "{LIMIT:?} have passed and still not: {what}");
}
