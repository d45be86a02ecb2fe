//! Google Cloud Storage and Pub/Sub, with the credentials of their side.

use super::Opener;
use super::tokens::GoogleTokens;
use crate::config::{EndpointSection, GoogleAccess};
use skyfresh_channel::pubsub::PubsubSubscription;
use skyfresh_sky::Location;
use skyfresh_store::Result;
use skyfresh_store::gcs::{GcsConfig, GcsStore, GoogleCredentialSource, GoogleCredentials};
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
        let endpoint = section.and_then(|section| section.url.clone()).or_else(|| {
            self.emulator("STORAGE_EMULATOR_HOST")
                .filter(|_| section.is_none())
        });
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

    /// A Pub/Sub subscription, with the credentials of an endpoint's section or of the environment. Nothing is sent yet.
    ///
    /// # Errors
    /// Its name, its endpoint or its credentials cannot be used.
    pub(crate) fn pubsub(
        &self,
        subscription: &str,
        section: Option<&EndpointSection>,
    ) -> Result<PubsubSubscription> {
        let (endpoint, credentials) = self.pubsub_access(section);
        let tokens = self.tokens_of(credentials)?;
        let clock = Arc::clone(&self.clock);
        PubsubSubscription::new(subscription, endpoint.as_deref(), Arc::new(tokens), clock)
    }

    /// Where Pub/Sub answers (`None`: at Google), and the credentials for it.
    fn pubsub_access(
        &self,
        section: Option<&EndpointSection>,
    ) -> (Option<String>, GoogleCredentialSource) {
        // As for wiring and Google's own clients: an emulator is asked without credentials, whoever they are for.
        if let Some(emulator) = self.emulator("PUBSUB_EMULATOR_HOST") {
            return (Some(emulator), GoogleCredentialSource::Anonymous);
        }
        let url = section.and_then(|section| section.url.as_deref());
        // A section is mostly shared with a store: Google has its subscriptions at another address than its objects.
        let endpoint = url.filter(|url| !is_google(url) || url.contains("pubsub"));
        let credentials = self.google_credentials(section, endpoint);
        (endpoint.map(str::to_owned), credentials)
    }

    /// Access tokens for a service of Google at this address; `None` is Google's own.
    ///
    /// # Errors
    /// TLS cannot be used on this machine.
    pub(super) fn google_tokens(
        &self,
        section: Option<&EndpointSection>,
        endpoint: Option<&str>,
    ) -> Result<GoogleTokens> {
        self.tokens_of(self.google_credentials(section, endpoint))
    }

    fn tokens_of(&self, source: GoogleCredentialSource) -> Result<GoogleTokens> {
        GoogleCredentials::new(source, Arc::clone(&self.clock)).map(GoogleTokens)
    }

    /// The emulator that Google's own clients are told to use.
    fn emulator(&self, variable: &str) -> Option<String> {
        let host = self.environment.get(variable)?;
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

    #[test]
    fn pubsub_is_where_its_emulator_or_a_server_of_ones_own_is() {
        let described = |variables: &[(&str, &str)], section: Option<&EndpointSection>| {
            let (endpoint, credentials) = opener(variables).pubsub_access(section);
            let kind = format!("{credentials:?}");
            let kind = kind.split([' ', '(']).next().unwrap_or_default().to_owned();
            (endpoint.unwrap_or_default(), kind)
        };
        let at = |url: &str| EndpointSection {
            url: Some(url.into()),
            ..EndpointSection::default()
        };
        let is = |endpoint: &str, kind: &str| (endpoint.to_owned(), kind.to_owned());
        assert_eq!(described(&[], None), is("", "Chain"));
        // The address of a store's endpoint is not that of Pub/Sub, but its credentials are.
        let storage = at("https://storage.us-east1.rep.googleapis.com");
        assert_eq!(described(&[], Some(&storage)), is("", "Chain"));
        let regional = "https://us-central1-pubsub.googleapis.com";
        assert_eq!(described(&[], Some(&at(regional))), is(regional, "Chain"));
        let local = "http://127.0.0.1:4443";
        assert_eq!(described(&[], Some(&at(local))), is(local, "Anonymous"));
        let given = EndpointSection {
            google: Some(GoogleAccess::Token(Secret::new("hunter2"))),
            ..at(local)
        };
        assert_eq!(described(&[], Some(&given)), is(local, "Token"));
        // What was given for another address does not go to an emulator.
        let emulator = [("PUBSUB_EMULATOR_HOST", "127.0.0.1:8085")];
        assert_eq!(
            described(&emulator, Some(&given)),
            is("http://127.0.0.1:8085", "Anonymous")
        );
    }
}
