//! What can be asked of rules, and told to them.

use crate::api::Api;
use crate::error::ApiError;
use crate::parameters::Parameters;
use crate::redact;
use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use serde::Serialize;
use skyfresh_engine::{Applied, Explanation, Rule, RuleStatus, WaitOutcome};
use skyfresh_sky::{Kind, ObjectKey, Timestamp, parse_delay};
use std::sync::Arc;
use std::time::Duration;

/// How long a wait waits unless told.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

/// A rule's new state.
#[derive(Debug, Serialize)]
pub(crate) struct Paused {
    rule: String,
    paused: bool,
}

/// A sweep that was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct SweepAsked {
    rule: String,
    /// Always `asked`: the status shows its report once it is complete.
    sweep: &'static str,
}

/// How a wait ended.
#[derive(Debug, Serialize)]
pub(crate) struct Waited {
    rule: String,
    outcome: WaitOutcome,
    /// The time waited for, ms since the Unix epoch.
    until: Timestamp,
}

/// `GET /v1/rules`
pub(crate) async fn rules(State(api): State<Arc<Api>>) -> Json<Vec<Rule>> {
    Json(api.engine.rules().into_iter().map(redact::rule).collect())
}

/// `GET /v1/status`
pub(crate) async fn status(State(api): State<Arc<Api>>) -> Result<Json<Vec<RuleStatus>>, ApiError> {
    let all = api.engine.status(None).await?;
    Ok(Json(all.into_iter().map(redact::status).collect()))
}

/// `GET /v1/status/{rule}`
pub(crate) async fn status_of_rule(
    State(api): State<Arc<Api>>,
    Path(rule): Path<String>,
) -> Result<Json<RuleStatus>, ApiError> {
    let mut all = api.engine.status(Some(&rule)).await?;
    let one = all.pop().ok_or_else(|| {
        ApiError::new(
            Kind::Missing,
            "find rule",
            rule,
            "there is no rule of this name",
        )
    })?;
    Ok(Json(redact::status(one)))
}

/// `POST /v1/rules/{rule}/pause`
pub(crate) async fn pause(
    State(api): State<Arc<Api>>,
    Path(rule): Path<String>,
) -> Result<Json<Paused>, ApiError> {
    set_paused(&api, rule, true).await
}

/// `POST /v1/rules/{rule}/resume`
pub(crate) async fn resume(
    State(api): State<Arc<Api>>,
    Path(rule): Path<String>,
) -> Result<Json<Paused>, ApiError> {
    set_paused(&api, rule, false).await
}

async fn set_paused(api: &Api, rule: String, paused: bool) -> Result<Json<Paused>, ApiError> {
    api.engine.set_paused(&rule, paused).await?;
    Ok(Json(Paused { rule, paused }))
}

/// `POST /v1/rules/{rule}/sweep`
pub(crate) async fn sweep(
    State(api): State<Arc<Api>>,
    Path(rule): Path<String>,
) -> Result<(StatusCode, Json<SweepAsked>), ApiError> {
    api.engine.sweep(&rule)?;
    Ok((
        StatusCode::ACCEPTED,
        Json(SweepAsked {
            rule,
            sweep: "asked",
        }),
    ))
}

/// `GET /v1/rules/{rule}/explain?key=…`
pub(crate) async fn explain(
    State(api): State<Arc<Api>>,
    Path(rule): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<Explanation>>, ApiError> {
    let parameters = Parameters::parse("explain", query.as_deref(), &["key"])?;
    let key = ObjectKey::new(parameters.need("key", "models/a%20b.bin")?)?;
    let all = api.engine.explain(&rule, &key).await?;
    Ok(Json(all.into_iter().map(redact::explanation).collect()))
}

/// `POST /v1/rules/{rule}/wait?until=…&timeout=…`: a long poll. Dropped, and so cancelled, when the client goes away.
pub(crate) async fn wait(
    State(api): State<Arc<Api>>,
    Path(rule): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Waited>, ApiError> {
    let parameters = Parameters::parse("wait", query.as_deref(), &["until", "timeout"])?;
    let until = match parameters.get("until") {
        None | Some("now") => api.clock.now(),
        Some(time) => Timestamp::parse(time)?,
    };
    let limit = parameters
        .get("timeout")
        .map_or(Ok(DEFAULT_WAIT), parse_delay)?;
    tokio::select! {
        outcome = api.engine.wait(&rule, until, limit) => Ok(Json(Waited { rule: rule.clone(), outcome: outcome?, until })),
        () = api.stop.cancelled() => Err(
            ApiError::new(Kind::RetryAfter, "wait", rule.clone(), "the daemon is shutting down")
                .hint("wait again once it is back"),
        ),
    }
}

/// `POST /v1/reload`
pub(crate) async fn reload(State(api): State<Arc<Api>>) -> Result<Json<Applied>, ApiError> {
    match &api.options.reload {
        Some(reload) => Ok(Json(reload().await?)),
        None => Err(ApiError::new(
            Kind::Unsupported,
            "reload",
            "rules",
            "this daemon was started without a configuration file",
        )),
    }
}
