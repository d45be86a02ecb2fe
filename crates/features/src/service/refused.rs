//! Requests that are refused, in the words and the shapes of Feast's server, which its clients read.

use crate::Error;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use skyfresh_sky::Kind;
use std::fmt::Write as _;

/// An answer that is none: a status, and JSON that says why.
#[derive(Debug)]
pub(super) struct Refused {
    status: u16,
    body: String,
}

/// An error that Feast's clients raise again on their side.
#[derive(Debug)]
pub(super) struct FeastError {
    status: u16,
    class: &'static str,
    message: String,
}

impl FeastError {
    pub(super) fn no_view(view: &str, project: &str) -> Self {
        FeastError {
            status: 404,
            class: "FeatureViewNotFoundException",
            message: format!("Feature view {view} does not exist in project {project}"),
        }
    }

    pub(super) fn no_service(name: &str, project: &str) -> Self {
        FeastError {
            status: 404,
            class: "FeatureServiceNotFoundException",
            message: format!("Feature service {name} does not exist in project {project}"),
        }
    }

    pub(super) fn no_object(name: &str) -> Self {
        FeastError {
            status: 404,
            class: "FeastObjectNotFoundException",
            message: format!("Can't recognize feast object with a name {name}"),
        }
    }

    pub(super) fn no_push_source(name: &str) -> Self {
        FeastError {
            status: 422,
            class: "PushSourceNotFoundException",
            message: format!("Unable to find push source '{name}'."),
        }
    }

    /// Two columns of one name.
    pub(super) fn collision(name: &str, full_feature_names: bool) -> Self {
        let advice = match full_feature_names {
            true => {
                "please ensure that the feature views or their own features have different names. If you're intentionally joining the same feature view twice on different sets of entities, please rename one of the feature views with '.with_name'."
            }
            false => {
                "either use the full feature name by setting 'full_feature_names=True', or ensure that the features in question have different names."
            }
        };
        FeastError {
            status: 500,
            class: "FeatureNameCollisionError",
            message: format!(
                "Duplicate features named {name} found.\nTo resolve this collision, {advice}"
            ),
        }
    }
}

impl From<FeastError> for Refused {
    /// A text that is JSON itself, as Python's `json.dumps` writes it.
    fn from(error: FeastError) -> Self {
        let (class, message) = (error.class, ascii_json(&error.message));
        let detail = format!(
            "{{\"module\": \"feast.errors\", \"class\": \"{class}\", \"message\": {message}}}"
        );
        Refused::text(error.status, &detail)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let status = match error.kind {
            Kind::Invalid => 422,
            Kind::Missing => 404,
            Kind::Unsupported => 501,
            // Misdirected: another process has the key.
            Kind::Precondition => 421,
            Kind::RetryAfter => 503,
            _ => 500,
        };
        if status >= 500 && status != 501 {
            tracing::warn!(%error, "request failed");
        }
        Refused {
            status,
            body: json!({"detail": error.to_string()}).to_string(),
        }
    }
}

impl Refused {
    /// A text.
    pub(super) fn text(status: u16, why: &str) -> Self {
        Refused {
            status,
            body: Value::from(why).to_string(),
        }
    }

    /// The text that Python shows of a `KeyError`: the message in quotes.
    pub(super) fn key_error(message: &str) -> Self {
        let quote = if message.contains('\'') { '"' } else { '\'' };
        Refused::text(500, &format!("{quote}{message}{quote}"))
    }

    /// `{"detail": …}`.
    pub(super) fn detail(status: u16, why: &str) -> Self {
        Refused {
            status,
            body: json!({"detail": why}).to_string(),
        }
    }

    /// A body that is no such request, told as FastAPI does. `fields` are those that must be there.
    pub(super) fn malformed(body: &[u8], error: &serde_json::Error, fields: &[&str]) -> Self {
        let mut found = Vec::new();
        match serde_json::from_slice::<Value>(body) {
            Err(_) => {
                let why = error.to_string();
                found.push(json!({"type": "json_invalid", "loc": ["body", error.column()], "msg": "JSON decode error", "input": {}, "ctx": {"error": why}}));
            }
            Ok(input) => {
                for name in fields.iter().filter(|name| input.get(name).is_none()) {
                    found.push(format_missing(name, &input));
                }
                if found.is_empty() {
                    let why = error.to_string();
                    found.push(
                        json!({"type": "value_error", "loc": ["body"], "msg": why, "input": {}}),
                    );
                }
            }
        }
        let found: Vec<String> = found.into_iter().map(|item| in_order(&item)).collect();
        Refused {
            status: 422,
            body: format!("{{\"detail\":[{}]}}", found.join(",")),
        }
    }
}

fn format_missing(name: &str, input: &Value) -> Value {
    json!({"type": "missing", "loc": ["body", name], "msg": "Field required", "input": input})
}

/// With the members in FastAPI's order.
fn in_order(item: &Value) -> String {
    let mut text = String::from("{");
    for name in ["type", "loc", "msg", "input", "ctx"] {
        if let Some(value) = item.get(name) {
            let comma = if text.len() > 1 { "," } else { "" };
            let _ = write!(text, "{comma}\"{name}\":{value}");
        }
    }
    text.push('}');
    text
}

/// A text as JSON in ASCII, as Python's `json.dumps` writes it.
fn ascii_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    let mut ascii = String::with_capacity(quoted.len());
    for c in quoted.chars() {
        match c {
            '\u{7f}'.. if c as u32 > 0x7f => {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(ascii, "\\u{unit:04x}");
                }
            }
            c => ascii.push(c),
        }
    }
    ascii
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        // Only statuses that exist are given above.
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_what_the_client_of_feast_reads() {
        let refused = Refused::from(FeastError::no_view("Zürich \u{1f6d2}", "p"));
        assert_eq!(
            refused.body,
            r#""{\"module\": \"feast.errors\", \"class\": \"FeatureViewNotFoundException\", \"message\": \"Feature view Z\\u00fcrich \\ud83d\\uded2 does not exist in project p\"}""#
        );
        assert_eq!(Refused::key_error("no 'x'").body, r#""\"no 'x'\"""#);
        assert_eq!(Refused::key_error("no x").body, r#""'no x'""#);
    }
}
