//! Who may do what: bearer tokens, and the endpoint that gives them for a service account's signature.
//!
//! Source: <https://developers.google.com/identity/protocols/oauth2/service-account>.

use super::answer::{self, Answer};
use super::error::{Failure, Result};
use super::identity::{TOKEN_LIFETIME, account_email};
use super::request::{Query, header};
use super::{Context, Frontend, read_body};
use http::StatusCode;
use http::header::AUTHORIZATION;
use s3s::Body;
use serde_json::{Value, json};

const JWT_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How far clocks may be apart, in seconds.
const LEEWAY_S: u64 = 300;

impl Frontend {
    /// Whether the request may be made.
    pub(crate) fn authorize(&self, context: &Context) -> Result<()> {
        let google = &self.google;
        let Some(value) = header(&context.headers, AUTHORIZATION.as_str()) else {
            if google.config.anonymous {
                return Ok(());
            }
            return Err(Failure::unauthorized(
                "required",
                "Anonymous caller does not have access. Sign in with the token that the sky was given.",
            ));
        };
        let token = value
            .strip_prefix("Bearer ")
            .or_else(|| value.strip_prefix("bearer "))
            .map(str::trim);
        let good = token.is_some_and(|token| {
            token == google.config.token.expose()
                || google.identity.is_good(token, google.clock.now())
        });
        if good {
            Ok(())
        } else {
            Err(Failure::unauthorized("authError", "Invalid Credentials"))
        }
    }

    /// Gives an access token for a signed assertion of the service account.
    pub(crate) async fn token(&self, body: Body) -> Result<Answer> {
        let form = String::from_utf8_lossy(&read_body(body).await?).into_owned();
        let form = Query::parse(&form);
        if form.get("grant_type") != Some(JWT_GRANT) {
            return Ok(refused("unsupported_grant_type", "Invalid grant_type"));
        }
        let keys = self.google.identity.keys().await?;
        let now = self.google.clock.now();
        let claims = form
            .get("assertion")
            .and_then(|assertion| keys.verify(assertion));
        let Some(claims) = claims else {
            return Ok(refused("invalid_grant", "Invalid JWT Signature."));
        };
        let account = account_email(&self.google.config.project);
        if let Some(why) = invalid_claims(&claims, &account, now.unix_ms() / 1000) {
            return Ok(refused("invalid_grant", why));
        }
        let token = self.google.identity.issue(now);
        Ok(answer::json(&json!({
            "access_token": token.expose(),
            "expires_in": TOKEN_LIFETIME.as_secs() - 1,
            "token_type": "Bearer",
        })))
    }

    /// The keys that sign pushes.
    pub(crate) async fn certificates(&self) -> Result<Answer> {
        let keys = self.google.identity.signer().await?;
        Ok(answer::json(&keys.published()))
    }
}

fn refused(error: &str, why: &str) -> Answer {
    let body = json!({ "error": error, "error_description": why });
    answer::json_with(StatusCode::BAD_REQUEST, &body)
}

/// What is wrong with an assertion, if anything.
fn invalid_claims(claims: &Value, account: &str, now_s: u64) -> Option<&'static str> {
    let (issued, expires) = (claims["iat"].as_u64(), claims["exp"].as_u64());
    if claims["iss"] != account {
        return Some("Invalid issuer: not the sky's service account.");
    }
    if !claims["aud"]
        .as_str()
        .is_some_and(|audience| audience.ends_with("/token"))
    {
        return Some("Invalid JWT: the audience is not the token endpoint.");
    }
    let in_time = issued.zip(expires).is_some_and(|(issued, expires)| {
        expires > now_s
            && issued <= now_s + LEEWAY_S
            && expires.saturating_sub(issued) <= TOKEN_LIFETIME.as_secs()
    });
    if !in_time {
        return Some(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
        );
    }
    if claims["scope"].as_str().is_none_or(str::is_empty) {
        return Some("Invalid OAuth scope or ID token audience provided.");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_must_be_short_lived_and_for_us() {
        let claims = |iss: &str, aud: &str, iat: u64, exp: u64| json!({ "iss": iss, "aud": aud, "iat": iat, "exp": exp, "scope": "s" });
        let wrong = |claims: &Value| invalid_claims(claims, "me", 1_000).is_some();
        let here = "http://127.0.0.1:1/token";
        assert!(!wrong(&claims("me", here, 1_000, 4_600)));
        assert!(wrong(&claims("you", here, 1_000, 4_600)));
        assert!(wrong(&claims("me", "http://else", 1_000, 4_600)));
        assert!(wrong(&claims("me", here, 1_000, 4_601)));
        assert!(wrong(&claims("me", here, 0, 1_000)));
        assert!(wrong(&claims("me", here, 2_000, 2_600)));
    }
}
