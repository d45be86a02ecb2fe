//! Opens what the command line and the configuration name: stores with their credentials, ledgers, engines.

mod azure;
mod google;
pub(crate) mod ledger;
mod tokens;

use crate::config::{EndpointSection, EngineSection, check_rule};
use crate::context::Context;
use crate::environment::Environment;
use crate::exit::{Exit, Told};
use crate::locations::with_endpoint;
use anyhow::Context as _;
use futures::stream::BoxStream;
use skyfresh_channel::wiring::TokenSource;
use skyfresh_engine::overlay::StandingRelays;
use skyfresh_engine::{Engine, InProcess, OpenStore, Parts, Rule, Stores, Watched};
use skyfresh_ledger::{EmbeddedLedger, Ledger};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Clock, Invalid, Kind, Location, Rng, Scheme};
use skyfresh_store::disk::{DiskOptions, DiskStore};
use skyfresh_store::memory::MemorySky;
use skyfresh_store::s3::{Credentials, S3Config, S3Store};
use skyfresh_store::{Error, ObjectStore, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Opens stores: `s3://`, `gs://` and `az://` with the credentials of their side, `file://`, `mem://`.
#[derive(Debug)]
pub(crate) struct Opener {
    environment: Environment,
    endpoints: BTreeMap<String, EndpointSection>,
    clock: Arc<dyn Clock>,
    rng: Rng,
    memory: MemorySky,
    watching: bool,
}

impl Opener {
    /// An opener that knows these named endpoints.
    pub(crate) fn new(context: &Context, endpoints: BTreeMap<String, EndpointSection>) -> Self {
        Opener {
            environment: context.environment.clone(),
            endpoints,
            clock: Arc::clone(&context.clock),
            rng: context.rng.clone(),
            memory: MemorySky::new(Arc::clone(&context.clock)),
            watching: true,
        }
    }

    /// The same, but nothing is watched: for a single comparison.
    pub(crate) fn without_watching(mut self) -> Self {
        self.watching = false;
        self
    }

    /// An S3 store with the settings and credentials of its side.
    ///
    /// # Errors
    /// The location names an unknown endpoint, or its settings cannot be used.
    pub(crate) fn s3(&self, location: &Location) -> Result<S3Store> {
        let (plain, section) = self.resolve(location)?;
        let config = self.s3_config(&plain, section);
        S3Store::new(plain, config, Arc::clone(&self.clock), self.rng.fork())
    }

    /// The location without an endpoint by name, and that endpoint.
    pub(crate) fn resolve(
        &self,
        location: &Location,
    ) -> Result<(Location, Option<&EndpointSection>)> {
        with_endpoint(location, &self.endpoints).map_err(|error| invalid(location, &error))
    }

    /// Checks a rule with its endpoints by name resolved.
    ///
    /// # Errors
    /// It cannot be used; why, in words.
    pub(crate) fn check_rule(&self, rule: &Rule) -> Result<(), Told> {
        check_rule(rule, &self.endpoints).map_err(|why| Told::new(Exit::Usage, why))
    }

    /// The settings and credentials of one S3 side, its endpoint by name resolved.
    pub(crate) fn s3_config(
        &self,
        location: &Location,
        section: Option<&EndpointSection>,
    ) -> S3Config {
        let profile = location
            .option("profile")
            .or(section.and_then(|section| section.profile.as_deref()));
        // A profile on the location is the user's last word: it comes before keys in the configuration.
        let keys = section
            .and_then(|section| section.keys.as_ref())
            .filter(|_| location.option("profile").is_none());
        let credentials = match keys {
            Some(keys) => Credentials::Static {
                access_key_id: keys.access_key_id.clone(),
                secret_access_key: keys.secret_access_key.expose().to_owned(),
                session_token: keys
                    .session_token
                    .as_ref()
                    .map(|token| token.expose().to_owned()),
            },
            None => Credentials::Chain {
                env: self.environment.variables().clone(),
                home_dir: self.environment.home(),
                profile: profile.map(str::to_owned),
            },
        };
        S3Config {
            endpoint: section.and_then(|section| section.url.clone()).or_else(|| {
                self.environment_endpoint()
                    .filter(|_| section.is_none())
                    .map(str::to_owned)
            }),
            region: section.and_then(|section| section.region.clone()),
            addressing: section.and_then(|section| section.addressing),
            credentials,
            ..S3Config::default()
        }
    }

    /// Region and credentials for an AWS service beside S3, of an endpoint's section or of the environment.
    pub(crate) fn aws(&self, section: Option<&EndpointSection>) -> S3Config {
        let nowhere = Location {
            scheme: Scheme::S3,
            bucket: String::new(),
            prefix: String::new(),
            options: BTreeMap::new(),
        };
        self.s3_config(&nowhere, section)
    }

    /// The clock that everything opened here runs by.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// The endpoint of the AWS SDKs' own variables (AWS SDKs reference guide, "Service-specific endpoints").
    pub(crate) fn environment_endpoint(&self) -> Option<&str> {
        self.environment
            .get("AWS_ENDPOINT_URL_S3")
            .or_else(|| self.environment.get("AWS_ENDPOINT_URL"))
    }

    /// Where requests about a location go, for a first unsigned one; `None` for what is on this machine, or cannot be told.
    pub(crate) fn address(&self, location: &Location) -> Option<String> {
        let (plain, section) = self.resolve(location).ok()?;
        let named = plain
            .option("endpoint")
            .or(section.and_then(|section| section.url.as_deref()));
        match location.scheme {
            Scheme::S3 => self.s3(location).ok().map(|store| store.url()),
            Scheme::Gcs => Some(named.unwrap_or("https://storage.googleapis.com").to_owned()),
            Scheme::Azure => {
                let (account, _) = location.azure_container()?;
                let default = || format!("https://{account}.blob.core.windows.net");
                Some(named.map_or_else(default, str::to_owned))
            }
            Scheme::File | Scheme::Memory => None,
        }
    }

    /// Whether the second location's credentials reach the first one's objects at the same service, so that a store may copy by
    /// itself: same kind, same address, same identity. Azure copies within an account only.
    pub(crate) fn same_service(&self, source: &Location, target: &Location) -> bool {
        if source.scheme != target.scheme {
            return false;
        }
        let of = |location: &Location| {
            let (plain, section) = self.resolve(location).ok()?;
            let address = plain
                .option("endpoint")
                .map(str::to_owned)
                .or_else(|| section.and_then(|section| section.url.clone()));
            let profile = plain.option("profile").map(str::to_owned);
            let profile = profile.or_else(|| section.and_then(|section| section.profile.clone()));
            let keys = section.and_then(|section| section.keys.as_ref());
            let keys = keys.map(|keys| keys.access_key_id.clone());
            Some((address, profile, keys))
        };
        let same_account = match target.scheme {
            Scheme::S3 | Scheme::Gcs => true,
            Scheme::Azure => {
                let account = |location: &Location| {
                    location
                        .azure_container()
                        .map(|(account, _)| account.to_owned())
                };
                account(source) == account(target)
            }
            Scheme::File | Scheme::Memory => false,
        };
        same_account && of(source).is_some() && of(source) == of(target)
    }

    /// Access tokens for the control plane of the cloud a location is in. They go there whatever the store's own address is, so
    /// identities that were found are used, too. Nothing is sent or read yet.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the location names an unknown endpoint, or its credentials cannot be used. [`Kind::Unsupported`]: its
    /// control plane takes no access token.
    pub(crate) fn token_source(&self, location: &Location) -> Result<Arc<dyn TokenSource>> {
        let (plain, section) = self.resolve(location)?;
        match location.scheme {
            Scheme::Gcs => Ok(Arc::new(self.google_tokens(section, None)?)),
            Scheme::Azure => Ok(Arc::new(self.azure_management(&plain, section)?)),
            Scheme::S3 | Scheme::File | Scheme::Memory => {
                let why = "only the control planes of Google Cloud and Azure take access tokens";
                Err(Error::new(
                    Kind::Unsupported,
                    "open",
                    location.to_string(),
                    why,
                ))
            }
        }
    }

    fn disk(&self, location: &Location) -> Result<Arc<DiskStore>> {
        DiskStore::open(
            location.clone(),
            Arc::clone(&self.clock),
            DiskOptions::default(),
        )
    }
}

fn invalid(location: &Location, error: &Invalid) -> Error {
    Error::new(
        Kind::Invalid,
        "open",
        location.to_string(),
        error.to_string(),
    )
}

impl OpenStore for Opener {
    fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        Ok(match location.scheme {
            Scheme::S3 => Arc::new(self.s3(location)?),
            Scheme::Gcs => Arc::new(self.gcs(location)?),
            Scheme::Azure => Arc::new(self.azure(location)?),
            Scheme::File => self.disk(location)?,
            Scheme::Memory => {
                self.memory.create_bucket(&location.bucket);
                self.memory.store(location.clone())
            }
        })
    }

    fn watch(&self, location: &Location) -> Option<Result<BoxStream<'static, Watched>>> {
        if location.scheme != Scheme::File || !self.watching {
            return None;
        }
        if !cfg!(target_os = "linux") {
            let why = "directories can be watched on Linux only";
            return Some(Err(Error::new(
                Kind::Unsupported,
                "watch",
                location.to_string(),
                why,
            )));
        }
        Some(
            self.disk(location)
                .map(|store| crate::watch::watch(store, Arc::clone(&self.clock))),
        )
    }
}

/// Opens the ledger in a file, making the directory it lies in where asked to.
pub(crate) async fn ledger(path: &Path, owner: &str) -> anyhow::Result<EmbeddedLedger> {
    EmbeddedLedger::open(path, owner)
        .await
        .with_context(|| format!("cannot open the ledger {}", path.display()))
}

/// A name for this incarnation of this process: two that run after each other, or at once, never share it.
pub(crate) fn owner(rng: &Rng) -> String {
    format!("{}-{}", std::process::id(), rng.token())
}

/// An engine over these stores and this ledger, without rules yet, that prices by this catalogue. `state` is the service that
/// keeps the ledger, as the catalogue calls it; `None` is the embedded one. Large objects go by `relays` where these are better.
///
/// # Errors
/// The catalogue does not list the service.
#[expect(clippy::too_many_arguments, reason = "wiring")]
pub(crate) fn engine(
    context: &Context,
    section: &EngineSection,
    owner: &str,
    ledger: Arc<dyn Ledger>,
    stores: Arc<Stores>,
    catalog: Catalog,
    state: Option<&str>,
    relays: Option<&Arc<StandingRelays>>,
) -> anyhow::Result<Engine> {
    let mut executor = InProcess::new(
        Arc::clone(&stores),
        Arc::clone(&ledger),
        Arc::clone(&context.clock),
        section.max_parts_in_flight,
    );
    if let Some(relays) = relays {
        executor = executor.with_relays(Arc::clone(relays));
    }
    let planning = section.planning(&catalog, state)?;
    Ok(Engine::new(Parts {
        config: section.config(owner),
        ledger,
        stores,
        executor: Arc::new(executor),
        catalog,
        clock: Arc::clone(&context.clock),
        rng: context.rng.fork(),
        planning,
    }))
}
