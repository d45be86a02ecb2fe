//! Failures as Google Cloud Storage states them: JSON for the JSON API, XML for the XML API, plain text for downloads.
//!
//! Sources: <https://cloud.google.com/storage/docs/json_api/v1/status-codes>,
//! <https://cloud.google.com/storage/docs/xml-api/reference-status>.

use super::answer::Answer;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use s3s::{Body, S3Error, S3ErrorCode};
use serde_json::json;

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a request was refused.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    /// The JSON API's `reason`.
    reason: &'static str,
    /// The XML API's `Code`.
    code: String,
    pub(crate) message: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    pub(crate) fn new(
        status: StatusCode,
        reason: &'static str,
        code: &str,
        message: impl Into<String>,
    ) -> Self {
        Failure {
            status,
            reason,
            code: code.to_owned(),
            message: message.into(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid",
            "InvalidArgument",
            message,
        )
    }

    pub(crate) fn required(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "required",
            "InvalidArgument",
            message,
        )
    }

    pub(crate) fn no_bucket() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "notFound",
            "NoSuchBucket",
            "The specified bucket does not exist.",
        )
    }

    pub(crate) fn no_object(bucket: &str, key: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "notFound",
            "NoSuchKey",
            format!("No such object: {bucket}/{key}"),
        )
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "notFound", "NoSuchKey", message)
    }

    pub(crate) fn precondition() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "conditionNotMet",
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold.",
        )
    }

    pub(crate) fn not_modified() -> Self {
        Self::new(StatusCode::NOT_MODIFIED, "notModified", "NotModified", "")
    }

    pub(crate) fn conflict(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", code, message)
    }

    pub(crate) fn unauthorized(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            reason,
            "AuthenticationRequired",
            message,
        )
        .with_header(
            WWW_AUTHENTICATE,
            "Bearer realm=\"https://accounts.google.com/\"",
        )
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "methodNotAllowed",
            "MethodNotAllowed",
            "The specified method is not allowed against this resource.",
        )
    }

    pub(crate) fn rate_limited(what: &str) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rateLimitExceeded",
            "SlowDown",
            format!(
                "{what} exceeded the rate limit for object mutation operations (create, update, and delete). Please \
                 reduce your request rate. See https://cloud.google.com/storage/docs/gcs429."
            ),
        )
    }

    pub(crate) fn backend(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "backendError",
            "InternalError",
            message,
        )
    }

    /// The JSON API's error document.
    pub(crate) fn json_text(&self) -> String {
        let code = self.status.as_u16();
        json!({ "error": {
            "code": code,
            "message": self.message,
            "errors": [{ "message": self.message, "domain": "global", "reason": self.reason }],
        }})
        .to_string()
    }

    fn xml_text(&self) -> String {
        format!(
            "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{}</Code><Message>{}</Message></Error>",
            self.code,
            super::xml::escape(&self.message)
        )
    }

    /// As the response of an API that speaks `format`.
    pub(crate) fn response(self, format: Format) -> Answer {
        let (content_type, body) = match format {
            Format::Json => ("application/json; charset=UTF-8", self.json_text()),
            Format::Xml => ("application/xml; charset=UTF-8", self.xml_text()),
            Format::Text => ("text/html; charset=UTF-8", self.message.clone()),
        };
        let bodiless = self.status == StatusCode::NOT_MODIFIED;
        let mut response = Response::new(if bodiless {
            Body::empty()
        } else {
            Body::from(body)
        });
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        if !bodiless {
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        response
    }
}

/// How an API states its failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Xml,
    /// Downloads by the JSON API.
    Text,
}

impl From<S3Error> for Failure {
    /// The store's own errors: of bodies and uploads that are wrong, and of disks that fail.
    fn from(error: S3Error) -> Self {
        let message = error.message().unwrap_or_default().to_owned();
        match error.code() {
            S3ErrorCode::NoSuchUpload => Failure::new(
                StatusCode::NOT_FOUND,
                "notFound",
                "NoSuchUpload",
                "The requested upload was not found.",
            ),
            code @ (S3ErrorCode::InvalidPart
            | S3ErrorCode::InvalidPartOrder
            | S3ErrorCode::EntityTooSmall
            | S3ErrorCode::EntityTooLarge
            | S3ErrorCode::IncompleteBody
            | S3ErrorCode::BadDigest
            | S3ErrorCode::InvalidDigest) => {
                Failure::new(StatusCode::BAD_REQUEST, "invalid", code.as_str(), message)
            }
            S3ErrorCode::MalformedXML => Failure::new(
                StatusCode::BAD_REQUEST,
                "invalid",
                "MalformedCompleteMultipartUploadRequest",
                message,
            ),
            code => {
                tracing::warn!(code = code.as_str(), %error, "the store failed");
                Failure::backend("We encountered an internal error. Please try again.")
            }
        }
    }
}
