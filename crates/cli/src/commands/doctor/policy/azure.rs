//! Custom roles for Azure Blob Storage, Queue Storage and Event Grid, with conditions on the prefix.
//!
//! Actions by operation: "Authorize with Microsoft Entra ID", tables "Permissions for Blob service operations" and "Permissions
//! for Queue service operations" (<https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory>);
//! "Azure permissions for Integration" (Event Grid). Conditions: "Actions and attributes for Azure role assignment conditions for
//! Azure Blob Storage" (<https://learn.microsoft.com/azure/storage/blobs/storage-auth-abac-attributes>).

use super::super::side::{Role, Side};
use super::{Content, Document, Policy};
use serde::Serialize;
use skyfresh_channel::wiring::names;

/// A custom role.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in super::super) struct RoleDefinition {
    name: &'static str,
    is_custom: bool,
    description: &'static str,
    actions: Vec<String>,
    not_actions: Vec<String>,
    data_actions: Vec<String>,
    not_data_actions: Vec<String>,
    assignable_scopes: Vec<String>,
}

/// Custom roles can be assigned within management groups, subscriptions and resource groups ("Azure custom roles",
/// AssignableScopes); the assignment then names the container.
const GROUP: &str = "/subscriptions/SUBSCRIPTION/resourceGroups/RESOURCE_GROUP";
const BLOBS: &str = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs";
const QUEUES: &str = "Microsoft.Storage/storageAccounts/queueServices/queues";

/// What copying needs, and at a source with rules what taking its events from a queue needs. Listing a container is reading its
/// blobs; nothing here needs the container's own properties.
pub(super) fn run(side: &Side) -> Policy {
    let (account, container) = side.location.azure_container().unwrap_or_default();
    let mut data_actions = vec![format!("{BLOBS}/read")];
    if side.needs.tags {
        data_actions.push(format!("{BLOBS}/tags/read"));
    }
    if side.role == Role::Destination {
        data_actions.extend([
            format!("{BLOBS}/write"),
            format!("{BLOBS}/add/action"),
            format!("{BLOBS}/delete"),
        ]);
        if side.needs.tags {
            data_actions.push(format!("{BLOBS}/tags/write"));
        }
    }
    let (name, file) = match side.role {
        Role::Source => ("Skyfresh source", "source-role.json"),
        Role::Destination => ("Skyfresh destination", "destination-role.json"),
    };
    let description = match side.role {
        Role::Source => "Reads the blobs of a rule's source",
        Role::Destination => "Reads and writes the blobs of a rule's destination",
    };
    let mut policy = Policy {
        documents: vec![definition(
            name,
            file,
            description,
            Vec::new(),
            data_actions,
        )],
        commands: Vec::new(),
    };
    let scope = format!(
        "{}/blobServices/default/containers/{container}",
        storage(account)
    );
    policy.commands.push(create(file));
    let mut assignment = assign(name, &scope);
    if let Some(condition) = condition(side) {
        // A file, as a shell would read more into its `!` and quotes.
        policy.documents.push(Document {
            file: "condition.txt",
            content: Content::AzureCondition(condition),
        });
        assignment.push_str(" --condition-version 2.0 --condition \"$(cat condition.txt)\"");
    }
    policy.commands.push(assignment);
    if side.role == Role::Source && !side.rules.is_empty() {
        let (name, file) = ("Skyfresh events", "events-role.json");
        // Get Messages and Delete Message: process. Update Message, which gives a message back: write.
        let data_actions = vec![
            format!("{QUEUES}/messages/process/action"),
            format!("{QUEUES}/messages/write"),
        ];
        policy.documents.push(definition(
            name,
            file,
            "Takes a rule's events from its queue",
            Vec::new(),
            data_actions,
        ));
        policy.commands.push(create(file));
        for rule in &side.rules {
            let scope = format!(
                "{}/queueServices/default/queues/{}",
                storage(account),
                names::storage_queue(&rule.name)
            );
            policy.commands.push(assign(name, &scope));
        }
    }
    policy
}

/// What creating and removing the channel needs.
pub(super) fn wire(side: &Side) -> Policy {
    let (account, _) = side.location.azure_container().unwrap_or_default();
    let (name, file) = ("Skyfresh wire", "wire-role.json");
    let mut actions = vec!["Microsoft.Storage/storageAccounts/read".to_owned()];
    for resource in [QUEUES, "Microsoft.EventGrid/eventSubscriptions"] {
        actions.extend(["read", "write", "delete"].map(|verb| format!("{resource}/{verb}")));
    }
    Policy {
        documents: vec![definition(
            name,
            file,
            "Creates and removes a rule's queue and event subscription",
            actions,
            Vec::new(),
        )],
        commands: vec![create(file), assign(name, &storage(account))],
    }
}

fn definition(
    name: &'static str,
    file: &'static str,
    description: &'static str,
    actions: Vec<String>,
    data_actions: Vec<String>,
) -> Document {
    Document {
        file,
        content: Content::Azure(RoleDefinition {
            name,
            is_custom: true,
            description,
            actions,
            not_actions: Vec::new(),
            data_actions,
            not_data_actions: Vec::new(),
            assignable_scopes: vec![GROUP.to_owned()],
        }),
    }
}

fn storage(account: &str) -> String {
    format!("{GROUP}/providers/Microsoft.Storage/storageAccounts/{account}")
}

fn create(file: &str) -> String {
    format!("az role definition create --role-definition @{file}")
}

fn assign(name: &str, scope: &str) -> String {
    format!(
        "az role assignment create --assignee-object-id OBJECT_ID --role \"{name}\" --scope {scope}"
    )
}

/// Nothing outside the prefix; and where the rule deletes nothing, deletes of probes alone. `None` where nothing is left to
/// restrict.
fn condition(side: &Side) -> Option<String> {
    let prefix = &side.location.prefix;
    let path = format!("@Resource[{BLOBS}:path]");
    let action = |verb: &str| format!("ActionMatches{{'{BLOBS}/{verb}'}}");
    let list = "SubOperationMatches{'Blob.List'}";
    let below = |attribute: &str, start: &str| {
        // A quote in a literal is doubled ("Azure role assignment condition format and syntax").
        format!(
            "{attribute} StringStartsWith '{}'",
            start.replace('\'', "''")
        )
    };
    let mut terms = Vec::new();
    let mut unless =
        |actions: String, then: String| terms.push(format!("(({actions}) OR ({then}))"));
    if !prefix.is_empty() {
        unless(
            format!("!({} AND NOT {list})", action("read")),
            below(&path, prefix),
        );
        unless(
            format!("!({} AND {list})", action("read")),
            below(&format!("@Request[{BLOBS}:prefix]"), prefix),
        );
    }
    if side.role == Role::Destination {
        if !prefix.is_empty() {
            unless(
                format!("!({}) AND !({})", action("write"), action("add/action")),
                below(&path, prefix),
            );
        }
        match (side.needs.delete, prefix.is_empty()) {
            (true, true) => {}
            (true, false) => unless(format!("!({})", action("delete")), below(&path, prefix)),
            (false, _) => unless(
                format!("!({})", action("delete")),
                below(&path, &format!("{prefix}.skyfresh-probe-")),
            ),
        }
    }
    (!terms.is_empty()).then(|| terms.join(" AND "))
}
