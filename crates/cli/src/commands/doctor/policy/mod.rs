//! The least-privilege policy of one side, in the form its provider takes, to paste.
//!
//! In: a side. Out: documents and the commands that put them in force. Never: asks for more than the side's rules use; gives a
//! source any right to write.

mod aws;
mod azure;
mod google;

use super::side::{Role, Side};
use serde::Serialize;
use skyfresh_sky::Scheme;

/// What to grant, and how.
#[derive(Debug, Serialize)]
pub(super) struct Policies {
    /// What the running daemon needs.
    pub(super) run: Policy,
    /// What `skyfresh wire` and `unwire` need beyond that, for the short time they run; sources only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wire: Option<Policy>,
}

/// Documents of one provider.
#[derive(Debug, Serialize)]
pub(super) struct Policy {
    /// What to save as files.
    pub(super) documents: Vec<Document>,
    /// What to do with them; words in capitals are for the reader to fill in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) commands: Vec<String>,
}

/// A file to save.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    /// What the file is called in the commands.
    pub(super) file: &'static str,
    /// What it holds.
    pub(super) content: Content,
}

/// A document in the form its provider reads.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Content {
    /// An identity-based policy.
    Aws(aws::PolicyDocument),
    /// A custom role, as `gcloud iam roles create --file` reads it (JSON is YAML).
    Google(google::CustomRole),
    /// A condition, as `--condition-from-file` reads it.
    GoogleCondition(google::Condition),
    /// A custom role, as `az role definition create --role-definition` reads it.
    Azure(azure::RoleDefinition),
    /// A condition on a role assignment, as text.
    AzureCondition(String),
}

impl Document {
    /// What to save.
    pub(super) fn text(&self) -> String {
        match &self.content {
            Content::AzureCondition(text) => text.clone(),
            content => serde_json::to_string_pretty(content).unwrap_or_default(),
        }
    }
}

/// The policies one side needs: nothing its rules do not use. Directories need none.
pub(super) fn of(side: &Side) -> Option<Policies> {
    let wired = side.role == Role::Source && !side.rules.is_empty();
    let wire = |policy: fn(&Side) -> Policy| wired.then(|| policy(side));
    let (run, wire) = match side.location.scheme {
        Scheme::S3 => (aws::run(side), wire(aws::wire)),
        Scheme::Gcs => (google::run(side), wire(google::wire)),
        Scheme::Azure => (azure::run(side), wire(azure::wire)),
        Scheme::File | Scheme::Memory => return None,
    };
    Some(Policies { run, wire })
}

#[cfg(test)]
mod tests;
