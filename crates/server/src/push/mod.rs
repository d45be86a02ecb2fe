//! What the clouds push: Pub/Sub with a signed token, Event Grid with a secret or a signed token.
//!
//! In: a request. Out: events in the ledger, or a refusal that is counted by its reason. Never: reads a body before it knows the
//! sender, takes a token signed in any way but the one expected, answers 200 for what is not durable.

pub(crate) mod event_grid;
mod jwt;
mod keys;
pub(crate) mod pubsub;
mod seen;

pub(crate) use keys::KeySet;
pub use keys::{Fetch, KEYS_LIMIT_BYTES};
pub(crate) use seen::Seen;

use crate::notifications::Refused;
use axum::http::{HeaderMap, header};
use jwt::TokenRefusal;
use skyfresh_sky::Timestamp;
use std::fmt;

/// Largest body that is taken here, bytes: Event Grid delivers at most 1 MB at once, Pub/Sub one message of Cloud Storage.
pub const PUSH_LIMIT_BYTES: usize = 1 << 20;

/// Where Google publishes the keys of its tokens.
pub const GOOGLE_KEYS_URL: &str = "https://www.googleapis.com/oauth2/v3/certs";
/// Who signs Pub/Sub's tokens, under both names in use
/// (<https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions>).
const GOOGLE_ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];

/// What a signed token must say.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRules {
    /// Any of these issuers.
    pub issuers: Vec<String>,
    /// Any of these audiences.
    pub audiences: Vec<String>,
    /// All of these claims, with these values.
    pub claims: Vec<(String, serde_json::Value)>,
    /// Where the issuer publishes its keys (RFC 7517).
    pub keys_url: String,
}

impl TokenRules {
    /// What Pub/Sub's tokens say: for this audience, in the name of this service account.
    pub fn google(audience: &str, service_account: &str) -> Self {
        TokenRules {
            issuers: GOOGLE_ISSUERS.map(str::to_owned).into(),
            audiences: vec![audience.to_owned()],
            claims: vec![
                ("email".into(), service_account.into()),
                ("email_verified".into(), true.into()),
            ],
            keys_url: GOOGLE_KEYS_URL.into(),
        }
    }

    /// What Event Grid's tokens say where a subscription has Microsoft Entra authentication: of this tenant, for this
    /// application (<https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery>). Tokens of both versions of the
    /// identity platform are taken.
    pub fn entra(tenant: &str, application: &str) -> Self {
        TokenRules {
            issuers: vec![
                format!("https://login.microsoftonline.com/{tenant}/v2.0"),
                format!("https://sts.windows.net/{tenant}/"),
            ],
            audiences: vec![application.to_owned(), format!("api://{application}")],
            claims: vec![("tid".into(), tenant.into())],
            keys_url: format!("https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys"),
        }
    }
}

/// Who may post as Event Grid. Its `Debug` form has no secret.
#[derive(Clone, Default, PartialEq)]
pub struct EventGridRules {
    /// A secret in the address (`?code=SECRET`) or as `Authorization: Bearer SECRET`.
    pub secret: Option<String>,
    /// A signed token.
    pub token: Option<TokenRules>,
}

impl fmt::Debug for EventGridRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventGridRules")
            .field("secret", &self.secret.as_ref().map(|_| "[redacted]"))
            .field("token", &self.token)
            .finish()
    }
}

/// The bearer of the `Authorization` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Checks a token: its form first, then its signature, then what it says.
async fn check_token(
    keys: &KeySet,
    rules: &TokenRules,
    token: &str,
    now: Timestamp,
) -> Result<(), Refused> {
    let check = async {
        let token = jwt::Token::parse(token)?;
        let key = keys.get(token.key_id()).await?;
        token.verify(&key, rules, now)
    };
    check.await.map_err(|refusal: TokenRefusal| refusal.into())
}
