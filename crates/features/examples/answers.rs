//! How long an answer takes in this process alone, without sockets: nanoseconds for each request of 1 and of 100 entities with 50 features.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::json;
use skyfresh_features::function::Event;
use skyfresh_features::service::{FeaturesConfig, Service, Store, router};
use skyfresh_sky::{Clock, Rng, SystemClock};
use std::sync::Arc;
use tower::ServiceExt;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const FEATURES: usize = 50;
const ENTITIES: usize = 1_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let names: Vec<String> = (0..FEATURES).map(|index| format!("f{index}")).collect();
    let config = format!(
        "[[view]]\nname = \"measured\"\nkey = \"user_id\"\nfeatures = {names:?}\n[view.types]\nuser_id = \"Int64\"\n"
    );
    let store = Store::open(&folder.path().join("features.redb"))?;
    let config = FeaturesConfig::parse(&config)?;
    let service = Service::open(config, store, Arc::new(SystemClock), &Rng::seeded(1))?;
    let event = |entity: usize| {
        let value = |(index, name): (usize, &String)| {
            (name.clone(), json!((entity * 31 + index) as f64 / 7.0))
        };
        let columns = names.iter().enumerate().map(value).collect();
        let at_ms = 1_795_000_000_000;
        (entity.to_string(), Event { at_ms, columns })
    };
    service.write("measured", (0..ENTITIES).map(event).collect())?;
    let router = router(Arc::new(service));
    let asked: Vec<String> = names
        .iter()
        .map(|name| format!("measured:{name}"))
        .collect();
    for (entities, requests) in [(1, 200_000), (100, 10_000)] {
        let body = |from: usize| {
            let users: Vec<usize> = (0..entities).map(|i| (from * 7 + i) % ENTITIES).collect();
            json!({"features": asked, "entities": {"user_id": users}}).to_string()
        };
        let bodies: Vec<String> = (0..ENTITIES).map(body).collect();
        // The first turn is not counted.
        for count in [ENTITIES, requests] {
            let begun_ns = SystemClock.monotonic_ns();
            let mut bytes = 0;
            for number in 0..count {
                let body = Body::from(bodies[number % ENTITIES].clone());
                let request = Request::post("/get-online-features").body(body)?;
                let response = router.clone().oneshot(request).await?;
                bytes += to_bytes(response.into_body(), usize::MAX).await?.len();
            }
            let took_ns = (SystemClock.monotonic_ns() - begun_ns) / count as u64;
            if count == requests {
                let bytes = bytes / count;
                println!(
                    "{}",
                    json!({"entities": entities, "features": FEATURES, "ns": took_ns, "bytes": bytes})
                );
            }
        }
    }
    Ok(())
}
