//! Azure Blob Storage and Queue Storage, with the credentials of their side.

use super::Opener;
use super::tokens::{AzureAccount, AzureManagement};
use crate::config::EndpointSection;
use skyfresh_channel::azure_queue::AzureQueue;
use skyfresh_sky::{Kind, Location, Scheme};
use skyfresh_store::azure::config::from_environment;
use skyfresh_store::azure::{AzureConfig, AzureCredentialSource, AzureCredentials, AzureStore};
use skyfresh_store::s3::Addressing;
use skyfresh_store::{Error, Result};
use std::collections::BTreeMap;
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

    /// A storage queue, with the credentials of an endpoint's section or of the environment. Nothing is sent yet.
    ///
    /// # Errors
    /// Its URL or its credentials cannot be used.
    pub(crate) fn azure_queue(
        &self,
        url: &str,
        section: Option<&EndpointSection>,
    ) -> Result<AzureQueue> {
        let credentials = self.queue_credentials(url, section)?;
        AzureQueue::new(
            url,
            Arc::new(AzureAccount(credentials)),
            Arc::clone(&self.clock),
        )
    }

    fn queue_credentials(
        &self,
        url: &str,
        section: Option<&EndpointSection>,
    ) -> Result<AzureCredentials> {
        let account = account_of_queue(url).ok_or_else(|| {
            // The text is left out: it may hold a signature.
            let why = "expected https://ACCOUNT.queue.core.windows.net/QUEUE, or https://HOST/ACCOUNT/QUEUE";
            Error::new(Kind::Invalid, "open", "azure queue", why)
        })?;
        let location = Location {
            scheme: Scheme::Azure,
            bucket: format!("{account}/"),
            prefix: String::new(),
            options: BTreeMap::new(),
        };
        let source = self.azure_credentials(&location, section, Some(url));
        AzureCredentials::new(&account, source, Arc::clone(&self.clock))
    }

    /// Access tokens for Azure Resource Manager.
    ///
    /// # Errors
    /// The credentials cannot be used.
    pub(super) fn azure_management(
        &self,
        location: &Location,
        section: Option<&EndpointSection>,
    ) -> Result<AzureManagement> {
        let source = self.azure_credentials(location, section, None);
        let account = location
            .azure_container()
            .map_or("", |(account, _)| account);
        AzureCredentials::new(account, source, Arc::clone(&self.clock)).map(AzureManagement)
    }
}

/// The storage account of a queue: the host begins with it, or on local servers the path.
fn account_of_queue(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let segments: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let account = match segments[..] {
        [queue] if !queue.is_empty() => uri.host()?.split('.').next()?,
        [account, queue] if !queue.is_empty() => account,
        _ => return None,
    };
    (!account.is_empty()).then(|| account.to_owned())
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

    fn opener(variables: &[(&str, &str)]) -> Opener {
        Opener {
            environment: Environment::of(variables),
            endpoints: BTreeMap::new(),
            clock: Arc::new(SystemClock),
            rng: Rng::seeded(1),
            memory: MemorySky::new(Arc::new(SystemClock)),
            watching: false,
        }
    }

    fn described(
        variables: &[(&str, &str)],
        location: &str,
        section: Option<&EndpointSection>,
    ) -> (AzureConfig, String) {
        let config = opener(variables).azure_config(&location.parse().unwrap(), section);
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

    #[test]
    fn a_queue_has_the_credentials_of_its_account() {
        let opener = opener(&[
            ("AZURE_STORAGE_ACCOUNT", "acme"),
            ("AZURE_STORAGE_KEY", "a2V5"),
        ]);
        let told = |url: &str, section: Option<&EndpointSection>| {
            let credentials = opener.queue_credentials(url, section).unwrap();
            (credentials.account().to_owned(), credentials.method())
        };
        let is = |account: &str, method| (account.to_owned(), method);
        for url in [
            "https://acme.queue.core.windows.net/events",
            "http://127.0.0.1:10001/acme/events/",
        ] {
            assert_eq!(told(url, None), is("acme", "account key"), "{url}");
        }
        let other = "https://other.queue.core.windows.net/events";
        assert_eq!(told(other, None), is("other", "managed identity"));
        let local = "http://127.0.0.1:10001/other/events";
        assert_eq!(told(local, None), is("other", "anonymous"));
        let section = EndpointSection {
            azure: Some(AzureCredentialSource::Sas("sig=hunter2".into())),
            ..EndpointSection::default()
        };
        assert_eq!(
            told(local, Some(&section)),
            is("other", "shared access signature")
        );
        for bad in [
            "https://acme.queue.core.windows.net/",
            "http://h/a/b/c?sig=hunter2",
            "acme",
        ] {
            let error = opener.queue_credentials(bad, None).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
