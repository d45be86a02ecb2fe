//! A small client of the HTTP API (`docs/openapi.json`).

use crate::config::Secret;
use crate::exit::Exit;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Clock, Kind, Timestamp, timeout};
use std::sync::Arc;
use std::time::Duration;

/// The longest answer that is read: a status of some ten thousand rules.
const ANSWER_LIMIT_BYTES: usize = 64 << 20;
/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long an answer may take, beyond the time a call is asked to wait.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A call that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The address cannot be used.
    #[error("server address {given:?}: {why}")]
    Address {
        /// As given.
        given: String,
        /// Why not.
        why: String,
    },
    /// Nobody answered, or not in HTTP.
    #[error("cannot reach the server at {server}: {why}")]
    Unreachable {
        /// Where.
        server: String,
        /// Why.
        why: String,
    },
    /// It answered, with a refusal.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// What the daemon calls it, where it said.
        kind: Option<Kind>,
        /// The daemon's words.
        message: String,
        /// The daemon's advice.
        hint: Option<String>,
    },
    /// It answered something that is not the API.
    #[error("the server at {server} answered something that is not Skyfresh's API: {why}")]
    Strange {
        /// Where.
        server: String,
        /// What was wrong.
        why: String,
    },
}

impl ClientError {
    /// How a command ends because of it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            ClientError::Address { .. } => Exit::Usage,
            ClientError::Unreachable { .. } | ClientError::Strange { .. } => Exit::Unreachable,
            ClientError::Refused { status, kind, .. } => match kind {
                Some(Kind::Missing | Kind::Invalid | Kind::Unsupported) => Exit::Usage,
                Some(Kind::Denied | Kind::RetryAfter) => Exit::Unreachable,
                Some(_) => Exit::Failed,
                None if status.is_client_error() => Exit::Usage,
                None => Exit::Unreachable,
            },
        }
    }

    /// What to do next.
    pub(crate) fn hints(&self) -> Vec<String> {
        let address =
            "--server URL, or SKYFRESH_SERVER, says where the daemon listens ([server] listen)";
        match self {
            ClientError::Address { .. } => vec!["expected http://host:port".into()],
            ClientError::Unreachable { .. } => {
                vec![
                    "start the daemon: `skyfresh serve -c skyfresh.toml`".into(),
                    address.into(),
                ]
            }
            ClientError::Strange { .. } => vec![address.into()],
            ClientError::Refused {
                status: StatusCode::UNAUTHORIZED,
                ..
            } => {
                vec!["set SKYFRESH_TOKEN to the api_token of the daemon's configuration".into()]
            }
            ClientError::Refused {
                kind: Some(Kind::Missing),
                ..
            } => {
                vec!["`skyfresh rules` lists the rules".into()]
            }
            ClientError::Refused { hint, .. } => hint.iter().cloned().collect(),
        }
    }
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Refusal {
    error: RefusalFields,
}

#[derive(Deserialize)]
struct RefusalFields {
    kind: Kind,
    operation: String,
    target: String,
    message: String,
    #[serde(default)]
    hint: Option<String>,
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Reading the system's root certificates takes a hundred milliseconds: only done for https.
fn http_client(https: bool) -> Result<HttpClient, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let tls = match https {
        true => tls.with_native_roots().map_err(|error| error.to_string())?,
        false => tls.with_root_certificates(rustls::RootCertStore::empty()),
    };
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_LIMIT));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls.with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// Talks to one daemon.
pub(crate) struct ApiClient {
    server: String,
    token: Option<Secret>,
    http: HttpClient,
    clock: Arc<dyn Clock>,
}

impl ApiClient {
    /// A client of the daemon at `server` (`http://host:port`). Nothing is sent yet.
    ///
    /// # Errors
    /// The address cannot be used.
    pub(crate) fn new(
        server: &str,
        token: Option<Secret>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ClientError> {
        let bad = |why: String| ClientError::Address {
            given: server.to_owned(),
            why,
        };
        let server = server.trim_end_matches('/');
        let uri: Uri = server
            .parse()
            .map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
        let https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(bad("it needs a scheme".into())),
        };
        let http = http_client(https)
            .map_err(|error| bad(format!("no root certificates for TLS: {error}")))?;
        Ok(ApiClient {
            server: server.to_owned(),
            token,
            http,
            clock,
        })
    }

    /// `GET path`
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, None, Duration::ZERO).await
    }

    /// `POST path`, which the daemon may take `wait` to answer.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        wait: Duration,
    ) -> Result<T, ClientError> {
        self.call(Method::POST, path, None, wait).await
    }

    /// `PUT path` with this as its JSON body.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.strange(error.to_string()))?;
        let body = Some(Bytes::from(body));
        self.call(Method::PUT, path, body, Duration::ZERO).await
    }

    /// `POST path` with a body of JSON.
    pub(crate) async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: impl Into<Bytes>,
        wait: Duration,
    ) -> Result<T, ClientError> {
        self.call(Method::POST, path, Some(body.into()), wait).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        wait: Duration,
    ) -> Result<T, ClientError> {
        let limit = ANSWER_LIMIT + wait;
        let exchange = self.exchange(method, path, body);
        let (status, body) = timeout(self.clock.as_ref(), limit, exchange)
            .await
            .unwrap_or_else(|| {
                Err(self.unreachable(format!("no answer within {} s", limit.as_secs())))
            })?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| self.strange(error.to_string()));
        }
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(Refusal { error }) => Err(ClientError::Refused {
                status,
                kind: Some(error.kind),
                message: format!("{} {}: {}", error.operation, error.target, error.message),
                hint: error.hint,
            }),
            Err(_) => Err(self.strange(format!("HTTP status {status}"))),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let is_json = body.is_some();
        let mut request = Request::new(Full::new(body.unwrap_or_default()));
        if is_json {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.server)
            .parse()
            .map_err(|error: http::uri::InvalidUri| self.strange(error.to_string()))?;
        if let Some(token) = &self.token {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| {
                    ClientError::Address {
                        given: "SKYFRESH_TOKEN".into(),
                        why: "not sendable".into(),
                    }
                })?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let response = self
            .http
            .request(request)
            .await
            .map_err(|error| self.unreachable(root_cause(&error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT_BYTES)
            .collect()
            .await
            .map_err(|error| self.unreachable(error.to_string()))?;
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, why: String) -> ClientError {
        ClientError::Unreachable {
            server: self.server.clone(),
            why,
        }
    }

    fn strange(&self, why: String) -> ClientError {
        ClientError::Strange {
            server: self.server.clone(),
            why,
        }
    }
}

/// The clock of the server at `url`, by the `Date` of its answer to an unsigned request, and ours at that moment.
/// `None` where it does not say.
///
/// # Errors
/// It cannot be reached; why, in words.
pub(crate) async fn server_time(
    url: &str,
    clock: &dyn Clock,
) -> Result<Option<(Timestamp, Timestamp)>, String> {
    let uri: Uri = url
        .parse()
        .map_err(|error: http::uri::InvalidUri| error.to_string())?;
    let http = http_client(uri.scheme_str() == Some("https"))?;
    let answer = timeout(clock, CONNECT_LIMIT * 2, http.get(uri))
        .await
        .ok_or("no answer")?;
    let answer = answer.map_err(|error| root_cause(&error))?;
    Ok(date(answer.headers()).map(|theirs| (theirs, clock.now())))
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(Timestamp::ZERO.after(date.duration_since(std::time::UNIX_EPOCH).ok()?))
}

/// The innermost cause: "Connection refused" rather than "client error".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::SystemClock;

    fn client(server: &str) -> Result<ApiClient, ClientError> {
        ApiClient::new(server, Some(Secret::new("hunter2")), Arc::new(SystemClock))
    }

    #[test]
    fn addresses_without_a_scheme_are_refused() {
        assert!(client("http://127.0.0.1:7070/").is_ok());
        for bad in ["127.0.0.1:7070", "", "ftp://x"] {
            assert!(
                matches!(client(bad), Err(ClientError::Address { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_went_wrong_decides_the_exit_code() {
        let refused = |status, kind| ClientError::Refused {
            status,
            kind,
            message: String::new(),
            hint: None,
        };
        assert_eq!(
            refused(StatusCode::NOT_FOUND, Some(Kind::Missing)).exit(),
            Exit::Usage
        );
        assert_eq!(
            refused(StatusCode::UNAUTHORIZED, Some(Kind::Denied)).exit(),
            Exit::Unreachable
        );
        assert_eq!(
            refused(StatusCode::SERVICE_UNAVAILABLE, Some(Kind::RetryAfter)).exit(),
            Exit::Unreachable
        );
        assert_eq!(
            refused(StatusCode::INTERNAL_SERVER_ERROR, Some(Kind::Internal)).exit(),
            Exit::Failed
        );
    }
}
