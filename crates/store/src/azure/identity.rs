//! Who signs, and where requests go: for people who must find out why a store refuses.

use super::AzureStore;

/// What a store's requests are authorised with, and where they go. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The storage account.
    pub account: String,
    /// What kind of credentials they are, e.g. `managed identity`.
    pub method: &'static str,
    /// The client id, where an identity was named by it.
    pub client_id: Option<String>,
    /// The address of the container.
    pub url: String,
}

impl AzureStore {
    /// The identity in use. Nothing is sent.
    pub fn identity(&self) -> Identity {
        Identity {
            account: self.credentials.account().to_owned(),
            method: self.credentials.method(),
            client_id: self.credentials.client_id().map(str::to_owned),
            url: self.url(),
        }
    }

    /// The address of the container.
    pub fn url(&self) -> String {
        self.endpoint.url(&self.container, None, "")
    }
}
