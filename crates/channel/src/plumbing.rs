//! What all clients share: addresses, small JSON calls, and refusals as errors that say what to do next.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use serde::de::DeserializeOwned;
use skyfresh_sky::{Invalid, Kind};
use skyfresh_store::service::{Limits, kind_of_status};
use skyfresh_store::{Error, Result};
use std::time::Duration;

/// Longest answer read. Ten messages of an SQS queue with the largest quota, escaped.
const ANSWER_LIMIT_BYTES: usize = 16 << 20;
/// Longest an exchange may take, beyond what the service was asked to wait.
pub(crate) const EXCHANGE_LIMIT: Duration = Duration::from_secs(15);
/// Characters of a service's own words that are repeated in an error.
const QUOTED_CHARACTERS: usize = 300;
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("skyfresh/", env!("CARGO_PKG_VERSION")));

/// What an exchange may take that waits so long for its answer.
pub(crate) fn limits(wait: Duration) -> Limits {
    Limits {
        wait: wait + EXCHANGE_LIMIT,
        answer_bytes: ANSWER_LIMIT_BYTES,
    }
}

/// An `http://` or `https://` address, taken apart. Holds no user, password, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) https: bool,
    /// `host` or `host:port`.
    pub(crate) authority: String,
    /// Without a slash at the end.
    pub(crate) path: String,
}

impl Address {
    /// # Errors
    /// Not such an address; the text is left out of the message where it may hold a password.
    pub(crate) fn parse(what: &'static str, text: &str) -> std::result::Result<Self, Invalid> {
        let shown = if text.contains(['@', '?', '#']) {
            "…"
        } else {
            text
        };
        let bad = |why: &str| Invalid::new(what, shown, why);
        if text.contains(['?', '#']) {
            return Err(bad("must not hold a query or a fragment"));
        }
        let uri: http::Uri = text
            .parse()
            .map_err(|_| bad("expected https://host/… or http://host:port/…"))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad("expected https://host/… or http://host:port/…")),
        };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.is_empty() || authority.contains('@') {
            return Err(bad(
                "must have a host and no user or password: credentials are set separately",
            ));
        }
        Ok(Address {
            https,
            authority: authority.to_owned(),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The address of the server, without a path.
    pub(crate) fn server(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    /// The whole address.
    pub(crate) fn url(&self) -> String {
        self.server() + &self.path
    }

    /// The host without a port.
    pub(crate) fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }
}

/// A request, before it is signed.
///
/// # Errors
/// [`Kind::Invalid`]: the address cannot be one.
pub(crate) fn request(
    operation: &'static str,
    target: &str,
    method: Method,
    url: &str,
    headers: &[(&'static str, &str)],
    body: Bytes,
) -> Result<Request<Bytes>> {
    let invalid = |error: http::Error| {
        Error::new(
            Kind::Invalid,
            operation,
            target,
            "the request cannot be formed",
        )
        .with_source(error)
    };
    let mut builder = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder
        .header(header::USER_AGENT, USER_AGENT)
        .body(body)
        .map_err(invalid)
}

/// An answer that is a JSON document.
///
/// # Errors
/// [`Kind::RetryAfter`]: it is not the document it should be. A proxy's page, perhaps; the service may answer next time.
pub(crate) fn json<T: DeserializeOwned>(
    operation: &'static str,
    target: &str,
    body: &[u8],
) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| {
        Error::new(
            Kind::RetryAfter,
            operation,
            target,
            format!("the answer is not what the service's reference says: {error}"),
        )
    })
}

/// What a service said when it refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// Its own error code, where it gave one.
    pub(crate) code: Option<String>,
    /// Its own words.
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal whose code and words are still to be read.
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap) -> Self {
        let seconds = headers
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok());
        Refusal {
            status,
            code: None,
            message: String::new(),
            retry_after: seconds.map(Duration::from_secs),
        }
    }

    /// As an error: of `kind`, or of the kind that the status stands for.
    pub(crate) fn into_error(
        self,
        kind: Option<Kind>,
        operation: &'static str,
        target: &str,
    ) -> Error {
        let kind = kind.unwrap_or_else(|| kind_of_status(self.status));
        let said: String = self
            .message
            .chars()
            .filter(|c| !c.is_control())
            .take(QUOTED_CHARACTERS)
            .collect();
        let context = match (&self.code, said.as_str()) {
            (Some(code), "") => format!("{} {code}", self.status.as_u16()),
            (Some(code), said) => format!("{} {code}: {said}", self.status.as_u16()),
            (None, "") => format!("the service answered {}", self.status),
            (None, said) => format!("{}: {said}", self.status),
        };
        let mut error = Error::new(kind, operation, target, context);
        error.retry_after = self.retry_after;
        match self.code {
            Some(code) => error.with_code(code),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_shows_no_password() {
        let address = Address::parse("queue", "https://h.example:8443/1/q/").unwrap();
        assert_eq!(
            (address.server(), address.host(), address.path.as_str()),
            ("https://h.example:8443".to_owned(), "h.example", "/1/q")
        );
        for bad in [
            "ftp://h/q",
            "h/q",
            "",
            "https:///q",
            "https://u:hunter2@h/q",
            "https://h/q?sig=hunter2",
        ] {
            let error = Address::parse("queue", bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do_next_without_control_characters() {
        let refusal = |status: u16, message: &str| Refusal {
            status: StatusCode::from_u16(status).unwrap(),
            code: Some("Code".into()),
            message: message.into(),
            retry_after: None,
        };
        for (status, kind) in [
            (400, Kind::Invalid),
            (403, Kind::Denied),
            (404, Kind::Missing),
            (429, Kind::RetryAfter),
            (503, Kind::RetryAfter),
        ] {
            let error = refusal(status, "no\n\x1b[2J").into_error(None, "receive", "q");
            assert_eq!(error.kind, kind);
            assert!(!error.context.contains('\x1b'), "{error}");
        }
        assert!(
            refusal(400, &"x".repeat(9999))
                .into_error(None, "o", "t")
                .context
                .len()
                < 400
        );
    }
}
