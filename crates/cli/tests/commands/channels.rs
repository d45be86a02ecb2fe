//! From a change in a bucket to its copy, through the cloud's own channel and without a sweep; against the clouds' protocols as
//! `skyfresh localsky` speaks them.

use crate::support::{Place, Ran, Running, eventually};
use async_trait::async_trait;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request};
use serde_json::{Value, json};
use skyfresh_channel::azure_queue::{AuthorizeAzure, AzureQueue};
use skyfresh_localsky::{BucketConfig, LocalSky, RegionConfig, ShapingProfile, SkyConfig};
use skyfresh_sky::{Attributes, ObjectKey, Region, Rng, SystemClock};
use skyfresh_store::azure::{AzureConfig, AzureCredentialSource, AzureCredentials, AzureStore};
use skyfresh_store::gcs::{GcsConfig, GcsStore, GoogleCredentialSource};
use skyfresh_store::service::{Limits, ServiceClient};
use skyfresh_store::{ObjectStore, Precondition, PutOptions, Result, single_chunk};
use std::sync::Arc;
use std::time::Duration;

/// One region with the bucket `data`.
async fn sky(region: &Region, change: impl FnOnce(&mut SkyConfig)) -> LocalSky {
    let region = RegionConfig {
        buckets: vec![BucketConfig {
            name: "data".into(),
            versioned: false,
        }],
        ..RegionConfig::in_memory(region.clone())
    };
    let mut config = SkyConfig {
        regions: vec![region],
        shaping: ShapingProfile::unshaped(),
        ..SkyConfig::default()
    };
    change(&mut config);
    let started = LocalSky::start(config, Arc::new(SystemClock), Rng::seeded(1)).await;
    started.unwrap()
}

async fn call(method: Method, url: &str, token: Option<&str>, body: Value) -> Value {
    let mut request = Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = match body.is_null() {
        true => Bytes::new(),
        false => body.to_string().into(),
    };
    let request = request
        .header("content-length", body.len())
        .body(body)
        .unwrap();
    let limits = Limits {
        wait: Duration::from_secs(60),
        answer_bytes: 1 << 20,
    };
    let client = ServiceClient::new(false, Arc::new(SystemClock)).unwrap();
    let answer = client.send("test", url, request, limits).await.unwrap();
    let text = String::from_utf8_lossy(answer.body());
    assert!(answer.status().is_success(), "{url}: {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

async fn put(store: &dyn ObjectStore, key: &str) {
    let options = PutOptions {
        size: key.len() as u64,
        attributes: Attributes::default(),
        precondition: Precondition::None,
    };
    let body = single_chunk(key.to_owned());
    let key = ObjectKey::new(key).unwrap();
    store.put(&key, options, body).await.unwrap();
}

/// A daemon's configuration with one rule, which sweeps at the start and then once a day.
fn config(place: &Place, source: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [[rule]]\nname = \"models\"\nsource = \"{source}\"\nsweep_every = \"1d\"\n\
         [[rule.destination]]\nname = \"copy\"\nlocation = \"file://{}\"\n",
        place.path("dst").display()
    )
}

/// Serves the configuration; `store` is its source. What is put after the first sweep must come by the channel.
async fn comes_by_the_channel(place: &Place, running: Running, store: &dyn ObjectStore) {
    let ready: Value = serde_json::from_str(&running.first_line).unwrap();
    let url = ready["url"].as_str().unwrap();
    let status = || {
        let ran = place.run(&["status", "--json", "--server", url]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.json()[0].clone()
    };
    eventually("the first sweep", || {
        status()["destinations"][0]["sweep"].is_object() && place.path("dst/before").exists()
    });
    let before = status();
    assert_eq!(before["channels"][0]["accepted"], 0, "{before}");
    put(store, "after").await;
    eventually("what the channel told of", || {
        place.path("dst/after").exists()
    });
    assert_eq!(place.read("dst/after"), "after");
    eventually("the event on record", || {
        status()["channels"][0]["accepted"] == 1
    });
    let after = status();
    let sweep = |status: &Value| status["destinations"][0]["sweep"].clone();
    assert_eq!(sweep(&after), sweep(&before), "there was another sweep");
    let totals = &after["destinations"][0]["totals"];
    assert_eq!(totals["told_changes"], 1, "{after}");
    assert_eq!(running.end("-TERM").code, Some(0));
}

/// Everything that a project has in Pub/Sub, and its bucket's notification configurations.
async fn everything(url: &str, project: &str) -> Value {
    let mut all = json!({});
    for path in [
        &format!("/v1/projects/{project}/topics"),
        &format!("/v1/projects/{project}/subscriptions"),
        "/storage/v1/b/data/notificationConfigs",
    ] {
        all[path] = call(Method::GET, &format!("{url}{path}"), None, Value::Null).await;
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_wire_makes_on_google_is_pulled_and_unwired() {
    let region: Region = "gcp:us-central1".parse().unwrap();
    let sky = sky(&region, |config| config.google.anonymous = true).await;
    let url = sky.endpoint(None, &region);
    let place = Place::new();
    let google = |args: &[&str]| {
        let mut command = place.command(args);
        let host = url.strip_prefix("http://").unwrap();
        command
            .env("STORAGE_EMULATOR_HOST", host)
            .env("PUBSUB_EMULATOR_HOST", host);
        command
    };
    let run = |args: &[&str]| {
        let ran = Ran::new(google(args).output().unwrap());
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        ran.json()
    };
    let bucket = format!("{url}/storage/v1/b/data");
    let bucket = call(Method::GET, &bucket, None, Value::Null).await;
    let project = bucket["projectNumber"].as_str().unwrap().to_owned();
    // What others have there.
    let topic = format!("projects/{project}/topics/theirs");
    let theirs = [
        (Method::PUT, format!("/v1/{topic}"), json!({})),
        (
            Method::PUT,
            format!("/v1/projects/{project}/subscriptions/theirs"),
            json!({ "topic": topic }),
        ),
        (
            Method::POST,
            "/storage/v1/b/data/notificationConfigs".to_owned(),
            json!({ "topic": topic, "payload_format": "JSON_API_V1" }),
        ),
    ];
    for (method, path, body) in theirs {
        call(method, &format!("{url}{path}"), None, body).await;
    }
    let before = everything(&url, &project).await;

    let store = GcsStore::new(
        "gs://data/in/".parse().unwrap(),
        GcsConfig {
            endpoint: Some(url.clone()),
            credentials: GoogleCredentialSource::Anonymous,
            ..GcsConfig::default()
        },
        Arc::new(SystemClock),
        Rng::seeded(2),
    )
    .unwrap();
    put(&store, "before").await;
    let rule = config(&place, "gs://data/in/");
    place.write("skyfresh.toml", &rule);
    let wired = run(&["wire", "models", "--json"]);
    for resource in wired["resources"].as_array().unwrap() {
        assert_eq!(resource["action"], "created", "{wired}");
    }
    assert_ne!(everything(&url, &project).await, before);
    let again = run(&["wire", "models", "--json"]);
    assert_eq!(again["resources"][3]["action"], "unchanged", "{again}");

    place.write(
        "skyfresh.toml",
        rule + "\n" + wired["channel"].as_str().unwrap(),
    );
    let running = Running::start(google(&["serve", "--json"]));
    comes_by_the_channel(&place, running, &store).await;

    let unwired = run(&["unwire", "models", "--json"]);
    let removed = unwired["removed"].as_array().unwrap();
    assert_eq!(
        removed.len(),
        wired["resources"].as_array().unwrap().len(),
        "{unwired}"
    );
    assert_eq!(everything(&url, &project).await, before);
    sky.shutdown().await;
}

#[derive(Debug)]
struct Key(AzureCredentials);

#[async_trait]
impl AuthorizeAzure for Key {
    async fn authorize(&self, request: &mut Parts) -> Result<()> {
        self.0.authorize(request).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_event_grid_fills_is_pulled() {
    let region: Region = "azure:westeurope".parse().unwrap();
    let token = "a-token-of-an-owner";
    let sky = sky(&region, |config| {
        config.azure.bearer_token = Some(skyfresh_localsky::Secret::new(token));
    })
    .await;
    let url = sky.endpoint(None, &region);
    let queue_url = format!(
        "{}/skyfresh/changes",
        sky.find_queue_endpoint(None, &region).unwrap()
    );
    let connection = sky.azure_connection_string(None, &region).unwrap();
    let key = AzureCredentialSource::ConnectionString(connection.clone());
    let credentials = AzureCredentials::new("skyfresh", key.clone(), Arc::new(SystemClock));
    let queue = AzureQueue::new(
        &queue_url,
        Arc::new(Key(credentials.unwrap())),
        Arc::new(SystemClock),
    );
    queue.unwrap().create().await.unwrap();
    let subscription = format!(
        "{url}/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/skyfresh/providers/\
         Microsoft.EventGrid/eventSubscriptions/models?api-version=2022-06-15"
    );
    let destination = json!({ "endpointType": "StorageQueue", "properties": { "resourceId": "any", "queueName": "changes" } });
    let store = AzureStore::new(
        "az://skyfresh/data/in/".parse().unwrap(),
        AzureConfig {
            credentials: key,
            ..AzureConfig::default()
        },
        Arc::new(SystemClock),
        Rng::seeded(2),
    )
    .unwrap();
    put(&store, "before").await;
    let body = json!({ "properties": { "destination": destination } });
    call(Method::PUT, &subscription, Some(token), body).await;

    let place = Place::new();
    let endpoint = "\n[endpoint.near]\nazure_connection_string = \"${CONNECTION}\"\n";
    let channel = format!(
        "\n[[channel]]\nname = \"events\"\nazure_queue = \"{queue_url}\"\nendpoint = \"near\"\n"
    );
    let rule = config(&place, "az://skyfresh/data/in/?endpoint=near");
    place.write("skyfresh.toml", rule + endpoint + &channel);
    let mut serve = place.command(&["serve", "--json"]);
    serve.env("CONNECTION", &connection);
    comes_by_the_channel(&place, Running::start(serve), &store).await;
    sky.shutdown().await;
}
