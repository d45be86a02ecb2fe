//! The stores' credentials for the services beside the stores: subscriptions, queues and control planes.
//!
//! In: credentials of one side. Out: what `skyfresh_channel` asks for. Never: keeps a token by itself; the credentials renew theirs.

use async_trait::async_trait;
use http::HeaderValue;
use http::request::Parts;
use skyfresh_channel::azure_queue::AuthorizeAzure;
use skyfresh_channel::pubsub::BearerTokens;
use skyfresh_channel::wiring::TokenSource;
use skyfresh_store::Result;
use skyfresh_store::azure::{AzureCredentials, MANAGEMENT_RESOURCE};
use skyfresh_store::gcs::GoogleCredentials;

/// Access tokens of Google, for Pub/Sub and for its control plane: both take the scope that the store asks for.
#[derive(Debug)]
pub(super) struct GoogleTokens(pub(super) GoogleCredentials);

#[async_trait]
impl BearerTokens for GoogleTokens {
    async fn authorization(&self) -> Result<Option<HeaderValue>> {
        let token = self.0.bearer().await?;
        token.map(|token| token.header()).transpose()
    }
}

#[async_trait]
impl TokenSource for GoogleTokens {
    async fn token(&self) -> Result<Option<String>> {
        let token = self.0.bearer().await?;
        Ok(token.map(|token| token.expose().to_owned()))
    }
}

/// Requests to the queues of a storage account.
#[derive(Debug)]
pub(super) struct AzureAccount(pub(super) AzureCredentials);

#[async_trait]
impl AuthorizeAzure for AzureAccount {
    async fn authorize(&self, request: &mut Parts) -> Result<()> {
        self.0.authorize(request).await
    }
}

/// Access tokens for Azure Resource Manager.
#[derive(Debug)]
pub(super) struct AzureManagement(pub(super) AzureCredentials);

#[async_trait]
impl TokenSource for AzureManagement {
    async fn token(&self) -> Result<Option<String>> {
        let token = self.0.bearer(MANAGEMENT_RESOURCE).await?;
        Ok(Some(token.expose().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::{Clock, Kind, SystemClock};
    use skyfresh_store::azure::{AzureCredentialSource, IdentityEndpoint};
    use skyfresh_store::gcs::GoogleCredentialSource;
    use std::io::{BufRead, BufReader, Write};
    use std::sync::Arc;

    fn clock() -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    #[tokio::test]
    async fn one_token_serves_pubsub_and_its_control_plane() {
        let tokens = |source| GoogleTokens(GoogleCredentials::new(source, clock()).unwrap());
        let given = tokens(GoogleCredentialSource::Token("hunter2".into()));
        let header = given.authorization().await.unwrap().unwrap();
        assert_eq!(header, "Bearer hunter2");
        assert!(header.is_sensitive());
        assert_eq!(given.token().await.unwrap().as_deref(), Some("hunter2"));
        assert!(!format!("{given:?}").contains("hunter2"));
        let none = tokens(GoogleCredentialSource::Anonymous);
        assert!(none.authorization().await.unwrap().is_none());
        assert!(none.token().await.unwrap().is_none());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn azures_management_is_what_its_token_is_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let issuer = std::thread::spawn(move || {
            let mut connection = BufReader::new(listener.accept().unwrap().0);
            let mut asked = String::new();
            while connection.read_line(&mut asked).unwrap() > 2 {}
            let token = r#"{"access_token":"hunter2","expires_in":"3600","token_type":"Bearer"}"#;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", token.len());
            let stream = connection.get_mut();
            stream.write_all((head + token).as_bytes()).unwrap();
            asked
        });
        let source = AzureCredentialSource::ManagedIdentity {
            client_id: None,
            endpoint: IdentityEndpoint::InstanceMetadata { url },
        };
        let credentials = AzureCredentials::new("acme", source, clock()).unwrap();
        let token = AzureManagement(credentials).token().await.unwrap();
        assert_eq!(token.as_deref(), Some("hunter2"));
        let asked = issuer.join().unwrap();
        assert!(asked.contains("management.azure.com"), "{asked}");

        let key = AzureCredentialSource::AccountKey("a2V5".into());
        let credentials = AzureCredentials::new("acme", key, clock()).unwrap();
        let error = AzureManagement(credentials).token().await.unwrap_err();
        assert_eq!(error.kind, Kind::Unsupported, "{error}");
        assert!(error.to_string().contains("needs an identity"), "{error}");
    }
}
