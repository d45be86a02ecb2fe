//! Azure Blob Storage, with the credentials of its side.

use super::Opener;
use crate::config::EndpointSection;
use skyfresh_sky::Location;
use skyfresh_store::Result;
use skyfresh_store::azure::config::from_environment;
use skyfresh_store::azure::{AzureConfig, AzureCredentialSource, AzureStore};
use skyfresh_store::s3::Addressing;
use std::sync::Arc;

/// Hosts of Azure's clouds: only they are shown credentials that were found rather than given for them.
const AZURE_DOMAINS: [&str; 3] = [
    ".core.windows.net",
    ".core.usgovcloudapi.net",
    ".core.chinacloudapi.cn",
];

impl Opener {
    /// An Azure store with the settings and credentials of its side.
    ///
    /// # Errors
    /// The location names an unknown endpoint, or its settings cannot be used.
    pub(crate) fn azure(&self, location: &Location) -> Result<AzureStore> {
        let (plain, section) = self.resolve(location)?;
        let config = self.azure_config(&plain, section);
        AzureStore::new(plain, config, Arc::clone(&self.clock), self.rng.fork())
    }

    fn azure_config(&self, location: &Location, section: Option<&EndpointSection>) -> AzureConfig {
        let endpoint = section.and_then(|section| section.url.clone());
        let used = location.option("endpoint").or(endpoint.as_deref());
        AzureConfig {
            credentials: self.azure_credentials(location, section, used),
            account_in_path: section
                .and_then(|section| section.addressing)
                .map(|addressing| addressing == Addressing::Path),
            endpoint,
            ..AzureConfig::default()
        }
    }

    /// The credentials for the account of a location at this address; `None` is Azure's own.
    pub(crate) fn azure_credentials(
        &self,
        location: &Location,
        section: Option<&EndpointSection>,
        endpoint: Option<&str>,
    ) -> AzureCredentialSource {
        if let Some(given) = section.and_then(|section| section.azure.clone()) {
            return given;
        }
        let account = location
            .azure_container()
            .map_or("", |(account, _)| account);
        match from_environment(self.environment.variables(), account) {
            // A signature with a key shows neither the key nor anything else that could be used again.
            keys @ (AzureCredentialSource::AccountKey(_)
            | AzureCredentialSource::ConnectionString(_)) => keys,
            found if endpoint.is_none_or(is_azure) => found,
            // What opens every account that an identity may use is no business of another server.
            _ => AzureCredentialSource::Anonymous,
        }
    }
}

/// Whether an address is Azure's, over TLS.
fn is_azure(endpoint: &str) -> bool {
    let Some(rest) = endpoint.strip_prefix("https://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.strip_suffix(":443").unwrap_or(authority);
    AZURE_DOMAINS.iter().any(|domain| host.ends_with(domain)) && !host.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use skyfresh_sky::{Rng, SystemClock};
    use skyfresh_store::memory::MemorySky;
    use std::collections::BTreeMap;

    fn described(
        variables: &[(&str, &str)],
        location: &str,
        section: Option<&EndpointSection>,
    ) -> (AzureConfig, String) {
        let opener = Opener {
            environment: Environment::of(variables),
            endpoints: BTreeMap::new(),
            clock: Arc::new(SystemClock),
            rng: Rng::seeded(1),
            memory: MemorySky::new(Arc::new(SystemClock)),
            watching: false,
        };
        let config = opener.azure_config(&location.parse().unwrap(), section);
        let name = config.credentials.name().to_owned();
        (config, name)
    }

    #[test]
    fn identities_that_were_found_go_to_azure_only() {
        let local = "az://acme/c/?endpoint=http://127.0.0.1:10000";
        assert_eq!(described(&[], "az://acme/c/", None).1, "managed identity");
        assert_eq!(described(&[], local, None).1, "anonymous");
        let key = [("AZURE_STORAGE_KEY", "a2V5")];
        assert_eq!(described(&key, local, None).1, "account key");
        let sas = [("AZURE_STORAGE_SAS_TOKEN", "sig=x")];
        assert_eq!(
            described(&sas, "az://acme/c/", None).1,
            "shared access signature"
        );
        assert_eq!(described(&sas, local, None).1, "anonymous");
        for azure in [
            "https://acme.blob.core.windows.net",
            "https://acme.blob.core.chinacloudapi.cn:443/",
        ] {
            assert!(is_azure(azure), "{azure}");
        }
        for other in [
            "http://acme.blob.core.windows.net",
            "https://acme.blob.core.windows.net.example",
            "https://acme.blob.core.windows.net@example.com",
            "https://example.com/.core.windows.net",
        ] {
            assert!(!is_azure(other), "{other}");
        }
    }

    #[test]
    fn an_endpoint_of_the_configuration_comes_before_the_environment() {
        let section = EndpointSection {
            url: Some("http://127.0.0.1:10000".into()),
            addressing: Some(Addressing::Path),
            azure: Some(AzureCredentialSource::Sas("sig=hunter2".into())),
            ..EndpointSection::default()
        };
        let (config, name) = described(
            &[("AZURE_STORAGE_KEY", "a2V5")],
            "az://acme/c/",
            Some(&section),
        );
        assert_eq!(name, "shared access signature");
        assert_eq!(config.endpoint, section.url);
        assert_eq!(config.account_in_path, Some(true));
        assert!(!format!("{config:?}{section:?}").contains("hunter2"));
    }
}
