//! How changes at a source are heard of: what its bucket tells whom, and what that leaves to sweeps. Only read.

use super::permission::with_action;
use super::side::Side;
use crate::context::Context;
use crate::open::Opener;
use crate::wiring;
use serde::Serialize;
use skyfresh_channel::wiring::{Record, Resource, State};
use skyfresh_sky::{Kind, Scheme, format_delay};
use skyfresh_store::{Error, Result};

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Heard {
    /// Events of every key reach a queue, a topic or an event bus.
    Told,
    /// Nobody is told of every key.
    Untold,
    /// The directory is watched by the process itself.
    Watched,
    /// This store has nothing to ask.
    Unsupported,
    /// It could not be found out.
    Unknown,
}

/// How changes are heard of, in words too.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Notifications {
    pub(super) heard: Heard,
    /// Who is told of every key below the prefix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) listeners: Vec<String>,
    /// One line for people.
    pub(super) told: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hints: Vec<String>,
}

/// Looks at what the bucket tells whom.
pub(super) async fn examine(side: &Side, opener: &Opener, context: &Context) -> Notifications {
    let swept = swept(side);
    let nothing = |heard, told: String| Notifications {
        heard,
        listeners: Vec::new(),
        told,
        hints: Vec::new(),
    };
    match side.location.scheme {
        Scheme::File => {
            return nothing(
                Heard::Watched,
                format!("watched while Skyfresh runs (inotify); {swept}"),
            );
        }
        Scheme::Memory => return nothing(Heard::Unsupported, format!("no events; {swept}")),
        Scheme::S3 | Scheme::Gcs | Scheme::Azure => {}
    }
    match listeners(side, opener, context).await {
        Ok(listeners) => judge(side, listeners),
        Err(error) if error.kind == Kind::Unsupported => {
            let mut found = nothing(
                Heard::Unsupported,
                format!("this store cannot be asked whom it tells; {swept}"),
            );
            found.hints.push(
                "let it post its notifications to the daemon: POST /v1/notifications (docs/api.md)"
                    .into(),
            );
            found
        }
        Err(error) => {
            let why = with_action(&error, side.location.scheme);
            let mut found = nothing(Heard::Unknown, format!("unknown: {why}; {swept}"));
            if error.kind == Kind::Denied {
                found.hints.push(
                    "Skyfresh runs without this permission; with it doctor can say whether the bucket is wired".into(),
                );
            }
            found
        }
    }
}

async fn listeners(side: &Side, opener: &Opener, context: &Context) -> Result<Vec<String>> {
    let location = &side.location;
    match location.scheme {
        Scheme::S3 => {
            let aws = wiring::aws(opener, location, context).await?;
            aws.listeners(&location.bucket, &location.prefix).await
        }
        Scheme::Gcs => {
            let google = wiring::google(opener, location, context)?;
            google.listeners(&location.bucket, &location.prefix).await
        }
        Scheme::Azure => {
            let azure = wiring::azure(opener, location, context)?;
            let (account, container) = location.azure_container().unwrap_or_default();
            let id = azure.account_id(account).await?;
            azure.listeners(&id, container, &location.prefix).await
        }
        Scheme::File | Scheme::Memory => Err(Error::new(
            Kind::Unsupported,
            "read notification configuration",
            location.to_string(),
            "it has none",
        )),
    }
}

/// What the listeners mean, given what `skyfresh wire` recorded.
fn judge(side: &Side, listeners: Vec<String>) -> Notifications {
    let swept = swept(side);
    let mut hints = Vec::new();
    for rule in &side.rules {
        let name = &rule.name;
        hints.extend(match &rule.wired {
            Some(record) if !reaches(record, &listeners) => Some(format!(
                "rule {name:?} was wired, but the bucket does not tell its channel any more: `skyfresh wire {name}` mends what is \
                 missing"
            )),
            Some(record) if is_halfway(record) => Some(format!(
                "wiring rule {name:?} stopped midway: `skyfresh wire {name}` goes on, `skyfresh unwire {name}` undoes it"
            )),
            Some(record) if is_pulled(record) && rule.channels.is_empty() => Some(format!(
                "rule {name:?} was wired, but no [[channel]] of the configuration pulls from it: `skyfresh wire {name}` prints it"
            )),
            None if listeners.is_empty() && !rule.channels.is_empty() => Some(format!(
                "the configuration pulls events of rule {name:?} from {}, but the bucket tells nobody: `skyfresh wire {name}`, or \
                 see to what fills that channel",
                rule.channels.join(", ")
            )),
            None if listeners.is_empty() => Some(format!(
                "`skyfresh wire {name} --dry-run` shows what a channel for its events takes, `skyfresh wire {name}` creates it"
            )),
            _ => None,
        });
    }
    if side.rules.is_empty() && listeners.is_empty() {
        hints.push(
            "`skyfresh wire RULE` creates a channel for the events of a rule of the configuration"
                .into(),
        );
    }
    match listeners.is_empty() {
        true => Notifications {
            heard: Heard::Untold,
            told: format!("no channel: {swept}"),
            listeners,
            hints,
        },
        false => Notifications {
            heard: Heard::Told,
            told: format!("told to {}; {swept}", listeners.join(", ")),
            listeners,
            hints,
        },
    }
}

/// Whether the bucket still tells what was wired.
fn reaches(record: &Record, listeners: &[String]) -> bool {
    record.entries.iter().all(|entry| match &entry.resource {
        Resource::S3Notification { queue_arn, .. } => listeners.contains(queue_arn),
        Resource::S3EventBridge { .. } => listeners.iter().any(|one| one == "EventBridge"),
        Resource::GcsNotification { topic, .. } => {
            let short = |topic: &str| topic.rsplit('/').next().map(str::to_owned);
            listeners.iter().any(|one| short(one) == short(topic))
        }
        Resource::EventSubscription { name, .. } => listeners
            .iter()
            .any(|one| one.starts_with(&format!("{name} ("))),
        _ => true,
    })
}

/// Whether what was wired waits to be pulled.
fn is_pulled(record: &Record) -> bool {
    record.entries.iter().any(|entry| {
        matches!(
            entry.resource,
            Resource::SqsQueue { .. }
                | Resource::PubsubSubscription { push: None, .. }
                | Resource::StorageQueue { .. }
        )
    })
}

fn is_halfway(record: &Record) -> bool {
    record
        .entries
        .iter()
        .any(|entry| entry.state == State::Creating)
}

/// What sweeps do, in words.
fn swept(side: &Side) -> String {
    let mut every: Vec<_> = side.rules.iter().map(|rule| rule.sweep_every).collect();
    every.sort_unstable();
    every.dedup();
    match &every[..] {
        [] => "what nobody tells is found by sweeps".to_owned(),
        several => {
            let shown: Vec<String> = several.iter().map(|delay| format_delay(*delay)).collect();
            format!(
                "what nobody tells is found by a sweep every {}",
                shown.join(" or ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::side::{Needs, Role, RuleOfSide};
    use super::*;
    use skyfresh_channel::wiring::Entry;
    use std::time::Duration;

    fn side(wired: Option<State>) -> Side {
        let mut side = Side::new(Role::Source, "s3://b/".parse().unwrap(), Needs::default());
        let resource = Resource::S3Notification {
            bucket: "b".into(),
            id: "skyfresh-r".into(),
            queue_arn: "arn:ours".into(),
            prefix: String::new(),
            events: Vec::new(),
        };
        side.rules = vec![RuleOfSide {
            name: "r".into(),
            sweep_every: Duration::from_secs(900),
            channels: Vec::new(),
            wired: wired.map(|state| Record {
                rule: "r".into(),
                source: "s3://b/".into(),
                entries: vec![Entry {
                    name: resource.name(),
                    resource,
                    state,
                }],
            }),
        }];
        side
    }

    #[test]
    fn an_unwired_bucket_is_told_how_to_wire() {
        let found = judge(&side(None), Vec::new());
        assert_eq!(found.heard, Heard::Untold);
        assert_eq!(
            found.told,
            "no channel: what nobody tells is found by a sweep every 15m"
        );
        assert!(
            found.hints[0].contains("`skyfresh wire r`"),
            "{:?}",
            found.hints
        );
    }

    #[test]
    fn a_wired_bucket_says_to_whom_and_a_broken_one_what_to_do() {
        let told = judge(&side(Some(State::Created)), vec!["arn:ours".into()]);
        assert_eq!((told.heard, told.hints.len()), (Heard::Told, 0));
        assert!(told.told.starts_with("told to arn:ours;"));
        let broken = judge(&side(Some(State::Created)), vec!["arn:theirs".into()]);
        assert!(broken.hints[0].contains("does not tell its channel any more"));
        let halfway = judge(&side(Some(State::Creating)), vec!["arn:ours".into()]);
        assert!(halfway.hints[0].contains("stopped midway"));
        let mut pulled = side(None);
        pulled.rules[0].channels.push("events".into());
        let untold = judge(&pulled, Vec::new());
        assert!(untold.hints[0].contains("from events, but the bucket tells nobody"));
        let others = judge(&side(None), vec!["arn:theirs".into()]);
        assert!(
            others.hints.is_empty(),
            "somebody else may have wired it by hand"
        );
    }
}
