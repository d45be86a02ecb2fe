//! What Google refused, named by what the caller does next.
//!
//! Statuses and reasons: <https://cloud.google.com/storage/docs/json_api/v1/status-codes>, codes of the XML API:
//! <https://cloud.google.com/storage/docs/xml-api/reference-status>. A missing object and a missing bucket have the same status
//! and the same reason; the message tells them apart, and where it does not the adapter asks for the bucket.

use crate::Error;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use skyfresh_sky::Kind;
use std::time::Duration;

/// Longest error body that is looked at.
pub(super) const ERROR_BODY_LIMIT_BYTES: usize = 64 << 10;
/// What is shown of a message.
const SHOWN_CHARS: usize = 600;
/// One object was written too often; says nothing about the rest of the bucket.
pub(super) const ONE_OBJECT_TOO_OFTEN: &str = "rateLimitExceeded";
pub(super) const NO_SUCH_BUCKET: &str = "NoSuchBucket";
pub(super) const NO_SUCH_KEY: &str = "NoSuchKey";

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonBody {
    error: JsonError,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonError {
    message: String,
    errors: Vec<JsonReason>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonReason {
    reason: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct XmlBody {
    code: String,
    message: String,
    details: String,
}

/// An answer other than success.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    /// A reason of the JSON API or a code of the XML API; empty where there is none.
    reason: String,
    message: String,
    retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let (reason, message) = explain(body);
        Refusal {
            status,
            reason,
            message: message.trim().chars().take(SHOWN_CHARS).collect(),
            retry_after: headers
                .get("retry-after")
                .and_then(|value| value.to_str().ok()?.parse().ok())
                .map(Duration::from_secs),
        }
    }

    /// A checksum that was stated is not that of the bytes that arrived.
    fn is_mismatch(&self) -> bool {
        self.reason == "BadDigest" || self.message.contains("doesn't match calculated")
    }

    fn kind(&self) -> Kind {
        match self.reason.as_str() {
            "NoSuchKey" | "NoSuchBucket" | "NoSuchUpload" => return Kind::Missing,
            "PreconditionFailed" | "conditionNotMet" => return Kind::Precondition,
            "rateLimitExceeded"
            | "userRateLimitExceeded"
            | "SlowDown"
            | "InternalError"
            | "ServiceUnavailable"
            | "backendError" => return Kind::RetryAfter,
            "InvalidPart" | "InvalidPartOrder" | "EntityTooSmall" | "EntityTooLarge" => {
                return Kind::Invalid;
            }
            "NotImplemented" | "MethodNotAllowed" => return Kind::Unsupported,
            _ if self.is_mismatch() => return Kind::Corrupt,
            _ => {}
        }
        match self.status.as_u16() {
            401 | 403 => Kind::Denied,
            404 => Kind::Missing,
            304 | 412 => Kind::Precondition,
            405 | 501 => Kind::Unsupported,
            // 409: another operation on the same thing is under way; 410: a session or a token has ended, begin anew.
            408 | 409 | 410 | 425 | 429 | 500 | 502 | 503 | 504 => Kind::RetryAfter,
            _ => Kind::Invalid,
        }
    }

    /// The code that callers look at.
    fn code(&self, kind: Kind) -> Option<String> {
        let says = |text: &str| self.message.to_ascii_lowercase().contains(text);
        match (kind, self.status.as_u16()) {
            (Kind::Missing, _) if !self.reason.is_empty() && self.reason != "notFound" => {
                Some(self.reason.clone())
            }
            (Kind::Missing, _) if says("bucket does not exist") => Some(NO_SUCH_BUCKET.into()),
            (Kind::Missing, _) if says("no such object") => Some(NO_SUCH_KEY.into()),
            (Kind::Missing, _) => None,
            (Kind::RetryAfter, _) if says("object mutation") => Some(ONE_OBJECT_TOO_OFTEN.into()),
            (Kind::RetryAfter, 429 | 403) => Some("TooManyRequests".into()),
            (Kind::RetryAfter, 503) => Some("ServiceUnavailable".into()),
            _ if self.reason.is_empty() => None,
            _ => Some(self.reason.clone()),
        }
    }

    pub(super) fn into_error(self, operation: &'static str, target: String) -> Error {
        let kind = self.kind();
        let code = self.code(kind);
        let said = match (self.message.as_str(), self.reason.as_str()) {
            ("", "") => format!("the store answered {}", self.status),
            ("", reason) => reason.to_owned(),
            (message, _) => message.to_owned(),
        };
        let context = match self.next_step(kind, code.as_deref()) {
            Some(next_step) => format!("{said}; {next_step}"),
            None => said,
        };
        let mut error = Error::new(kind, operation, target, context);
        error.code = code.map(String::into_boxed_str);
        error.retry_after = self.retry_after;
        error
    }

    fn next_step(&self, kind: Kind, code: Option<&str>) -> Option<String> {
        let fixed = match kind {
            Kind::Denied if self.status == StatusCode::UNAUTHORIZED => {
                "check which credentials are used here, and this machine's clock"
            }
            Kind::Denied => {
                return Some(match permission(&self.message) {
                    Some(permission) => {
                        format!("grant {permission} on the bucket to the account used here")
                    }
                    None => "check that the account used here may do this on the bucket".into(),
                });
            }
            Kind::Missing if code == Some(NO_SUCH_BUCKET) => {
                "check the bucket's name and the endpoint, or create the bucket"
            }
            Kind::RetryAfter if code == Some(ONE_OBJECT_TOO_OFTEN) => {
                "Google takes about one write a second of one object"
            }
            _ => return None,
        };
        Some(fixed.to_owned())
    }
}

/// Reason and message of a body in either API's form; a media download is refused in plain text.
fn explain(body: &[u8]) -> (String, String) {
    let Ok(text) = std::str::from_utf8(body) else {
        return Default::default();
    };
    let text = text.trim();
    if text.starts_with('{') {
        let JsonBody { error } = serde_json::from_str(text).unwrap_or_default();
        let reason = error.errors.into_iter().next().unwrap_or_default().reason;
        return (reason, error.message);
    }
    if text.starts_with('<') {
        let body: XmlBody = quick_xml::de::from_str(text).unwrap_or_default();
        let message = match (body.message.as_str(), body.details.as_str()) {
            (message, "") => message.to_owned(),
            (message, details) => format!("{message} {details}"),
        };
        return (body.code, message);
    }
    (String::new(), text.to_owned())
}

/// The permission that a message names, e.g. `storage.objects.get`.
fn permission(message: &str) -> Option<&str> {
    let at = message.find("storage.")?;
    let end = message[at..]
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .map_or(message.len(), |end| at + end);
    let permission = message[at..end].trim_end_matches('.');
    (permission.split('.').count() == 3).then_some(permission)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::new(status, &HeaderMap::new(), body.as_bytes())
            .into_error("get", "gs://b/k".into())
    }

    fn json(status: u16, reason: &str, message: &str) -> Error {
        let body = serde_json::json!({"error": {"code": status, "message": message,
            "errors": [{"message": message, "domain": "global", "reason": reason}]}});
        refuse(status, &body.to_string())
    }

    #[test]
    fn kinds() {
        for (status, reason, kind) in [
            (304, "", Kind::Precondition),
            (400, "invalid", Kind::Invalid),
            (401, "authError", Kind::Denied),
            (403, "forbidden", Kind::Denied),
            (403, "userRateLimitExceeded", Kind::RetryAfter),
            (404, "notFound", Kind::Missing),
            (405, "", Kind::Unsupported),
            (408, "", Kind::RetryAfter),
            (409, "conflict", Kind::RetryAfter),
            (410, "", Kind::RetryAfter),
            (412, "conditionNotMet", Kind::Precondition),
            (416, "", Kind::Invalid),
            (429, "rateLimitExceeded", Kind::RetryAfter),
            (500, "backendError", Kind::RetryAfter),
            (503, "", Kind::RetryAfter),
        ] {
            assert_eq!(
                json(status, reason, "said so").kind,
                kind,
                "{status} {reason}"
            );
        }
        for (status, code, kind) in [
            (404, "NoSuchUpload", Kind::Missing),
            (412, "PreconditionFailed", Kind::Precondition),
            (400, "InvalidPart", Kind::Invalid),
            (400, "EntityTooSmall", Kind::Invalid),
            (400, "BadDigest", Kind::Corrupt),
            (501, "NotImplemented", Kind::Unsupported),
        ] {
            let body = format!(
                "<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>"
            );
            assert_eq!(refuse(status, &body).kind, kind, "{code}");
        }
        let wrong = "Provided CRC32C \"AAAAAA==\" doesn't match calculated CRC32C \"4waSgw==\".";
        assert_eq!(json(400, "invalid", wrong).kind, Kind::Corrupt);
    }

    #[test]
    fn a_bucket_is_told_from_a_key() {
        let bucket = "The specified bucket does not exist.";
        assert!(json(404, "notFound", bucket).is_missing_bucket());
        assert!(refuse(404, bucket).is_missing_bucket(), "in plain text");
        let xml = "<Error><Code>NoSuchBucket</Code><Message>x</Message></Error>";
        assert!(refuse(404, xml).is_missing_bucket());
        let key = json(404, "notFound", "No such object: b/k");
        assert!(!key.is_missing_bucket() && key.code.as_deref() == Some(NO_SUCH_KEY));
        assert_eq!(json(404, "notFound", "Not Found").code, None, "not told");
    }

    #[test]
    fn one_object_written_too_often_does_not_slow_the_rest() {
        let message = "The object b/k exceeded the rate limit for object mutation operations (create, update, and delete).";
        let error = json(429, "rateLimitExceeded", message);
        assert!(!error.is_throttled(), "{error}");
        assert!(json(429, "rateLimitExceeded", "Slow down").is_throttled());
        assert!(refuse(503, "").is_throttled());
    }

    #[test]
    fn the_missing_permission_is_named() {
        let message = "s@p.iam.gserviceaccount.com does not have storage.objects.create access to the Google Cloud Storage object. Permission 'storage.objects.create' denied on resource (or it may not exist).";
        let error = json(403, "forbidden", message);
        assert!(
            error
                .to_string()
                .contains("; grant storage.objects.create on the bucket")
        );
        assert!(
            json(403, "forbidden", "no")
                .to_string()
                .contains("may do this")
        );
        assert_eq!(permission("see storage.example"), None);
    }

    #[test]
    fn bodies_that_explain_nothing_are_no_obstacle() {
        for body in [
            "",
            "{",
            "[]",
            "<html><p>oops",
            "{\"error\":\"x\"}",
            "{\"error\":{\"errors\":7}}",
        ] {
            assert_eq!(refuse(502, body).kind, Kind::RetryAfter, "{body}");
        }
        let long = "x".repeat(60_000);
        assert!(refuse(400, &long).to_string().len() < 1000);
    }
}
