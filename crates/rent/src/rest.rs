//! Small JSON requests with a token, as Google's and Azure's services for machines take them.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use serde_json::Value;
use skyfresh_relay::{Error, Result};
use skyfresh_sky::{Clock, Kind};
use skyfresh_store::azure::{AzureCredentials, MANAGEMENT_RESOURCE};
use skyfresh_store::gcs::GoogleCredentials;
use skyfresh_store::service::{Limits, ServiceClient};
use std::sync::Arc;
use std::time::Duration;

const LIMITS: Limits = Limits {
    wait: Duration::from_secs(30),
    // A page of five hundred machines of a few KB.
    answer_bytes: 16 << 20,
};
/// Characters of a service's own words that are repeated.
const QUOTED_CHARACTERS: usize = 300;
/// Of its code for them.
const CODE_CHARACTERS: usize = 80;

/// Whose tokens go along.
pub(crate) enum Tokens {
    /// Google's.
    Google(GoogleCredentials),
    /// Azure's, for its management.
    Azure(AzureCredentials),
}

/// A service's client.
pub(crate) struct Rest {
    client: ServiceClient,
    tokens: Option<Tokens>,
}

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Its bytes, at most as many as the limit.
    pub(crate) body: Bytes,
}

/// What is asked, in the words of errors.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// What is tried, e.g. `rent machine`.
    pub(crate) operation: &'static str,
    /// On what, e.g. a region or a machine.
    pub(crate) on: &'a str,
}

impl Asked<'_> {
    /// An error of this request.
    pub(crate) fn error(&self, kind: Kind, why: impl std::fmt::Display) -> Error {
        Error::new(kind, self.operation, format!("{}: {why}", self.on))
    }
}

impl Rest {
    /// `https`: whether the service is reached over TLS. Without `tokens` none is sent, as to servers of this machine.
    ///
    /// # Errors
    /// `Invalid`: the system's root certificates cannot be read.
    pub(crate) fn new(https: bool, tokens: Option<Tokens>, clock: Arc<dyn Clock>) -> Result<Self> {
        let client = ServiceClient::new(https, clock)
            .map_err(|error| Error::new(error.kind, "open cloud", error.to_string()))?;
        Ok(Rest { client, tokens })
    }

    /// Sends one request. Where the service does not know its token any more, once more with another.
    ///
    /// # Errors
    /// `Denied`: there are no credentials. `RetryAfter`: no answer.
    pub(crate) async fn send(
        &self,
        asked: Asked<'_>,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let uri: Uri = url
            .parse()
            .map_err(|error| asked.error(Kind::Invalid, format!("{url} is no address: {error}")))?;
        let mut renewed = false;
        loop {
            let mut request = Request::new(match body {
                Some(body) => Bytes::from(body.to_string()),
                None => Bytes::new(),
            });
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
            let google = self.sign(asked, &mut request).await?;
            let sent = self
                .client
                .send(asked.operation, asked.on, request, LIMITS)
                .await
                .map_err(|error| asked.error(error.kind, &error).with_source(error))?;
            if sent.status() == StatusCode::UNAUTHORIZED
                && !renewed
                && let (Some(Tokens::Google(credentials)), Some(used)) = (&self.tokens, google)
                && credentials.renew(&used).await
            {
                renewed = true;
                continue;
            }
            let status = sent.status();
            let body = sent.into_body();
            return Ok(Answer { status, body });
        }
    }

    /// Adds the token, and gives it back where it can be renewed.
    async fn sign(
        &self,
        asked: Asked<'_>,
        request: &mut Request<Bytes>,
    ) -> Result<Option<skyfresh_store::gcs::BearerToken>> {
        let Some(tokens) = &self.tokens else {
            return Ok(None);
        };
        if !is_confidential(request.uri()) {
            let why =
                "a token is not sent over http: use an https endpoint, or one of this machine";
            return Err(asked.error(Kind::Invalid, why));
        }
        let failed = |error: skyfresh_store::Error| {
            asked
                .error(error.kind, error.to_string())
                .with_source(error)
        };
        let (value, google) = match tokens {
            Tokens::Google(credentials) => {
                let Some(token) = credentials.bearer().await.map_err(failed)? else {
                    return Ok(None);
                };
                (token.header().map_err(failed)?, Some(token))
            }
            Tokens::Azure(credentials) => {
                let token = credentials.bearer(MANAGEMENT_RESOURCE).await;
                let token = token.map_err(failed)?;
                let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
                let mut value = value.map_err(|_| {
                    asked.error(Kind::Denied, "the access token holds what no header can")
                })?;
                value.set_sensitive(true);
                (value, None)
            }
        };
        request.headers_mut().insert(header::AUTHORIZATION, value);
        Ok(google)
    }
}

/// Nobody but the server sees what is sent.
fn is_confidential(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
        || matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"))
}

/// An answer of success as a value.
pub(crate) fn parse<T: for<'de> serde::Deserialize<'de>>(
    asked: Asked<'_>,
    body: &[u8],
) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        asked.error(
            Kind::RetryAfter,
            format!("the answer is not what the service promises: {error}"),
        )
    })
}

/// A refusal, and what is to be done about it.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Whether another zone of the region may have what this one has not.
    pub(crate) elsewhere: bool,
    /// For whoever asked.
    pub(crate) error: Error,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal {
            elsewhere: false,
            error,
        }
    }
}

impl Refusal {
    /// In the service's own words, cut to a length, and with a hint of ours.
    pub(crate) fn told(asked: Asked<'_>, kind: Kind, code: &str, said: &str, hint: &str) -> Self {
        let plain = |text: &str, most: usize| -> String {
            text.chars()
                .filter(|c| !c.is_control())
                .take(most)
                .collect()
        };
        let code = plain(code, CODE_CHARACTERS);
        let why = format!("{code}: {}{hint}", plain(said, QUOTED_CHARACTERS));
        Refusal {
            elsewhere: false,
            error: asked.error(kind, why),
        }
    }

    /// The same; another zone may do.
    pub(crate) fn or_elsewhere(mut self, elsewhere: bool) -> Self {
        self.elsewhere = elsewhere;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::SystemClock;
    use skyfresh_store::gcs::GoogleCredentialSource;

    #[tokio::test]
    async fn a_token_leaves_this_machine_encrypted_or_not_at_all() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let source = GoogleCredentialSource::Token("hunter2".into());
        let credentials = GoogleCredentials::new(source, Arc::clone(&clock)).unwrap();
        let rest = Rest::new(false, Some(Tokens::Google(credentials)), clock).unwrap();
        let asked = Asked {
            operation: "find machines",
            on: "gcp:us-east1",
        };
        let sent = rest.send(asked, Method::GET, "http://192.0.2.1/x", None);
        let error = sent.await.err().unwrap();
        assert_eq!(error.kind, Kind::Invalid);
        assert!(error.context.contains("not sent over http"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }

    #[test]
    fn a_refusal_repeats_a_part_of_what_was_said() {
        let asked = Asked {
            operation: "rent machine",
            on: "r",
        };
        let told = Refusal::told(
            asked,
            Kind::Invalid,
            "X\n",
            &"a\u{1b}".repeat(1_000),
            "; do y",
        );
        let expected = format!("r: X: {}; do y", "a".repeat(QUOTED_CHARACTERS));
        assert_eq!(told.error.context, expected);
    }
}
