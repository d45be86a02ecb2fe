//! Amazon S3 and everything that speaks its protocol, as thin REST calls.
//!
//! **In:** a location, an [`S3Config`], a clock and a source of randomness.
//! **Out:** an [`ObjectStore`](crate::ObjectStore).
//! **Never:** reads the environment, follows a redirect to a host it was not configured for, sends a streamed body twice,
//! reports a write as done whose checksum the store has not confirmed.
//!
//! | file | holds |
//! |---|---|
//! | [`config`], `endpoint` | settings; host, path and region of the bucket; keys on the wire |
//! | `signing`, `chain` | credentials and signatures |
//! | `request` | one call: signed, sent, judged, repeated where safe |
//! | `error`, `xml`, `attributes` | refusals, documents and headers as our types |
//! | `read`, `parts`, `list`, `write`, `multipart`, `deletes`, `tags` | the operations |
//! | `identity`, `keys` | who signs, for `doctor`; the keys themselves, for other SDKs |
//! | `service` | signed small requests to AWS services beside S3 |
//! | `presign` | URLs by which others may read |
//! | `verify` | proof that the store holds the bytes sent |
//! | `probe` | what the endpoint really does |

mod attributes;
pub(crate) mod chain;
pub mod config;
mod deletes;
mod endpoint;
mod error;
mod identity;
mod keys;
mod list;
mod multipart;
mod parts;
mod presign;
mod probe;
mod read;
mod request;
mod service;
mod signing;
mod sigv4;
mod store;
mod tags;
mod verify;
pub(crate) mod write;
pub(crate) mod xml;

pub use config::{Addressing, Credentials, S3Config};
pub use identity::Identity;
pub use keys::{AccessKeys, KeySource};
pub use service::AwsService;

use crate::http::{ConcurrencyLimiter, HttpClient};
use crate::{
    BatchDelete, Capabilities, ConditionSupport, Error, Result, UploadLimits, Verification,
};
use endpoint::Endpoint;
use signing::Signer;
use sigv4::Scope;
use skyfresh_sky::{Clock, Invalid, Kind, Location, Rng, Scheme};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Requests under way when a store is opened; answers raise it, throttling lowers it.
const FIRST_CONCURRENCY: usize = 64;

/// One bucket, rooted at a prefix.
pub struct S3Store {
    location: Location,
    bucket: String,
    route: RwLock<Arc<Route>>,
    http: HttpClient,
    signer: Signer,
    limiter: Arc<ConcurrencyLimiter>,
    clock: Arc<dyn Clock>,
    rng: Rng,
    stall: Duration,
    knowledge: RwLock<Knowledge>,
}

/// Where requests go, and what their signatures have in common.
struct Route {
    endpoint: Endpoint,
    scope: Scope,
}

impl Route {
    fn new(endpoint: Endpoint) -> Self {
        let scope = Scope::new(&endpoint.region);
        Route { endpoint, scope }
    }
}

/// What is known of the endpoint.
#[derive(Clone, Debug)]
struct Knowledge {
    capabilities: Capabilities,
    /// `capabilities` were found out, not assumed.
    probed: bool,
    /// It was seen to repeat no checksum that it was sent, so that an MD5 must go along.
    silent: bool,
    /// It takes and checks the whole object's checksum when an upload is completed.
    checksum_on_complete: bool,
    /// Whether it knows conditions in batches of deletes was found out, not assumed.
    batch_tried: bool,
}

impl std::fmt::Debug for S3Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Store")
            .field("location", &self.location.to_string())
            .finish_non_exhaustive()
    }
}

/// What Amazon S3 does (S3 user guide, "Conditional requests", "Checking object integrity"), assumed until probed.
const AMAZON: Capabilities = Capabilities {
    put_if_absent: ConditionSupport::Enforced,
    put_if_version: ConditionSupport::Enforced,
    complete_if_absent: ConditionSupport::Enforced,
    complete_if_version: ConditionSupport::Enforced,
    delete_if_version: ConditionSupport::Enforced,
    get_if_version: ConditionSupport::Enforced,
    copy: true,
    copy_part: true,
    multipart: true,
    list_uploads: true,
    tags: true,
    versioned: false,
    verification: Verification::Crc64Nvme,
    upload_limits: UploadLimits::S3,
    metadata: crate::MetadataLimits::S3,
    batch_delete: Some(BatchDelete {
        // API reference, `DeleteObjects`.
        most_keys: 1000,
        if_version: ConditionSupport::Enforced,
    }),
    pull: false,
};

impl S3Store {
    /// Opens a store. Nothing is sent yet. Sockets are real, so `clock` must be one that really waits
    /// ([`SystemClock`](skyfresh_sky::SystemClock)): it times stalls and the waits between tries.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the location is not S3's, or a setting cannot be used.
    pub fn new(
        location: Location,
        config: S3Config,
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
        if location.scheme != Scheme::S3 {
            return Err(invalid(Invalid::new(
                "location",
                location.to_string(),
                "expected s3://bucket/prefix",
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
        Ok(S3Store {
            bucket: location.bucket.clone(),
            signer: Signer::new(
                &config,
                location.option("profile"),
                http.clone(),
                clock.clone(),
            ),
            route: RwLock::new(Arc::new(Route::new(endpoint))),
            http,
            limiter: ConcurrencyLimiter::new(FIRST_CONCURRENCY, config.max_concurrency),
            stall: config.stall_timeout,
            knowledge: RwLock::new(Knowledge {
                capabilities: AMAZON,
                probed: false,
                silent: false,
                checksum_on_complete: true,
                batch_tried: false,
            }),
            location,
            clock,
            rng,
        })
    }

    /// Takes over what an earlier [`probe`](crate::ObjectStore::probe) of the same bucket found, instead of the protocol's
    /// defaults.
    pub fn with_capabilities(self, capabilities: Capabilities) -> Self {
        self.learn(|knowledge| {
            *knowledge = Knowledge {
                capabilities,
                probed: true,
                silent: false,
                checksum_on_complete: false,
                batch_tried: true,
            };
        });
        self
    }

    fn route(&self) -> Arc<Route> {
        self.route
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn knowledge(&self) -> Knowledge {
        self.knowledge
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn learn(&self, update: impl FnOnce(&mut Knowledge)) {
        update(
            &mut self
                .knowledge
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// How errors name an object, or the bucket.
    fn target(&self, full_key: Option<&str>) -> String {
        format!("s3://{}/{}", self.bucket, full_key.unwrap_or_default())
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
