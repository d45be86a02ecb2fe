//! `POST /v1/rules/{rule}/changelog`: how an object was made, durable before it is acknowledged.

use crate::api::Api;
use crate::error::ApiError;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use skyfresh_engine::{ChangelogAdded, ChangelogEntry};
use skyfresh_sky::{Kind, timeout};
use std::sync::Arc;
use std::time::Duration;

/// Longest body: an entry's thousand inputs of the longest keys, escaped.
const LIMIT_BYTES: usize = 4 << 20;
/// How long a sender may take to send it.
const BODY_LIMIT: Duration = Duration::from_secs(30);
const OPERATION: &str = "add changelog entry";

/// `POST /v1/rules/{rule}/changelog`
pub(crate) async fn add(
    State(api): State<Arc<Api>>,
    Path(rule): Path<String>,
    request: Request,
) -> Result<Json<ChangelogAdded>, ApiError> {
    let reading = Limited::new(request.into_body(), LIMIT_BYTES).collect();
    let body = match timeout(api.clock.as_ref(), BODY_LIMIT, reading).await {
        Some(Ok(collected)) => collected.to_bytes(),
        Some(Err(error)) if error.is::<LengthLimitError>() => {
            let why = format!("larger than {LIMIT_BYTES} bytes");
            return Err(ApiError::invalid(OPERATION, "body", why)
                .status(StatusCode::PAYLOAD_TOO_LARGE)
                .hint("join in several steps"));
        }
        Some(Err(error)) => {
            let why = format!("the body did not arrive whole: {error}");
            return Err(ApiError::invalid(OPERATION, "body", why));
        }
        None => {
            let why = format!("the body took longer than {} s", BODY_LIMIT.as_secs());
            return Err(ApiError::new(Kind::RetryAfter, OPERATION, "body", why));
        }
    };
    let entry: ChangelogEntry = serde_json::from_slice(&body).map_err(|error| {
        ApiError::invalid(OPERATION, "body", format!("is no entry: {error}"))
            .hint(r#"for example {"output": "b", "operation": "copy", "input": {"key": "a"}}"#)
    })?;
    Ok(Json(api.engine.add_changelog(&rule, entry).await?))
}
