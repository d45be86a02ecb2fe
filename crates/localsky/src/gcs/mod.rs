//! Google Cloud Storage on a region's store: the JSON API, the XML API, Pub/Sub and a token endpoint.
//!
//! **In:** HTTP requests of one port, already shaped, counted and past the faults (`crate::net`).
//! **Out:** what Google would answer, by the JSON API v1 and XML API references; messages on Pub/Sub topics.
//! **Never:** evaluates a condition at any other moment than under the lock that publishes; accepts a wrong credential.
//!
//! Deliberately absent: access control lists and IAM conditions beyond one account, HMAC keys and signed URLs, soft
//! delete, holds and retention, encryption keys, requester pays, batch requests, folders, gRPC. Resumable sessions,
//! rewrites under way and Pub/Sub live in memory: they end with the process, also where objects lie on disk.

mod answer;
mod auth;
mod buckets;
mod change;
mod compose;
mod conditions;
mod config;
mod copy;
mod error;
mod identity;
mod insert;
mod list;
mod names;
mod notification_configs;
mod notify;
mod pubsub;
mod read;
mod related;
mod request;
mod resource;
mod resumable;
mod writes;
mod xml;

pub use config::{GoogleConfig, REWRITE_BYTES_PER_CALL};

use crate::meter::PortCounters;
use crate::net::Refusal;
use crate::notify::Notifications;
use crate::store::RegionStore;
use answer::Answer;
use error::{Failure, Format, Result};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use request::{ObjectName, Query, Route, header};
use s3s::Body;
use skyfresh_sky::{Clock, Region, Rng};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use request::classify;

/// Longest body that is not an object: resources, lists of parts, messages.
const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// What all regions that speak Google Cloud Storage share.
#[derive(Debug)]
pub(crate) struct Google {
    config: GoogleConfig,
    clock: Arc<dyn Clock>,
    rng: Rng,
    notifications: Notifications,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Where the source of a copy may lie.
    stores: Vec<Arc<RegionStore>>,
    /// What copies between regions send, by pair.
    transfers: HashMap<(Region, Region), Arc<PortCounters>>,
    identity: identity::Identity,
    pubsub: pubsub::PubSub,
    writes: writes::RecentWrites,
}

/// What a sky lends to its Google side.
pub(crate) struct Ground {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Rng,
    pub(crate) notifications: Notifications,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Google {
    pub(crate) fn new(
        config: GoogleConfig,
        ground: Ground,
        stores: Vec<Arc<RegionStore>>,
        transfers: HashMap<(Region, Region), Arc<PortCounters>>,
    ) -> Arc<Self> {
        Arc::new(Google {
            identity: identity::Identity::new(ground.rng.fork()),
            pubsub: pubsub::PubSub::default(),
            writes: writes::RecentWrites::default(),
            config,
            clock: ground.clock,
            rng: ground.rng,
            notifications: ground.notifications,
            tasks: ground.tasks,
            stop: ground.stop,
            stores,
            transfers,
        })
    }

    /// A service-account key file whose `token_uri` is on `endpoint`. Makes the key on first use.
    pub(crate) async fn service_account_key(self: &Arc<Self>, endpoint: &str) -> Result<String> {
        let keys = self.identity.keys().await?;
        keys.service_account_key(&self.config.project, endpoint)
    }
}

/// One region's store as a Google Cloud Storage service. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Frontend {
    store: Arc<RegionStore>,
    google: Arc<Google>,
    sessions: Arc<resumable::Sessions>,
    rewrites: Arc<copy::Rewrites>,
}

/// What handlers know of a request besides its body.
#[derive(Debug)]
pub(crate) struct Context {
    /// `http://host`, as the client named it.
    base: String,
    method: Method,
    query: Query,
    headers: http::HeaderMap,
}

impl Frontend {
    pub(crate) fn new(store: Arc<RegionStore>, google: Arc<Google>) -> Self {
        Frontend {
            store,
            google,
            sessions: Arc::default(),
            rewrites: Arc::default(),
        }
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Answer {
        let (head, body) = request.into_parts();
        let route = Route::of(head.uri.path());
        let host = header(&head.headers, HOST.as_str()).unwrap_or("storage.googleapis.com");
        let context = Context {
            base: format!("http://{host}"),
            query: Query::of(&head.uri),
            method: head.method,
            headers: head.headers,
        };
        let format = match &route {
            route if route.is_xml() => Format::Xml,
            Route::Object(_) if context.query.get("alt") == Some("media") => Format::Text,
            _ => Format::Json,
        };
        let answered = async {
            if !matches!(route, Route::Token | Route::Certificates) {
                self.authorize(&context)?;
            }
            self.dispatch(route, &context, body).await
        };
        answered
            .await
            .unwrap_or_else(|failure: Failure| failure.response(format))
    }

    async fn dispatch(&self, route: Route, context: &Context, body: Body) -> Result<Answer> {
        match (route, &context.method) {
            (Route::Token, &Method::POST) => self.token(body).await,
            (Route::Certificates, &Method::GET) => self.certificates().await,
            (Route::PubSub(path), _) => self.pubsub(context, &path, body).await,
            (Route::ServiceAccount(project), &Method::GET) => Ok(self.service_account(&project)),
            (Route::Buckets, &Method::GET) => self.list_buckets(context),
            (Route::Buckets, &Method::POST) => self.insert_bucket(context, body).await,
            (Route::Bucket(name), _) => self.bucket_operation(context, &name, body).await,
            (Route::Objects(bucket), &Method::GET) => self.list_objects(context, &bucket),
            // Metadata alone cannot make an object, but an empty upload can: as on Google, through /upload only.
            (Route::Upload(bucket), _) => self.upload(context, &bucket, body).await,
            (Route::Object(name), _) => self.object_operation(context, &name, body).await,
            (Route::Compose(name), &Method::POST) => self.compose(context, &name, body).await,
            (Route::CopyTo(from, to), &Method::POST) => self.copy(context, &from, &to, body).await,
            (Route::RewriteTo(from, to), &Method::POST) => {
                self.rewrite(context, &from, &to, body).await
            }
            (Route::NotificationConfigs(bucket), _) => {
                self.notification_configs(context, &bucket, body).await
            }
            (Route::NotificationConfig(bucket, id), _) => {
                self.notification_config(context, &bucket, &id).await
            }
            (Route::XmlService, &Method::GET) => Ok(self.xml_buckets()),
            (Route::XmlBucket(bucket), _) => self.xml_bucket(context, &bucket, body).await,
            (Route::XmlObject(name), _) => self.xml_object(context, &name, body).await,
            (Route::Unknown, _) => Err(Failure::not_found("Not Found")),
            _ => Err(Failure::method_not_allowed()),
        }
    }

    async fn object_operation(
        &self,
        context: &Context,
        name: &ObjectName,
        body: Body,
    ) -> Result<Answer> {
        let conditions = conditions::Conditions::of_query(&context.query)?;
        let generation = conditions::number("generation", context.query.get("generation"))?;
        match context.method {
            Method::GET => self.get_object(context, name, generation, &conditions),
            Method::DELETE => {
                self.remove(context, name, generation, conditions).await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            }
            Method::PATCH | Method::PUT => {
                let resource = read_json(body).await?;
                let replace_all = context.method == Method::PUT;
                let changed = self
                    .change_metadata(
                        context,
                        name,
                        generation,
                        conditions,
                        move |attributes, google| {
                            resource::change(&resource, replace_all, attributes, google)
                        },
                    )
                    .await?;
                Ok(self.shown(context, name, &changed))
            }
            _ => Err(Failure::method_not_allowed()),
        }
    }

    /// The answer that is an object resource.
    fn shown(
        &self,
        context: &Context,
        name: &ObjectName,
        generation: &crate::store::Generation,
    ) -> Answer {
        let resource = resource::object(&context.base, &name.bucket, &name.key, generation);
        let mut answer = answer::json(&resource);
        answer::set(
            &mut answer,
            "etag",
            resource["etag"].as_str().unwrap_or_default(),
        );
        answer
    }
}

/// A body that is not an object.
pub(crate) async fn read_body(body: Body) -> Result<bytes::Bytes> {
    let limited = http_body_util::Limited::new(body, BODY_LIMIT_BYTES);
    let whole = limited
        .collect()
        .await
        .map_err(|error| Failure::invalid(format!("The body could not be read: {error}")))?;
    Ok(whole.to_bytes())
}

/// A body that is a resource; an empty one is null.
pub(crate) async fn read_json(body: Body) -> Result<serde_json::Value> {
    parse_json(&read_body(body).await?)
}

pub(crate) fn parse_json(text: &[u8]) -> Result<serde_json::Value> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(serde_json::Value::Null);
    }
    serde_json::from_slice(text).map_err(|error| {
        Failure::new(
            StatusCode::BAD_REQUEST,
            "parseError",
            "InvalidArgument",
            format!("Parse Error: {error}"),
        )
    })
}

fn refusal(failure: &Failure) -> Refusal {
    let mut headers = http::HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=UTF-8"),
    );
    Refusal {
        status: failure.status,
        headers,
        body: failure.json_text(),
    }
}

/// Google's throttling.
pub(crate) fn slow_down() -> Refusal {
    refusal(&Failure::rate_limited("The project"))
}

/// Google's failure.
pub(crate) fn internal_error() -> Refusal {
    refusal(&Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "backendError",
        "ServiceUnavailable",
        "Backend Error",
    ))
}
