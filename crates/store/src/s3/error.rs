//! What the store refused, named by what the caller does next.
//!
//! Codes: S3 API reference, "Error responses: List of error codes". The code decides; where there is none (an answer to
//! HEAD has no body) the status does.

use super::xml;
use crate::Error;
use crate::http::http_date;
use http::{HeaderMap, StatusCode};
use skyfresh_sky::{Kind, Timestamp};
use std::time::Duration;

/// Longest error body that is looked at.
pub(super) const ERROR_BODY_LIMIT_BYTES: usize = 64 << 10;

/// An answer other than success.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: Option<String>,
    message: Option<String>,
    region: Option<String>,
    retry_after: Option<Duration>,
    date: Option<Timestamp>,
    delete_marker: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let parsed = xml::error_body(body);
        Refusal {
            status,
            code: parsed.code.filter(|code| !code.is_empty()),
            message: parsed.message,
            region: text("x-amz-bucket-region")
                .map(str::to_owned)
                .or(parsed.region),
            retry_after: text("retry-after")
                .and_then(|value| value.parse().ok())
                .map(Duration::from_secs),
            date: text("date").and_then(http_date),
            delete_marker: text("x-amz-delete-marker") == Some("true"),
        }
    }

    /// What is said of one key in an answer of success about many.
    pub(super) fn within_success(code: Option<String>, message: Option<String>) -> Self {
        Refusal {
            status: StatusCode::OK,
            code: code.filter(|code| !code.is_empty()),
            message,
            region: None,
            retry_after: None,
            date: None,
            delete_marker: false,
        }
    }

    /// The region that the bucket is in, where the answer says that it is not the one asked.
    pub(super) fn moved_to(&self) -> Option<&str> {
        let wrong_region = match self.code.as_deref() {
            Some(code) => matches!(
                code,
                "PermanentRedirect"
                    | "TemporaryRedirect"
                    | "AuthorizationHeaderMalformed"
                    | "IllegalLocationConstraintException"
            ),
            None => matches!(self.status.as_u16(), 301 | 307 | 400),
        };
        self.region.as_deref().filter(|_| wrong_region)
    }

    fn kind(&self) -> Kind {
        let status = self.status.as_u16();
        match self.code.as_deref().unwrap_or_default() {
            "NoSuchKey" | "NoSuchBucket" | "NoSuchUpload" | "NoSuchVersion" | "NoSuchTagSet" => {
                Kind::Missing
            }
            "PreconditionFailed" | "ConditionalRequestConflict" => Kind::Precondition,
            "AccessDenied"
            | "AccountProblem"
            | "AllAccessDisabled"
            | "ExpiredToken"
            | "InvalidAccessKeyId"
            | "InvalidSecurity"
            | "InvalidToken"
            | "NotSignedUp"
            | "RequestTimeTooSkewed"
            | "SignatureDoesNotMatch"
            | "TokenRefreshRequired" => Kind::Denied,
            "BadDigest"
            | "InvalidDigest"
            | "XAmzContentChecksumMismatch"
            | "XAmzContentSHA256Mismatch" => Kind::Corrupt,
            "IncompleteBody" | "InternalError" | "OperationAborted" | "RequestTimeout"
            | "ServerBusy" | "ServiceUnavailable" | "SlowDown" | "Throttling"
            | "TooManyRequests" => Kind::RetryAfter,
            "MethodNotAllowed" if self.delete_marker => Kind::Missing,
            "MethodNotAllowed" | "NotImplemented" => Kind::Unsupported,
            "EntityTooLarge" | "EntityTooSmall" | "InvalidPart" | "InvalidPartOrder"
            | "InvalidRange" | "KeyTooLong" | "KeyTooLongError" | "MetadataTooLarge" => {
                Kind::Invalid
            }
            _ => match status {
                401 | 403 => Kind::Denied,
                404 | 410 => Kind::Missing,
                405 if self.delete_marker => Kind::Missing,
                405 | 501 => Kind::Unsupported,
                412 => Kind::Precondition,
                408 | 425 | 429 | 500 | 502 | 503 | 504 => Kind::RetryAfter,
                _ => Kind::Invalid,
            },
        }
    }

    /// As an error; `now` is our clock, to measure the skew of clocks against.
    pub(super) fn into_error(
        self,
        operation: &'static str,
        target: String,
        now: Timestamp,
    ) -> Error {
        let kind = self.kind();
        let code = self.code.clone().or_else(|| match self.status.as_u16() {
            429 => Some("TooManyRequests".to_owned()),
            503 => Some("ServiceUnavailable".to_owned()),
            _ => None,
        });
        let said = match (&self.code, &self.message) {
            (Some(code), Some(message)) => format!("{code}: {}", message.trim()),
            (Some(code), None) => code.clone(),
            (None, _) => format!("the store answered {}", self.status),
        };
        let context = match self.next_step(kind, now) {
            Some(next_step) => format!("{said}; {next_step}"),
            None => said,
        };
        let mut error = Error::new(kind, operation, target, context);
        error.code = code.map(String::into_boxed_str);
        error.retry_after = self.retry_after;
        error
    }

    fn next_step(&self, kind: Kind, now: Timestamp) -> Option<String> {
        let fixed = match self.code.as_deref().unwrap_or_default() {
            "RequestTimeTooSkewed" => {
                return Some(match self.date {
                    Some(theirs) if theirs >= now => format!(
                        "this machine's clock is {} s behind the store's: set it (NTP)",
                        theirs.since(now).as_secs()
                    ),
                    Some(theirs) => format!(
                        "this machine's clock is {} s ahead of the store's: set it (NTP)",
                        now.since(theirs).as_secs()
                    ),
                    None => "set this machine's clock (NTP)".to_owned(),
                });
            }
            "ConditionalRequestConflict" => {
                "another write came in between; an upload must be made anew with all its parts"
            }
            "InvalidAccessKeyId" => {
                "check which credentials are used here and whether the key is active"
            }
            "SignatureDoesNotMatch" => {
                "check the secret access key that goes with the access key id"
            }
            "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
                "renew the temporary credentials (sign in again)"
            }
            "NoSuchBucket" => "check the bucket's name and the endpoint, or create the bucket",
            "KeyTooLong" | "KeyTooLongError" => "S3 allows 1,024 bytes, the prefix included",
            "MetadataTooLarge" => "S3 allows 2 KB of user metadata",
            "EntityTooLarge" => "use an upload in parts",
            _ if kind == Kind::Denied => {
                "check that these credentials may do this on the bucket (`skyfresh doctor` prints the policy needed)"
            }
            _ => match &self.region {
                Some(region) if self.moved_to().is_some() => {
                    return Some(format!(
                        "the bucket is in {region}: set ?region={region} on its location"
                    ));
                }
                None if self.status.is_redirection() => {
                    "the endpoint does not serve this bucket: set ?endpoint= and ?region= on its location"
                }
                _ => return None,
            },
        };
        Some(fixed.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(
        status: u16,
        headers: &[(&'static str, &'static str)],
        code: &str,
    ) -> (Option<String>, Error) {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    http::HeaderValue::from_static(value),
                )
            })
            .collect();
        let body = match code {
            "" => String::new(),
            code => {
                format!(
                    "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>said so</Message></Error>"
                )
            }
        };
        let refusal = Refusal::new(
            StatusCode::from_u16(status).unwrap(),
            &headers,
            body.as_bytes(),
        );
        let moved = refusal.moved_to().map(str::to_owned);
        (
            moved,
            refusal.into_error(
                "put",
                "s3://b/k".into(),
                Timestamp::from_unix_ms(1_700_000_000_000),
            ),
        )
    }

    #[test]
    fn kinds_follow_code_then_status() {
        for (status, code, kind) in [
            (404, "NoSuchKey", Kind::Missing),
            (404, "", Kind::Missing),
            (404, "NoSuchBucket", Kind::Missing),
            (412, "", Kind::Precondition),
            (409, "ConditionalRequestConflict", Kind::Precondition),
            (409, "OperationAborted", Kind::RetryAfter),
            (403, "AccessDenied", Kind::Denied),
            (400, "ExpiredToken", Kind::Denied),
            (403, "", Kind::Denied),
            (400, "BadDigest", Kind::Corrupt),
            (400, "RequestTimeout", Kind::RetryAfter),
            (400, "KeyTooLongError", Kind::Invalid),
            (400, "EntityTooLarge", Kind::Invalid),
            (400, "", Kind::Invalid),
            (429, "", Kind::RetryAfter),
            (500, "InternalError", Kind::RetryAfter),
            (502, "", Kind::RetryAfter),
            (501, "NotImplemented", Kind::Unsupported),
            (405, "MethodNotAllowed", Kind::Unsupported),
            (200, "InternalError", Kind::RetryAfter),
            (200, "PreconditionFailed", Kind::Precondition),
        ] {
            assert_eq!(refuse(status, &[], code).1.kind, kind, "{status} {code}");
        }
        assert_eq!(
            refuse(405, &[("x-amz-delete-marker", "true")], "").1.kind,
            Kind::Missing
        );
    }

    #[test]
    fn throttling_is_seen_with_and_without_a_body() {
        assert!(refuse(503, &[], "SlowDown").1.is_throttled());
        assert!(refuse(503, &[], "").1.is_throttled());
        assert!(refuse(429, &[], "").1.is_throttled());
        let waits = refuse(503, &[("retry-after", "7")], "").1;
        assert_eq!(waits.retry_after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn the_next_step_is_said() {
        let skewed = refuse(
            403,
            &[("date", "Tue, 14 Nov 2023 22:23:20 GMT")],
            "RequestTimeTooSkewed",
        )
        .1;
        assert!(skewed.to_string().contains("600 s behind"), "{skewed}");
        let ahead = refuse(
            403,
            &[("date", "Tue, 14 Nov 2023 22:03:20 GMT")],
            "RequestTimeTooSkewed",
        )
        .1;
        assert!(ahead.to_string().contains("600 s ahead"), "{ahead}");
        assert!(refuse(404, &[], "NoSuchBucket").1.is_missing_bucket());
        assert!(
            refuse(409, &[], "ConditionalRequestConflict")
                .1
                .to_string()
                .contains("made anew")
        );
    }

    #[test]
    fn another_region_is_recognised() {
        let header = [("x-amz-bucket-region", "eu-west-1")];
        for (status, code) in [
            (301, "PermanentRedirect"),
            (301, ""),
            (400, ""),
            (400, "AuthorizationHeaderMalformed"),
        ] {
            let (moved, error) = refuse(status, &header, code);
            assert_eq!(moved.as_deref(), Some("eu-west-1"), "{status} {code}");
            assert!(
                error.to_string().contains("set ?region=eu-west-1"),
                "{error}"
            );
        }
        assert_eq!(refuse(403, &header, "AccessDenied").0, None);
        assert!(
            refuse(302, &[], "")
                .1
                .to_string()
                .contains("does not serve this bucket")
        );
    }

    #[test]
    fn a_body_that_is_no_xml_is_no_obstacle() {
        let refusal = Refusal::new(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<html><p>oops");
        assert_eq!(
            refusal
                .into_error("get", String::new(), Timestamp::ZERO)
                .kind,
            Kind::RetryAfter
        );
    }
}
