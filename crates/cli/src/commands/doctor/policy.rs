//! The least-privilege policy of one side, in IAM's JSON, to paste.
//!
//! Actions by operation: service authorization reference, "Actions, resources, and condition keys for Amazon S3".

use super::side::{Role, Side};
use serde::Serialize;
use std::collections::BTreeMap;

/// A policy document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: Vec<&'static str>,
    resource: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<&'static str, String>>,
}

/// The policy one side needs: nothing its rule does not use.
pub(super) fn of(side: &Side) -> Policy {
    let (bucket, prefix) = (&side.location.bucket, &side.location.prefix);
    let bucket_arn = format!("arn:aws:s3:::{bucket}");
    let objects = format!("{bucket_arn}/{prefix}*");
    let mut list = allow("ListObjects", vec!["s3:ListBucket"], &bucket_arn);
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
    let mut statement = vec![list, allow("ReadObjects", read, &objects)];
    if side.role == Role::Destination {
        let mut write = vec!["s3:PutObject", "s3:AbortMultipartUpload"];
        if side.needs.delete {
            write.push("s3:DeleteObject");
        }
        if side.needs.tags {
            write.push("s3:PutObjectTagging");
        }
        statement.push(allow("WriteObjects", write, &objects));
        // The janitor looks for uploads that a crash left behind.
        statement.push(allow(
            "ListUploads",
            vec!["s3:ListBucketMultipartUploads"],
            &bucket_arn,
        ));
        if !side.needs.delete {
            let probes = format!("{bucket_arn}/{prefix}.skyfresh-probe-*");
            statement.push(allow("RemoveProbes", vec!["s3:DeleteObject"], &probes));
        }
    }
    Policy {
        version: "2012-10-17",
        statement,
    }
}

fn allow(sid: &'static str, action: Vec<&'static str>, resource: &str) -> Statement {
    Statement {
        sid,
        effect: "Allow",
        action,
        resource: resource.to_owned(),
        condition: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::side::Needs;
    use super::*;
    use std::collections::BTreeSet;

    fn actions(role: Role, needs: Needs) -> BTreeSet<&'static str> {
        let location = "s3://bucket/models/".parse().unwrap();
        of(&Side {
            role,
            location,
            needs,
        })
        .statement
        .into_iter()
        .flat_map(|one| one.action)
        .collect()
    }

    #[test]
    fn a_source_is_never_written_to() {
        for action in actions(
            Role::Source,
            Needs {
                delete: true,
                tags: true,
            },
        ) {
            assert!(
                action.starts_with("s3:Get") || action == "s3:ListBucket",
                "{action}"
            );
        }
    }

    #[test]
    fn only_what_the_rule_needs() {
        let plain = actions(Role::Destination, Needs::default());
        assert!(plain.contains("s3:PutObject") && plain.contains("s3:ListBucketMultipartUploads"));
        assert!(!plain.iter().any(|action| action.contains("Tagging")));
        let tagging = actions(
            Role::Destination,
            Needs {
                tags: true,
                delete: false,
            },
        );
        assert!(tagging.contains("s3:PutObjectTagging"));
    }

    #[test]
    fn without_deletes_only_probes_may_be_deleted() {
        let location = "s3://bucket/models/".parse().unwrap();
        let policy = of(&Side {
            role: Role::Destination,
            location,
            needs: Needs::default(),
        });
        insta::assert_json_snapshot!(policy);
    }
}
