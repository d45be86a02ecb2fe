//! Azure Blob Storage and Queue Storage of one region, and the little of the management API that wires events.
//!
//! **In:** HTTP requests, path style (`http://host:port/ACCOUNT/CONTAINER/BLOB`) or host style
//! (`http://ACCOUNT.blob.localhost:port/CONTAINER/BLOB`), and queues on a port of their own.
//! **Out:** what Azure would answer, by learn.microsoft.com/rest/api/storageservices.
//! **Never:** publishes a body that did not arrive whole and verified; tells who asks what a secret is.
//!
//! One account a region, the same in all ([`AzureConfig`]): by default named as the sky's access key, its key the Base64
//! form of the sky's secret key, and the secret key itself accepted as a bearer token.
//!
//! Deliberately absent: append and page blobs, snapshots, versions, soft delete, immutability, container leases, public
//! access, encryption scopes, user delegation keys, stored access policies, batches, conditions on tags.

mod account;
mod auth;
mod blob;
mod classify;
mod conditions;
mod config;
mod container;
mod error;
mod events;
mod headers;
mod lease;
mod management;
mod model;
mod queue;
mod reply;
mod request;
mod wiring;
mod xml;

pub(crate) use classify::{classify, internal_error, slow_down};
pub use config::AzureConfig;
pub(crate) use events::AzureEvent;
pub(crate) use wiring::Accounts;

use account::Account;
use auth::Service;
use blob::Call;
use error::{Result, StorageError};
use events::Origin;
use http::{HeaderValue, Method, Request, Response};
use request::{Head, http_date};
use s3s::Body;
use std::sync::Arc;

/// One region's account behind one of its services: blobs, with the management API beside them, or queues. Clones are the
/// same.
#[derive(Clone, Debug)]
pub(crate) struct Frontend {
    account: Arc<Account>,
    service: Service,
}

impl Frontend {
    pub(crate) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let request_id = self.account.guid();
        let is_head = request.method() == Method::HEAD;
        let (parts, body) = request.into_parts();
        let head = Head::new(&parts.method, &parts.uri, &parts.headers);
        let version = head.as_ref().ok().map(|head| head.version.clone());
        let answer = match head {
            Ok(head) => self.answer(head, body, &request_id).await,
            Err(error) => Err(error),
        };
        let mut response = answer.unwrap_or_else(|error: StorageError| {
            error
                .with_detail("RequestId", &request_id)
                .into_response(is_head)
        });
        let mut stamp = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        };
        stamp("x-ms-request-id", &request_id);
        stamp("date", &http_date(self.account.now()));
        if let Some(version) = version {
            stamp("x-ms-version", &version);
        }
        if let Some(id) = parts.headers.get("x-ms-client-request-id") {
            response
                .headers_mut()
                .insert("x-ms-client-request-id", id.clone());
        }
        response
    }

    async fn answer(&self, head: Head, body: Body, request_id: &str) -> Result<Response<Body>> {
        let account = &self.account;
        let grant = account
            .keys
            .authenticate(&head, self.service, account.now())?;
        if self.service == Service::Blob && Frontend::is_management(&head) {
            return self.manage(head, &grant, body).await;
        }
        if head.account != account.keys.account {
            return Err(error::account_not_found());
        }
        let origin = Origin {
            account: head.account.clone(),
            endpoint: account.neighbours().blob_url,
            request_id: request_id.to_owned(),
            client_request_id: head.header("x-ms-client-request-id").map(str::to_owned),
        };
        let call = Call {
            account: account.clone(),
            head,
            grant,
            origin,
        };
        match self.service {
            Service::Blob => blob::answer(call, body).await,
            Service::Queue => queue::answer(call, body).await,
        }
    }
}
