//! The HTTP side: Feast's paths, feedback, status, metrics.

use super::feast::{FeedbackBody, GetOnlineFeatures, Push};
use super::views::Service;
use crate::{Error, Result};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use skyfresh_sky::Kind;
use std::fmt::Write as _;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Bodies larger than this are refused.
const MAX_BODY_BYTES: usize = 32 << 20;
/// The header that carries the ids of the features read, separated by commas.
const FEATURE_IDS: &str = "x-skyfresh-feature-ids";
/// Ids that the header carries at most: of larger batches, those of the first rows.
const MAX_IDS: usize = 100;

/// A request that failed, as Feast's server tells it: `{"detail": …}`.
struct Failed(Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = match self.0.kind {
            Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Missing => StatusCode::NOT_FOUND,
            Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            tracing::warn!(error = %self.0, "request failed");
        }
        (status, Json(json!({"detail": self.0.to_string()}))).into_response()
    }
}

type Answer<T> = std::result::Result<T, Failed>;

/// The routes over a service.
pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/get-online-features", post(online))
        .route("/push", post(push))
        .route("/write-to-online-store", post(write))
        .route("/feedback", post(feedback))
        .route("/health", get(|| async {}))
        .route("/status", get(status))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(service)
}

/// Serves until `stop` is cancelled and requests under way are done.
///
/// # Errors
/// The listener is broken.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    stop: CancellationToken,
) -> Result<()> {
    let stopped = async move { stop.cancelled().await };
    axum::serve(listener, router(service))
        .with_graceful_shutdown(stopped)
        .await
        .map_err(|error| {
            Error::new(Kind::Internal, "serve", "listener", error.to_string()).with_source(error)
        })
}

/// What blocks, off the threads that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Answer<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Failed),
        Err(error) => Err(Failed(Error::new(
            Kind::Internal,
            "serve",
            "request",
            error.to_string(),
        ))),
    }
}

async fn online(
    State(service): State<Arc<Service>>,
    Json(asked): Json<GetOnlineFeatures>,
) -> Answer<Response> {
    // From the page cache in microseconds: not worth another thread.
    let (answer, ids) = service.online(&asked)?;
    let mut header = String::new();
    for id in ids.iter().take(MAX_IDS) {
        let separator = if header.is_empty() { "" } else { "," };
        let _ = write!(header, "{separator}{id}");
    }
    let mut response = Json(answer).into_response();
    // Ids are plain ASCII, so that this never fails.
    if let Ok(value) = HeaderValue::from_str(&header) {
        response.headers_mut().insert(FEATURE_IDS, value);
    }
    Ok(response)
}

async fn push(State(service): State<Arc<Service>>, Json(body): Json<Push>) -> Answer<Json<()>> {
    if body.to.as_deref().is_some_and(|to| to != "online") {
        let why = "there is no offline store: push with to = \"online\"";
        return Err(Failed(Error::new(
            Kind::Unsupported,
            "push",
            &body.push_source_name,
            why,
        )));
    }
    blocking(move || {
        let views = service.views.values();
        let taking: Vec<String> = views
            .filter(|view| view.spec.source() == body.push_source_name)
            .map(|view| view.spec.name.clone())
            .collect();
        if taking.is_empty() {
            let why = "no feature view takes data from this push source";
            return Err(Error::new(
                Kind::Missing,
                "push",
                &body.push_source_name,
                why,
            ));
        }
        for view in taking {
            let events = service.events(&view, &body.df)?;
            service.push(&view, events)?;
        }
        Ok(Json(()))
    })
    .await
}

async fn write(State(service): State<Arc<Service>>, Json(body): Json<Push>) -> Answer<Json<()>> {
    blocking(move || {
        let events = service.events(&body.feature_view_name, &body.df)?;
        service.write(&body.feature_view_name, events)?;
        Ok(Json(()))
    })
    .await
}

async fn feedback(
    State(service): State<Arc<Service>>,
    Json(body): Json<FeedbackBody>,
) -> Answer<Response> {
    blocking(move || {
        let id = body.feature_id.parse()?;
        if !(body.error >= 0.0 && body.error.is_finite()) {
            let why = "an error is a number, 0 or above";
            return Err(Error::invalid("take feedback", &body.query_id, why));
        }
        if body.query_id.is_empty() || body.query_id.len() > 256 {
            let why = "a query's id has from 1 to 256 bytes";
            return Err(Error::invalid("take feedback", &body.query_id, why));
        }
        let new = service.feedback(&body.query_id, &id, body.error, body.queried_ms)?;
        Ok(Json(json!({"accepted": new})).into_response())
    })
    .await
}

async fn status(State(service): State<Arc<Service>>) -> Answer<Response> {
    blocking(move || Ok(Json(json!({"views": service.status()})).into_response())).await
}

async fn metrics(State(service): State<Arc<Service>>) -> Answer<Response> {
    let all = blocking(move || Ok(service.status())).await?;
    let mut text = String::new();
    let mut gauge =
        |name: &str, help: &str, kind: &str, value: &dyn Fn(&super::ViewStatus) -> f64| {
            let _ = writeln!(
                text,
                "# HELP skyfresh_features_{name} {help}\n# TYPE skyfresh_features_{name} {kind}"
            );
            for view in &all {
                let _ = writeln!(
                    text,
                    "skyfresh_features_{name}{{view=\"{}\"}} {}",
                    view.view,
                    value(view)
                );
            }
        };
    gauge("keys", "Keys that are known.", "gauge", &|view| {
        view.keys as f64
    });
    gauge(
        "pending_keys",
        "Keys with data that is in no feature yet.",
        "gauge",
        &|view| view.schedule.pending as f64,
    );
    gauge(
        "starved_keys",
        "Keys with data and no feature.",
        "gauge",
        &|view| view.without_feature as f64,
    );
    gauge(
        "staleness_median_seconds",
        "Age of the features of keys with new data.",
        "gauge",
        &|view| view.staleness_s[0],
    );
    gauge(
        "staleness_p99_seconds",
        "Age of the features of keys with new data.",
        "gauge",
        &|view| view.staleness_s[1],
    );
    gauge("updates_total", "Updates begun.", "counter", &|view| {
        view.schedule.selected as f64
    });
    gauge(
        "budget_updates_per_second",
        "The budget.",
        "gauge",
        &|view| view.updates_per_s,
    );
    gauge("queries_total", "Queries.", "counter", &|view| {
        view.schedule.queries as f64
    });
    gauge("feedback_total", "Errors reported.", "counter", &|view| {
        view.schedule.feedback as f64
    });
    gauge(
        "feedback_late_total",
        "Errors reported of replaced features.",
        "counter",
        &|view| view.schedule.late as f64,
    );
    gauge(
        "feedback_delay_seconds",
        "From query to feedback, smoothed.",
        "gauge",
        &|view| view.schedule.delay,
    );
    gauge(
        "shadow_excess_ratio",
        "Estimated error beyond that of a round-robin shadow, as a share.",
        "gauge",
        &|view| view.schedule.shadow_excess,
    );
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
