//! IAM policies for Amazon S3, SQS and EventBridge.
//!
//! Actions by operation: service authorization reference, "Actions, resources, and condition keys for Amazon S3"
//! (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>), likewise `list_amazonsqs.html`
//! and `list_amazoneventbridge.html`.

use super::super::side::{Role, Side};
use super::{Content, Document, Policy};
use serde::Serialize;
use skyfresh_channel::wiring::names;
use std::collections::BTreeMap;

/// A policy document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct PolicyDocument {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: Vec<&'static str>,
    resource: Resources,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
}

/// One resource is written without brackets, as people write it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Resources {
    One(String),
    Several(Vec<String>),
}

impl From<&str> for Resources {
    fn from(resource: &str) -> Self {
        Resources::One(resource.to_owned())
    }
}

impl From<Vec<String>> for Resources {
    fn from(mut resources: Vec<String>) -> Self {
        match resources.len() {
            1 => Resources::One(resources.remove(0)),
            _ => Resources::Several(resources),
        }
    }
}

/// What copying needs, and at a source with rules what taking its events from a queue needs.
pub(super) fn run(side: &Side) -> Policy {
    let (bucket, prefix) = (&side.location.bucket, &side.location.prefix);
    let bucket_arn = format!("arn:aws:s3:::{bucket}");
    let objects = format!("{bucket_arn}/{prefix}*");
    let mut list = allow("ListObjects", vec!["s3:ListBucket"], &*bucket_arn);
    if !prefix.is_empty() {
        // Listing also decides whether a HEAD of an absent object is answered 404 or 403. IfExists, as a HEAD has no prefix
        // that could match.
        let prefix = BTreeMap::from([("s3:prefix", format!("{prefix}*"))]);
        list.condition.insert("StringLikeIfExists", prefix);
    }
    // Reads are pinned to a version: that is an action of its own where the bucket keeps versions.
    let mut read = vec!["s3:GetObject", "s3:GetObjectVersion"];
    if side.needs.tags {
        read.extend(["s3:GetObjectTagging", "s3:GetObjectVersionTagging"]);
    }
    if side.role == Role::Source {
        // Which parts an object has: those that did not change are not sent again.
        read.extend(["s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"]);
    }
    let mut statement = vec![list, allow("ReadObjects", read, &*objects)];
    if side.role == Role::Destination {
        // Which parts an upload holds is looked at where entity tags do not tell, as with keys of a key service.
        let mut write = vec![
            "s3:PutObject",
            "s3:AbortMultipartUpload",
            "s3:ListMultipartUploadParts",
        ];
        if side.needs.delete {
            write.push("s3:DeleteObject");
        }
        if side.needs.tags {
            write.push("s3:PutObjectTagging");
        }
        statement.push(allow("WriteObjects", write, &*objects));
        // The janitor looks for uploads that a crash left behind.
        statement.push(allow(
            "ListUploads",
            vec!["s3:ListBucketMultipartUploads"],
            &*bucket_arn,
        ));
        if !side.needs.delete {
            let probes = format!("{bucket_arn}/{prefix}.skyfresh-probe-*");
            statement.push(allow("RemoveProbes", vec!["s3:DeleteObject"], &*probes));
        }
    } else if !side.rules.is_empty() {
        let take = vec![
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:GetQueueUrl",
            "sqs:GetQueueAttributes",
        ];
        statement.push(allow(
            "TakeEvents",
            take,
            arns(side, "sqs", "", names::queue),
        ));
        // Lets `doctor` say whether the bucket is wired; nothing else uses it.
        statement.push(allow(
            "SeeNotifications",
            vec!["s3:GetBucketNotification"],
            &*bucket_arn,
        ));
    }
    document("policy.json", statement)
}

/// What creating and removing the channel needs. Who may put a bucket's notification configuration may silence everybody
/// else's: give it to a person, not to the daemon.
pub(super) fn wire(side: &Side) -> Policy {
    let bucket_arn = format!("arn:aws:s3:::{}", side.location.bucket);
    let notifications = vec!["s3:GetBucketNotification", "s3:PutBucketNotification"];
    let queue = vec![
        "sqs:CreateQueue",
        "sqs:GetQueueUrl",
        "sqs:GetQueueAttributes",
        "sqs:SetQueueAttributes",
        "sqs:ListQueueTags",
        "sqs:TagQueue",
        "sqs:DeleteQueue",
    ];
    // Only with `--via eventbridge`.
    let rule = vec![
        "events:DescribeRule",
        "events:PutRule",
        "events:DeleteRule",
        "events:ListTargetsByRule",
        "events:PutTargets",
        "events:RemoveTargets",
        "events:TagResource",
        "events:ListTagsForResource",
    ];
    document(
        "wire-policy.json",
        vec![
            allow("NotifyQueue", notifications, &*bucket_arn),
            allow("CreateQueue", queue, arns(side, "sqs", "", names::queue)),
            allow(
                "ViaEventBridge",
                rule,
                arns(side, "events", "rule/", names::event_rule),
            ),
        ],
    )
}

/// The resources of the side's rules, in any region and account: the caller's credentials decide which.
fn arns(side: &Side, service: &str, kind: &str, name: fn(&str) -> String) -> Vec<String> {
    side.rules
        .iter()
        .map(|rule| format!("arn:aws:{service}:*:*:{kind}{}", name(&rule.name)))
        .collect()
}

fn document(file: &'static str, statement: Vec<Statement>) -> Policy {
    Policy {
        documents: vec![Document {
            file,
            content: Content::Aws(PolicyDocument {
                version: "2012-10-17",
                statement,
            }),
        }],
        commands: Vec::new(),
    }
}

fn allow(
    sid: &'static str,
    action: Vec<&'static str>,
    resource: impl Into<Resources>,
) -> Statement {
    Statement {
        sid,
        effect: "Allow",
        action,
        resource: resource.into(),
        condition: BTreeMap::new(),
    }
}
