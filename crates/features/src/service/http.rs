//! The HTTP side: Feast's paths, feedback, status, metrics.

use super::answer::Answer as Features;
use super::id::FeatureId;
use super::metrics;
use super::refused::{FeastError, Refused};
use super::spread::{EVENTS_PATH, FEEDBACK_PATH, ROWS_PATH};
use super::table::{FeedbackBody, PUSH_FIELDS, Push, WRITE_FIELDS, Write};
use super::views::Service;
use crate::{Error, Result};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde_json::json;
use skyfresh_sky::Kind;
use std::sync::Arc;

/// Bodies larger than this are refused.
const MAX_BODY_BYTES: usize = 32 << 20;
/// Those of peers: columns' names are repeated with each row there.
const MAX_PEER_BODY_BYTES: usize = 8 * MAX_BODY_BYTES;
/// Where features are asked for.
pub(super) const ONLINE_PATH: &str = "/get-online-features";
/// The header that carries the ids of the features read, separated by commas.
const FEATURE_IDS: &str = "x-skyfresh-feature-ids";

type Answer<T> = std::result::Result<T, Refused>;

/// The routes over a service.
pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route(ONLINE_PATH, post(online))
        .route("/push", post(push))
        .route("/write-to-online-store", post(write))
        .route("/feedback", post(feedback))
        .route(
            EVENTS_PATH,
            post(shard_events).layer(DefaultBodyLimit::max(MAX_PEER_BODY_BYTES)),
        )
        .route(ROWS_PATH, post(shard_rows))
        .route(FEEDBACK_PATH, post(shard_feedback))
        .route("/health", get(|| async {}))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .fallback(|| async { Refused::detail(404, "Not Found") })
        .method_not_allowed_fallback(|| async { Refused::detail(405, "Method Not Allowed") })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(service)
}

/// What blocks, off the threads that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Answer<T> + Send + 'static,
) -> Answer<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => {
            let failed = Error::new(Kind::Internal, "serve", "request", error.to_string());
            Err(failed.into())
        }
    }
}

/// A body as the request that it must be.
fn parsed<T: DeserializeOwned>(body: &[u8], fields: &[&str]) -> Answer<T> {
    serde_json::from_slice(body).map_err(|error| Refused::malformed(body, &error, fields))
}

pub(super) async fn online(State(service): State<Arc<Service>>, body: Bytes) -> Answer<Response> {
    Ok(told(service.online(&body).await?).map(Body::from))
}

/// An answer as a response.
pub(super) fn told(answer: Features) -> axum::http::Response<Bytes> {
    let mut response = axum::http::Response::new(Bytes::from(answer.body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    // Ids are plain ASCII, so that this never fails.
    if !answer.ids.is_empty()
        && let Ok(ids) = HeaderValue::from_maybe_shared(Bytes::from(answer.ids))
    {
        response.headers_mut().insert(FEATURE_IDS, ids);
    }
    response
}

/// Answers nothing but a status.
async fn push(State(service): State<Arc<Service>>, body: Bytes) -> Answer<StatusCode> {
    let reader = Arc::clone(&service);
    let taken = blocking(move || {
        let body: Push = parsed(&body, &PUSH_FIELDS)?;
        match body.to.as_deref().unwrap_or("online") {
            "online" => {}
            "offline" | "online_and_offline" => {
                let why = "there is no offline store: push with to = \"online\"";
                let name = &body.push_source_name;
                return Err(Error::new(Kind::Unsupported, "push", name, why).into());
            }
            other => {
                let why = format!(
                    "{other} is not a supported push format. Please specify one of these ['online', 'offline', 'online_and_offline']."
                );
                return Err(Refused::text(500, &why));
            }
        }
        let views = reader.views.values();
        let taking = views.filter(|view| view.spec.source() == body.push_source_name);
        let taken = taking.map(|view| Ok((Arc::clone(view), reader.events(&view.spec.name, &body.df)?)));
        let taken = taken.collect::<Result<Vec<_>>>()?;
        match taken.is_empty() {
            true => Err(FeastError::no_push_source(&body.push_source_name).into()),
            false => Ok(taken),
        }
    })
    .await?;
    service.deliver(taken).await?;
    Ok(StatusCode::OK)
}

/// Answers null.
async fn write(State(service): State<Arc<Service>>, body: Bytes) -> Answer<Json<()>> {
    let reader = Arc::clone(&service);
    let taken = blocking(move || {
        let body: Write = parsed(&body, &WRITE_FIELDS)?;
        let name = &body.feature_view_name;
        let Some(view) = reader.views.get(name) else {
            return Err(FeastError::no_object(name).into());
        };
        let events = reader.events(name, &body.df)?;
        view.must_come_ready()?;
        Ok(vec![(Arc::clone(view), events)])
    })
    .await?;
    service.deliver(taken).await?;
    Ok(Json(()))
}

/// Feedback that can be taken.
fn checked(body: &[u8]) -> Answer<(FeatureId, FeedbackBody)> {
    let body: FeedbackBody = parsed(body, &["query_id", "feature_id", "error"])?;
    let id = body.feature_id.parse()?;
    if !(body.error >= 0.0 && body.error.is_finite()) {
        let why = "an error is a number, 0 or above";
        return Err(Error::invalid("take feedback", &body.query_id, why).into());
    }
    if body.query_id.is_empty() || body.query_id.len() > 256 {
        let why = "a query's id has from 1 to 256 bytes";
        return Err(Error::invalid("take feedback", &body.query_id, why).into());
    }
    Ok((id, body))
}

async fn feedback(State(service): State<Arc<Service>>, body: Bytes) -> Answer<Response> {
    let (id, body) = checked(&body)?;
    let new = service.report(id, body).await?;
    Ok(Json(json!({"accepted": new})).into_response())
}

/// Of a peer: rows for keys that this process has.
async fn shard_events(State(service): State<Arc<Service>>, body: Bytes) -> Answer<Json<()>> {
    service.receive(&body).await?;
    Ok(Json(()))
}

/// Of a peer: asks for rows of keys that this process has.
async fn shard_rows(State(service): State<Arc<Service>>, body: Bytes) -> Answer<Response> {
    let answer = service.tell_peer(&body).await?;
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, answer).into_response())
}

/// Of a peer: feedback for a key that this process has.
async fn shard_feedback(State(service): State<Arc<Service>>, body: Bytes) -> Answer<Json<bool>> {
    let (id, body) = checked(&body)?;
    service.all_mine([id.key.as_str()].into_iter())?;
    Ok(Json(service.report(id, body).await?))
}

async fn status(State(service): State<Arc<Service>>) -> Answer<Response> {
    blocking(move || Ok(Json(json!({"views": service.status()})).into_response())).await
}

async fn metrics(State(service): State<Arc<Service>>) -> Answer<Response> {
    let text = blocking(move || {
        let waiting = service.store.waiting()?;
        Ok(metrics::text(&service.status(), waiting))
    })
    .await?;
    let kind = "text/plain; version=0.0.4";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
