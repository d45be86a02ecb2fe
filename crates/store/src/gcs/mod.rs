//! Google Cloud Storage, as thin REST calls.
//!
//! **In:** a location, a [`GcsConfig`], a clock and a source of randomness.
//! **Out:** an [`ObjectStore`](crate::ObjectStore); [`GoogleCredentials`] for other services of Google.
//! **Never:** reads the environment, sends credentials to a host it was not configured for, sends a streamed body twice, lets an
//! object be seen whose checksum the store has not confirmed, reads bytes other than those stored.
//!
//! | file | holds |
//! |---|---|
//! | [`config`], `endpoint`, `names` | settings; addresses; what names are taken and how temporary ones are built |
//! | [`credentials`] | access tokens |
//! | `request`, `error` | one call: authorised, sent, judged, repeated where safe |
//! | `resource` | objects and listings as Google writes them |
//! | `read`, `list`, `write`, `session`, `split`, `publish` | the operations on whole objects |
//! | `uploads`, `xml_uploads`, `compose` | uploads in parts |
//! | `probe` | what the endpoint really does |
//!
//! # How bytes are proved
//!
//! Google keeps a CRC32C of every object. A small body is sent together with it; a longer one goes through an upload session in
//! two pieces, and the last carries the checksum of the whole in `X-Goog-Hash`, which Google compares before the object comes into
//! being. Parts are compared on a temporary object before it is published. An endpoint that was probed and checks none of this gets
//! every object under a temporary name first ([`Verification::Staged`]).
//!
//! # Versions
//!
//! A version is `generation.metageneration`; neither comes back, so no condition can be fooled by a value that recurs. A change of
//! metadata alone makes another version of the same generation.

mod compose;
pub mod config;
pub mod credentials;
mod endpoint;
mod error;
mod list;
mod names;
mod probe;
mod publish;
mod read;
mod request;
mod resource;
mod session;
mod split;
mod store;
mod uploads;
mod write;
mod xml_uploads;

pub use config::GcsConfig;
pub use credentials::{BearerToken, GoogleCredentialSource, GoogleCredentials};
pub use names::is_temporary_name;

use crate::http::{ConcurrencyLimiter, HttpClient};
use crate::{Capabilities, ConditionSupport, Error, Result, UploadLimits, Verification};
use endpoint::Endpoint;
use read::Heads;
use serde_json::{Map, Value};
use skyfresh_sky::{Attributes, Clock, Invalid, Kind, Location, Rng, Scheme};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// Requests under way when a store is opened; answers raise it, throttling lowers it.
const FIRST_CONCURRENCY: usize = 64;

/// One bucket, rooted at a prefix.
pub struct GcsStore {
    location: Location,
    endpoint: Endpoint,
    http: HttpClient,
    credentials: GoogleCredentials,
    limiter: Arc<ConcurrencyLimiter>,
    clock: Arc<dyn Clock>,
    rng: Rng,
    stall: Duration,
    capabilities: RwLock<Capabilities>,
    heads: Mutex<Heads>,
}

impl std::fmt::Debug for GcsStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GcsStore")
            .field("location", &self.location.to_string())
            .finish_non_exhaustive()
    }
}

/// What Google Cloud Storage does (<https://cloud.google.com/storage/docs/request-preconditions>,
/// <https://cloud.google.com/storage/docs/data-validation>), assumed until probed.
const GOOGLE: Capabilities = Capabilities {
    put_if_absent: ConditionSupport::Enforced,
    put_if_version: ConditionSupport::Enforced,
    complete_if_absent: ConditionSupport::Enforced,
    complete_if_version: ConditionSupport::Enforced,
    delete_if_version: ConditionSupport::Enforced,
    get_if_version: ConditionSupport::Enforced,
    copy: true,
    // A rewrite takes whole objects only.
    copy_part: false,
    multipart: true,
    list_uploads: true,
    tags: false,
    versioned: true,
    verification: Verification::Crc32c,
    upload_limits: UploadLimits::GCS_XML,
    metadata: crate::MetadataLimits::GCS,
    batch_delete: None,
    pull: false,
};

impl GcsStore {
    /// Opens a store. Nothing is sent yet. Sockets are real, so `clock` must be one that really waits
    /// ([`SystemClock`](skyfresh_sky::SystemClock)): it times stalls and the waits between tries.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the location is not Google's, or a setting cannot be used.
    pub fn new(
        location: Location,
        config: GcsConfig,
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
        if location.scheme != Scheme::Gcs {
            return Err(invalid(Invalid::new(
                "location",
                location.to_string(),
                "expected gs://bucket/prefix",
            )));
        }
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
        let credentials = GoogleCredentials::new(config.credentials, clock.clone())?;
        Ok(GcsStore {
            endpoint,
            http,
            credentials,
            limiter: ConcurrencyLimiter::new(FIRST_CONCURRENCY, config.max_concurrency),
            stall: config.stall_timeout,
            capabilities: RwLock::new(GOOGLE),
            heads: Mutex::default(),
            location,
            clock,
            rng,
        })
    }

    /// Takes over what an earlier [`probe`](crate::ObjectStore::probe) of the same bucket found, instead of the protocol's
    /// defaults.
    pub fn with_capabilities(self, capabilities: Capabilities) -> Self {
        self.learn(capabilities);
        self
    }

    fn capabilities_now(&self) -> Capabilities {
        self.capabilities
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn learn(&self, capabilities: Capabilities) {
        *self
            .capabilities
            .write()
            .unwrap_or_else(PoisonError::into_inner) = capabilities;
    }

    /// Uploads in parts go by composing: the record says so by its limits.
    fn composes(&self) -> bool {
        self.capabilities_now().upload_limits == UploadLimits::GCS_COMPOSE
    }

    fn heads(&self) -> MutexGuard<'_, Heads> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How errors name an object, or with an empty key the bucket.
    fn target(&self, full_key: &str) -> String {
        format!("gs://{}/{full_key}", self.location.bucket)
    }

    /// An error about the object with this full key.
    fn failed(
        &self,
        kind: Kind,
        operation: &'static str,
        full_key: &str,
        context: impl Into<String>,
    ) -> Error {
        Error::new(kind, operation, self.target(full_key), context)
    }

    fn check_name(&self, operation: &'static str, full_key: &str) -> Result<()> {
        names::check(full_key).map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))
    }

    /// The metadata that goes with a write.
    fn metadata(
        &self,
        operation: &'static str,
        full_key: &str,
        attributes: &Attributes,
    ) -> Result<Map<String, Value>> {
        resource::metadata(attributes)
            .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))
    }

    /// A name for an object that is compared before it is published.
    fn staging_name(&self, operation: &'static str, full_key: &str) -> Result<String> {
        let nonce = self.rng.token();
        if names::fits_xml(full_key) {
            return Ok(names::xml_temporary(&self.location, &nonce, full_key));
        }
        if names::fits_compose(&self.location) {
            return Ok(format!("{}/whole", names::manifest(&self.location, &nonce)));
        }
        let why = "the prefix is too long: no temporary name would fit";
        Err(self.failed(Kind::Invalid, operation, full_key, why))
    }

    /// Parses an answer's document.
    fn document<T: for<'de> serde::Deserialize<'de>>(
        &self,
        operation: &'static str,
        full_key: &str,
        body: &[u8],
    ) -> Result<T> {
        serde_json::from_slice(body).map_err(|why| {
            let context = format!(
                "the store's answer cannot be read ({} bytes): {why}",
                body.len()
            );
            self.failed(Kind::RetryAfter, operation, full_key, context)
        })
    }
}
