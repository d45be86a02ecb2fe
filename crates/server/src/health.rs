//! Whether the process lives, and whether it is ready.

use crate::api::Api;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use skyfresh_engine::LaneState;
use skyfresh_sky::Kind;
use std::sync::Arc;

/// The process lives.
#[derive(Debug, Serialize)]
pub(crate) struct Health {
    status: &'static str,
    version: &'static str,
    uptime_s: f64,
}

/// Every lane has been brought up, or has found that it cannot be.
#[derive(Debug, Serialize)]
pub(crate) struct Ready {
    status: &'static str,
    lanes: usize,
}

/// `GET /healthz`: touches nothing but this process, so that a ledger or a store in trouble gets nobody restarted.
pub(crate) async fn healthz(State(api): State<Arc<Api>>) -> Json<Health> {
    let uptime_s = api.uptime().as_secs_f64();
    Json(Health {
        status: "live",
        version: env!("CARGO_PKG_VERSION"),
        uptime_s,
    })
}

/// `GET /readyz`: 503 while a lane is starting, or the ledger cannot be read. A store that cannot be reached does not count:
/// notifications are taken in all the same.
pub(crate) async fn readyz(State(api): State<Arc<Api>>) -> Result<Json<Ready>, ApiError> {
    // The kind is all an open route tells; the log has the rest.
    let all = api.engine.status(None).await.map_err(|error| {
        tracing::warn!(%error, "not ready: the ledger cannot be read");
        ApiError::new(
            Kind::RetryAfter,
            "check readiness",
            "ledger",
            "the ledger cannot be read",
        )
    })?;
    let lanes = || all.iter().flat_map(|rule| &rule.destinations);
    let starting = lanes()
        .filter(|lane| lane.state == LaneState::Starting)
        .count();
    if starting > 0 {
        let message = format!("{starting} of {} are still starting", lanes().count());
        return Err(ApiError::new(
            Kind::RetryAfter,
            "check readiness",
            "destinations",
            message,
        ));
    }
    Ok(Json(Ready {
        status: "ready",
        lanes: lanes().count(),
    }))
}
