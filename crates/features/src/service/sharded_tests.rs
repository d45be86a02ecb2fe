//! Shards in one process: answers are those of one process with one shard.

use super::*;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use proptest::prelude::*;
use serde_json::{Value, json};
use skyfresh_sky::{Clock, ManualClock, Rng, Timestamp};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

/// Views of one source by two keys, one that judges itself, and one whose features come ready.
const VIEWS: &str = r#"
[[view]]
name = "users"
key = "user"
source = "clicks"
[view.function]
kind = "window-aggregates"
column = "price"
window_s = 1e6
aggregates = ["count", "sum", "last"]
[[view]]
name = "items"
key = "item"
source = "clicks"
[view.function]
kind = "exponential-mean"
column = "price"
half_life_s = 60.0
[[view]]
name = "profile"
key = "user"
features = ["age", "note"]
"#;

/// Seconds since 1970 at which events begin.
pub(super) const START_S: u64 = 1_795_737_600;

pub(super) fn service(folder: &Path, sharding: &str, clock: Arc<dyn Clock>) -> Arc<Service> {
    let config = FeaturesConfig::parse(&format!("{sharding}\n{VIEWS}")).unwrap();
    let store = Store::open(&folder.join("features.redb")).unwrap();
    Arc::new(Service::open(config, store, clock, &Rng::seeded(1)).unwrap())
}

/// The status, the header of ids, and the body.
pub(super) type Told = (u16, String, String);

pub(super) async fn call(service: &Arc<Service>, path: &str, body: &Value) -> Told {
    let request = Request::post(path)
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = router(Arc::clone(service)).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let ids = parts.headers.get("x-skyfresh-feature-ids");
    let ids = ids.map_or("", |ids| ids.to_str().unwrap()).to_owned();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (parts.status.as_u16(), ids, body)
}

/// What clients do.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Push(Vec<(u8, u8, u8)>),
    Write(Vec<(u8, u8)>),
    Feedback {
        user: u8,
        version: u32,
        query: u8,
    },
    /// Everything that waits is updated.
    Update,
    Ask(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let rows = |most| 1..=most;
    prop_oneof![
        prop::collection::vec((0..12u8, 0..5u8, 0..50u8), rows(6)).prop_map(Step::Push),
        prop::collection::vec((0..12u8, 0..9u8), rows(4)).prop_map(Step::Write),
        (0..12u8, 0..3u32, 0..9u8).prop_map(|(user, version, query)| Step::Feedback {
            user,
            version,
            query
        }),
        Just(Step::Update),
        prop::collection::vec(0..14u8, rows(8)).prop_map(Step::Ask),
    ]
}

/// The request of a step; `None` for an update.
pub(super) fn request(step: &Step, at_s: u64) -> Option<(&'static str, Value)> {
    let user = |user: u8| format!("user-{user}");
    Some(match step {
        Step::Update => return None,
        Step::Push(rows) => {
            let df = json!({
                "user": rows.iter().map(|row| user(row.0)).collect::<Vec<_>>(),
                "item": rows.iter().map(|row| row.1).collect::<Vec<_>>(),
                "price": rows.iter().map(|row| f64::from(row.2) / 4.0).collect::<Vec<_>>(),
                "event_timestamp": vec![at_s; rows.len()],
            });
            ("/push", json!({"push_source_name": "clicks", "df": df}))
        }
        Step::Write(rows) => {
            let df = json!({
                "user": rows.iter().map(|row| user(row.0)).collect::<Vec<_>>(),
                "age": rows.iter().map(|row| row.1).collect::<Vec<_>>(),
                "note": vec![json!(["€", 1.5, null, -0.0, 1e16]); rows.len()],
                // Some are older than what is there.
                "event_timestamp": rows.iter().map(|row| at_s - u64::from(row.1)).collect::<Vec<_>>(),
            });
            (
                "/write-to-online-store",
                json!({"feature_view_name": "profile", "df": df}),
            )
        }
        Step::Feedback {
            user: key,
            version,
            query,
        } => {
            let id = format!("users/{version}/{}", user(*key));
            // A query is of one key: its errors are known where the key is.
            let query_id = format!("{query}-{id}");
            (
                "/feedback",
                json!({"query_id": query_id, "feature_id": id, "error": 0.5}),
            )
        }
        Step::Ask(users) => {
            let features = [
                "users:price_sum",
                "items:price_mean",
                "profile:age",
                "users:price_count",
                "profile:note",
            ];
            let entities = json!({
                "user": users.iter().map(|key| user(*key)).collect::<Vec<_>>(),
                "item": users.iter().map(|key| key % 5).collect::<Vec<_>>(),
            });
            (
                "/get-online-features",
                json!({"features": features, "entities": entities}),
            )
        }
    })
}

/// Sums over views that must not depend on how keys are divided.
pub(super) fn sums(services: &[&Arc<Service>]) -> Vec<(String, usize, u64, u64, u64)> {
    let mut all: Vec<(String, usize, u64, u64, u64)> = Vec::new();
    for status in services.iter().flat_map(|service| service.status()) {
        let schedule = status.schedule;
        let told = (schedule.pending, schedule.queries, schedule.feedback);
        match all.iter_mut().find(|sum| sum.0 == status.view) {
            Some(sum) => {
                sum.1 += status.keys;
                (sum.2, sum.3, sum.4) = (sum.2 + told.0, sum.3 + told.1, sum.4 + told.2);
            }
            None => all.push((status.view, status.keys, told.0, told.1, told.2)),
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn sharded_answers_equal_unsharded_answers(
        steps in prop::collection::vec(step(), 1..20),
        shards in 2..6u32,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let clock = ManualClock::at(Timestamp::from_unix_ms(START_S * 1_000));
            let (one, several) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let whole = service(one.path(), "", Arc::new(clock.clone()));
            let divided = format!("[sharding]\nshards = {shards}");
            let mut sharded = service(several.path(), &divided, Arc::new(clock.clone()));
            for (number, step) in steps.iter().enumerate() {
                clock.advance(Duration::from_secs(1));
                match request(step, START_S + number as u64) {
                    Some((path, body)) => {
                        let (expected, told) = (call(&whole, path, &body).await, call(&sharded, path, &body).await);
                        prop_assert_eq!(&told, &expected, "{} {}", path, body);
                        prop_assert_eq!(told.0, 200);
                    }
                    None => {
                        let all = whole.update(1_000).unwrap();
                        prop_assert_eq!(sharded.update(1_000).unwrap(), all);
                    }
                }
                prop_assert_eq!(sums(&[&sharded]), sums(&[&whole]));
            }
            // A start with another number of shards takes everything up.
            drop(sharded);
            sharded = service(several.path(), "[sharding]\nshards = 9", Arc::new(clock.clone()));
            prop_assert_eq!(sharded.update(1_000).unwrap(), whole.update(1_000).unwrap());
            let (path, body) = request(&Step::Ask((0..14).collect()), START_S).unwrap();
            prop_assert_eq!(call(&sharded, path, &body).await, call(&whole, path, &body).await);
            Ok(())
        })?;
    }
}
