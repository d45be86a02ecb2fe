//! `GET /v1/channels`: where events come from, and what came of them.

use crate::api::Api;
use crate::error::ApiError;
use crate::redact;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use skyfresh_engine::ChannelStatus;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The channels that are pulled, and what was pushed.
#[derive(Debug, Serialize)]
pub(crate) struct Intake {
    channels: Vec<ChannelStatus>,
    notifications: Notifications,
}

/// Notifications that were pushed since the server began.
#[derive(Debug, Serialize)]
pub(crate) struct Notifications {
    /// Durable before they were answered.
    accepted: u64,
    /// By reason; reasons that did not occur are left out.
    refused: BTreeMap<&'static str, u64>,
}

/// `GET /v1/channels`
pub(crate) async fn channels(State(api): State<Arc<Api>>) -> Result<Json<Intake>, ApiError> {
    let channels = api.engine.channels().await?;
    Ok(Json(Intake {
        channels: channels.into_iter().map(redact::channel).collect(),
        notifications: Notifications {
            accepted: api.counters.notifications_accepted(),
            refused: api.counters.notifications_refused(),
        },
    }))
}
