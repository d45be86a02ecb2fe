//! What is to be there for a source on AWS: pure, so that it can be shown before anything is done.

use super::{events, policy};
use crate::wiring::{Plan, Resource, names};
use serde::Serialize;

/// How events leave the bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// A notification configuration of the bucket. Two of them may not overlap in prefix and event type.
    #[default]
    Notification,
    /// EventBridge: any number of rules may look at the same keys.
    EventBridge,
}

/// Where the services of one region answer, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The bucket's address.
    pub bucket: String,
    /// SQS.
    pub sqs: String,
    /// EventBridge.
    pub events: String,
    /// STS.
    pub sts: String,
}

impl Endpoints {
    /// AWS's own in a region (general reference, "Service endpoints and quotas"); one DNS suffix per partition.
    pub fn of_region(bucket: impl Into<String>, region: &str) -> Self {
        let suffix = match region.split('-').next() {
            Some("cn") => "amazonaws.com.cn",
            Some("eusc") => "amazonaws.eu",
            _ => "amazonaws.com",
        };
        let at = |service: &str| format!("https://{service}.{region}.{suffix}");
        Endpoints {
            bucket: bucket.into(),
            sqs: at("sqs"),
            events: at("events"),
            sts: at("sts"),
        }
    }

    /// Every service behind one address, as test servers have it.
    pub fn at(bucket: impl Into<String>, address: &str) -> Self {
        Endpoints {
            bucket: bucket.into(),
            sqs: address.to_owned(),
            events: address.to_owned(),
            sts: address.to_owned(),
        }
    }
}

/// Who we are to AWS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// The account's number.
    pub account: String,
    /// The user's or role's ARN.
    pub arn: String,
}

impl Caller {
    /// The partition of its ARN: `aws`, `aws-cn`, `aws-us-gov`, ….
    pub fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or("aws")
    }
}

/// What to wire.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The rule.
    pub rule: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// Keys begin with this.
    pub prefix: &'a str,
    /// Whether changes of tags matter.
    pub tags: bool,
    /// How.
    pub via: Via,
}

/// What is to be there for a source: pure, so that it can be shown before anything is done.
pub fn plan(source: Source<'_>, region: &str, caller: &Caller) -> Plan {
    let (partition, account) = (caller.partition(), &caller.account);
    let queue_arn = format!(
        "arn:{partition}:sqs:{region}:{account}:{}",
        names::queue(source.rule)
    );
    let queue = |policy| Resource::SqsQueue {
        arn: queue_arn.clone(),
        rule: source.rule.to_owned(),
        policy,
    };
    let resources = match source.via {
        Via::Notification => {
            let bucket_arn = format!("arn:{partition}:s3:::{}", source.bucket);
            vec![
                queue(policy::from_bucket(&queue_arn, &bucket_arn, account)),
                Resource::S3Notification {
                    bucket: source.bucket.to_owned(),
                    id: names::notification_id(source.rule),
                    queue_arn: queue_arn.clone(),
                    prefix: source.prefix.to_owned(),
                    events: event_types(source.tags),
                },
            ]
        }
        Via::EventBridge => {
            let event_rule = names::event_rule(source.rule);
            let rule_arn = format!("arn:{partition}:events:{region}:{account}:rule/{event_rule}");
            vec![
                queue(policy::from_event_rule(&queue_arn, &rule_arn)),
                Resource::EventBridgeRule {
                    arn: rule_arn,
                    rule: source.rule.to_owned(),
                    pattern: events::pattern(source),
                },
                Resource::EventBridgeTarget {
                    event_rule,
                    id: "skyfresh".into(),
                    queue_arn: queue_arn.clone(),
                },
                // Last: from here on events flow.
                Resource::S3EventBridge {
                    bucket: source.bucket.to_owned(),
                },
            ]
        }
    };
    Plan {
        rule: source.rule.to_owned(),
        resources,
    }
}

/// What changes content or existence (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>).
/// An object that a lifecycle rule removes is told by `LifecycleExpiration`, not by `ObjectRemoved`.
fn event_types(tags: bool) -> Vec<String> {
    let mut types = vec![
        "s3:ObjectCreated:*".to_owned(),
        "s3:ObjectRemoved:*".to_owned(),
        "s3:LifecycleExpiration:*".to_owned(),
    ];
    if tags {
        types.push("s3:ObjectTagging:*".to_owned());
    }
    types
}
