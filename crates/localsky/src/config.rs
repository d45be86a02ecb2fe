//! What a sky is made of. Values only: nothing here opens a socket or a file.

use crate::azure::AzureConfig;
use crate::faults::FaultRule;
use crate::gcs::GoogleConfig;
use crate::notify::NotificationSettings;
use crate::shaping::ShapingProfile;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Provider, Region};
use std::path::PathBuf;

/// The smallest part but the last that S3 accepts (user guide, "Amazon S3 multipart upload limits").
pub const S3_MINIMUM_PART_BYTES: u64 = 5 * 1024 * 1024;

/// A secret: printed as `***`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Secret(secret.into())
    }

    /// The secret itself, for signing and comparing. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What a region's store speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Amazon S3.
    S3,
    /// Google Cloud Storage (JSON and XML), with Pub/Sub and the token endpoint beside it.
    Gcs,
    /// Azure Blob Storage, with Queue Storage on a port of its own and Event Grid's management API beside it.
    Azure,
}

impl Protocol {
    /// The native protocol of a provider's regions; S3 where this sky has no other.
    pub fn of(provider: Provider) -> Protocol {
        match provider {
            Provider::Gcp => Protocol::Gcs,
            Provider::Azure => Protocol::Azure,
            Provider::Aws | Provider::Cloudflare | Provider::Local => Protocol::S3,
        }
    }
}

/// A whole sky.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SkyConfig {
    /// The regions, one object store each. Default: `aws:us-east-1`, `aws:eu-west-1`, `gcp:us-central1`.
    pub regions: Vec<RegionConfig>,
    /// The access key every S3 client signs with.
    pub access_key: String,
    /// Its secret.
    pub secret_key: Secret,
    /// How the regions that speak Google Cloud Storage behave, and which token they take.
    pub google: GoogleConfig,
    /// The storage account of the regions that speak Azure's protocols.
    pub azure: AzureConfig,
    /// The admin port; the other ports follow it in a fixed order, so that a sky with the same regions comes back on the
    /// same ports: for each region in order its unshaped port, then one per client region; behind them, for each Azure
    /// region the same of its Queue service. `None`: any free ports.
    pub listen_port: Option<u16>,
    /// How the network between regions behaves on the shaped ports.
    pub shaping: ShapingProfile,
    /// The smallest part but the last that CompleteMultipartUpload accepts, in bytes. Tests set it lower than S3.
    pub minimum_part_bytes: u64,
    /// S3's entity tags are random and no MD5, as those of S3 Express One Zone are (user guide, "Directory bucket
    /// differences"). MD5 is most of what a PUT costs: without it this store is faster than what is measured against it.
    pub opaque_etags: bool,
    /// Refuse requests signed for another region (`AuthorizationHeaderMalformed`) and redirect requests for a bucket that
    /// lives in another one (`PermanentRedirect`), as AWS does. Off by default: then any region name is accepted.
    pub strict_regions: bool,
    /// Who hears of changes, and how unreliably.
    pub notifications: NotificationSettings,
    /// Faults from the start; more can be set while it runs.
    pub faults: Vec<FaultRule>,
}

impl Default for SkyConfig {
    fn default() -> Self {
        let region = |provider, name: &str| {
            RegionConfig::in_memory(Region {
                provider,
                name: name.to_owned(),
            })
        };
        SkyConfig {
            regions: vec![
                region(skyfresh_sky::Provider::Aws, "us-east-1"),
                region(skyfresh_sky::Provider::Aws, "eu-west-1"),
                region(skyfresh_sky::Provider::Gcp, "us-central1"),
            ],
            access_key: "skyfresh".into(),
            secret_key: Secret::new("skyfresh-local-secret"),
            google: GoogleConfig::default(),
            azure: AzureConfig::default(),
            listen_port: None,
            shaping: ShapingProfile::default(),
            minimum_part_bytes: S3_MINIMUM_PART_BYTES,
            opaque_etags: false,
            strict_regions: false,
            notifications: NotificationSettings::default(),
            faults: Vec::new(),
        }
    }
}

/// One region's store.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionConfig {
    /// Which region it plays.
    pub region: Region,
    /// What its store speaks; its provider's own protocol where absent.
    #[serde(default)]
    pub protocol: Option<Protocol>,
    /// Where objects are kept; in memory where absent.
    #[serde(default)]
    pub directory: Option<PathBuf>,
    /// Buckets made at the start, unless they exist.
    #[serde(default)]
    pub buckets: Vec<BucketConfig>,
}

impl RegionConfig {
    /// A region whose objects live in memory, without buckets.
    pub fn in_memory(region: Region) -> Self {
        RegionConfig {
            region,
            protocol: None,
            directory: None,
            buckets: Vec::new(),
        }
    }

    /// The same region, speaking `protocol` whatever its provider is.
    pub fn speaking(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// What its store speaks.
    pub fn protocol(&self) -> Protocol {
        self.protocol
            .unwrap_or_else(|| Protocol::of(self.region.provider))
    }
}

/// A bucket made at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketConfig {
    /// Its name, by S3's rules.
    pub name: String,
    /// With versioning enabled.
    #[serde(default)]
    pub versioned: bool,
}
