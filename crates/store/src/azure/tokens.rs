//! Bearer tokens of Microsoft Entra ID: what is asked of whom, and what the answers mean. No IO here.
//!
//! Sources: <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>,
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>,
//! <https://learn.microsoft.com/azure/app-service/overview-managed-identity>.

use super::config::{EntraApplication, IdentityEndpoint};
use super::endpoint::encode_query;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use skyfresh_sky::{Kind, Timestamp};
use std::time::Duration;

const AUTHORITY: &str = "https://login.microsoftonline.com";
/// A token is renewed this long before it expires, or at half its life where that is later.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// Where an answer does not say how long its token lives.
const ASSUMED_LIFE: Duration = Duration::from_secs(600);
/// Longest text of a refusal that is shown.
const SHOWN_CHARS: usize = 300;

/// What an application shows to be given a token.
pub(super) enum Proof<'a> {
    /// Its secret.
    ClientSecret(&'a str),
    /// A token of another issuer that stands for it.
    Assertion(&'a str),
}

/// A request for a token of an application.
///
/// # Errors
/// The authority's address cannot be used: why.
pub(super) fn application_request(
    application: &EntraApplication,
    proof: &Proof<'_>,
    resource: &str,
) -> Result<Request<Bytes>, String> {
    let authority = application
        .authority_host
        .as_deref()
        .unwrap_or(AUTHORITY)
        .trim_end_matches('/');
    let url = format!(
        "{authority}/{}/oauth2/v2.0/token",
        encode_query(&application.tenant_id)
    );
    check_confidential(&url)?;
    let scope = format!("{}/.default", resource.trim_end_matches('/'));
    let mut form = format!(
        "grant_type=client_credentials&client_id={}&scope={}",
        encode_query(&application.client_id),
        encode_query(&scope)
    );
    match proof {
        Proof::ClientSecret(secret) => {
            form.push_str(&format!("&client_secret={}", encode_query(secret)));
        }
        Proof::Assertion(token) => form.push_str(&format!(
            "&client_assertion_type={}&client_assertion={}",
            encode_query("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            encode_query(token)
        )),
    }
    Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .map_err(|error| error.to_string())
}

/// A secret leaves this machine encrypted or not at all.
fn check_confidential(url: &str) -> Result<(), String> {
    let uri: http::Uri = url
        .parse()
        .map_err(|_| format!("the authority {url:?} is no address"))?;
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_loopback(&uri) => Ok(()),
        _ => Err(format!(
            "the authority {url:?} must be https://…: a secret is sent to it"
        )),
    }
}

/// Whether an address is this machine's own.
pub(super) fn is_loopback(uri: &http::Uri) -> bool {
    matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"))
}

/// A request for a token of this machine's identity.
///
/// # Errors
/// The endpoint's address cannot be used: why.
pub(super) fn managed_request(
    endpoint: &IdentityEndpoint,
    client_id: Option<&str>,
    resource: &str,
) -> Result<Request<Bytes>, String> {
    let resource = format!("{}/", resource.trim_end_matches('/'));
    let (url, version, name, value) = match endpoint {
        IdentityEndpoint::InstanceMetadata { url } => (url, "2018-02-01", "metadata", "true"),
        IdentityEndpoint::AppService { url, header } => {
            (url, "2019-08-01", "x-identity-header", header.as_str())
        }
    };
    let mut url = format!(
        "{url}?api-version={version}&resource={}",
        encode_query(&resource)
    );
    if let Some(client_id) = client_id {
        url.push_str(&format!("&client_id={}", encode_query(client_id)));
    }
    Request::builder()
        .method(Method::GET)
        .uri(url)
        .header(name, value)
        .body(Bytes::new())
        .map_err(|_| {
            "the address of the identity endpoint, or its header, cannot be used".to_owned()
        })
}

/// A token and its times.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) secret: String,
    pub(super) expires: Timestamp,
    pub(super) renew_after: Timestamp,
}

#[derive(serde::Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<Number>,
    expires_on: Option<Number>,
}

/// Numbers are numbers or text, depending on who answers.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(u64),
    Text(String),
}

impl Number {
    fn value(&self) -> Option<u64> {
        match self {
            Number::Plain(value) => Some(*value),
            Number::Text(text) => text.parse().ok(),
        }
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Refusal {
    error: String,
    error_description: String,
}

/// Reads the answer to a request for a token.
///
/// # Errors
/// Its kind, and why there is no token.
pub(super) fn read_answer(
    status: StatusCode,
    body: &[u8],
    now: Timestamp,
) -> Result<Token, (Kind, String)> {
    if !status.is_success() {
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        let said = [&refusal.error_description, &refusal.error]
            .into_iter()
            .find(|text| !text.is_empty())
            .map(|text| {
                text.lines()
                    .next()
                    .unwrap_or_default()
                    .chars()
                    .take(SHOWN_CHARS)
                    .collect()
            });
        let said: String = said.unwrap_or_else(|| format!("it answered {status}"));
        // The metadata service answers 404 and 410 while it is being updated, and asks to be asked again.
        let kind = match status.as_u16() {
            404 | 408 | 410 | 429 | 500..=599 => Kind::RetryAfter,
            _ => Kind::Denied,
        };
        return Err((kind, said));
    }
    let unreadable = || (Kind::RetryAfter, "its answer holds no token".to_owned());
    let answer: Answer = serde_json::from_slice(body).map_err(|_| unreadable())?;
    if answer.access_token.is_empty()
        || !answer
            .access_token
            .bytes()
            .all(|byte| byte.is_ascii_graphic())
    {
        return Err(unreadable());
    }
    let value = |number: &Option<Number>| number.as_ref().and_then(Number::value);
    let expires = match (value(&answer.expires_in), value(&answer.expires_on)) {
        (Some(seconds), _) => now.after(Duration::from_secs(seconds)),
        (None, Some(unix_s)) => Timestamp::from_unix_ms(unix_s.saturating_mul(1000)),
        (None, None) => now.after(ASSUMED_LIFE),
    };
    let half_life = now.after(expires.since(now) / 2);
    Ok(Token {
        secret: answer.access_token,
        expires,
        renew_after: expires.before(RENEW_BEFORE).max(half_life),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

    fn application(authority: &str) -> EntraApplication {
        EntraApplication {
            tenant_id: "tenant".into(),
            client_id: "client".into(),
            authority_host: Some(authority.into()),
        }
    }

    #[test]
    fn secrets_go_to_https_only() {
        let secret = Proof::ClientSecret("a&b");
        let request = application_request(
            &application("https://login.example/"),
            &secret,
            "https://storage.azure.com",
        )
        .unwrap();
        assert_eq!(
            request.uri(),
            "https://login.example/tenant/oauth2/v2.0/token"
        );
        assert_eq!(
            request.body(),
            "grant_type=client_credentials&client_id=client&scope=https%3A%2F%2Fstorage.azure.com%2F.default&client_secret=a%26b"
        );
        let plain =
            application_request(&application("http://login.example"), &secret, "r").unwrap_err();
        assert!(plain.contains("must be https"), "{plain}");
        assert!(application_request(&application("http://127.0.0.1:1"), &secret, "r").is_ok());
    }

    #[test]
    fn an_answer_says_how_long() {
        let read = |body: &str| read_answer(StatusCode::OK, body.as_bytes(), NOW);
        let token = read(r#"{"access_token":"t","expires_in":3600}"#).unwrap();
        assert_eq!(token.expires, NOW.after(Duration::from_secs(3600)));
        assert_eq!(token.renew_after, NOW.after(Duration::from_secs(3300)));
        let token = read(r#"{"access_token":"t","expires_on":"1700000060"}"#).unwrap();
        assert_eq!(token.expires, NOW.after(Duration::from_secs(60)));
        assert_eq!(token.renew_after, NOW.after(Duration::from_secs(30)));
        for bad in [
            "",
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":"a b"}"#,
        ] {
            assert_eq!(read(bad).err().unwrap().0, Kind::RetryAfter, "{bad}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_issuers_words() {
        let body = br#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret.\r\nTrace ID: x"}"#;
        let (kind, why) = read_answer(StatusCode::UNAUTHORIZED, body, NOW)
            .err()
            .unwrap();
        assert_eq!(
            (kind, why.as_str()),
            (Kind::Denied, "AADSTS7000215: Invalid client secret.")
        );
        for (status, kind) in [
            (400, Kind::Denied),
            (404, Kind::RetryAfter),
            (429, Kind::RetryAfter),
            (503, Kind::RetryAfter),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(read_answer(status, b"", NOW).err().unwrap().0, kind);
        }
    }
}
