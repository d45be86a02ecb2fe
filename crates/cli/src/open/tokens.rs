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
