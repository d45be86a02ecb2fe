//! Who asks: what a person can recognise of the credentials in use. Never a secret.

use super::side::Side;
use crate::context::Context;
use crate::open::Opener;
use serde::Serialize;
use serde_json::Value;
use skyfresh_sky::{Location, Scheme};
use std::path::{Path, PathBuf};

/// Longest credential file that is read, bytes.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Who {
    /// What the provider calls it: a masked access key id, an ARN, a service account's address, a storage account.
    pub(super) name: String,
    /// It stops working by itself.
    pub(super) temporary: bool,
    /// Where the credentials come from.
    pub(super) source: String,
}

/// Where the credentials of an S3 location come from, in words. `key` is the access key id in use.
pub(super) fn aws_source(
    opener: &Opener,
    location: &Location,
    key: &str,
    context: &Context,
) -> String {
    let section = opener
        .resolve(location)
        .ok()
        .and_then(|(_, section)| section);
    let profile = location.option("profile");
    if profile.is_none() && section.is_some_and(|section| section.keys.is_some()) {
        return format!(
            "[endpoint.{}] of the configuration",
            location.option("endpoint").unwrap_or_default()
        );
    }
    if let Some(profile) = profile.or(section.and_then(|section| section.profile.as_deref())) {
        return format!("profile {profile}");
    }
    if context.environment.get("AWS_ACCESS_KEY_ID") == Some(key) {
        return "environment (AWS_ACCESS_KEY_ID)".into();
    }
    match context.environment.get("AWS_PROFILE") {
        Some(profile) => {
            format!("profile {profile} (AWS_PROFILE), or what follows it in the standard chain")
        }
        None => "standard chain: shared files, web identity, container or instance role".into(),
    }
}

/// Who asks at a side that is not S3's, as far as the environment and the files it names tell.
pub(super) fn outside_aws(side: &Side, context: &Context) -> Option<Who> {
    match side.location.scheme {
        Scheme::Gcs => Some(google(context)),
        Scheme::Azure => {
            let (account, _) = side.location.azure_container()?;
            Some(azure(account, |name| context.environment.get(name)))
        }
        Scheme::S3 | Scheme::File | Scheme::Memory => None,
    }
}

/// Application Default Credentials, in their order
/// (<https://cloud.google.com/docs/authentication/application-default-credentials>).
fn google(context: &Context) -> Who {
    let environment = &context.environment;
    let named = environment
        .get("GOOGLE_APPLICATION_CREDENTIALS")
        .map(PathBuf::from);
    let known = environment
        .home()
        .map(|home| home.join(".config/gcloud/application_default_credentials.json"));
    for (path, source) in [
        (named, "GOOGLE_APPLICATION_CREDENTIALS"),
        (known, "gcloud auth application-default login"),
    ] {
        let Some(path) = path else { continue };
        if let Some(who) = read_json(&path).and_then(|document| of_google_file(&document, source)) {
            return who;
        }
    }
    Who {
        name: "the service account attached to this machine".into(),
        temporary: true,
        source: "metadata server".into(),
    }
}

fn read_json(path: &Path) -> Option<Value> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(FILE_LIMIT_BYTES).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// What a credential file says of its owner (`type`: service_account, authorized_user, external_account,
/// impersonated_service_account; <https://google.aip.dev/auth/4112>, 4113, 4117).
fn of_google_file(document: &Value, source: &str) -> Option<Who> {
    let impersonated = || {
        // …/serviceAccounts/ADDRESS:generateAccessToken
        let url = document["service_account_impersonation_url"].as_str()?;
        let name = url.rsplit('/').next()?;
        name.split(':').next().map(str::to_owned)
    };
    let (name, temporary) = match document["type"].as_str()? {
        "service_account" => (document["client_email"].as_str()?.to_owned(), false),
        "external_account" => match impersonated() {
            Some(name) => (name, true),
            None => (
                format!("federated identity for {}", document["audience"].as_str()?),
                true,
            ),
        },
        "impersonated_service_account" => (impersonated()?, true),
        "authorized_user" => ("a user's own credentials".to_owned(), true),
        _ => return None,
    };
    Some(Who {
        name,
        temporary,
        source: source.to_owned(),
    })
}

/// By what is set, strongest first, as the Azure SDKs name it
/// (<https://learn.microsoft.com/azure/developer/python/sdk/authentication/credential-chains>).
fn azure<'a>(account: &str, variable: impl Fn(&str) -> Option<&'a str>) -> Who {
    let client = variable("AZURE_CLIENT_ID").unwrap_or_default();
    let tenant = variable("AZURE_TENANT_ID").unwrap_or_default();
    let first = |names: &[&'static str]| {
        let mut set = names.iter().filter(|name| variable(name).is_some());
        set.next().map(|name| (*name).to_owned())
    };
    let (name, temporary, source) =
        if let Some(name) = first(&["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"]) {
            (format!("key of account {account}"), false, name)
        } else if let Some(name) = first(&["AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"]) {
            (
                format!("shared access signature for account {account}"),
                true,
                name,
            )
        } else if let Some(name) = first(&["AZURE_CLIENT_SECRET"]) {
            (
                format!("service principal {client} of tenant {tenant}"),
                false,
                name,
            )
        } else if let Some(name) = first(&["AZURE_FEDERATED_TOKEN_FILE"]) {
            (
                format!("workload identity {client} of tenant {tenant}"),
                true,
                name,
            )
        } else {
            let which = if client.is_empty() {
                "the machine's own"
            } else {
                client
            };
            (
                format!("managed identity ({which})"),
                true,
                "identity endpoint".to_owned(),
            )
        };
    Who {
        name,
        temporary,
        source,
    }
}

/// An access key id that others can recognise but not use.
pub(super) fn masked(key: &str) -> String {
    let characters: Vec<char> = key.chars().collect();
    let shown = |range: &[char]| range.iter().collect::<String>();
    match characters.len() {
        0..8 => format!("{}…", shown(&characters[..characters.len().min(2)])),
        length => format!(
            "{}…{}",
            shown(&characters[..4]),
            shown(&characters[length - 4..])
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_masked_key_can_be_recognised_but_not_used() {
        assert_eq!(masked("AKIAIOSFODNN7EXAMPLE"), "AKIA…MPLE");
        assert_eq!(masked("test"), "te…");
        assert_eq!(masked(""), "…");
    }

    #[test]
    fn a_google_file_names_its_account_and_no_secret() {
        let address = "a@p.iam.gserviceaccount.com";
        let url = format!(
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{address}:generateAccessToken"
        );
        for document in [
            json!({ "type": "service_account", "client_email": address, "private_key": "hunter2" }),
            json!({ "type": "external_account", "audience": "//iam", "service_account_impersonation_url": url }),
            json!({ "type": "impersonated_service_account", "service_account_impersonation_url": url }),
        ] {
            let who = of_google_file(&document, "file").unwrap();
            assert_eq!(who.name, address);
        }
        let federated = json!({ "type": "external_account", "audience": "//iam/pool" });
        assert!(
            of_google_file(&federated, "file")
                .unwrap()
                .name
                .contains("//iam/pool")
        );
        assert_eq!(
            of_google_file(&json!({ "type": "unheard_of" }), "file"),
            None
        );
        assert_eq!(of_google_file(&json!([]), "file"), None);
    }

    #[test]
    fn azure_says_which_kind_of_credential() {
        let told = |set: &'static [(&'static str, &'static str)]| {
            let variable = |name: &str| {
                set.iter()
                    .find(|(set, _)| *set == name)
                    .map(|(_, value)| *value)
            };
            let who = azure("acme", variable);
            assert!(!who.name.contains("hunter2"), "{who:?}");
            who.name
        };
        assert_eq!(
            told(&[("AZURE_STORAGE_KEY", "hunter2")]),
            "key of account acme"
        );
        assert!(
            told(&[("AZURE_STORAGE_SAS_TOKEN", "hunter2")]).starts_with("shared access signature")
        );
        let principal: &[_] = &[
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_CLIENT_SECRET", "hunter2"),
        ];
        assert_eq!(told(principal), "service principal c of tenant t");
        assert_eq!(told(&[("AZURE_CLIENT_ID", "c")]), "managed identity (c)");
        assert_eq!(told(&[]), "managed identity (the machine's own)");
    }
}
