//! What the service refused, named by what the caller does next.
//!
//! Codes: <https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes> and
//! <https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes>. The code stands in a header, so that answers
//! to HEAD have it too; where there is none the status decides.

use super::xml;
use crate::Error;
use crate::http::{http_date, text};
use http::{HeaderMap, StatusCode};
use skyfresh_sky::{Kind, Timestamp};
use std::time::Duration;

/// Longest error body that is looked at.
pub(super) const ERROR_BODY_LIMIT_BYTES: usize = 64 << 10;
/// Longest message that is shown.
const SHOWN_CHARS: usize = 300;
/// Clocks further apart than this are worth a word: the service refuses requests that are 15 minutes off.
const SKEW: Duration = Duration::from_secs(300);

/// An answer other than success.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: Option<String>,
    message: Option<String>,
    retry_after: Option<Duration>,
    date: Option<Timestamp>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let (code, message) = xml::error_body(body);
        // A copy's refusal names the source's own trouble beside the copy's.
        let source = text(headers, "x-ms-copy-source-error-code");
        Refusal {
            status,
            code: source.or_else(|| text(headers, "x-ms-error-code")).or(code),
            message,
            retry_after: text(headers, "retry-after")
                .and_then(|value| value.parse().ok())
                .map(Duration::from_secs),
            date: text(headers, "date").and_then(|date| http_date(&date)),
        }
    }

    fn code(&self) -> &str {
        self.code.as_deref().unwrap_or_default()
    }

    fn kind(&self) -> Kind {
        match self.code() {
            "BlobNotFound" | "ContainerNotFound" | "ResourceNotFound" => Kind::Missing,
            "ConditionNotMet"
            | "BlobAlreadyExists"
            | "SourceConditionNotMet"
            | "TargetConditionNotMet" => Kind::Precondition,
            "AuthenticationFailed"
            | "AuthorizationFailure"
            | "AuthorizationPermissionMismatch"
            | "AuthorizationProtocolMismatch"
            | "AuthorizationResourceTypeMismatch"
            | "AuthorizationServiceMismatch"
            | "AuthorizationSourceIPMismatch"
            | "AccountIsDisabled"
            | "BlobArchived"
            | "BlobImmutableDueToPolicy"
            | "BlobImmutableDueToLegalHold"
            | "ContainerDisabled"
            | "InsufficientAccountPermissions"
            | "InvalidAuthenticationInfo"
            | "KeyBasedAuthenticationNotPermitted"
            | "LeaseIdMissing"
            | "LeaseLost"
            | "NoAuthenticationInformation"
            | "PublicAccessNotPermitted"
            | "SnapshotsPresent"
            | "UnauthorizedBlobOverwrite" => Kind::Denied,
            "Md5Mismatch" | "Crc64Mismatch" => Kind::Corrupt,
            "BlobBeingRehydrated"
            | "ContainerBeingDeleted"
            | "InternalError"
            | "OperationTimedOut"
            | "PendingCopyOperation"
            | "ServerBusy"
            | "SystemInUse"
            | "TooManyRequests" => Kind::RetryAfter,
            "ApiNotImplemented"
            | "FeatureVersionMismatch"
            | "FeatureNotYetSupportedForHierarchicalNamespaceAccounts"
            | "UnsupportedHeader"
            | "UnsupportedHttpVerb"
            | "UnsupportedQueryParameter" => Kind::Unsupported,
            _ => match self.status.as_u16() {
                401 | 403 => Kind::Denied,
                404 | 410 => Kind::Missing,
                405 | 501 => Kind::Unsupported,
                304 | 412 => Kind::Precondition,
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
        let message = self.message.as_deref().map(|message| {
            let first = message.trim().lines().next().unwrap_or_default();
            first.chars().take(SHOWN_CHARS).collect::<String>()
        });
        let said = match (&self.code, message) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.clone(),
            (None, _) => format!("the service answered {}", self.status),
        };
        let context = match self.next_step(kind, now) {
            Some(next_step) => format!("{said}; {next_step}"),
            None => said,
        };
        let mut error = Error::new(kind, operation, target, context);
        // The seam's own name for it: a missing container is never a missing blob.
        let code = match (self.code(), self.status.as_u16()) {
            ("ContainerNotFound", _) => Some("NoSuchBucket"),
            ("ServerBusy", _) => Some("SlowDown"),
            ("", 429) => Some("TooManyRequests"),
            ("", 503) => Some("ServiceUnavailable"),
            ("", _) => None,
            (code, _) => Some(code),
        };
        error.code = code.map(Into::into);
        error.retry_after = self.retry_after;
        error
    }

    fn next_step(&self, kind: Kind, now: Timestamp) -> Option<String> {
        let fixed = match self.code() {
            "AuthenticationFailed" => return Some(self.not_authentic(now)),
            "AuthorizationPermissionMismatch" => {
                "give this identity the role Storage Blob Data Contributor on the container (Storage Blob Data Reader is enough \
                 for a source, Storage Blob Data Owner is needed for tags), or the signature the permissions racwdl (t for tags)"
            }
            "AuthorizationFailure" => {
                "the account's network rules, or the signature's services, resource types or permissions, do not allow this"
            }
            "KeyBasedAuthenticationNotPermitted" => "the account takes no keys: use an identity",
            "UnauthorizedBlobOverwrite" => {
                "the signature lets blobs be created but not overwritten: it needs the permission w"
            }
            "LeaseIdMissing" | "LeaseLost" => {
                "another program holds a lease on the blob: let it end, or break the lease"
            }
            "BlobArchived" => {
                "the blob is in the archive tier: rehydrate it (set its tier to Hot or Cool) and wait some hours"
            }
            "BlobImmutableDueToPolicy" | "BlobImmutableDueToLegalHold" => {
                "the container's immutability policy forbids it"
            }
            "SnapshotsPresent" => {
                "the blob has snapshots, which are not touched here: delete them first"
            }
            "ContainerNotFound" => {
                "check the account's and the container's name, or create the container"
            }
            "ContainerBeingDeleted" => "the container is being deleted: wait, and create it anew",
            "InvalidBlobType" => {
                "there is a page or append blob of this name, which is not replaced: delete it first"
            }
            "InvalidBlobOrBlock" => {
                "another program is uploading to this blob; what it has not committed vanishes when the blob is written whole, or \
                 after a week"
            }
            "MetadataTooLarge" => "Azure allows 8 KiB of metadata",
            "RequestBodyTooLarge" => "use an upload in parts",
            "InvalidResourceName" | "OutOfRangeInput" => {
                "check the names: containers have 3 to 63 lower-case letters, digits and hyphens"
            }
            _ if kind == Kind::Denied => {
                "check that these credentials may do this on the container (`skyfresh doctor` prints the rights needed)"
            }
            _ if self.status.is_redirection() => {
                "the endpoint does not serve this account: check ?endpoint= on its location"
            }
            _ => return None,
        };
        Some(fixed.to_owned())
    }

    fn not_authentic(&self, now: Timestamp) -> String {
        let apart = self
            .date
            .map(|theirs| (theirs, theirs.since(now).max(now.since(theirs))));
        match apart.filter(|(_, apart)| *apart > SKEW) {
            Some((theirs, apart)) => format!(
                "this machine's clock is {} s {} the service's: set it (NTP)",
                apart.as_secs(),
                if theirs > now { "behind" } else { "ahead of" }
            ),
            None => "check the account key, that the signature has not expired, or that the token is for this account".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

    fn refuse(status: u16, headers: &[(&'static str, &'static str)], code: &str) -> Error {
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
            code => format!(
                "\u{feff}<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said so\nRequestId:1</Message></Error>"
            ),
        };
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::new(status, &headers, body.as_bytes()).into_error("put", "az://a/c/k".into(), NOW)
    }

    #[test]
    fn kinds_follow_code_then_status() {
        for (status, code, kind) in [
            (404, "BlobNotFound", Kind::Missing),
            (404, "", Kind::Missing),
            (412, "ConditionNotMet", Kind::Precondition),
            (409, "BlobAlreadyExists", Kind::Precondition),
            (304, "", Kind::Precondition),
            (412, "LeaseIdMissing", Kind::Denied),
            (409, "BlobArchived", Kind::Denied),
            (409, "SnapshotsPresent", Kind::Denied),
            (403, "AuthorizationPermissionMismatch", Kind::Denied),
            (401, "NoAuthenticationInformation", Kind::Denied),
            (403, "", Kind::Denied),
            (400, "Md5Mismatch", Kind::Corrupt),
            (400, "Crc64Mismatch", Kind::Corrupt),
            (409, "ContainerBeingDeleted", Kind::RetryAfter),
            (500, "OperationTimedOut", Kind::RetryAfter),
            (503, "ServerBusy", Kind::RetryAfter),
            (400, "InvalidBlockList", Kind::Invalid),
            (409, "InvalidBlobType", Kind::Invalid),
            (501, "", Kind::Unsupported),
            (302, "", Kind::Invalid),
        ] {
            assert_eq!(refuse(status, &[], code).kind, kind, "{status} {code}");
        }
    }

    #[test]
    fn the_header_says_as_much_as_the_body() {
        let missing = refuse(404, &[("x-ms-error-code", "ContainerNotFound")], "");
        assert!(missing.is_missing_bucket());
        assert!(!refuse(404, &[("x-ms-error-code", "BlobNotFound")], "").is_missing_bucket());
        let busy = refuse(
            503,
            &[("retry-after", "7"), ("x-ms-error-code", "ServerBusy")],
            "",
        );
        assert!(busy.is_throttled());
        assert_eq!(busy.retry_after, Some(Duration::from_secs(7)));
        assert!(refuse(429, &[], "").is_throttled());
        let source = refuse(
            404,
            &[
                ("x-ms-error-code", "CannotVerifyCopySource"),
                ("x-ms-copy-source-error-code", "BlobNotFound"),
            ],
            "CannotVerifyCopySource",
        );
        assert_eq!(source.kind, Kind::Missing);
    }

    #[test]
    fn the_next_step_is_said() {
        let behind = refuse(
            403,
            &[("date", "Tue, 14 Nov 2023 22:33:20 GMT")],
            "AuthenticationFailed",
        )
        .to_string();
        assert!(behind.contains("1200 s behind"), "{behind}");
        let near = refuse(
            403,
            &[("date", "Tue, 14 Nov 2023 22:13:30 GMT")],
            "AuthenticationFailed",
        )
        .to_string();
        assert!(
            near.contains("account key") && !near.contains("RequestId"),
            "{near}"
        );
        let role = refuse(403, &[], "AuthorizationPermissionMismatch").to_string();
        assert!(role.contains("Storage Blob Data Contributor"), "{role}");
    }
}
