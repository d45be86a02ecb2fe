//! Where notifications arrive: those of the source go to the engine, those of the destination say what was published.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;
use skyfresh_engine::Engine;
use skyfresh_sky::ObjectVersion;
use std::sync::{Arc, Mutex};

/// One object that became readable at the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) key: String,
    pub(crate) version: ObjectVersion,
    /// Grows with every change of a key.
    sequencer: String,
}

/// What came in, and who is told.
#[derive(Debug, Default)]
pub(crate) struct Webhook {
    engine: Mutex<Option<Arc<Engine>>>,
    published: Mutex<Vec<Publish>>,
}

impl Webhook {
    /// Tells this engine of changes of the source from now on, or nobody: then they are refused, and come again.
    pub(crate) fn tell(&self, engine: Option<&Arc<Engine>>) {
        *self.engine.lock().unwrap() = engine.cloned();
    }

    /// What was published of a key, in the order in which it happened.
    pub(crate) fn published(&self, key: &str) -> Vec<Publish> {
        let published = self.published.lock().unwrap();
        let mut of_key: Vec<_> = published
            .iter()
            .filter(|publish| publish.key == key)
            .cloned()
            .collect();
        of_key.sort_by(|a, b| a.sequencer.cmp(&b.sequencer));
        of_key
    }

    /// Serves on a free port; answers `http://host:port`.
    pub(crate) async fn serve(self: &Arc<Self>) -> String {
        let router = Router::new()
            .route("/source", post(source_changed))
            .route("/target", post(target_changed))
            .with_state(Arc::clone(self));
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(socket, router).await.unwrap() });
        url
    }
}

async fn source_changed(State(webhook): State<Arc<Webhook>>, body: Bytes) -> StatusCode {
    let engine = webhook.engine.lock().unwrap().clone();
    let Some(engine) = engine else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    match engine.notify(None, &body).await {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn target_changed(State(webhook): State<Arc<Webhook>>, body: Bytes) -> StatusCode {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut published = webhook.published.lock().unwrap();
    for record in body["Records"].as_array().unwrap() {
        let object = &record["s3"]["object"];
        if text(&record["eventName"]).starts_with("ObjectCreated") {
            published.push(Publish {
                key: text(&object["key"]),
                version: ObjectVersion {
                    etag: text(&object["eTag"]),
                    version_id: object["versionId"].as_str().map(str::to_owned),
                },
                sequencer: text(&object["sequencer"]),
            });
        }
    }
    StatusCode::OK
}
