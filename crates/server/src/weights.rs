//! `/v1/rules/{rule}/weights`: what stale reads cost, as the application that reads the copies says.

use crate::api::Api;
use crate::error::ApiError;
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use skyfresh_engine::Weight;
use skyfresh_sky::{Kind, timeout};
use std::sync::Arc;
use std::time::Duration;

/// More than the longest list that is taken, however it is written.
const LIMIT_BYTES: usize = 512 << 10;
/// How long a sender may take to send the body.
const BODY_LIMIT: Duration = Duration::from_secs(30);
const OPERATION: &str = "set weights";

/// `GET /v1/rules/{rule}/weights`
pub(crate) async fn weights(
    State(api): State<Arc<Api>>,
    Path(rule): Path<String>,
) -> Result<Json<Vec<Weight>>, ApiError> {
    Ok(Json(api.engine.weights(&rule).await?))
}

/// `PUT /v1/rules/{rule}/weights`: these instead of those that were.
pub(crate) async fn set_weights(
    State(api): State<Arc<Api>>,
    Path(rule): Path<String>,
    request: Request,
) -> Result<Json<Vec<Weight>>, ApiError> {
    let reading = Limited::new(request.into_body(), LIMIT_BYTES).collect();
    let body = match timeout(api.clock.as_ref(), BODY_LIMIT, reading).await {
        Some(Ok(collected)) => collected.to_bytes(),
        Some(Err(error)) if error.is::<LengthLimitError>() => {
            let why = format!("larger than {LIMIT_BYTES} bytes");
            return Err(
                ApiError::invalid(OPERATION, "body", why).status(StatusCode::PAYLOAD_TOO_LARGE)
            );
        }
        Some(Err(error)) => {
            let why = format!("the body did not arrive whole: {error}");
            return Err(ApiError::invalid(OPERATION, "body", why));
        }
        None => {
            let why = format!("did not arrive within {} s", BODY_LIMIT.as_secs());
            return Err(ApiError::new(Kind::RetryAfter, OPERATION, "body", why)
                .status(StatusCode::REQUEST_TIMEOUT));
        }
    };
    let weights: Vec<Weight> = serde_json::from_slice(&body).map_err(|error| {
        ApiError::invalid(OPERATION, "body", error.to_string())
            .hint(r#"for example [{"prefix": "models/", "regret_per_s": 12.5}]"#)
    })?;
    Ok(Json(api.engine.set_weights(&rule, weights).await?))
}
