//! The fields of `skyfresh.toml`, as written and as used.

use super::azure::AzureFields;
use super::channels::{self, ChannelSection, RawChannel};
use super::diagnose::{ConfigError, Source};
use super::engine::{EngineSection, RawEngine};
use super::ledger::{LedgerSection, RawLedger};
use super::push::{self, PushSection, RawEventGrid, RawPubsub};
use super::rules::check_rule;
use super::{GoogleAccess, Secret};
use crate::environment::Environment;
use crate::locations::addressing_of;
use serde::Deserialize;
use skyfresh_engine::Rule;
use skyfresh_store::azure::AzureCredentialSource;
use skyfresh_store::s3::Addressing;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
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

    pub(super) fn parsed<T, E: std::fmt::Display>(
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
