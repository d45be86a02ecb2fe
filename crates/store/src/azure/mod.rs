//! Azure Blob Storage and what speaks its protocol, as thin REST calls.
//!
//! **In:** a location, an [`AzureConfig`], a clock and a source of randomness.
//! **Out:** an [`ObjectStore`](crate::ObjectStore); [`AzureCredentials`] for the account's other services.
//! **Never:** reads the environment, follows a redirect, sends a streamed body twice, shows a secret, makes an object visible
//! before the service has confirmed its bytes, writes a name that Azure would change.
//!
//! | file | holds |
//! |---|---|
//! | [`config`], `endpoint`, `names` | settings; host and path of the container; names that come back as written |
//! | `credentials`, `secrets`, `tokens`, `shared_key` | who we are, and signatures |
//! | `request` | one call: authorised, sent, judged, repeated where safe |
//! | `error`, `xml`, `attributes`, `metadata` | refusals, documents and headers as our types |
//! | `read`, `list`, `write`, `multipart`, `copy`, `tags` | the operations |
//! | `blocks`, `upload` | how bytes get there: blocks, and what an upload id is |
//! | `identity` | who signs, for `doctor` |
//! | `probe` | what the endpoint really does |
//!
//! # How bytes are proved
//!
//! Bodies of up to 1 MiB are collected and put with their MD5, which the service compares before the blob exists. Longer ones
//! are streamed into one block; the service answers with the CRC-64/NVME of what it received (`x-ms-content-crc64`), which is
//! compared with ours; only then a commit makes the block a blob, under the condition and with all attributes. Parts of uploads
//! and server-side copies are blocks, too. So bytes that were damaged on the way are never visible. A blob whose MD5 is known
//! (everything but uploads in parts) carries it as its `Content-MD5`.
//!
//! # What is not as on S3
//!
//! - An upload exists in its id alone; see `upload`. Unfinished ones cannot be listed, and abandoned blocks vanish with the
//!   blob's next write or after a week. Until then they keep programs from uploading to the same name that use block ids of
//!   another length. Any other write of a blob discards the blocks of all uploads to it: completing them then fails with
//!   [`Kind::Missing`].
//! - A part uploaded again does not replace the first: either receipt completes with exactly its own bytes.
//! - ETags are never used twice, so an ETag alone is a version. Blob versions, snapshots and soft delete are left alone.
//! - Azure keeps neither `Expires` nor a website redirect: [`MetadataLimits::AZURE`](crate::MetadataLimits::AZURE).

mod attributes;
mod blocks;
pub mod config;
mod copy;
mod credentials;
mod endpoint;
mod error;
mod identity;
mod list;
mod metadata;
mod multipart;
mod names;
mod probe;
mod pull;
mod read;
mod request;
mod secrets;
mod shared_key;
mod store;
mod tags;
mod tokens;
mod upload;
mod write;
mod xml;

pub use attributes::METADATA_LIMIT_BYTES;
pub use config::{AzureConfig, AzureCredentialSource, EntraApplication, IdentityEndpoint};
pub use credentials::{AzureCredentials, MANAGEMENT_RESOURCE, STORAGE_RESOURCE};
pub use identity::Identity;
pub use names::refused_name;
pub use secrets::BearerToken;

use crate::http::{ConcurrencyLimiter, HttpClient};
use crate::{Capabilities, ConditionSupport, Error, Result, UploadLimits, Verification};
use endpoint::Endpoint;
use skyfresh_sky::{Clock, Invalid, Kind, Location, Rng};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Requests under way when a store is opened; answers raise it, throttling lowers it.
const FIRST_CONCURRENCY: usize = 64;

/// What Azure does (references in the modules), assumed until probed.
const AZURE: Capabilities = Capabilities {
    put_if_absent: ConditionSupport::Enforced,
    put_if_version: ConditionSupport::Enforced,
    complete_if_absent: ConditionSupport::Enforced,
    complete_if_version: ConditionSupport::Enforced,
    delete_if_version: ConditionSupport::Enforced,
    get_if_version: ConditionSupport::Enforced,
    copy: true,
    copy_part: true,
    multipart: true,
    list_uploads: false,
    tags: true,
    versioned: false,
    verification: Verification::Crc64Answered,
    upload_limits: UploadLimits::AZURE,
    metadata: crate::MetadataLimits::AZURE,
    batch_delete: None,
    pull: true,
};

/// One container, rooted at a prefix.
pub struct AzureStore {
    location: Location,
    container: String,
    endpoint: Endpoint,
    http: HttpClient,
    credentials: Arc<AzureCredentials>,
    limiter: Arc<ConcurrencyLimiter>,
    clock: Arc<dyn Clock>,
    rng: Rng,
    stall: Duration,
    known: RwLock<Capabilities>,
}

impl std::fmt::Debug for AzureStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureStore")
            .field("location", &self.location.to_string())
            .finish_non_exhaustive()
    }
}

impl AzureStore {
    /// Opens a store. Nothing is sent yet. Sockets are real, so `clock` must be one that really waits
    /// ([`SystemClock`](skyfresh_sky::SystemClock)): it times stalls and the waits between tries.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the location is not Azure's, or a setting cannot be used.
    pub fn new(
        location: Location,
        config: AzureConfig,
        clock: Arc<dyn Clock>,
        rng: Rng,
    ) -> Result<Self> {
        let invalid = |error: Invalid| {
            Error::new(
                Kind::Invalid,
                "open",
                location.to_string(),
                error.to_string(),
            )
        };
        let endpoint = Endpoint::resolve(&location, &config).map_err(invalid)?;
        let http = HttpClient::new(endpoint.https, config.connect_timeout, clock.clone()).map_err(
            |why| {
                invalid(Invalid::new(
                    "endpoint",
                    location.option("endpoint").unwrap_or_default(),
                    format!(
                        "TLS needs the system's root certificates: {why} (install ca-certificates)"
                    ),
                ))
            },
        )?;
        let credentials = Arc::new(AzureCredentials::new(
            &endpoint.account,
            config.credentials,
            clock.clone(),
        )?);
        let container = location
            .azure_container()
            .map(|(_, container)| container.to_owned())
            .unwrap_or_default();
        Ok(AzureStore {
            container,
            endpoint,
            http,
            credentials,
            limiter: ConcurrencyLimiter::new(FIRST_CONCURRENCY, config.max_concurrency),
            stall: config.stall_timeout,
            known: RwLock::new(AZURE),
            location,
            clock,
            rng,
        })
    }

    /// Takes over what an earlier [`probe`](crate::ObjectStore::probe) of the same container found.
    pub fn with_capabilities(self, capabilities: Capabilities) -> Self {
        self.learn(capabilities);
        self
    }

    /// The credentials in use, for the account's other services.
    pub fn credentials(&self) -> Arc<AzureCredentials> {
        Arc::clone(&self.credentials)
    }

    fn capabilities_now(&self) -> Capabilities {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn learn(&self, capabilities: Capabilities) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = capabilities;
    }

    /// How errors name an object, or the container.
    fn target(&self, full_key: Option<&str>) -> String {
        format!(
            "az://{}/{}",
            self.location.bucket,
            full_key.unwrap_or_default()
        )
    }

    /// An error about the object with this full key.
    fn failed(
        &self,
        kind: Kind,
        operation: &'static str,
        full_key: &str,
        context: impl Into<String>,
    ) -> Error {
        Error::new(kind, operation, self.target(Some(full_key)), context)
    }
}
