//! Who asks, and what they may do.
//!
//! **In:** a request's head, the account's key, the sky's bearer token.
//! **Out:** a [`Grant`].
//! **Never:** compares secrets by a way that leaks them into an error.

mod sas;
mod shared_key;

use super::error::{Result, StorageError};
use super::request::{Head, parse_http_date};
use crate::config::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use sha2::Sha256;
use skyfresh_sky::Timestamp;
use std::time::Duration;

/// How far a request's date may be from the service's (Authorize with Shared Key, "Specify the Date header").
const SKEW_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Which of the storage services a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Blob,
    Queue,
}

impl Service {
    /// The letter in an account SAS's `ss`.
    fn letter(self) -> char {
        match self {
            Service::Blob => 'b',
            Service::Queue => 'q',
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Service::Blob => "blob",
            Service::Queue => "queue",
        }
    }
}

/// The level of what a request works on, as an account SAS's `srt` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Service,
    Container,
    Object,
}

/// What a request needs: the level, and permission letters of which any one suffices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) level: Level,
    pub(crate) permissions: &'static str,
}

/// What the caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Signed with the key, or with the sky's bearer token.
    Everything,
    /// By a shared access signature.
    Signature(sas::Signature),
}

impl Grant {
    /// # Errors
    /// The signature does not cover what is needed.
    pub(crate) fn allow(&self, need: Need) -> Result<()> {
        match self {
            Grant::Everything => Ok(()),
            Grant::Signature(signature) => signature.allow(need),
        }
    }

    /// Whether an existing blob may be replaced: permission `c` alone only makes new ones.
    pub(crate) fn may_overwrite(&self) -> bool {
        match self {
            Grant::Everything => true,
            Grant::Signature(signature) => signature.has('w'),
        }
    }
}

/// The account's own secrets.
pub(crate) struct Keys {
    pub(crate) account: String,
    /// Decoded.
    pub(crate) key: Vec<u8>,
    pub(crate) bearer: Secret,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// Finds out what the caller may do.
    ///
    /// # Errors
    /// Nothing that proves anything was sent, or it proves nothing: 401 and 403.
    pub(crate) fn authenticate(
        &self,
        head: &Head,
        service: Service,
        now: Timestamp,
    ) -> Result<Grant> {
        if let Some(authorization) = head.header("authorization") {
            let (scheme, credential) = authorization
                .split_once(' ')
                .ok_or_else(|| failed("the Authorization header has no scheme"))?;
            match scheme {
                "Bearer" if constant_time_eq(credential.trim(), self.bearer.expose()) => {
                    return Ok(Grant::Everything);
                }
                "SharedKey" | "SharedKeyLite" => {
                    self.check_date(head, now)?;
                    return self.check_shared_key(head, scheme, credential);
                }
                _ => return Err(failed("the credential is not one of this account's")),
            }
        }
        if head.query("sig").is_some() {
            return sas::verify(self, head, service, now).map(Grant::Signature);
        }
        let message = "Server failed to authenticate the request. Please refer to the information in the \
                       www-authenticate header.";
        Err(StorageError::new(
            StatusCode::UNAUTHORIZED,
            "NoAuthenticationInformation",
            message,
        )
        .with_header(http::header::WWW_AUTHENTICATE, "Bearer"))
    }

    fn check_date(&self, head: &Head, now: Timestamp) -> Result<()> {
        let date = head
            .header("x-ms-date")
            .or_else(|| head.header("date"))
            .ok_or_else(|| failed("neither x-ms-date nor Date is given"))?;
        let date = parse_http_date(date).ok_or_else(|| failed("the date is not an HTTP date"))?;
        if now.since(date) > SKEW_LIMIT || date.since(now) > SKEW_LIMIT {
            return Err(failed(&format!(
                "Request date header too old: '{}'",
                super::request::http_date(date)
            )));
        }
        Ok(())
    }

    fn check_shared_key(&self, head: &Head, scheme: &str, credential: &str) -> Result<Grant> {
        let (account, signature) = credential
            .trim()
            .split_once(':')
            .ok_or_else(|| failed("the credential is not account:signature"))?;
        if account != self.account {
            return Err(failed("the credential is for another account"));
        }
        let text = match scheme {
            "SharedKey" => shared_key::string_to_sign(head, &self.account),
            _ => shared_key::lite_string_to_sign(head, &self.account),
        };
        if !constant_time_eq(signature, &self.sign(&text)) {
            return Err(failed(&format!(
                "The MAC signature found in the HTTP request is not the same as any computed signature. Server used \
                 following string to sign: '{text}'."
            )));
        }
        Ok(Grant::Everything)
    }

    /// Base64 of the HMAC-SHA256 of `text` under the account's key.
    pub(crate) fn sign(&self, text: &str) -> String {
        match Hmac::<Sha256>::new_from_slice(&self.key) {
            Ok(mut mac) => {
                mac.update(text.as_bytes());
                BASE64.encode(mac.finalize().into_bytes())
            }
            // HMAC takes keys of any length; a signature that nothing equals is the safe answer all the same.
            Err(_) => String::new(),
        }
    }
}

/// Compares without telling by the time taken where the difference lies.
fn constant_time_eq(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && !a.is_empty()
        && a.bytes()
            .zip(b.bytes())
            .fold(0, |different, (a, b)| different | (a ^ b))
            == 0
}

pub(crate) fn failed(detail: &str) -> StorageError {
    let message = "Server failed to authenticate the request. Make sure the value of Authorization header is formed \
                   correctly including the signature.";
    StorageError::new(StatusCode::FORBIDDEN, "AuthenticationFailed", message)
        .with_detail("AuthenticationErrorDetail", detail)
}

fn not_allowed(code: &'static str) -> StorageError {
    let message = "This request is not authorized to perform this operation using this permission.";
    StorageError::new(StatusCode::FORBIDDEN, code, message)
}

/// A blob that a caller with permission `c` alone would have replaced.
pub(crate) fn permission_mismatch() -> StorageError {
    not_allowed("AuthorizationPermissionMismatch")
}
