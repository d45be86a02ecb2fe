//! Views over a real file, by HTTP without a socket; a crash is a service that is dropped without a word.

use super::*;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use skyfresh_sky::{ManualClock, Rng, SystemClock, Timestamp, timeout};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

const CONFIG: &str = r#"
[[view]]
name = "carts"
key = "user_id"
source = "clicks"
ttl_s = 600.0
[view.function]
kind = "window-aggregates"
column = "price"
window_s = 3600.0
aggregates = ["count", "sum", "last"]

[[view]]
name = "profile"
key = "user_id"
features = ["age", "city"]

[[view]]
name = "rate"
key = "user_id"
source = "clicks"
[view.function]
kind = "exponential-mean"
column = "price"
half_life_s = 60.0

[[feature_service]]
name = "cart_model"
features = ["carts:price_sum", "profile:city"]
"#;

/// 2026-11-27T00:00:00Z.
const START_S: u64 = 1_795_737_600;

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_unix_ms(START_S * 1_000))
}

fn open(folder: &Path, clock: &ManualClock) -> Arc<Service> {
    let store = Store::open(&folder.join("features.redb")).unwrap();
    let config = FeaturesConfig::parse(CONFIG).unwrap();
    let service = Service::open(config, store, Arc::new(clock.clone()), &Rng::seeded(1));
    Arc::new(service.unwrap())
}

async fn call(service: &Arc<Service>, path: &str, body: Value) -> (StatusCode, HeaderMap, Value) {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = router(Arc::clone(service)).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    (parts.status, parts.headers, body)
}

async fn push(service: &Arc<Service>, user: u64, price: f64, at_s: u64) {
    let body = json!({"push_source_name": "clicks", "to": "online", "df": {
        "user_id": [user], "event_timestamp": [at_s], "price": [price]
    }});
    let (status, _, body) = call(service, "/push", body).await;
    assert_eq!(
        (status, body),
        (StatusCode::OK, Value::Null),
        "an empty body"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_computed_and_answered_as_feast_does() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let service = open(folder.path(), &clock);
    push(&service, 7, 2.0, START_S - 20).await;
    push(&service, 7, 3.5, START_S - 10).await;
    assert_eq!(
        service.update(100).unwrap(),
        2,
        "one key in each of two views"
    );
    let asked = json!({"features": ["carts:price_sum", "carts:price_count"], "entities": {"user_id": [7, 8]}});
    let (status, headers, body) = call(&service, "/get-online-features", asked).await;
    assert_eq!(status, StatusCode::OK);
    let epoch = "1970-01-01T00:00:00Z";
    let statuses = json!(["PRESENT", "NOT_FOUND"]);
    let times = json!(["2026-11-26T23:59:50Z", epoch]);
    let expected = json!({
        "metadata": {"feature_names": ["user_id", "price_sum", "price_count"]},
        "results": [
            {"values": [7, 8], "statuses": ["PRESENT", "PRESENT"], "event_timestamps": [epoch, epoch]},
            {"values": [5.5, null], "statuses": statuses, "event_timestamps": times},
            {"values": [2, null], "statuses": statuses, "event_timestamps": times},
        ]
    });
    assert_eq!(body, expected);
    assert_eq!(headers["x-skyfresh-feature-ids"], "carts/1/7,carts/0/8");
    // By service, with full names; a feature past its time is not served.
    clock.advance(Duration::from_secs(600));
    let asked = json!({"feature_service": "cart_model", "entities": {"user_id": [7]}, "full_feature_names": true});
    let (_, _, body) = call(&service, "/get-online-features", asked).await;
    assert_eq!(
        body["metadata"]["feature_names"],
        json!(["user_id", "carts__price_sum", "profile__city"])
    );
    assert_eq!(body["results"][1]["statuses"], json!(["OUTSIDE_MAX_AGE"]));
    assert_eq!(body["results"][1]["values"], json!([null]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_feature_never_replaces_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let service = open(folder.path(), &clock());
    for (city, at) in [
        ("Bern", "2026-11-02 00:00:00"),
        ("Rome", "2026-11-01 00:00:00"),
    ] {
        let body = json!({"feature_view_name": "profile", "df": {
            "user_id": ["a"], "event_timestamp": [at], "city": [city], "age": [3]
        }});
        let (status, _, _) = call(&service, "/write-to-online-store", body).await;
        assert_eq!(status, StatusCode::OK);
    }
    let row = service.store.get("profile", "a").unwrap().unwrap();
    assert_eq!(row.features["city"], "Bern");
    let again = json!({"feature_view_name": "profile", "df": {
        "user_id": ["a", "a"], "event_timestamp": ["2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z"], "city": ["Oslo", null]
    }});
    call(&service, "/write-to-online-store", again).await;
    let row = service.store.get("profile", "a").unwrap().unwrap();
    assert_eq!((&row.features["city"], row.version), (&Value::Null, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let service = open(folder.path(), &clock);
    push(&service, 1, 1.0, START_S).await;
    service.update(100).unwrap();
    push(&service, 1, 10.0, START_S + 1).await;
    push(&service, 2, 5.0, START_S + 1).await;
    let report = json!({"query_id": "q1", "feature_id": "carts/1/1", "error": 2.5});
    let (_, _, body) = call(&service, "/feedback", report.clone()).await;
    assert_eq!(body, json!({"accepted": true}));
    let errors = |service: &Arc<Service>| service.status()[0].schedule.feedback;
    assert_eq!(errors(&service), 1);
    drop(service);

    let service = open(folder.path(), &clock);
    let status = service.status();
    assert_eq!(
        (status[0].schedule.pending, status[0].without_feature),
        (2, 1)
    );
    assert_eq!(errors(&service), 1, "feedback is taken up again");
    // The view that judges itself finds its own errors again, too: the mean of 1 was no forecast of 10.
    assert_eq!(status[2].schedule.feedback, 1);
    let (_, _, body) = call(&service, "/feedback", report).await;
    assert_eq!(
        body,
        json!({"accepted": false}),
        "the same query counts once"
    );
    service.update(100).unwrap();
    let row = service.store.get("carts", "1").unwrap().unwrap();
    assert_eq!(
        (row.features["price_sum"].as_f64(), row.version, row.records),
        (Some(11.0), 2, 2)
    );
    assert_eq!(service.update(100).unwrap(), 0, "nothing is counted twice");
    drop(service);
    let service = open(folder.path(), &clock);
    assert_eq!(service.status()[0].schedule.pending, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let service = open(folder.path(), &clock());
    for (path, body, status, why) in [
        ("/push", json!({"df": {}}), 422, "Field required"),
        (
            "/push",
            json!({"push_source_name": "clicks", "df": {"user_id": [1]}}),
            422,
            "event_timestamp",
        ),
        (
            "/push",
            json!({"push_source_name": "clicks", "df": {"user_id": [1], "event_timestamp": ["noon"]}}),
            422,
            "no time",
        ),
        (
            "/push",
            json!({"push_source_name": "clicks", "df": {}, "to": "offline"}),
            501,
            "offline",
        ),
        (
            "/write-to-online-store",
            json!({"feature_view_name": "carts", "df": {"user_id": [1], "event_timestamp": [1]}}),
            422,
            "push data",
        ),
        (
            "/feedback",
            json!({"query_id": "q", "feature_id": "carts", "error": 1}),
            422,
            "view/version/key",
        ),
        (
            "/feedback",
            json!({"query_id": "q", "feature_id": "carts/1/1", "error": -1}),
            422,
            "0 or above",
        ),
    ] {
        let (told, _, answer) = call(&service, path, body.clone()).await;
        assert_eq!(told.as_u16(), status, "{body}: {answer}");
        assert!(answer.to_string().contains(why), "{body}: {answer}");
    }
    for path in ["/health", "/metrics", "/status"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(Arc::clone(&service)).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
}

#[test]
fn an_id_is_read_as_it_is_written_whatever_the_key() {
    for key in ["7", "a,b/c", "Zürich \u{1f6d2}", ""] {
        let id = FeatureId {
            view: "carts".into(),
            version: 3,
            key: key.into(),
        };
        let text = id.to_string();
        assert!(text.is_ascii() && !text.contains([',', ' ']), "{text}");
        assert_eq!(text.parse::<FeatureId>().unwrap(), id);
    }
}

#[test]
fn a_wrong_configuration_names_the_view() {
    let parse = |text: &str| FeaturesConfig::parse(text).unwrap_err().to_string();
    let view = "[[view]]\nname = \"v\"\nkey = \"k\"\n";
    assert!(parse(view).contains("either a function"));
    assert!(parse("[[view]]\nname = \"a b\"\nkey = \"k\"\nfeatures = [\"x\"]").contains("letters"));
    assert!(
        parse(&format!("{view}features = [\"x\"]\nupdates_per_s = 0.0")).contains("updates_per_s")
    );
    assert!(parse(&format!("{view}features = [\"x\"]\nodd = 1")).contains("odd"));
    let function =
        "[view.function]\nkind = \"exponential-mean\"\ncolumn = \"c\"\nhalf_life_s = -1.0";
    assert!(parse(&format!("{view}{function}")).contains("half_life_s"));
    let schedule = "features = [\"x\"]\n[view.schedule]\nreserve = 2.0";
    assert!(parse(&format!("{view}{schedule}")).contains("reserve"));
}

#[test]
fn writes_of_one_key_at_once_get_versions_of_their_own() {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("history");
    let text = format!("history = {:?}\n{CONFIG}", directory.display().to_string());
    let config = FeaturesConfig::parse(&text).unwrap();
    let store = Store::open(&folder.path().join("features.redb")).unwrap();
    let service = Service::open(config, store, Arc::new(clock()), &Rng::seeded(1)).unwrap();
    let event = |age: usize| {
        let columns = [("age".to_owned(), age.into())].into_iter().collect();
        let event = crate::function::Event { at_ms: 7, columns };
        ("a".to_owned(), event)
    };
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (service, event) = (&service, &event);
            scope.spawn(move || {
                for write in 0..WRITES {
                    let age = writer * WRITES + write;
                    service.write("profile", vec![event(age)]).unwrap();
                }
            });
        }
    });
    service.export_history().unwrap();
    let (mut versions, mut ages) = (Vec::new(), Vec::new());
    read_history(&directory, |written| {
        versions.push(written.version as usize);
        ages.push(written.features["age"].as_u64().unwrap() as usize);
    })
    .unwrap();
    let all = WRITERS * WRITES;
    assert_eq!(versions, (1..=all).collect::<Vec<_>>());
    let last = *ages.last().unwrap();
    ages.sort_unstable();
    assert_eq!(ages, (0..all).collect::<Vec<_>>(), "none is lost");
    let row = service.store.get("profile", "a").unwrap().unwrap();
    assert_eq!((row.version as usize, row.records as usize), (all, all));
    assert_eq!(row.features["age"], last, "the last one written stays");
    // One call with several rows of a key numbers them in their order.
    service
        .write("profile", vec![event(900), event(901)])
        .unwrap();
    let row = service.store.get("profile", "a").unwrap().unwrap();
    assert_eq!(row.version as usize, all + 2);
    assert_eq!(row.features["age"], 901);
}

#[test]
fn a_cold_read_blocks_no_thread_that_serves() {
    let folder = tempfile::tempdir().unwrap();
    // One thread that serves, one that may block: while that is taken, only what needs none is answered.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let service = open(folder.path(), &clock());
    for (key, at_ms) in [("cold", 1), ("warm", 2)] {
        let event = crate::function::Event {
            at_ms,
            columns: Default::default(),
        };
        service
            .write("profile", vec![(key.to_owned(), event)])
            .unwrap();
    }
    drop(service);
    let service = open(folder.path(), &clock());
    let ask = async |key: &str| {
        let body = json!({"features": ["profile:age"], "entities": {"user_id": [key]}});
        let (status, _, body) = call(&service, "/get-online-features", body).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body["results"][1]["statuses"], json!(["PRESENT"]));
    };
    runtime.block_on(async {
        ask("warm").await;
        let (release, held) = std::sync::mpsc::channel::<()>();
        let blocker = tokio::task::spawn_blocking(move || held.recv());
        ask("warm").await;
        let soon = Duration::from_millis(100);
        let waits = timeout(&SystemClock, soon, ask("cold")).await;
        assert!(waits.is_none(), "it was read on the thread that serves");
        release.send(()).unwrap();
        blocker.await.unwrap().unwrap();
        ask("cold").await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_of_ids_is_bounded_and_has_whole_ids() {
    let folder = tempfile::tempdir().unwrap();
    let service = open(folder.path(), &clock());
    let ids = async |keys: Vec<String>| {
        let asked =
            json!({"features": ["profile:age", "carts:price_sum"], "entities": {"user_id": keys}});
        let (status, headers, body) = call(&service, "/get-online-features", asked).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            body["results"].as_array().unwrap().len(),
            3,
            "it is answered"
        );
        let text = headers.get("x-skyfresh-feature-ids");
        text.map(|text| text.to_str().unwrap().to_owned())
    };
    let small = ids((0..150).map(|key| key.to_string()).collect()).await;
    let small = small.unwrap();
    assert_eq!(small.split(',').count(), 100);
    assert!(small.split(',').all(|id| id.starts_with("profile/0/")));
    // 300 characters of three bytes, percent-encoded: 2,700 each.
    let large: Vec<String> = (0..3)
        .map(|key| format!("{key}{}", "€".repeat(300)))
        .collect();
    let told = ids(large.clone()).await.unwrap();
    assert!(told.len() <= 4_096, "{}", told.len());
    let told: Vec<FeatureId> = told.split(',').map(|id| id.parse().unwrap()).collect();
    assert_eq!((told.len(), &told[0].key), (1, &large[0]));
    assert_eq!(ids(vec!["x".repeat(5_000), "y".into()]).await, None);
}
