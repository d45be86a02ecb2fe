use super::super::side::{Needs, RuleOfSide};
use super::*;
use std::collections::BTreeSet;

const EVERYTHING: Needs = Needs {
    delete: true,
    tags: true,
};
const LOCATIONS: [&str; 3] = [
    "s3://bucket/models/",
    "gs://bucket/models/",
    "az://account/container/models/",
];

fn side(location: &str, role: Role, needs: Needs, rules: &[&str]) -> Side {
    let mut side = Side::new(role, location.parse().unwrap(), needs);
    let named = |rule: &&str| RuleOfSide {
        name: (*rule).to_owned(),
        sweep_every: std::time::Duration::from_secs(900),
        channels: Vec::new(),
        wired: None,
    };
    side.rules = rules.iter().map(named).collect();
    side
}

fn policies(location: &str, role: Role, needs: Needs, rules: &[&str]) -> Policies {
    of(&side(location, role, needs, rules)).unwrap()
}

/// Every action and permission a policy grants.
fn grants(policy: &Policy) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for document in &policy.documents {
        let content = serde_json::to_value(&document.content).unwrap();
        let statements = content["Statement"].as_array().cloned().unwrap_or_default();
        let lists = statements
            .iter()
            .map(|statement| &statement["Action"])
            .chain([
                &content["includedPermissions"],
                &content["Actions"],
                &content["DataActions"],
            ]);
        for list in lists {
            let names = list.as_array().into_iter().flatten();
            found.extend(names.map(|name| name.as_str().unwrap().to_owned()));
        }
    }
    assert!(!found.is_empty());
    found
}

#[test]
fn a_source_is_never_written_to() {
    for location in LOCATIONS {
        let policies = policies(location, Role::Source, EVERYTHING, &[]);
        for action in grants(&policies.run) {
            let reads = action.starts_with("s3:Get")
                || action == "s3:ListBucket"
                || ["storage.objects.get", "storage.objects.list"].contains(&action.as_str())
                || action.ends_with("/read");
            assert!(reads, "{location}: {action}");
        }
        assert!(policies.wire.is_none(), "nothing to wire without a rule");
    }
}

#[test]
fn a_wired_source_takes_messages_and_still_changes_no_object() {
    for location in LOCATIONS {
        let policies = policies(location, Role::Source, EVERYTHING, &["models"]);
        let run = grants(&policies.run);
        assert!(
            run.iter().any(|action| {
                ["sqs:ReceiveMessage", "pubsub.subscriptions.consume"].contains(&action.as_str())
                    || action.ends_with("messages/process/action")
            }),
            "{location}: {run:?}"
        );
        for action in run.iter().chain(&grants(&policies.wire.unwrap())) {
            let changes_objects = action.starts_with("s3:PutObject")
                || action.starts_with("s3:DeleteObject")
                || action.starts_with("storage.objects.c")
                || action.starts_with("storage.objects.d")
                || action.contains("containers/blobs/write")
                || action.contains("containers/blobs/delete");
            assert!(!changes_objects, "{location}: {action}");
        }
    }
}

#[test]
fn what_runs_all_the_time_cannot_rewire() {
    for location in LOCATIONS {
        let policies = policies(location, Role::Source, EVERYTHING, &["models"]);
        for action in grants(&policies.run) {
            let rewires = [
                "s3:PutBucketNotification",
                "sqs:CreateQueue",
                "sqs:SetQueueAttributes",
                "storage.buckets.update",
            ]
            .contains(&action.as_str())
                || action.contains("EventGrid")
                || action.contains("queues/write");
            assert!(!rewires, "{location}: {action}");
        }
    }
}

#[test]
fn only_what_the_rule_needs() {
    for (location, tagging) in [
        ("s3://bucket/models/", "s3:PutObjectTagging"),
        (
            "az://account/container/models/",
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/write",
        ),
    ] {
        let plain = policies(location, Role::Destination, Needs::default(), &[]);
        assert!(!grants(&plain.run).contains(tagging), "{location}");
        assert!(plain.wire.is_none(), "only sources are wired");
        let tags = policies(location, Role::Destination, EVERYTHING, &[]);
        assert!(grants(&tags.run).contains(tagging), "{location}");
    }
}

#[test]
fn a_quote_in_a_prefix_stays_in_its_literal() {
    let google = policies("gs://bucket/it's\\/", Role::Source, Needs::default(), &[]);
    let condition = serde_json::to_value(&google.run.documents[1].content).unwrap();
    let expression = condition["expression"].as_str().unwrap();
    assert!(
        expression.ends_with(r".startsWith('it\'s\\/')"),
        "{expression}"
    );
    let azure = policies(
        "az://account/container/it's/",
        Role::Source,
        Needs::default(),
        &[],
    );
    assert!(
        azure.run.documents[1]
            .text()
            .contains("StringStartsWith 'it''s/'")
    );
}

#[test]
fn whole_buckets_have_no_conditions() {
    for location in ["s3://bucket/", "gs://bucket/", "az://account/container/"] {
        let policies = policies(location, Role::Destination, EVERYTHING, &[]);
        let text = serde_json::to_string(&policies).unwrap();
        for condition in ["StringLike", "startsWith", "StringStartsWith"] {
            assert!(!text.contains(condition), "{location}: {text}");
        }
    }
}

#[test]
fn the_documents_to_paste() {
    let plain = Needs::default();
    for (name, location, role, needs, rules) in [
        (
            "aws_source",
            LOCATIONS[0],
            Role::Source,
            plain,
            &["models"][..],
        ),
        (
            "aws_destination",
            LOCATIONS[0],
            Role::Destination,
            plain,
            &[],
        ),
        (
            "google_source",
            LOCATIONS[1],
            Role::Source,
            plain,
            &["models"],
        ),
        (
            "google_destination",
            LOCATIONS[1],
            Role::Destination,
            plain,
            &[],
        ),
        (
            "azure_source",
            LOCATIONS[2],
            Role::Source,
            plain,
            &["models"],
        ),
        (
            "azure_destination",
            LOCATIONS[2],
            Role::Destination,
            plain,
            &[],
        ),
        (
            "azure_destination_everything",
            LOCATIONS[2],
            Role::Destination,
            EVERYTHING,
            &[],
        ),
    ] {
        insta::assert_json_snapshot!(name, policies(location, role, needs, rules));
    }
}
