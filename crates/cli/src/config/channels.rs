//! `[[channel]]`: the queues and subscriptions that events are pulled from.

use super::diagnose::ConfigError;
use super::model::{EndpointSection, Resolver, Text};
use serde::Deserialize;
use skyfresh_engine::{DeadLetterPolicy, Rule};
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;

/// Deliveries of an unreadable message before it is recorded as a dead letter.
const DEFAULT_ATTEMPTS: u32 = 5;
/// Receives under way at once: one waits for messages while the other's are taken in.
const DEFAULT_RECEIVERS: usize = 2;
/// A receive holds a connection, and at most ten messages in memory.
const MOST_RECEIVERS: usize = 64;

/// `[[channel]]`, ready to use.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChannelSection {
    /// Its name in status and metrics.
    pub(crate) name: String,
    /// Where messages come from.
    pub(crate) address: ChannelAddress,
    /// `[endpoint.NAME]` with the credentials, where one is named.
    pub(crate) endpoint: Option<EndpointSection>,
    /// Only for these rules; empty: for all.
    pub(crate) rules: Vec<String>,
    /// What becomes of unreadable messages.
    pub(crate) dead_letters: DeadLetterPolicy,
    /// Receives under way at once.
    pub(crate) receivers: usize,
}

/// Which kind of channel, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChannelAddress {
    /// The URL of an Amazon SQS queue.
    Sqs(String),
    /// `projects/PROJECT/subscriptions/SUBSCRIPTION` of Google Pub/Sub.
    Pubsub(String),
    /// The URL of an Azure storage queue.
    AzureQueue(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChannel {
    name: Spanned<String>,
    sqs: Option<Text>,
    pubsub: Option<Text>,
    azure_queue: Option<Text>,
    endpoint: Option<Spanned<String>>,
    #[serde(default)]
    rules: Vec<Spanned<String>>,
    dead_letters: Option<Spanned<String>>,
    attempts: Option<Spanned<u32>>,
    receivers: Option<Spanned<usize>>,
}

/// Checks the channels and gives them their endpoints.
pub(super) fn resolve(
    channels: Vec<Spanned<RawChannel>>,
    resolver: &Resolver<'_>,
    endpoints: &BTreeMap<String, EndpointSection>,
    rules: &[Rule],
) -> Result<Vec<ChannelSection>, ConfigError> {
    let mut names = BTreeSet::new();
    let mut sections = Vec::new();
    for channel in channels {
        let span = channel.span();
        let section = resolve_one(channel.into_inner(), &span, resolver, endpoints, rules)?;
        if !names.insert(section.name.clone()) {
            let what = format!("two channels are named {:?}", section.name);
            return Err(resolver.error(span, what));
        }
        sections.push(section);
    }
    Ok(sections)
}

fn resolve_one(
    raw: RawChannel,
    span: &std::ops::Range<usize>,
    resolver: &Resolver<'_>,
    endpoints: &BTreeMap<String, EndpointSection>,
    rules: &[Rule],
) -> Result<ChannelSection, ConfigError> {
    if !is_name(raw.name.get_ref()) {
        let what = "a channel's name has 1 to 64 letters, digits, '-', '_' or '.'";
        return Err(resolver.error(raw.name.span(), what));
    }
    let address = match (&raw.sqs, &raw.pubsub, &raw.azure_queue) {
        (Some(url), None, None) => ChannelAddress::Sqs(resolver.text(url)?),
        (None, Some(subscription), None) => {
            ChannelAddress::Pubsub(checked_subscription(subscription, resolver)?)
        }
        (None, None, Some(url)) => ChannelAddress::AzureQueue(resolver.text(url)?),
        _ => {
            let what = "give one of sqs, pubsub and azure_queue: where the messages are";
            return Err(resolver.error(span.clone(), what));
        }
    };
    let endpoint = match &raw.endpoint {
        None => None,
        Some(name) => Some(endpoints.get(name.get_ref()).cloned().ok_or_else(|| {
            let what = format!("there is no [endpoint.{}]", name.get_ref());
            resolver.error(name.span(), what)
        })?),
    };
    for name in &raw.rules {
        if !rules.iter().any(|rule| rule.name == *name.get_ref()) {
            let what = format!("there is no rule named {:?}", name.get_ref());
            return Err(resolver.error(name.span(), what));
        }
    }
    let attempts = resolver.positive(&raw.attempts, DEFAULT_ATTEMPTS)?;
    let dead_letters = match raw
        .dead_letters
        .as_ref()
        .map(|text| text.get_ref().as_str())
    {
        None | Some("record") => DeadLetterPolicy::Record { attempts },
        Some("queue") => DeadLetterPolicy::LeaveToQueue,
        Some(_) => {
            let span = raw
                .dead_letters
                .as_ref()
                .map_or(span.clone(), Spanned::span);
            return Err(resolver.error(span, "expected \"record\" or \"queue\""));
        }
    };
    let receivers = resolver.positive(&raw.receivers, DEFAULT_RECEIVERS)?;
    if let Some(given) = raw.receivers.filter(|_| receivers > MOST_RECEIVERS) {
        let what = format!("must be at most {MOST_RECEIVERS}");
        return Err(resolver.error(given.span(), what));
    }
    Ok(ChannelSection {
        name: raw.name.into_inner(),
        address,
        endpoint,
        rules: raw.rules.into_iter().map(Spanned::into_inner).collect(),
        dead_letters,
        receivers,
    })
}

fn checked_subscription(text: &Text, resolver: &Resolver<'_>) -> Result<String, ConfigError> {
    let subscription = resolver.text(text)?;
    let parts: Vec<&str> = subscription.split('/').collect();
    match parts[..] {
        ["projects", project, "subscriptions", name] if !project.is_empty() && !name.is_empty() => {
            Ok(subscription)
        }
        _ => {
            let what = "expected projects/PROJECT/subscriptions/SUBSCRIPTION";
            Err(resolver.error(text.span(), what))
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use crate::config::{ChannelAddress, Config};
    use crate::environment::Environment;
    use skyfresh_engine::DeadLetterPolicy;

    const RULE: &str = "[[rule]]\nname = \"r\"\nsource = \"s3://a/\"\n[[rule.destination]]\nname = \"d\"\nlocation = \"s3://b/\"\n";

    fn parse(channel: &str) -> Result<Config, String> {
        let text = format!("[endpoint.near]\nregion = \"us-east-1\"\n{RULE}[[channel]]\n{channel}");
        let environment = Environment::of(&[("QUEUE", "q1")]);
        Config::parse("test.toml", &text, &environment).map_err(|error| error.to_string())
    }

    #[test]
    fn a_channel_is_read_with_its_defaults() {
        let config =
            parse("name = \"events\"\nsqs = \"https://sqs.eu-west-1.amazonaws.com/1/${QUEUE}\"\n")
                .unwrap();
        let channel = &config.channels[0];
        assert_eq!(
            channel.address,
            ChannelAddress::Sqs("https://sqs.eu-west-1.amazonaws.com/1/q1".into())
        );
        assert_eq!(
            channel.dead_letters,
            DeadLetterPolicy::Record { attempts: 5 }
        );
        assert_eq!((channel.receivers, channel.rules.len()), (2, 0));
        let config = parse(
            "name = \"e\"\npubsub = \"projects/p/subscriptions/s\"\nrules = [\"r\"]\ndead_letters = \"queue\"\nendpoint = \"near\"\n",
        )
        .unwrap();
        let channel = &config.channels[0];
        assert_eq!(channel.dead_letters, DeadLetterPolicy::LeaveToQueue);
        assert_eq!(
            channel.endpoint.as_ref().unwrap().region.as_deref(),
            Some("us-east-1")
        );
    }

    #[test]
    fn what_is_wrong_is_shown_where_it_is() {
        for (channel, expected) in [
            ("name = \"e\"\n", "give one of sqs"),
            (
                "name = \"e\"\nsqs = \"x\"\npubsub = \"y\"\n",
                "give one of sqs",
            ),
            ("name = \"a b\"\nsqs = \"x\"\n", "a channel's name"),
            ("name = \"e\"\npubsub = \"s\"\n", "projects/PROJECT"),
            (
                "name = \"e\"\nsqs = \"x\"\nendpoint = \"far\"\n",
                "no [endpoint.far]",
            ),
            (
                "name = \"e\"\nsqs = \"x\"\nrules = [\"z\"]\n",
                "no rule named",
            ),
            ("name = \"e\"\nsqs = \"x\"\nattempts = 0\n", "at least 1"),
            (
                "name = \"e\"\nsqs = \"x\"\nreceivers = 1000\n",
                "at most 64",
            ),
            (
                "name = \"e\"\nsqs = \"x\"\ndead_letters = \"drop\"\n",
                "\"record\" or \"queue\"",
            ),
            ("name = \"e\"\nsqs = \"x\"\nsecret = 1\n", "unknown field"),
            (
                "name = \"e\"\nsqs = \"x\"\n[[channel]]\nname = \"e\"\nsqs = \"x\"\n",
                "two channels",
            ),
        ] {
            let error = parse(channel).unwrap_err();
            assert!(error.contains(expected), "{channel}: {error}");
        }
    }
}
