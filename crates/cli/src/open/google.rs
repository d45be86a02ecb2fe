//! Google Cloud Storage, with the credentials of its side.

use super::Opener;
use crate::config::{EndpointSection, GoogleAccess};
use skyfresh_sky::Location;
use skyfresh_store::Result;
use skyfresh_store::gcs::{GcsConfig, GcsStore, GoogleCredentialSource};
use std::sync::Arc;

/// Hosts of Google: only they are sent the credentials that were found rather than given for them.
const GOOGLE_DOMAIN: &str = ".googleapis.com";

impl Opener {
    /// A Google Cloud Storage store with the settings and credentials of its side.
    ///
    /// # Errors
    /// The location names an unknown endpoint, or its settings cannot be used.
    pub(crate) fn gcs(&self, location: &Location) -> Result<GcsStore> {
        let (plain, section) = self.resolve(location)?;
        let config = self.gcs_config(&plain, section);
        GcsStore::new(plain, config, Arc::clone(&self.clock), self.rng.fork())
    }

    fn gcs_config(&self, location: &Location, section: Option<&EndpointSection>) -> GcsConfig {
        let endpoint = section
            .and_then(|section| section.url.clone())
            .or_else(|| self.storage_emulator().filter(|_| section.is_none()));
        let used = location.option("endpoint").or(endpoint.as_deref());
        GcsConfig {
            credentials: self.google_credentials(section, used),
            endpoint,
            region: section.and_then(|section| section.region.clone()),
            ..GcsConfig::default()
        }
    }

    /// The credentials for a service of Google at this address; `None` is Google's own.
    pub(crate) fn google_credentials(
        &self,
        section: Option<&EndpointSection>,
        endpoint: Option<&str>,
    ) -> GoogleCredentialSource {
        let chain = |file| GoogleCredentialSource::Chain {
            env: self.environment.variables().clone(),
            home_dir: self.environment.home(),
            file,
        };
        match section.and_then(|section| section.google.as_ref()) {
            Some(GoogleAccess::Anonymous) => GoogleCredentialSource::Anonymous,
            Some(GoogleAccess::Token(token)) => {
                GoogleCredentialSource::Token(token.expose().to_owned())
            }
            Some(GoogleAccess::File(path)) => chain(Some(path.clone())),
            None if endpoint.is_none_or(is_google) => chain(None),
            // What opens everything at Google is no business of another server.
            None => GoogleCredentialSource::Anonymous,
        }
    }

    /// The emulator that Google's own clients are told to use.
    fn storage_emulator(&self) -> Option<String> {
        let host = self.environment.get("STORAGE_EMULATOR_HOST")?;
        Some(if host.contains("://") {
            host.to_owned()
        } else {
            format!("http://{host}")
        })
    }
}

/// Whether an address is Google's, over TLS.
fn is_google(endpoint: &str) -> bool {
    let Some(rest) = endpoint.strip_prefix("https://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.strip_suffix(":443").unwrap_or(authority);
    host.ends_with(GOOGLE_DOMAIN) && !host.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::environment::Environment;
    use skyfresh_sky::{Rng, SystemClock};
    use skyfresh_store::memory::MemorySky;
    use std::collections::BTreeMap;

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
    ) -> (Option<String>, String) {
        let location = location.parse().unwrap();
        let config = opener(variables).gcs_config(&location, section);
        (config.endpoint, format!("{:?}", config.credentials))
    }

    #[test]
    fn credentials_that_were_found_go_to_google_only() {
        let (endpoint, credentials) = described(&[], "gs://b/", None);
        assert!(endpoint.is_none() && credentials.starts_with("Chain"));
        let (_, credentials) = described(&[], "gs://b/?endpoint=http://127.0.0.1:4443", None);
        assert_eq!(credentials, "Anonymous");
        for google in [
            "https://storage.googleapis.com",
            "https://storage.us-east1.rep.googleapis.com:443/",
        ] {
            assert!(is_google(google), "{google}");
        }
        for other in [
            "http://storage.googleapis.com",
            "https://storage.googleapis.com.example",
            "https://storage.googleapis.com@example.com",
            "https://example.com/.googleapis.com",
            "https://googleapis.com",
        ] {
            assert!(!is_google(other), "{other}");
        }
    }

    #[test]
    fn the_emulator_of_googles_clients_is_used_without_credentials() {
        for host in ["127.0.0.1:9023", "http://127.0.0.1:9023"] {
            let (endpoint, credentials) =
                described(&[("STORAGE_EMULATOR_HOST", host)], "gs://b/", None);
            assert_eq!(endpoint.as_deref(), Some("http://127.0.0.1:9023"));
            assert_eq!(credentials, "Anonymous");
        }
    }

    #[test]
    fn an_endpoint_of_the_configuration_comes_before_the_environment() {
        let section = EndpointSection {
            url: Some("http://127.0.0.1:4443".into()),
            google: Some(GoogleAccess::Token(Secret::new("hunter2"))),
            ..EndpointSection::default()
        };
        let (endpoint, credentials) = described(
            &[("STORAGE_EMULATOR_HOST", "h:1")],
            "gs://b/",
            Some(&section),
        );
        assert_eq!(endpoint.as_deref(), Some("http://127.0.0.1:4443"));
        assert_eq!(credentials, "Token(***)");
        let file = EndpointSection {
            google: Some(GoogleAccess::File("/k.json".into())),
            ..EndpointSection::default()
        };
        let (_, credentials) = described(&[], "gs://b/", Some(&file));
        assert!(credentials.contains("/k.json"), "{credentials}");
    }
}
