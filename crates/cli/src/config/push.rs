//! `[server.pubsub]` and `[server.event_grid]`: whom pushed notifications are taken from.

use super::Secret;
use super::diagnose::ConfigError;
use super::model::{Resolver, Text};
use serde::Deserialize;
use skyfresh_server::{EventGridRules, TokenRules};
use toml::Spanned;

/// `[server.pubsub]` and `[server.event_grid]`, ready to use.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PushSection {
    /// Whose Pub/Sub tokens are taken.
    pub(crate) pubsub: Option<TokenRules>,
    /// Whose Event Grid deliveries are taken.
    pub(crate) event_grid: Option<EventGridSection>,
}

/// `[server.event_grid]`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EventGridSection {
    /// The secret in the webhook's address.
    pub(crate) secret: Option<Secret>,
    /// What tokens must say.
    pub(crate) token: Option<TokenRules>,
}

impl EventGridSection {
    /// As the server takes it.
    pub(crate) fn rules(&self) -> EventGridRules {
        EventGridRules {
            secret: self
                .secret
                .as_ref()
                .map(|secret| secret.expose().to_owned()),
            token: self.token.clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPubsub {
    audience: Text,
    service_account: Text,
    issuer: Option<Text>,
    keys_url: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEventGrid {
    secret: Option<Text>,
    tenant: Option<Text>,
    application: Option<Text>,
    keys_url: Option<Text>,
}

/// Checks both sections.
pub(super) fn resolve(
    pubsub: Option<RawPubsub>,
    event_grid: Option<Spanned<RawEventGrid>>,
    resolver: &Resolver<'_>,
) -> Result<PushSection, ConfigError> {
    let pubsub = pubsub
        .map(|raw| resolve_pubsub(&raw, resolver))
        .transpose()?;
    let event_grid = event_grid
        .map(|raw| resolve_event_grid(raw.get_ref(), raw.span(), resolver))
        .transpose()?;
    Ok(PushSection { pubsub, event_grid })
}

fn resolve_pubsub(raw: &RawPubsub, resolver: &Resolver<'_>) -> Result<TokenRules, ConfigError> {
    let audience = some_text(&raw.audience, resolver)?;
    let account = some_text(&raw.service_account, resolver)?;
    let mut rules = TokenRules::google(&audience, &account);
    if let Some(issuer) = resolver.optional(&raw.issuer)? {
        rules.issuers = vec![issuer];
    }
    if let Some(url) = keys_url(&raw.keys_url, resolver)? {
        rules.keys_url = url;
    }
    Ok(rules)
}

fn resolve_event_grid(
    raw: &RawEventGrid,
    span: std::ops::Range<usize>,
    resolver: &Resolver<'_>,
) -> Result<EventGridSection, ConfigError> {
    let secret = resolver.secret(&raw.secret)?;
    let mut token = match (&raw.tenant, &raw.application) {
        (Some(tenant), Some(application)) => Some(TokenRules::entra(
            &some_text(tenant, resolver)?,
            &some_text(application, resolver)?,
        )),
        (None, None) => None,
        _ => return Err(resolver.error(span, "tenant and application go together")),
    };
    if secret.is_none() && token.is_none() {
        let what =
            "give a secret, or tenant and application: a webhook that anyone may post to is none";
        return Err(resolver.error(span, what));
    }
    if let (Some(rules), Some(url)) = (&mut token, keys_url(&raw.keys_url, resolver)?) {
        rules.keys_url = url;
    }
    Ok(EventGridSection { secret, token })
}

fn some_text(text: &Text, resolver: &Resolver<'_>) -> Result<String, ConfigError> {
    match resolver.text(text)? {
        empty if empty.trim().is_empty() => Err(resolver.error(text.span(), "must not be empty")),
        given => Ok(given),
    }
}

/// Whoever can change the keys on their way can forge every token, so they come over TLS or from this machine.
fn keys_url(text: &Option<Text>, resolver: &Resolver<'_>) -> Result<Option<String>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    let url = resolver.text(text)?;
    let local = ["http://127.0.0.1", "http://[::1]", "http://localhost"]
        .iter()
        .any(|local| {
            let rest = url.strip_prefix(local);
            rest.is_some_and(|rest| rest.starts_with([':', '/']))
        });
    match url.starts_with("https://") || local {
        true => Ok(Some(url)),
        false => Err(resolver.error(
            text.span(),
            "expected https://…: whoever changes the keys can forge tokens",
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::environment::Environment;

    fn parse(text: &str) -> Result<Config, String> {
        let environment = Environment::of(&[("CODE", "c0de")]);
        Config::parse("test.toml", text, &environment).map_err(|error| error.to_string())
    }

    #[test]
    fn senders_are_read_with_their_defaults_and_no_secret_is_shown() {
        let config = parse(
            "[server.pubsub]\naudience = \"https://a\"\nservice_account = \"s@p\"\n\
             [server.event_grid]\nsecret = \"${CODE}\"\ntenant = \"t\"\napplication = \"app\"\nkeys_url = \"http://127.0.0.1:1/k\"\n",
        )
        .unwrap();
        let push = &config.server.push;
        let pubsub = push.pubsub.as_ref().unwrap();
        assert_eq!(pubsub.keys_url, skyfresh_server::GOOGLE_KEYS_URL);
        assert!(pubsub.claims.contains(&("email".into(), "s@p".into())));
        let grid = push.event_grid.as_ref().unwrap();
        assert_eq!(grid.rules().secret.as_deref(), Some("c0de"));
        assert_eq!(
            grid.token.as_ref().unwrap().keys_url,
            "http://127.0.0.1:1/k"
        );
        assert!(!format!("{config:?}").contains("c0de"));
        assert!(!format!("{:?}", grid.rules()).contains("c0de"));
    }

    #[test]
    fn half_a_sender_is_refused() {
        for (text, expected) in [
            ("[server.pubsub]\naudience = \"a\"\n", "service_account"),
            (
                "[server.pubsub]\naudience = \"\"\nservice_account = \"s\"\n",
                "must not be empty",
            ),
            (
                "[server.pubsub]\naudience = \"a\"\nservice_account = \"s\"\nkeys_url = \"http://example.com/k\"\n",
                "https://",
            ),
            (
                "[server.pubsub]\naudience = \"a\"\nservice_account = \"s\"\nkeys_url = \"http://127.0.0.1.evil.example/\"\n",
                "https://",
            ),
            ("[server.event_grid]\n", "give a secret"),
            ("[server.event_grid]\ntenant = \"t\"\n", "go together"),
            ("[server.event_grid]\nsecret = \"\"\n", "cannot be empty"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
