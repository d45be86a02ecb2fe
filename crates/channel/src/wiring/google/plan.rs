//! What is to be there for a source on Google Cloud.

use crate::wiring::{Plan, Push, Resource, names};

/// What to wire.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The rule.
    pub rule: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// Names begin with this.
    pub prefix: &'a str,
    /// Sent to an address instead of being pulled.
    pub push: Option<Push>,
}

/// What is to be there for a source. `service_agent` is the e-mail address that Cloud Storage publishes under.
pub fn plan(source: &Source<'_>, project: &str, service_agent: &str) -> Plan {
    let rule = source.rule;
    let topic = format!("projects/{project}/topics/{}", names::topic(rule));
    let label = names::label(rule);
    let resources = vec![
        Resource::PubsubTopic {
            name: topic.clone(),
            label: label.clone(),
        },
        Resource::PubsubPublisher {
            topic: topic.clone(),
            member: format!("serviceAccount:{service_agent}"),
        },
        Resource::PubsubSubscription {
            name: format!(
                "projects/{project}/subscriptions/{}",
                names::subscription(rule)
            ),
            topic: topic.clone(),
            label,
            push: source.push.clone(),
        },
        // Last: a subscription gets only what is published after it was created.
        Resource::GcsNotification {
            bucket: source.bucket.to_owned(),
            topic,
            rule: rule.to_owned(),
            prefix: source.prefix.to_owned(),
            // A live object of a bucket with versions is not deleted but archived.
            events: [
                "OBJECT_FINALIZE",
                "OBJECT_METADATA_UPDATE",
                "OBJECT_DELETE",
                "OBJECT_ARCHIVE",
            ]
            .map(str::to_owned)
            .into(),
        },
    ];
    Plan {
        rule: rule.to_owned(),
        resources,
    }
}
