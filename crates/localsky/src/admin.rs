//! The admin endpoint: steers a sky from other processes. JSON over HTTP on loopback, without authentication.

use crate::faults::FaultRule;
use crate::notify::NotificationSettings;
use crate::sky::Inner;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use skyfresh_sky::{Kind, Region};
use std::sync::{Arc, Weak};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) async fn serve(socket: TcpListener, sky: Weak<Inner>, stop: CancellationToken) {
    let router = Router::new()
        .route("/meter", get(meter))
        .route("/endpoints", get(endpoints))
        .route("/faults", get(faults).post(set_faults))
        .route("/notifications", get(notifications).post(set_notifications))
        .route("/buckets", get(buckets).post(create_bucket))
        .route("/google/service-account-key", get(service_account_key))
        .with_state(sky);
    let served = axum::serve(socket, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin endpoint failed");
    }
}

struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(serde_json::json!({ "error": self.1 }))).into_response()
    }
}

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        let status = match error.kind {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Missing => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Failure(status, error.to_string())
    }
}

type Sky = State<Weak<Inner>>;

fn running(sky: &Weak<Inner>) -> Result<Arc<Inner>, Failure> {
    sky.upgrade().ok_or_else(|| {
        Failure(
            StatusCode::SERVICE_UNAVAILABLE,
            "the sky is stopping".into(),
        )
    })
}

async fn meter(State(sky): Sky) -> Result<Response, Failure> {
    Ok(Json(running(&sky)?.meter()).into_response())
}

async fn endpoints(State(sky): Sky) -> Result<Response, Failure> {
    Ok(Json(running(&sky)?.endpoints()).into_response())
}

async fn faults(State(sky): Sky) -> Result<Response, Failure> {
    Ok(Json(running(&sky)?.faults.rules()).into_response())
}

/// Replaces all rules; answers the rules in force.
async fn set_faults(
    State(sky): Sky,
    Json(rules): Json<Vec<FaultRule>>,
) -> Result<Response, Failure> {
    let sky = running(&sky)?;
    sky.faults.set(rules);
    Ok(Json(sky.faults.rules()).into_response())
}

fn shown_notifications(sky: &Inner) -> Response {
    let shown = serde_json::json!({
        "settings": sky.notifications.settings(),
        "counts": sky.notifications.counts(),
    });
    Json(shown).into_response()
}

async fn notifications(State(sky): Sky) -> Result<Response, Failure> {
    Ok(shown_notifications(&*running(&sky)?))
}

/// Replaces the settings; answers those in force (without tokens) and the counts.
async fn set_notifications(
    State(sky): Sky,
    Json(settings): Json<NotificationSettings>,
) -> Result<Response, Failure> {
    let sky = running(&sky)?;
    sky.notifications.set(settings)?;
    Ok(shown_notifications(&sky))
}

async fn buckets(State(sky): Sky) -> Result<Response, Failure> {
    let sky = running(&sky)?;
    let shown: Vec<_> = sky
        .stores
        .iter()
        .flat_map(|store| {
            store
                .buckets()
                .into_iter()
                .map(move |bucket| (store.region().clone(), bucket))
        })
        .map(|(region, bucket)| {
            serde_json::json!({
                "region": region,
                "name": bucket.name,
                "versioning": bucket.versioning(),
            })
        })
        .chain(sky.azure.iter().flat_map(|account| {
            account.containers().into_iter().map(move |container| {
                serde_json::json!({
                    "region": account.region(),
                    "name": container.name,
                    "versioning": crate::store::Versioning::Off,
                })
            })
        }))
        .collect();
    Ok(Json(shown).into_response())
}

#[derive(Deserialize)]
struct KeyRequest {
    /// Where the key's `token_uri` is: an endpoint that speaks Google Cloud Storage.
    endpoint: String,
}

/// A service-account key file for Google's clients.
async fn service_account_key(
    State(sky): Sky,
    Query(request): Query<KeyRequest>,
) -> Result<Response, Failure> {
    let key = running(&sky)?
        .service_account_key(&request.endpoint)
        .await?;
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Ok((json, key.expose().to_owned()).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBucket {
    region: Region,
    name: String,
    #[serde(default)]
    versioned: bool,
}

/// Makes a bucket unless it exists.
async fn create_bucket(State(sky): Sky, Json(new): Json<NewBucket>) -> Result<Response, Failure> {
    running(&sky)?.create_bucket(&new.region, &new.name, new.versioned)?;
    Ok(StatusCode::CREATED.into_response())
}
