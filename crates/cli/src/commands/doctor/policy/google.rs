//! Custom roles for Google Cloud Storage and Pub/Sub, with conditions on the prefix.
//!
//! Permissions by operation: "IAM permissions for JSON methods" (<https://cloud.google.com/storage/docs/access-control/iam-json>),
//! "IAM permissions for XML requests" (`iam-xml`), "Access control with IAM" of Pub/Sub
//! (<https://cloud.google.com/pubsub/docs/access-control>). Conditions: "Attribute reference for IAM Conditions"
//! (<https://cloud.google.com/iam/docs/conditions-attribute-reference>).

use super::super::side::{Role, Side};
use super::{Content, Document, Policy};
use serde::Serialize;
use skyfresh_channel::wiring::names;

/// A custom role.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct CustomRole {
    title: &'static str,
    description: &'static str,
    stage: &'static str,
    included_permissions: Vec<&'static str>,
}

/// Where a role holds.
#[derive(Debug, Serialize)]
pub(in super::super) struct Condition {
    title: &'static str,
    expression: String,
}

/// What copying needs, and at a source with rules what taking its events from a subscription needs.
///
/// GCS asks for `storage.objects.delete` of whoever replaces an object (`iam-json`, "Objects insert", note on overwriting), so a
/// destination has it below its prefix even where the rule deletes nothing.
pub(super) fn run(side: &Side) -> Policy {
    let mut policy = Policy {
        documents: Vec::new(),
        commands: Vec::new(),
    };
    let bucket = &side.location.bucket;
    match side.role {
        Role::Source => {
            let objects = vec!["storage.objects.get", "storage.objects.list"];
            grant(&mut policy, &OBJECTS_READ, objects, side);
        }
        Role::Destination => {
            let objects = vec![
                "storage.objects.get",
                "storage.objects.list",
                "storage.objects.create",
                "storage.objects.delete",
                "storage.multipartUploads.create",
                "storage.multipartUploads.listParts",
                "storage.multipartUploads.abort",
            ];
            grant(&mut policy, &OBJECTS_WRITE, objects, side);
            // The janitor looks for uploads that a crash left behind. A request for all of a bucket's uploads is about the
            // bucket, to which no condition on object names applies: a role of its own.
            let uploads = vec!["storage.multipartUploads.list"];
            role(&mut policy, &UPLOADS_LIST, uploads);
            policy.commands.push(format!(
                "gcloud storage buckets add-iam-policy-binding gs://{bucket} --member={MEMBER} --role={}",
                UPLOADS_LIST.reference()
            ));
        }
    }
    if side.role == Role::Source && !side.rules.is_empty() {
        role(&mut policy, &EVENTS, vec!["pubsub.subscriptions.consume"]);
        for rule in &side.rules {
            policy.commands.push(format!(
                "gcloud pubsub subscriptions add-iam-policy-binding {} --member={MEMBER} --role={}",
                names::subscription(&rule.name),
                EVENTS.reference()
            ));
        }
    }
    policy
}

/// What creating and removing the channel needs.
///
/// Notification configurations belong to the bucket: `storage.buckets.update` creates and removes them (`iam-json`,
/// "Notifications"). With `--push`, `iam.serviceAccounts.actAs` on the account that signs is needed too ("Authentication for
/// push subscriptions").
pub(super) fn wire(side: &Side) -> Policy {
    let mut policy = Policy {
        documents: Vec::new(),
        commands: Vec::new(),
    };
    role(
        &mut policy,
        &WIRE_BUCKET,
        vec!["storage.buckets.get", "storage.buckets.update"],
    );
    role(
        &mut policy,
        &WIRE_PROJECT,
        vec![
            "pubsub.subscriptions.create",
            "pubsub.subscriptions.delete",
            "pubsub.subscriptions.get",
            "pubsub.topics.attachSubscription",
            "pubsub.topics.create",
            "pubsub.topics.delete",
            "pubsub.topics.get",
            "pubsub.topics.getIamPolicy",
            "pubsub.topics.setIamPolicy",
            "resourcemanager.projects.get",
        ],
    );
    policy.commands.extend([
        format!(
            "gcloud storage buckets add-iam-policy-binding gs://{} --member={MEMBER} --role={}",
            side.location.bucket,
            WIRE_BUCKET.reference()
        ),
        format!(
            "gcloud projects add-iam-policy-binding PROJECT --member={MEMBER} --role={}",
            WIRE_PROJECT.reference()
        ),
    ]);
    policy
}

const MEMBER: &str = "serviceAccount:SERVICE_ACCOUNT";

/// A role's names: its id, its file, its title and what it is for.
struct Naming {
    id: &'static str,
    file: &'static str,
    title: &'static str,
    description: &'static str,
}

impl Naming {
    fn reference(&self) -> String {
        format!("projects/PROJECT/roles/{}", self.id)
    }
}

const OBJECTS_READ: Naming = Naming {
    id: "skyfreshSource",
    file: "source-role.json",
    title: "Skyfresh source",
    description: "Reads the objects of a rule's source",
};
const OBJECTS_WRITE: Naming = Naming {
    id: "skyfreshDestination",
    file: "destination-role.json",
    title: "Skyfresh destination",
    description: "Reads and writes the objects of a rule's destination",
};
const UPLOADS_LIST: Naming = Naming {
    id: "skyfreshUploads",
    file: "uploads-role.json",
    title: "Skyfresh uploads",
    description: "Lists unfinished uploads in a destination's bucket",
};
const EVENTS: Naming = Naming {
    id: "skyfreshEvents",
    file: "events-role.json",
    title: "Skyfresh events",
    description: "Takes a rule's events from its subscription",
};
const WIRE_BUCKET: Naming = Naming {
    id: "skyfreshWireBucket",
    file: "wire-bucket-role.json",
    title: "Skyfresh wire, bucket",
    description: "Creates and removes a bucket's notification configurations",
};
const WIRE_PROJECT: Naming = Naming {
    id: "skyfreshWireProject",
    file: "wire-project-role.json",
    title: "Skyfresh wire, project",
    description: "Creates and removes a rule's topic and subscription",
};

fn role(policy: &mut Policy, naming: &Naming, included_permissions: Vec<&'static str>) {
    policy.documents.push(Document {
        file: naming.file,
        content: Content::Google(CustomRole {
            title: naming.title,
            description: naming.description,
            stage: "GA",
            included_permissions,
        }),
    });
    policy.commands.push(format!(
        "gcloud iam roles create {} --project=PROJECT --file={}",
        naming.id, naming.file
    ));
}

/// A role on objects, bound to the bucket; where there is a prefix, under a condition. Conditions need uniform bucket-level
/// access ("Use IAM Conditions on buckets").
fn grant(policy: &mut Policy, naming: &Naming, permissions: Vec<&'static str>, side: &Side) {
    role(policy, naming, permissions);
    let (bucket, prefix) = (&side.location.bucket, &side.location.prefix);
    let condition = if prefix.is_empty() {
        " --condition=None".to_owned()
    } else {
        policy.documents.push(Document {
            file: "condition.json",
            content: Content::GoogleCondition(Condition {
                title: "skyfresh prefix",
                expression: expression(bucket, prefix),
            }),
        });
        " --condition-from-file=condition.json".to_owned()
    };
    policy.commands.push(format!(
        "gcloud storage buckets add-iam-policy-binding gs://{bucket} --member={MEMBER} --role={}{condition}",
        naming.reference()
    ));
}

/// Objects below the prefix, and listings that ask for nothing but the prefix.
fn expression(bucket: &str, prefix: &str) -> String {
    let quoted = |text: &str| {
        let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
        format!("'{escaped}'")
    };
    format!(
        "resource.name.startsWith({}) || api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith({})",
        quoted(&format!("projects/_/buckets/{bucket}/objects/{prefix}")),
        quoted(prefix)
    )
}
