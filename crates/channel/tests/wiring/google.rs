use crate::script::{Notebook, Script};
use serde_json::{Value, json};
use skyfresh_channel::wiring::google::{Google, Source, plan};
use skyfresh_channel::wiring::{Outcome, Plan, Push, Record, unwire, wire};
use skyfresh_sky::{Kind, ManualClock, Timestamp};

const TOPIC: &str = "projects/p/topics/skyfresh-models";
const AGENT: &str = "service-1@gs-project-accounts.iam.gserviceaccount.com";
const EVENTS: [&str; 4] = [
    "OBJECT_FINALIZE",
    "OBJECT_METADATA_UPDATE",
    "OBJECT_DELETE",
    "OBJECT_ARCHIVE",
];

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::ZERO)
}

fn google(script: &Script) -> Google<Script> {
    Google::at(
        script.clone(),
        "https://storage.test",
        "https://pubsub.test",
    )
}

fn planned(push: Option<Push>) -> Plan {
    let source = Source {
        rule: "models",
        bucket: "b",
        prefix: "in/",
        push,
    };
    plan(&source, "p", AGENT)
}

fn missing() -> Value {
    json!({ "error": { "code": 404, "status": "NOT_FOUND", "message": "no such thing" } })
}

fn at(method: &str, path: &str) -> String {
    format!("{method} https://pubsub.test/v1/{path}")
}

fn policy_of(topic: &str) -> String {
    at(
        "GET",
        &format!("{topic}:getIamPolicy?options.requestedPolicyVersion=3"),
    )
}

const CONFIGS: &str = "https://storage.test/storage/v1/b/b/notificationConfigs";
const SUBSCRIPTION: &str = "projects/p/subscriptions/skyfresh-models";

fn granted() -> Value {
    json!({ "etag": "e1", "bindings": [{ "role": "roles/pubsub.publisher", "members": [format!("serviceAccount:{AGENT}")] }] })
}

fn topic_there() -> Value {
    json!({ "name": TOPIC, "labels": { "skyfresh-rule": "models" } })
}

fn subscription_there() -> Value {
    json!({ "name": SUBSCRIPTION, "topic": TOPIC, "labels": { "skyfresh-rule": "models" }, "pushConfig": {} })
}

fn config_body() -> Value {
    json!({
        "topic": format!("//pubsub.googleapis.com/{TOPIC}"),
        "payload_format": "JSON_API_V1",
        "event_types": EVENTS,
        "custom_attributes": { "skyfresh-rule": "models" },
        "object_name_prefix": "in/",
    })
}

fn configs_there() -> Value {
    let mut ours = config_body();
    ours["id"] = "7".into();
    json!({ "items": [{ "id": "1", "topic": "//pubsub.googleapis.com/projects/p/topics/theirs" }, ours] })
}

async fn wired(script: &Script) -> Notebook {
    let subscription = json!({
        "topic": TOPIC, "labels": { "skyfresh-rule": "models" }, "ackDeadlineSeconds": 60,
        "messageRetentionDuration": "604800s", "expirationPolicy": {},
    });
    let not_yet = "The service account does not have permission to publish messages to the topic";
    script
        .on(&at("GET", TOPIC), 404, missing())
        .on(&policy_of(TOPIC), 404, missing())
        .on(&at("GET", SUBSCRIPTION), 404, missing())
        .on(&format!("GET {CONFIGS}"), 200, json!({ "items": [] }))
        .with(
            &at("PUT", TOPIC),
            json!({ "labels": { "skyfresh-rule": "models" } }),
            200,
            topic_there(),
        )
        .on(&policy_of(TOPIC), 200, json!({ "etag": "e0" }))
        .with(
            &at("POST", &format!("{TOPIC}:setIamPolicy")),
            json!({ "policy": { "etag": "e0", "bindings": granted()["bindings"] } }),
            200,
            granted(),
        )
        .with(
            &at("PUT", SUBSCRIPTION),
            subscription,
            200,
            subscription_there(),
        )
        // The right to publish is not known everywhere at once.
        .with(
            &format!("POST {CONFIGS}"),
            config_body(),
            400,
            json!({ "error": { "code": 400, "message": not_yet } }),
        )
        .with(
            &format!("POST {CONFIGS}"),
            config_body(),
            200,
            json!({ "id": "7" }),
        );
    let notes = Notebook::default();
    let record = Record::new("models", "gs://b/in/");
    let wired = wire(&google(script), &planned(None), record, &notes, &clock())
        .await
        .unwrap();
    assert_eq!(wired.outcomes, [Outcome::Created; 4]);
    let last = wired.record.entries.last().unwrap();
    assert_eq!(last.name, "projects/_/buckets/b/notificationConfigs/7");
    script.is_over();
    notes
}

fn everything_there(script: &Script) {
    script
        .on(&at("GET", TOPIC), 200, topic_there())
        .on(&policy_of(TOPIC), 200, granted())
        .on(&at("GET", SUBSCRIPTION), 200, subscription_there())
        .on(&format!("GET {CONFIGS}"), 200, configs_there());
}

#[tokio::test]
async fn a_channel_is_created_once_and_removed_to_the_last() {
    let script = Script::default();
    let notes = wired(&script).await;
    everything_there(&script);
    let again = wire(
        &google(&script),
        &planned(None),
        notes.record(),
        &notes,
        &clock(),
    )
    .await
    .unwrap();
    assert_eq!(again.outcomes, [Outcome::Unchanged; 4]);
    script.is_over();
    script
        .on(&format!("GET {CONFIGS}"), 200, configs_there())
        .on(&format!("DELETE {CONFIGS}/7"), 204, Value::Null)
        .on(&at("GET", SUBSCRIPTION), 200, subscription_there())
        .on(&at("DELETE", SUBSCRIPTION), 200, json!({}))
        .on(&policy_of(TOPIC), 200, granted())
        .on(&policy_of(TOPIC), 200, granted())
        .with(
            &at("POST", &format!("{TOPIC}:setIamPolicy")),
            json!({ "policy": { "etag": "e1", "bindings": [] } }),
            200,
            json!({}),
        )
        .on(&at("GET", TOPIC), 200, topic_there())
        .on(&at("DELETE", TOPIC), 200, json!({}));
    let (unwired, left) = unwire(&google(&script), notes.record(), &notes)
        .await
        .unwrap();
    assert_eq!((unwired.removed.len(), left.entries.len()), (4, 0));
    script.is_over();
}

#[tokio::test]
async fn what_was_there_is_used_and_left() {
    let script = Script::default();
    everything_there(&script);
    let notes = Notebook::default();
    let record = Record::new("models", "gs://b/in/");
    let wired = wire(&google(&script), &planned(None), record, &notes, &clock())
        .await
        .unwrap();
    assert_eq!(wired.outcomes, [Outcome::Found; 4]);
    let (unwired, _) = unwire(&google(&script), notes.record(), &notes)
        .await
        .unwrap();
    assert_eq!((unwired.removed.len(), unwired.left.len()), (0, 4));
    script.is_over();
}

#[tokio::test]
async fn a_push_subscription_where_one_is_pulled_is_a_difference() {
    let script = Script::default();
    let push = Push {
        url: "https://skyfresh.test/v1/notify/pubsub".into(),
        service_account: "push@p.iam.gserviceaccount.com".into(),
        audience: "https://skyfresh.test/v1/notify/pubsub".into(),
    };
    script
        .on(&at("GET", TOPIC), 200, topic_there())
        .on(&policy_of(TOPIC), 200, granted())
        .on(&at("GET", SUBSCRIPTION), 200, subscription_there());
    let record = Record::new("models", "gs://b/in/");
    let stopped = wire(
        &google(&script),
        &planned(Some(push)),
        record,
        &Notebook::default(),
        &clock(),
    )
    .await;
    let error = stopped.unwrap_err().error;
    assert_eq!(error.kind, Kind::Precondition);
    assert!(error.to_string().contains("it is pulled"), "{error}");
    script.is_over();
}

#[tokio::test]
async fn projects_agents_and_listeners_are_read() {
    let script = Script::default();
    script
        .on("GET https://storage.test/storage/v1/b/b?fields=projectNumber", 200, json!({ "projectNumber": "1" }))
        .on("GET https://storage.test/storage/v1/projects/1/serviceAccount", 200, json!({ "email_address": AGENT }))
        .on(&format!("GET {CONFIGS}"), 200, configs_there())
        .on(&format!("GET {CONFIGS}"), 403, json!({ "error": { "code": 403, "message": "x does not have storage.buckets.get access", "errors": [{ "reason": "forbidden" }] } }));
    let google = google(&script);
    assert_eq!(google.project_of("b").await.unwrap(), "1");
    assert_eq!(google.service_agent("1").await.unwrap(), AGENT);
    let topics = google.listeners("b", "in/deeper/").await.unwrap();
    assert_eq!(topics, ["projects/p/topics/theirs", TOPIC]);
    let error = google.listeners("b", "").await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_deref()),
        (Kind::Denied, Some("forbidden"))
    );
    script.is_over();
}
