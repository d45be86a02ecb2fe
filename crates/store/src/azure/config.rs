//! What a person may set about an Azure store. Nothing here shows a secret in `Debug`.

use skyfresh_sky::Invalid;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// An application of Microsoft Entra ID (a service principal) in its tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntraApplication {
    /// Directory (tenant) id.
    pub tenant_id: String,
    /// Application (client) id.
    pub client_id: String,
    /// Where tokens are issued; `None` is the public cloud's `https://login.microsoftonline.com`.
    pub authority_host: Option<String>,
}

/// Where the managed identity of this machine is asked for.
#[derive(Clone, PartialEq, Eq)]
pub enum IdentityEndpoint {
    /// The instance metadata service of a virtual machine. `url` is
    /// `http://169.254.169.254/metadata/identity/oauth2/token` but in tests.
    InstanceMetadata {
        /// Its address.
        url: String,
    },
    /// The local endpoint of App Service, Functions and Container Apps (`IDENTITY_ENDPOINT`, `IDENTITY_HEADER`).
    AppService {
        /// Its address.
        url: String,
        /// The secret that a caller must show.
        header: String,
    },
}

/// The address of the instance metadata service
/// (<https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>).
pub const INSTANCE_METADATA_URL: &str = "http://169.254.169.254/metadata/identity/oauth2/token";

/// Where credentials come from.
#[derive(Clone, PartialEq, Eq)]
pub enum AzureCredentialSource {
    /// The storage account's key: everything in the account. Base64, as the portal shows it.
    AccountKey(String),
    /// A shared access signature, with or without a leading `?`.
    Sas(String),
    /// The same, in a file that is read again when it is replaced.
    SasFile(PathBuf),
    /// A connection string, as the portal shows it: with a key or with a shared access signature.
    ConnectionString(String),
    /// A service principal with a client secret.
    ClientSecret {
        /// The application.
        application: EntraApplication,
        /// Its secret.
        client_secret: String,
    },
    /// A service principal that a token in a file stands for (Kubernetes, CI systems): read again for every new token.
    WorkloadIdentity {
        /// The application.
        application: EntraApplication,
        /// The file with the federated token.
        token_file: PathBuf,
    },
    /// The identity of the machine.
    ManagedIdentity {
        /// Which of several: a client id; `None` is the system-assigned one.
        client_id: Option<String>,
        /// Where to ask.
        endpoint: IdentityEndpoint,
    },
    /// None: containers that anyone may read.
    Anonymous,
    /// The variables of the Azure CLI and SDKs, as read by the binary (libraries read none): [`from_environment`] says in
    /// which order.
    Environment(BTreeMap<String, String>),
}

impl std::fmt::Debug for IdentityEndpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            IdentityEndpoint::InstanceMetadata { url } => {
                f.debug_tuple("InstanceMetadata").field(url).finish()
            }
            IdentityEndpoint::AppService { url, .. } => f
                .debug_tuple("AppService")
                .field(url)
                .finish_non_exhaustive(),
        }
    }
}

impl std::fmt::Debug for AzureCredentialSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct(self.name());
        match self {
            AzureCredentialSource::SasFile(path) => shown.field("path", path),
            AzureCredentialSource::ClientSecret { application, .. } => {
                shown.field("application", application)
            }
            AzureCredentialSource::WorkloadIdentity {
                application,
                token_file,
            } => shown
                .field("application", application)
                .field("token_file", token_file),
            AzureCredentialSource::ManagedIdentity {
                client_id,
                endpoint,
            } => shown
                .field("client_id", client_id)
                .field("endpoint", endpoint),
            _ => &mut shown,
        };
        shown.finish_non_exhaustive()
    }
}

impl AzureCredentialSource {
    /// What kind it is, for people.
    pub fn name(&self) -> &'static str {
        match self {
            AzureCredentialSource::AccountKey(_) => "account key",
            AzureCredentialSource::Sas(_) | AzureCredentialSource::SasFile(_) => {
                "shared access signature"
            }
            AzureCredentialSource::ConnectionString(_) => "connection string",
            AzureCredentialSource::ClientSecret { .. } => "service principal",
            AzureCredentialSource::WorkloadIdentity { .. } => "workload identity",
            AzureCredentialSource::ManagedIdentity { .. } => "managed identity",
            AzureCredentialSource::Anonymous => "anonymous",
            AzureCredentialSource::Environment(_) => "environment",
        }
    }
}

/// What the environment says about one storage account, most explicit first:
///
/// 1. `AZURE_STORAGE_CONNECTION_STRING`, `AZURE_STORAGE_KEY` (or `AZURE_STORAGE_ACCOUNT_KEY`), `AZURE_STORAGE_SAS_TOKEN` (the
///    Azure CLI's variables): only where they are meant for this account, that is, where `AZURE_STORAGE_ACCOUNT` (or the
///    connection string) names it or nothing is named;
/// 2. `AZURE_TENANT_ID` and `AZURE_CLIENT_ID` with `AZURE_CLIENT_SECRET` or `AZURE_FEDERATED_TOKEN_FILE` (the SDKs'
///    `EnvironmentCredential` and `WorkloadIdentityCredential`), and `AZURE_AUTHORITY_HOST`;
/// 3. the managed identity: `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`, or else the instance metadata service, for
///    `AZURE_CLIENT_ID` where set.
pub fn from_environment(env: &BTreeMap<String, String>, account: &str) -> AzureCredentialSource {
    let get = |name: &str| env.get(name).filter(|value| !value.is_empty()).cloned();
    if let Some(text) = get("AZURE_STORAGE_CONNECTION_STRING")
        && ConnectionString::parse(&text).is_ok_and(|parsed| parsed.is_for(account))
    {
        return AzureCredentialSource::ConnectionString(text);
    }
    let named = get("AZURE_STORAGE_ACCOUNT").or_else(|| get("AZURE_STORAGE_ACCOUNT_NAME"));
    if named.is_none_or(|named| named == account) {
        if let Some(key) = get("AZURE_STORAGE_KEY").or_else(|| get("AZURE_STORAGE_ACCOUNT_KEY")) {
            return AzureCredentialSource::AccountKey(key);
        }
        if let Some(token) = get("AZURE_STORAGE_SAS_TOKEN") {
            return AzureCredentialSource::Sas(token);
        }
    }
    let client_id = get("AZURE_CLIENT_ID");
    if let (Some(tenant_id), Some(client_id)) = (get("AZURE_TENANT_ID"), client_id.clone()) {
        let application = EntraApplication {
            tenant_id,
            client_id,
            authority_host: get("AZURE_AUTHORITY_HOST"),
        };
        if let Some(client_secret) = get("AZURE_CLIENT_SECRET") {
            return AzureCredentialSource::ClientSecret {
                application,
                client_secret,
            };
        }
        if let Some(file) = get("AZURE_FEDERATED_TOKEN_FILE") {
            return AzureCredentialSource::WorkloadIdentity {
                application,
                token_file: file.into(),
            };
        }
    }
    let endpoint = match (get("IDENTITY_ENDPOINT"), get("IDENTITY_HEADER")) {
        (Some(url), Some(header)) => IdentityEndpoint::AppService { url, header },
        _ => IdentityEndpoint::InstanceMetadata {
            url: INSTANCE_METADATA_URL.to_owned(),
        },
    };
    AzureCredentialSource::ManagedIdentity {
        client_id,
        endpoint,
    }
}

/// A connection string, taken apart
/// (<https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string>).
#[derive(Clone, Default)]
pub struct ConnectionString {
    /// `AccountName`.
    pub account: Option<String>,
    /// `AccountKey`.
    pub account_key: Option<String>,
    /// `SharedAccessSignature`.
    pub sas: Option<String>,
    /// `BlobEndpoint`.
    pub blob_endpoint: Option<String>,
    /// `QueueEndpoint`.
    pub queue_endpoint: Option<String>,
}

impl std::fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionString")
            .field("account", &self.account)
            .field("blob_endpoint", &self.blob_endpoint)
            .field("queue_endpoint", &self.queue_endpoint)
            .finish_non_exhaustive()
    }
}

impl ConnectionString {
    /// Reads one.
    ///
    /// # Errors
    /// It is not made of `NAME=VALUE` pairs, or holds no credentials.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        // The text is a secret: no error shows it.
        let bad = |why: &str| Invalid::new("connection string", "…", why);
        let mut parsed = ConnectionString::default();
        let (mut protocol, mut suffix) = ("https".to_owned(), "core.windows.net".to_owned());
        for pair in text
            .split(';')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| bad("expected NAME=VALUE pairs separated by `;`"))?;
            let value = value.to_owned();
            match name.to_ascii_lowercase().as_str() {
                "usedevelopmentstorage" => {
                    return Err(bad(
                        "give the emulator's account, key and endpoint instead of UseDevelopmentStorage",
                    ));
                }
                "accountname" => parsed.account = Some(value),
                "accountkey" => parsed.account_key = Some(value),
                "sharedaccesssignature" => parsed.sas = Some(value),
                "blobendpoint" => parsed.blob_endpoint = Some(value),
                "queueendpoint" => parsed.queue_endpoint = Some(value),
                "defaultendpointsprotocol" => protocol = value,
                "endpointsuffix" => suffix = value,
                // Of other services.
                _ => {}
            }
        }
        if parsed.account_key.is_none() && parsed.sas.is_none() {
            return Err(bad("has neither AccountKey nor SharedAccessSignature"));
        }
        if let Some(account) = &parsed.account {
            let host = |service: &str| format!("{protocol}://{account}.{service}.{suffix}");
            parsed.blob_endpoint.get_or_insert_with(|| host("blob"));
            parsed.queue_endpoint.get_or_insert_with(|| host("queue"));
        }
        Ok(parsed)
    }

    fn is_for(&self, account: &str) -> bool {
        self.account.as_deref().is_none_or(|named| named == account)
    }
}

/// The settings of one Azure store. The location's options (`endpoint`, `addressing`) override them.
#[derive(Clone, Debug)]
pub struct AzureConfig {
    /// `http://host:port` or `https://host`; `None` is the connection string's, or `https://ACCOUNT.blob.core.windows.net`.
    pub endpoint: Option<String>,
    /// Whether the account stands in the path (`Some(true)`) or in the host's name only; `None`: in the path where the host
    /// does not begin with it.
    pub account_in_path: Option<bool>,
    /// Where credentials come from.
    pub credentials: AzureCredentialSource,
    /// Longest wait for a TCP connection.
    pub connect_timeout: Duration,
    /// Longest wait for the next byte in either direction.
    pub stall_timeout: Duration,
    /// Most requests under way at once; throttling lowers it for a while.
    pub max_concurrency: usize,
}

impl Default for AzureConfig {
    fn default() -> Self {
        AzureConfig {
            endpoint: None,
            account_in_path: None,
            credentials: AzureCredentialSource::Environment(BTreeMap::new()),
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
            max_concurrency: 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_environment_is_read_in_a_known_order() {
        let connection = "AccountName=acme;AccountKey=hunter2==";
        let all = [
            ("AZURE_STORAGE_CONNECTION_STRING", connection),
            ("AZURE_STORAGE_ACCOUNT", "acme"),
            ("AZURE_STORAGE_KEY", "hunter2"),
            ("AZURE_STORAGE_SAS_TOKEN", "sig=hunter2"),
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_CLIENT_SECRET", "hunter2"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
            ("IDENTITY_ENDPOINT", "http://127.0.0.1/msi"),
            ("IDENTITY_HEADER", "hunter2"),
        ];
        let found =
            |from: usize, account: &str| from_environment(&env(&all[from..]), account).name();
        assert_eq!(found(0, "acme"), "connection string");
        assert_eq!(found(1, "acme"), "account key");
        assert_eq!(found(3, "acme"), "shared access signature");
        assert_eq!(found(4, "acme"), "service principal");
        assert_eq!(found(7, "acme"), "managed identity", "no tenant");
        let federated = env(&[all[4], all[5], all[7]]);
        assert_eq!(
            from_environment(&federated, "acme").name(),
            "workload identity"
        );
        assert_eq!(
            found(0, "other"),
            "service principal",
            "a key opens its own account only"
        );
        assert_eq!(
            from_environment(&BTreeMap::new(), "acme"),
            AzureCredentialSource::ManagedIdentity {
                client_id: None,
                endpoint: IdentityEndpoint::InstanceMetadata {
                    url: INSTANCE_METADATA_URL.into()
                },
            }
        );
        for from in 0..all.len() {
            let shown = format!("{:?}", from_environment(&env(&all[from..]), "acme"));
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let shown = format!("{:?}", AzureCredentialSource::Environment(env(&all)));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn connection_strings_are_taken_apart() {
        let parsed = ConnectionString::parse(
            "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=a2V5==;EndpointSuffix=core.windows.net;",
        )
        .unwrap();
        assert_eq!(parsed.account_key.as_deref(), Some("a2V5=="));
        assert_eq!(
            parsed.blob_endpoint.as_deref(),
            Some("https://acme.blob.core.windows.net")
        );
        assert_eq!(
            parsed.queue_endpoint.as_deref(),
            Some("https://acme.queue.core.windows.net")
        );
        let parsed = ConnectionString::parse(
            "BlobEndpoint=http://127.0.0.1:1/a;SharedAccessSignature=sv=1&sig=hunter2",
        )
        .unwrap();
        assert_eq!(parsed.sas.as_deref(), Some("sv=1&sig=hunter2"));
        assert!(!format!("{parsed:?}").contains("hunter2"));
        for bad in ["hunter2", "AccountName=a", "UseDevelopmentStorage=true"] {
            let error = ConnectionString::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
