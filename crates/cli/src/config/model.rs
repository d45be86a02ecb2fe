//! The fields of `skyfresh.toml`, as written and as used.

use super::azure::AzureFields;
use super::channels::{self, ChannelSection, RawChannel};
use super::diagnose::{ConfigError, Source};
use super::ledger::{LedgerSection, RawLedger};
use super::push::{self, PushSection, RawEventGrid, RawPubsub};
use super::rules::check_rule;
use super::{GoogleAccess, Secret};
use crate::environment::Environment;
use crate::locations::addressing_of;
use serde::Deserialize;
use skyfresh_engine::Rule;
use skyfresh_engine::planning::Planning;
use skyfresh_plan::replicate::{Planner, Settings};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Invalid, Region, parse_bytes, parse_delay};
use skyfresh_store::azure::AzureCredentialSource;
use skyfresh_store::s3::Addressing;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

/// A whole configuration, ready to use.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// `catalog`: the user's own prices and links.
    pub(crate) catalog: Option<PathBuf>,
    /// `[server]`
    pub(crate) server: ServerSection,
    /// `[ledger]`
    pub(crate) ledger: LedgerSection,
    /// `[engine]`
    pub(crate) engine: EngineSection,
    /// `[endpoint.NAME]`
    pub(crate) endpoints: BTreeMap<String, EndpointSection>,
    /// `[[rule]]`
    pub(crate) rules: Vec<Rule>,
    /// `[[channel]]`
    pub(crate) channels: Vec<ChannelSection>,
}

/// `[server]`: the HTTP API.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerSection {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Asked of every API call, where set.
    pub(crate) api_token: Option<Secret>,
    /// Asked of every notification.
    pub(crate) webhook_secret: Option<Secret>,
    /// Take notifications from anyone.
    pub(crate) allow_unauthenticated_notifications: bool,
    /// `[server.pubsub]`, `[server.event_grid]`
    pub(crate) push: PushSection,
}

/// `[engine]`: how the work runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EngineSection {
    /// Keys worked on at once for each destination of a rule.
    pub(crate) lane_concurrency: usize,
    /// Whether the planner chooses how objects travel; otherwise `part_size` and `workers` do.
    pub(crate) planned: bool,
    /// Where this process runs, for predictions and prices; `local` where nobody says.
    pub(crate) region: Region,
    /// Preferred bytes in a part, and the largest object sent in one request, where nothing is planned.
    pub(crate) part_size_bytes: u64,
    /// Most workers on one object.
    pub(crate) workers: u32,
    /// Parts in flight in one worker.
    pub(crate) parts_in_flight: usize,
    /// Parts in flight in the whole process: bounds memory.
    pub(crate) max_parts_in_flight: usize,
    /// For how long a key is claimed unless renewed.
    pub(crate) lease: Duration,
    /// How often orphaned uploads are looked for.
    pub(crate) janitor_period: Duration,
    /// How long receipts and tombstones are kept.
    pub(crate) retention: Duration,
    /// A change that a sweep finds counts as lost only when it is older.
    pub(crate) notification_grace: Duration,
}

/// Workers of two parts each on one object: more streams than this are rarely faster from one machine, and several objects share
/// it.
const MOST_WORKERS: u32 = 16;

impl Default for EngineSection {
    fn default() -> Self {
        let engine = skyfresh_engine::EngineConfig::new("");
        EngineSection {
            lane_concurrency: engine.lane_concurrency,
            planned: true,
            region: Region::local(),
            part_size_bytes: engine.sizing.part_bytes,
            workers: MOST_WORKERS,
            parts_in_flight: engine.parts_in_flight,
            max_parts_in_flight: 64,
            lease: engine.lease,
            janitor_period: engine.janitor_period,
            retention: engine.retention,
            notification_grace: engine.notification_grace,
        }
    }
}

impl EngineSection {
    /// How it plans, with this catalogue and the ledger's service; `None` where it does not.
    ///
    /// # Errors
    /// The catalogue does not list the service.
    pub(crate) fn planning(
        &self,
        catalog: &Catalog,
        state: Option<&str>,
    ) -> Result<Option<Planning>, Invalid> {
        if !self.planned {
            return Ok(None);
        }
        let settings = Settings {
            state: state.map(str::to_owned),
            parts_in_flight: u32::try_from(self.parts_in_flight).unwrap_or(u32::MAX),
            ..Settings::default()
        };
        // Every worker takes its parts in flight out of what the process has.
        let fit = self.max_parts_in_flight / self.parts_in_flight.max(1);
        Ok(Some(Planning {
            planner: Planner::new(catalog.clone(), settings)?,
            home: self.region.clone(),
            process_workers: self.workers.min(u32::try_from(fit).unwrap_or(u32::MAX)),
            functions: Vec::new(),
        }))
    }

    /// As the engine takes it, owned by `owner`.
    pub(crate) fn config(&self, owner: impl Into<String>) -> skyfresh_engine::EngineConfig {
        let mut config = skyfresh_engine::EngineConfig::new(owner);
        config.lease = self.lease;
        config.lane_concurrency = self.lane_concurrency;
        config.parts_in_flight = self.parts_in_flight;
        config.sizing.part_bytes = self.part_size_bytes;
        config.sizing.max_workers = self.workers;
        config.janitor_period = self.janitor_period;
        config.retention = self.retention;
        config.notification_grace = self.notification_grace;
        config
    }
}

/// `[endpoint.NAME]`: a store that locations refer to as `?endpoint=NAME`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct EndpointSection {
    /// `http://host:port` or `https://host`; AWS where absent.
    pub(crate) url: Option<String>,
    /// The region's bare name.
    pub(crate) region: Option<String>,
    /// How the bucket is named in requests.
    pub(crate) addressing: Option<Addressing>,
    /// A profile of the shared AWS files.
    pub(crate) profile: Option<String>,
    /// Credentials given here.
    pub(crate) keys: Option<AccessKeys>,
    /// Credentials for Google given here.
    pub(crate) google: Option<GoogleAccess>,
    /// Credentials for Azure given here.
    pub(crate) azure: Option<AzureCredentialSource>,
}

/// Credentials written in the configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AccessKeys {
    /// Access key id.
    pub(crate) access_key_id: String,
    /// Secret access key.
    pub(crate) secret_access_key: Secret,
    /// Session token of temporary credentials.
    pub(crate) session_token: Option<Secret>,
}

/// Text that may contain `${NAME}`.
pub(super) type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    catalog: Option<Text>,
    #[serde(default)]
    server: RawServer,
    #[serde(default)]
    ledger: RawLedger,
    #[serde(default)]
    engine: RawEngine,
    #[serde(default)]
    endpoint: BTreeMap<String, Spanned<RawEndpoint>>,
    #[serde(default)]
    rule: Vec<Spanned<Rule>>,
    #[serde(default)]
    channel: Vec<Spanned<RawChannel>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    listen: Option<Text>,
    api_token: Option<Text>,
    webhook_secret: Option<Text>,
    #[serde(default)]
    allow_unauthenticated_notifications: bool,
    pubsub: Option<RawPubsub>,
    event_grid: Option<Spanned<RawEventGrid>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEngine {
    lane_concurrency: Option<Spanned<usize>>,
    planned: Option<bool>,
    region: Option<Text>,
    part_size: Option<Text>,
    workers: Option<Spanned<u32>>,
    parts_in_flight: Option<Spanned<usize>>,
    max_parts_in_flight: Option<Spanned<usize>>,
    lease: Option<Text>,
    janitor_period: Option<Text>,
    retention: Option<Text>,
    notification_grace: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEndpoint {
    url: Option<Text>,
    region: Option<Text>,
    addressing: Option<Text>,
    profile: Option<Text>,
    access_key_id: Option<Text>,
    secret_access_key: Option<Text>,
    session_token: Option<Text>,
    google_credentials: Option<Text>,
    google_token: Option<Text>,
    azure_account_key: Option<Text>,
    azure_sas_token: Option<Text>,
    azure_sas_token_file: Option<Text>,
    azure_connection_string: Option<Text>,
    azure_tenant_id: Option<Text>,
    azure_client_id: Option<Text>,
    azure_client_secret: Option<Text>,
    azure_federated_token_file: Option<Text>,
    azure_identity: Option<Text>,
}

/// Resolves references and reports where they stand.
pub(super) struct Resolver<'a> {
    source: &'a Source<'a>,
    environment: &'a Environment,
}

impl Resolver<'_> {
    pub(super) fn error(
        &self,
        span: std::ops::Range<usize>,
        what: impl std::fmt::Display,
    ) -> ConfigError {
        self.source.error_at(Some(span), &what.to_string())
    }

    /// Replaces every `${NAME}` by the variable's value.
    pub(super) fn text(&self, text: &Text) -> Result<String, ConfigError> {
        let (mut resolved, mut rest) = (String::new(), text.get_ref().as_str());
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or_else(|| {
                self.error(text.span(), "a reference to a variable is written ${NAME}")
            })?;
            let value = self.environment.get(name).ok_or_else(|| {
                let mut error = self.error(
                    text.span(),
                    format_args!("the environment variable {name} is not set"),
                );
                error
                    .hints
                    .push(format!("set {name} in the environment of this command"));
                error
            })?;
            resolved.push_str(before);
            resolved.push_str(value);
            rest = after;
        }
        resolved.push_str(rest);
        Ok(resolved)
    }

    pub(super) fn optional(&self, text: &Option<Text>) -> Result<Option<String>, ConfigError> {
        text.as_ref().map(|text| self.text(text)).transpose()
    }

    pub(super) fn secret(&self, text: &Option<Text>) -> Result<Option<Secret>, ConfigError> {
        let Some(text) = text else { return Ok(None) };
        match self.text(text)? {
            empty if empty.is_empty() => {
                Err(self.error(text.span(), "a secret cannot be empty; leave it out"))
            }
            secret => Ok(Some(Secret::new(secret))),
        }
    }

    fn parsed<T, E: std::fmt::Display>(
        &self,
        text: &Option<Text>,
        default: T,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        let Some(text) = text else { return Ok(default) };
        parse(&self.text(text)?).map_err(|error| self.error(text.span(), error))
    }

    pub(super) fn positive<T: Copy + PartialOrd + From<u8>>(
        &self,
        number: &Option<Spanned<T>>,
        default: T,
    ) -> Result<T, ConfigError> {
        match number {
            None => Ok(default),
            Some(number) if *number.get_ref() < T::from(1) => {
                Err(self.error(number.span(), "must be at least 1"))
            }
            Some(number) => Ok(*number.get_ref()),
        }
    }
}

/// A delay that cannot be zero.
fn some_delay(text: &str) -> Result<Duration, String> {
    match parse_delay(text) {
        Ok(delay) if delay.is_zero() => Err("must be above zero".into()),
        Ok(delay) => Ok(delay),
        Err(error) => Err(error.to_string()),
    }
}

/// A part size within S3's limits.
fn part_size(text: &str) -> Result<u64, String> {
    let limits = skyfresh_store::UploadLimits::S3;
    match parse_bytes(text) {
        Ok(bytes) if bytes < limits.min_part_bytes || bytes > limits.max_part_bytes => {
            Err("a part has 5 MiB to 5 GiB (S3's limits on multipart uploads)".into())
        }
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

impl RawConfig {
    pub(super) fn resolve(
        self,
        source: &Source<'_>,
        environment: &Environment,
    ) -> Result<Config, ConfigError> {
        let resolver = Resolver {
            source,
            environment,
        };
        let catalog = resolver.optional(&self.catalog)?.map(PathBuf::from);
        let server = self.server.resolve(&resolver)?;
        let ledger = self.ledger.resolve(&resolver)?;
        let engine = self.engine.resolve(&resolver)?;
        let mut endpoints = BTreeMap::new();
        for (name, endpoint) in self.endpoint {
            let section = endpoint.get_ref().resolve(&resolver, endpoint.span())?;
            endpoints.insert(name, section);
        }
        let mut rules = Vec::new();
        let mut names = BTreeSet::new();
        for rule in self.rule {
            let span = rule.span();
            let rule = rule.into_inner();
            check_rule(&rule, &endpoints).map_err(|why| resolver.error(span.clone(), why))?;
            if !names.insert(rule.name.clone()) {
                return Err(
                    resolver.error(span, format_args!("two rules are named {:?}", rule.name))
                );
            }
            rules.push(rule);
        }
        let channels = channels::resolve(self.channel, &resolver, &endpoints, &rules)?;
        Ok(Config {
            catalog,
            server,
            ledger,
            engine,
            endpoints,
            rules,
            channels,
        })
    }
}

impl RawServer {
    fn resolve(self, resolver: &Resolver<'_>) -> Result<ServerSection, ConfigError> {
        let listen = resolver.parsed(
            &self.listen,
            SocketAddr::from(([127, 0, 0, 1], 7070)),
            |text| {
                text.parse()
                    .map_err(|_| "expected ADDRESS:PORT, e.g. 127.0.0.1:7070 or [::1]:7070")
            },
        )?;
        Ok(ServerSection {
            listen,
            api_token: resolver.secret(&self.api_token)?,
            webhook_secret: resolver.secret(&self.webhook_secret)?,
            allow_unauthenticated_notifications: self.allow_unauthenticated_notifications,
            push: push::resolve(self.pubsub, self.event_grid, resolver)?,
        })
    }
}

impl RawEngine {
    fn resolve(self, resolver: &Resolver<'_>) -> Result<EngineSection, ConfigError> {
        let default = EngineSection::default();
        let section = EngineSection {
            lane_concurrency: resolver
                .positive(&self.lane_concurrency, default.lane_concurrency)?,
            planned: self.planned.unwrap_or(default.planned),
            region: resolver.parsed(&self.region, default.region, str::parse::<Region>)?,
            part_size_bytes: resolver.parsed(
                &self.part_size,
                default.part_size_bytes,
                part_size,
            )?,
            workers: resolver.positive(&self.workers, default.workers)?,
            parts_in_flight: resolver.positive(&self.parts_in_flight, default.parts_in_flight)?,
            max_parts_in_flight: resolver
                .positive(&self.max_parts_in_flight, default.max_parts_in_flight)?,
            lease: resolver.parsed(&self.lease, default.lease, some_delay)?,
            janitor_period: resolver.parsed(
                &self.janitor_period,
                default.janitor_period,
                some_delay,
            )?,
            retention: resolver.parsed(&self.retention, default.retention, some_delay)?,
            notification_grace: resolver.parsed(
                &self.notification_grace,
                default.notification_grace,
                some_delay,
            )?,
        };
        match &self.max_parts_in_flight {
            Some(limit) if *limit.get_ref() < section.parts_in_flight => Err(resolver.error(
                limit.span(),
                format_args!(
                    "must be at least parts_in_flight ({}): no worker could start",
                    section.parts_in_flight
                ),
            )),
            _ => Ok(section),
        }
    }
}

impl RawEndpoint {
    fn resolve(
        &self,
        resolver: &Resolver<'_>,
        span: std::ops::Range<usize>,
    ) -> Result<EndpointSection, ConfigError> {
        let url = resolver.optional(&self.url)?;
        if let (Some(url), Some(text)) = (&url, &self.url)
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return Err(resolver.error(text.span(), "expected http://host:port or https://host"));
        }
        let keys = match (
            resolver.optional(&self.access_key_id)?,
            resolver.secret(&self.secret_access_key)?,
            resolver.secret(&self.session_token)?,
        ) {
            (None, None, None) => None,
            (Some(access_key_id), Some(secret_access_key), session_token) => Some(AccessKeys {
                access_key_id,
                secret_access_key,
                session_token,
            }),
            _ => {
                let why = "access_key_id and secret_access_key go together (session_token only with them)";
                return Err(resolver.error(span, why));
            }
        };
        if keys.is_some() && self.profile.is_some() {
            return Err(resolver.error(span, "give either a profile or access keys, not both"));
        }
        let google = GoogleAccess::of(
            resolver.optional(&self.google_credentials)?,
            resolver.secret(&self.google_token)?,
        )
        .map_err(|why| resolver.error(span.clone(), why))?;
        let azure = AzureFields {
            account_key: resolver.secret(&self.azure_account_key)?,
            sas_token: resolver.secret(&self.azure_sas_token)?,
            sas_token_file: resolver.optional(&self.azure_sas_token_file)?,
            connection_string: resolver.secret(&self.azure_connection_string)?,
            tenant_id: resolver.optional(&self.azure_tenant_id)?,
            client_id: resolver.optional(&self.azure_client_id)?,
            client_secret: resolver.secret(&self.azure_client_secret)?,
            federated_token_file: resolver.optional(&self.azure_federated_token_file)?,
            identity: resolver.optional(&self.azure_identity)?,
        };
        let azure = azure.source().map_err(|why| resolver.error(span, why))?;
        Ok(EndpointSection {
            url,
            region: resolver.optional(&self.region)?,
            addressing: resolver
                .parsed(&self.addressing, None, |text| addressing_of(text).map(Some))?,
            profile: resolver.optional(&self.profile)?,
            keys,
            google,
            azure,
        })
    }
}
