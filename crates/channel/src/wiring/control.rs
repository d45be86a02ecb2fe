//! Small requests to control planes, and their refusals as our errors.

use crate::plumbing::{self, Refusal};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use serde_json::Value;
use skyfresh_sky::Kind;
use skyfresh_store::service::ServiceClient;
use skyfresh_store::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// How a request proves who sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    /// AWS Signature Version 4.
    Aws {
        /// The service's signing name, e.g. `sqs`.
        service: &'static str,
        /// The region that the signature names.
        region: String,
    },
    /// `Authorization: Bearer …`.
    Bearer,
}

/// Sends small requests with the credentials of one side.
#[async_trait]
pub trait ControlPlane: Send + Sync {
    /// Signs a request, sends it and collects the answer, whatever its status. `operation` and `target` name it in errors.
    ///
    /// # Errors
    /// [`Kind::Denied`]: no credentials. [`Kind::RetryAfter`]: no answer.
    async fn send(
        &self,
        signing: &Signing,
        operation: &'static str,
        target: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>>;
}

/// Gives access tokens, current ones.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A token that is valid now; `None` where none is asked for, as by local servers.
    ///
    /// # Errors
    /// [`Kind::Denied`]: there are no credentials.
    async fn token(&self) -> Result<Option<String>>;
}

/// No token: for servers on this machine, which ask for none.
#[derive(Clone, Copy, Debug)]
pub struct NoToken;

#[async_trait]
impl TokenSource for NoToken {
    async fn token(&self) -> Result<Option<String>> {
        Ok(None)
    }
}

/// Sends requests with an access token.
pub struct WithBearer {
    client: ServiceClient,
    token: Arc<dyn TokenSource>,
}

impl WithBearer {
    /// Over this client.
    pub fn new(client: ServiceClient, token: Arc<dyn TokenSource>) -> Self {
        WithBearer { client, token }
    }
}

impl std::fmt::Debug for WithBearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WithBearer").finish_non_exhaustive()
    }
}

#[async_trait]
impl ControlPlane for WithBearer {
    async fn send(
        &self,
        signing: &Signing,
        operation: &'static str,
        target: &str,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>> {
        if *signing != Signing::Bearer {
            let why = "this service takes an access token, not a signature";
            return Err(Error::new(Kind::Internal, operation, target, why));
        }
        let unusable = |_| {
            Error::new(
                Kind::Denied,
                operation,
                target,
                "the access token is not text",
            )
        };
        if let Some(token) = self.token.token().await? {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(unusable)?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let limits = plumbing::limits(Duration::ZERO);
        self.client.send(operation, target, request, limits).await
    }
}

/// A request with a JSON body, or none.
pub(super) fn json_request(
    operation: &'static str,
    target: &str,
    method: Method,
    url: &str,
    content_type: &str,
    body: Option<&Value>,
) -> Result<Request<Bytes>> {
    match body {
        None => plumbing::request(operation, target, method, url, &[], Bytes::new()),
        Some(body) => {
            let headers = [("content-type", content_type)];
            plumbing::request(
                operation,
                target,
                method,
                url,
                &headers,
                body.to_string().into(),
            )
        }
    }
}

/// An answer of success as JSON; nothing at all is `null`.
pub(super) fn json_answer(operation: &'static str, target: &str, body: &[u8]) -> Result<Value> {
    match body.is_empty() {
        true => Ok(Value::Null),
        false => plumbing::json(operation, target, body),
    }
}

/// A refusal as an error: the code and the words are the service's.
pub(super) fn refusal(
    operation: &'static str,
    target: &str,
    answer: &Response<Bytes>,
    code: Option<&str>,
    message: Option<&str>,
) -> Error {
    let kind = match code {
        Some(code) if DENIALS.contains(&code) => Some(Kind::Denied),
        Some(code) if THROTTLINGS.contains(&code) => Some(Kind::RetryAfter),
        _ => None,
    };
    let mut refusal = Refusal::new(answer.status(), answer.headers());
    refusal.code = code.map(str::to_owned);
    refusal.message = message.unwrap_or_default().to_owned();
    refusal.into_error(kind, operation, target)
}

/// What is answered with 400 by some services and means that a permission is missing.
const DENIALS: [&str; 4] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationFailed",
    "PERMISSION_DENIED",
];
/// Likewise, and means: later.
const THROTTLINGS: [&str; 5] = [
    "Throttling",
    "ThrottlingException",
    "RequestThrottled",
    "TooManyRequests",
    "RESOURCE_EXHAUSTED",
];
