//! JSON Web Tokens signed with RS256 (RFC 7515, 7518, 7519), and no others.

use super::TokenRules;
use crate::error::ApiError;
use crate::notifications::Refused;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::Deserialize;
use skyfresh_sky::{Kind, Timestamp};
use std::time::Duration;

/// Longest token, bytes. Google's have about 1 KiB.
const TOKEN_LIMIT: usize = 16 << 10;
/// How far the clocks of the issuer and of this machine may be apart (RFC 7519, section 4.1.4: "some small leeway").
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Why a token was refused; counted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenRefusal {
    /// Not a token at all, of another algorithm, by an unknown key, or its signature is wrong.
    Forged(&'static str),
    /// Signed as it should be, but not for us or not in the right name.
    NotForUs(&'static str),
    /// Its time is over, or has not come.
    Expired,
    /// The issuer's keys cannot be had now.
    NoKeys,
}

impl From<TokenRefusal> for Refused {
    fn from(refusal: TokenRefusal) -> Self {
        let (reason, message) = match refusal {
            TokenRefusal::Forged(why) => ("wrong_credentials", why),
            TokenRefusal::NotForUs(why) => ("wrong_audience", why),
            TokenRefusal::Expired => ("expired", "the token's time is over or has not come"),
            TokenRefusal::NoKeys => {
                let answer = ApiError::new(
                    Kind::RetryAfter,
                    "take notification",
                    "sender",
                    "the keys to check the token with cannot be had now",
                );
                return Refused {
                    reason: "keys_unavailable",
                    answer: answer.retry_later(),
                };
            }
        };
        Refused {
            reason,
            answer: ApiError::new(Kind::Denied, "take notification", "sender", message)
                .unauthorized(),
        }
    }
}

/// A key of the issuer: modulus and exponent, big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    pub(super) n: Vec<u8>,
    pub(super) e: Vec<u8>,
}

/// A token, not yet believed.
#[derive(Debug)]
pub(super) struct Token<'a> {
    key_id: String,
    /// What is signed.
    message: &'a [u8],
    signature: Vec<u8>,
    claims: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
    /// Extensions that must be understood (RFC 7515, section 4.1.11); none is.
    #[serde(default)]
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: u64,
    #[serde(default)]
    iat: u64,
    #[serde(default)]
    nbf: u64,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl<'a> Token<'a> {
    /// Takes a token apart. The algorithm is ours to choose, not the sender's: whatever is not RS256 is refused before
    /// anything is computed.
    pub(super) fn parse(text: &'a str) -> Result<Self, TokenRefusal> {
        const BAD: TokenRefusal = TokenRefusal::Forged("the bearer is no token as it should be");
        if text.len() > TOKEN_LIMIT {
            return Err(BAD);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(BAD)?;
        let (header, claims) = message.split_once('.').ok_or(BAD)?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| BAD);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| BAD)?;
        if header.alg != "RS256" || header.crit.is_some() {
            return Err(TokenRefusal::Forged(
                "only tokens signed with RS256 are taken",
            ));
        }
        Ok(Token {
            key_id: header.kid,
            message: message.as_bytes(),
            signature: decode(signature)?,
            claims: decode(claims)?,
        })
    }

    /// Which key it says it was signed with.
    pub(super) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Believes it where the signature is the key's and it says what it must.
    pub(super) fn verify(
        &self,
        key: &PublicKey,
        rules: &TokenRules,
        now: Timestamp,
    ) -> Result<(), TokenRefusal> {
        let key = RsaPublicKeyComponents {
            n: &key.n,
            e: &key.e,
        };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, self.message, &self.signature)
            .map_err(|_| TokenRefusal::Forged("the token's signature is wrong"))?;
        let claims: Claims = serde_json::from_slice(&self.claims)
            .map_err(|_| TokenRefusal::Forged("the token lacks issuer, audience or expiry"))?;
        let seconds = |seconds: u64| Timestamp::from_unix_ms(seconds.saturating_mul(1000));
        let begins = seconds(claims.iat.max(claims.nbf));
        if now >= seconds(claims.exp).after(CLOCK_SKEW) || now.after(CLOCK_SKEW) < begins {
            return Err(TokenRefusal::Expired);
        }
        if !rules.issuers.contains(&claims.iss) {
            return Err(TokenRefusal::NotForUs("the token is of another issuer"));
        }
        let ours = |audience: &String| rules.audiences.contains(audience);
        if !match &claims.aud {
            Audience::One(audience) => ours(audience),
            Audience::Many(audiences) => audiences.iter().any(ours),
        } {
            return Err(TokenRefusal::NotForUs("the token is for another audience"));
        }
        for (name, value) in &rules.claims {
            if claims.others.get(name) != Some(value) {
                return Err(TokenRefusal::NotForUs("the token is in another name"));
            }
        }
        Ok(())
    }
}
