//! Tokens for credentials: a signed assertion, a refresh token, the metadata server; federation through `reqsign`.

use super::{GoogleCredentialSource, GoogleCredentials, NO_CREDENTIALS, OPERATION, SCOPE, denied};
use crate::http::describe;
use crate::{Error, Result};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use reqsign_core::time::Timestamp as ReqsignTime;
use reqsign_core::{HttpSend, ProvideCredential};
use reqsign_google::FileCredentialProvider;
use serde::{Deserialize, Serialize};
use skyfresh_sky::Kind;
use std::path::Path;
use std::time::Duration;

/// Google's token endpoint, where a key file names none (<https://developers.google.com/identity/protocols/oauth2/service-account>).
const TOKEN_ENDPOINT: &str = "https://oauth2.googleapis.com/token";
/// The longest that an assertion may be valid (same page).
const ASSERTION_SECONDS: u64 = 3600;
/// The metadata server by its address: looking its name up takes long where there is none.
const METADATA_HOST: &str = "169.254.169.254";
/// What is shown of an answer that explains itself.
const SHOWN_CHARS: usize = 300;

/// A token as it was handed out.
pub(super) struct Fetched {
    pub(super) token: String,
    pub(super) valid_for: Option<Duration>,
}

/// The kinds of key files that are exchanged here; the others are `reqsign`'s.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum KeyFile {
    ServiceAccount {
        client_email: String,
        private_key: String,
        #[serde(default)]
        private_key_id: Option<String>,
        #[serde(default)]
        token_uri: Option<String>,
    },
    AuthorizedUser {
        client_id: String,
        client_secret: String,
        refresh_token: String,
        #[serde(default)]
        token_uri: Option<String>,
    },
    #[serde(other)]
    Other,
}

#[derive(Serialize)]
struct AssertionHeader<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenRefusal {
    error: Option<String>,
    error_description: Option<String>,
}

impl GoogleCredentials {
    pub(super) async fn token_of_file(&self, path: &Path, content: &[u8]) -> Result<Fetched> {
        // A message of the parser could show a part of the file.
        let file: KeyFile = serde_json::from_slice(content).map_err(|error| {
            denied(format!(
                "{} is no Google key file (JSON with a `type`): line {}, column {}",
                path.display(),
                error.line(),
                error.column()
            ))
        })?;
        match file {
            KeyFile::ServiceAccount {
                client_email,
                private_key,
                private_key_id,
                token_uri,
            } => {
                let endpoint = token_endpoint(token_uri)?;
                let issued = self.clock.now().unix_ms() / 1000;
                let header = AssertionHeader {
                    alg: "RS256",
                    typ: "JWT",
                    kid: private_key_id.as_deref(),
                };
                let claims = Claims {
                    iss: &client_email,
                    scope: SCOPE,
                    aud: &endpoint,
                    iat: issued,
                    exp: issued + ASSERTION_SECONDS,
                };
                let assertion = reqsign_core::jwt::encode_rs256_pem(
                    &header,
                    &claims,
                    private_key.as_bytes(),
                )
                .map_err(|_| {
                    denied(format!(
                        "the private_key in {} is no PKCS #8 RSA key: download the key file anew",
                        path.display()
                    ))
                })?;
                let form = [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", assertion.as_str()),
                ];
                self.ask(&endpoint, &form).await
            }
            KeyFile::AuthorizedUser {
                client_id,
                client_secret,
                refresh_token,
                token_uri,
            } => {
                let endpoint = token_endpoint(token_uri)?;
                let form = [
                    ("grant_type", "refresh_token"),
                    ("client_id", client_id.as_str()),
                    ("client_secret", client_secret.as_str()),
                    ("refresh_token", refresh_token.as_str()),
                ];
                self.ask(&endpoint, &form).await
            }
            KeyFile::Other => self.federated(path).await,
        }
    }

    /// Workload identity federation and impersonation.
    async fn federated(&self, path: &Path) -> Result<Fetched> {
        let provider = FileCredentialProvider::new(path.to_string_lossy()).with_scope(SCOPE);
        let credential = provider
            .provide_credential(&self.context)
            .await
            .map_err(|error| {
                let kind = if error.is_retryable() {
                    Kind::RetryAfter
                } else {
                    Kind::Denied
                };
                let context = format!("{} gave no token", path.display());
                Error::new(kind, OPERATION, path.to_string_lossy(), context).with_source(error)
            })?;
        let token = credential
            .and_then(|credential| credential.token)
            .ok_or_else(|| denied(format!("{} gave no token", path.display())))?;
        // `reqsign` states an end in the system's time; what is left of it is taken over into ours.
        let valid_for = token.expires_at.map(|expires| {
            let left = expires.as_second() - ReqsignTime::now().as_second();
            Duration::from_secs(u64::try_from(left).unwrap_or_default())
        });
        Ok(Fetched {
            token: token.access_token,
            valid_for,
        })
    }

    /// The service account of this machine (<https://cloud.google.com/compute/docs/metadata/overview>).
    pub(super) async fn token_of_machine(&self) -> Result<Fetched> {
        let host = match &self.source {
            GoogleCredentialSource::Chain { env, .. } => env
                .get("GCE_METADATA_HOST")
                .filter(|host| !host.is_empty())
                .map(String::as_str),
            _ => None,
        }
        .unwrap_or(METADATA_HOST);
        let url = format!(
            "http://{host}/computeMetadata/v1/instance/service-accounts/default/token?scopes={SCOPE}"
        );
        let request = http::Request::get(&url)
            .header("metadata-flavor", "Google")
            .body(Bytes::new())
            .map_err(|error| denied("GCE_METADATA_HOST is no host:port").with_source(error))?;
        let answer = self
            .http
            .http_send(request)
            .await
            .map_err(|error| denied(NO_CREDENTIALS).with_source(error))?;
        // Whatever else answers at that address is no metadata server.
        let is_google = answer
            .headers()
            .get("metadata-flavor")
            .is_some_and(|flavor| flavor == "Google");
        match answer.status() {
            StatusCode::OK if is_google => read_token(answer.body()),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Err(
                later(host, format!("the metadata server answered {status}")),
            ),
            _ => Err(denied(NO_CREDENTIALS)),
        }
    }

    async fn ask(&self, endpoint: &str, form: &[(&str, &str)]) -> Result<Fetched> {
        let mut body = String::new();
        for (name, value) in form {
            super::super::endpoint::add(&mut body, name, value);
        }
        let request = http::Request::builder()
            .method(Method::POST)
            .uri(endpoint)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Bytes::from(body))
            .map_err(|error| denied("token_uri is no address").with_source(error))?;
        let answer = self
            .http
            .http_send(request)
            .await
            .map_err(|error| later(endpoint, describe(&error)))?;
        let status = answer.status();
        if status == StatusCode::OK {
            return read_token(answer.body());
        }
        let refusal: TokenRefusal = serde_json::from_slice(answer.body()).unwrap_or_default();
        let said: String = [refusal.error, refusal.error_description]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(": ")
            .chars()
            .take(SHOWN_CHARS)
            .collect();
        let said = if said.is_empty() {
            format!("the token service answered {status}")
        } else {
            format!("the token service answered {status}: {said}")
        };
        if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
            return Err(later(endpoint, said));
        }
        Err(denied(format!(
            "{said}; check that the key is still enabled (service account) or sign in again (gcloud), and this machine's clock"
        )))
    }
}

fn later(target: &str, why: String) -> Error {
    Error::new(Kind::RetryAfter, OPERATION, target, why)
}

fn read_token(body: &[u8]) -> Result<Fetched> {
    // A message of the parser could show a part of the token.
    let answer: TokenAnswer = serde_json::from_slice(body)
        .map_err(|_| later("the token service", "its answer holds no token".into()))?;
    if answer.access_token.is_empty() {
        return Err(later(
            "the token service",
            "its answer holds an empty token".into(),
        ));
    }
    Ok(Fetched {
        token: answer.access_token,
        valid_for: answer.expires_in.map(Duration::from_secs),
    })
}

/// Secrets go to token services over TLS only, or to this machine.
fn token_endpoint(given: Option<String>) -> Result<String> {
    let endpoint = given.unwrap_or_else(|| TOKEN_ENDPOINT.to_owned());
    let uri: http::Uri = endpoint
        .parse()
        .map_err(|_| denied(format!("token_uri {endpoint:?} is no address")))?;
    let here = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && here) {
        return Ok(endpoint);
    }
    Err(denied(format!(
        "token_uri {endpoint:?} is not https: the key would leave this machine unprotected"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_leave_over_tls_only() {
        assert_eq!(token_endpoint(None).unwrap(), TOKEN_ENDPOINT);
        for good in ["https://t.example/x", "http://127.0.0.1:1/x"] {
            assert_eq!(token_endpoint(Some(good.into())).unwrap(), good);
        }
        for bad in ["http://t.example/x", "ftp://127.0.0.1/", "x"] {
            assert!(token_endpoint(Some(bad.into())).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_read_and_nothing_else_is_taken_for_one() {
        let fetched = read_token(br#"{"access_token":"t","expires_in":3599,"x":1}"#).unwrap();
        assert_eq!(fetched.token, "t");
        assert_eq!(fetched.valid_for, Some(Duration::from_secs(3599)));
        for bad in ["", "{}", "[]", r#"{"access_token":""}"#] {
            let error = read_token(bad.as_bytes()).err().unwrap();
            assert_eq!(error.kind, Kind::RetryAfter, "{bad}");
        }
    }
}
