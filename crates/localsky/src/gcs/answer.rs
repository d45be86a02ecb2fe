//! Building answers.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use s3s::Body;
use serde_json::Value;

pub(crate) type Answer = Response<Body>;

pub(crate) fn with_body(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn json(value: &Value) -> Answer {
    json_with(StatusCode::OK, value)
}

pub(crate) fn json_with(status: StatusCode, value: &Value) -> Answer {
    with_body(status, "application/json; charset=UTF-8", value.to_string())
}

pub(crate) fn xml(body: String) -> Answer {
    let text = format!("<?xml version='1.0' encoding='UTF-8'?>{body}");
    with_body(StatusCode::OK, "application/xml; charset=UTF-8", text)
}

pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

/// Sets a header; a value that cannot be one is left out.
pub(crate) fn set(answer: &mut Answer, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_bytes(value.as_bytes()),
    ) {
        answer.headers_mut().insert(name, value);
    }
}
