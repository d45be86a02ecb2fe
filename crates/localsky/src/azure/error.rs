//! Errors as the storage services answer them.
//!
//! Codes: learn.microsoft.com/rest/api/storageservices/blob-service-error-codes, …/queue-service-error-codes and
//! …/common-rest-api-error-codes.

use super::xml::Xml;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use s3s::Body;

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct StorageError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Further elements of the body.
    pub(crate) details: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

pub(crate) type Result<T, E = StorageError> = std::result::Result<T, E>;

impl StorageError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        StorageError {
            status,
            code,
            message: message.into(),
            details: Vec::new(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn with_detail(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers
            .extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// The error's document.
    pub(crate) fn document(&self) -> String {
        let mut xml = Xml::document();
        xml.open("Error")
            .element("Code", self.code)
            .element("Message", &self.message);
        for (name, value) in &self.details {
            xml.element(name, value);
        }
        xml.close("Error").finish()
    }

    /// The answer; `head` leaves the body out, as does 304.
    pub(crate) fn into_response(self, head: bool) -> Response<Body> {
        let bodiless = head || self.status == StatusCode::NOT_MODIFIED;
        let mut response = Response::new(if bodiless {
            Body::empty()
        } else {
            Body::from(Bytes::from(self.document()))
        });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert("x-ms-error-code", HeaderValue::from_static(self.code));
        if !bodiless {
            headers.insert(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("application/xml"),
            );
        }
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

impl From<s3s::S3Error> for StorageError {
    /// Of the store below: files that could not be written or read.
    fn from(error: s3s::S3Error) -> Self {
        tracing::warn!(%error, "a store of a region failed");
        internal("The server encountered an internal error. Please retry the request.")
    }
}

impl From<std::io::Error> for StorageError {
    fn from(error: std::io::Error) -> Self {
        tracing::warn!(%error, "a store of a region failed");
        internal("The server encountered an internal error. Please retry the request.")
    }
}

pub(crate) fn internal(message: &str) -> StorageError {
    StorageError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
}

/// Functions that make one error each: name, status, code, message.
macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident: $status:ident, $code:literal, $message:literal;)*) => {
        $($(#[$doc])* pub(crate) fn $name() -> StorageError {
            StorageError::new(StatusCode::$status, $code, $message)
        })*
    };
}

errors! {
    account_not_found: NOT_FOUND, "ResourceNotFound", "The specified resource does not exist.";
    blob_already_exists: CONFLICT, "BlobAlreadyExists", "The specified blob already exists.";
    blob_archived: CONFLICT, "BlobArchived", "This operation is not permitted on an archived blob.";
    blob_not_found: NOT_FOUND, "BlobNotFound", "The specified blob does not exist.";
    block_count_exceeds_limit: CONFLICT, "BlockCountExceedsLimit", "The uncommitted block count cannot exceed the maximum limit of 100,000 blocks.";
    block_list_too_long: BAD_REQUEST, "BlockListTooLong", "The block list may not contain more than 50,000 blocks.";
    condition_not_met: PRECONDITION_FAILED, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.";
    container_already_exists: CONFLICT, "ContainerAlreadyExists", "The specified container already exists.";
    container_not_found: NOT_FOUND, "ContainerNotFound", "The specified container does not exist.";
    crc64_mismatch: BAD_REQUEST, "Crc64Mismatch", "The CRC64 value specified in the request did not match with the CRC64 value calculated by the server.";
    invalid_blob_or_block: BAD_REQUEST, "InvalidBlobOrBlock", "The specified blob or block content is invalid.";
    invalid_block_list: BAD_REQUEST, "InvalidBlockList", "The specified block list is invalid.";
    invalid_crc64: BAD_REQUEST, "InvalidHeaderValue", "The value of x-ms-content-crc64 is not the Base64 form of 8 bytes.";
    invalid_md5: BAD_REQUEST, "InvalidMd5", "The MD5 value specified in the request is invalid. MD5 value must be 128 bits and base64 encoded.";
    invalid_range: RANGE_NOT_SATISFIABLE, "InvalidRange", "The range specified is invalid for the current size of the resource.";
    invalid_resource_name: BAD_REQUEST, "InvalidResourceName", "The specified resource name contains invalid characters.";
    invalid_xml: BAD_REQUEST, "InvalidXmlDocument", "The XML specified is not syntactically valid.";
    length_required: LENGTH_REQUIRED, "MissingContentLengthHeader", "Content-Length HTTP header is missing.";
    md5_mismatch: BAD_REQUEST, "Md5Mismatch", "The MD5 value specified in the request did not match with the MD5 value calculated by the server.";
    metadata_too_large: BAD_REQUEST, "MetadataTooLarge", "The size of the specified metadata exceeds the maximum size permitted.";
    method_not_allowed: METHOD_NOT_ALLOWED, "UnsupportedHttpVerb", "The resource doesn't support the specified HTTP verb.";
    multiple_conditions: BAD_REQUEST, "MultipleConditionHeadersNotSupported", "Multiple condition headers are not supported.";
    name_out_of_range: BAD_REQUEST, "OutOfRangeInput", "The specified resource name length is not within the permissible limits.";
    not_modified: NOT_MODIFIED, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.";
    no_pending_copy: CONFLICT, "NoPendingCopyOperation", "There is currently no pending copy operation.";
    pending_copy_operation: CONFLICT, "PendingCopyOperation", "There is currently a pending copy operation.";
    request_body_too_large: PAYLOAD_TOO_LARGE, "RequestBodyTooLarge", "The request body is too large and exceeds the maximum permissible limit.";
    source_condition_not_met: PRECONDITION_FAILED, "SourceConditionNotMet", "The source condition specified using HTTP conditional header(s) is not met.";
    unsatisfiable_condition: BAD_REQUEST, "UnsatisfiableCondition", "The request includes an unsatisfiable condition for this operation.";
}

pub(crate) fn missing_header(name: &str) -> StorageError {
    let message = "An HTTP header that's mandatory for this request is not specified.";
    StorageError::new(StatusCode::BAD_REQUEST, "MissingRequiredHeader", message)
        .with_detail("HeaderName", name)
}

pub(crate) fn invalid_header(name: &str, value: &str) -> StorageError {
    let message = "The value for one of the HTTP headers is not in the correct format.";
    StorageError::new(StatusCode::BAD_REQUEST, "InvalidHeaderValue", message)
        .with_detail("HeaderName", name)
        .with_detail("HeaderValue", value)
}

pub(crate) fn invalid_query(name: &str, value: &str, reason: &str) -> StorageError {
    let message = "Value for one of the query parameters specified in the request URI is invalid.";
    StorageError::new(
        StatusCode::BAD_REQUEST,
        "InvalidQueryParameterValue",
        message,
    )
    .with_detail("QueryParameterName", name)
    .with_detail("QueryParameterValue", value)
    .with_detail("Reason", reason)
}

pub(crate) fn missing_query(name: &str) -> StorageError {
    let message = "A query parameter that's mandatory for this request is not specified.";
    StorageError::new(
        StatusCode::BAD_REQUEST,
        "MissingRequiredQueryParameter",
        message,
    )
    .with_detail("QueryParameterName", name)
}

/// What this sky does not do. 501 is not repeated by Azure's own clients.
pub(crate) fn not_implemented(what: &str) -> StorageError {
    StorageError::new(
        StatusCode::NOT_IMPLEMENTED,
        "NotImplemented",
        format!("The local sky does not serve {what}."),
    )
}
