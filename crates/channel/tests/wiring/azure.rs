use crate::script::{Notebook, Script};
use serde_json::{Value, json};
use skyfresh_channel::wiring::azure::{Azure, Source, plan};
use skyfresh_channel::wiring::{Outcome, Plan, Record, unwire, wire};
use skyfresh_sky::{Kind, ManualClock, Timestamp};
use std::sync::Arc;

const ARM: &str = "https://arm.test";
const ACCOUNT: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acme";
const QUEUE: &str = "https://arm.test/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acme/queueServices/default/queues/skyfresh-models?api-version=2023-05-01";
const SUBSCRIPTION: &str = "https://arm.test/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acme/providers/Microsoft.EventGrid/eventSubscriptions/skyfresh-models?api-version=2022-06-15";

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::ZERO)
}

fn azure(script: &Script) -> Azure<Script> {
    Azure::new(script.clone(), ARM, Arc::new(clock()))
}

fn source(webhook: Option<&str>) -> Source<'_> {
    Source {
        rule: "models",
        account_id: ACCOUNT,
        container: "c",
        prefix: "in/",
        webhook,
    }
}

fn missing() -> Value {
    json!({ "error": { "code": "ResourceNotFound", "message": "no such thing" } })
}

fn subscription_body() -> Value {
    json!({ "properties": {
        "destination": { "endpointType": "StorageQueue", "properties": {
            "resourceId": ACCOUNT, "queueName": "skyfresh-models", "queueMessageTimeToLiveInSeconds": 604_800,
        } },
        "filter": {
            "subjectBeginsWith": "/blobServices/default/containers/c/blobs/in/",
            "isSubjectCaseSensitive": true,
            "includedEventTypes": ["Microsoft.Storage.BlobCreated", "Microsoft.Storage.BlobDeleted"],
        },
        "labels": ["skyfresh-rule:models"],
        "eventDeliverySchema": "EventGridSchema",
    } })
}

fn subscription_there(state: &str) -> Value {
    let mut there = subscription_body();
    there["properties"]["provisioningState"] = state.into();
    there
}

fn queue_there() -> Value {
    json!({ "properties": { "metadata": { "skyfresh_rule": "models" } } })
}

async fn wired(script: &Script) -> (Plan, Notebook) {
    script
        .on(&format!("GET {QUEUE}"), 404, missing())
        .on(&format!("GET {SUBSCRIPTION}"), 404, missing())
        .with(
            &format!("PUT {QUEUE}"),
            json!({ "properties": { "metadata": { "skyfresh_rule": "models" } } }),
            200,
            queue_there(),
        )
        .with(
            &format!("PUT {SUBSCRIPTION}"),
            subscription_body(),
            201,
            subscription_there("Creating"),
        )
        .on(
            &format!("GET {SUBSCRIPTION}"),
            200,
            subscription_there("Creating"),
        )
        .on(
            &format!("GET {SUBSCRIPTION}"),
            200,
            subscription_there("Succeeded"),
        );
    let (plan, notes) = (plan(source(None)), Notebook::default());
    let record = Record::new("models", "az://acme/c/in/");
    let wired = wire(&azure(script), &plan, record, &notes, &clock())
        .await
        .unwrap();
    assert_eq!(wired.outcomes, [Outcome::Created, Outcome::Created]);
    script.is_over();
    (plan, notes)
}

#[tokio::test]
async fn a_queue_and_a_subscription_are_created_once_and_removed() {
    let script = Script::default();
    let (plan, notes) = wired(&script).await;
    script.on(&format!("GET {QUEUE}"), 200, queue_there()).on(
        &format!("GET {SUBSCRIPTION}"),
        200,
        subscription_there("Succeeded"),
    );
    let again = wire(&azure(&script), &plan, notes.record(), &notes, &clock())
        .await
        .unwrap();
    assert_eq!(again.outcomes, [Outcome::Unchanged, Outcome::Unchanged]);
    script.is_over();
    script
        .on(
            &format!("GET {SUBSCRIPTION}"),
            200,
            subscription_there("Succeeded"),
        )
        .on(&format!("DELETE {SUBSCRIPTION}"), 202, Value::Null)
        .on(
            &format!("GET {SUBSCRIPTION}"),
            200,
            subscription_there("Deleting"),
        )
        .on(&format!("GET {SUBSCRIPTION}"), 404, missing())
        .on(&format!("GET {QUEUE}"), 200, queue_there())
        .on(&format!("DELETE {QUEUE}"), 204, Value::Null);
    let (unwired, left) = unwire(&azure(&script), notes.record(), &notes)
        .await
        .unwrap();
    assert_eq!((unwired.removed.len(), left.entries.len()), (2, 0));
    script.is_over();
}

#[tokio::test]
async fn a_webhook_that_fails_its_handshake_is_told() {
    let script = Script::default();
    let url = "https://skyfresh.test/v1/notify/eventgrid";
    let mut body = subscription_body();
    body["properties"]["destination"] = json!({ "endpointType": "WebHook", "properties": { "endpointUrl": format!("{url}?secret=hunter2") } });
    script
        .on(&format!("GET {SUBSCRIPTION}"), 404, missing())
        .with(&format!("PUT {SUBSCRIPTION}"), body, 201, Value::Null)
        .on(
            &format!("GET {SUBSCRIPTION}"),
            200,
            subscription_there("Failed"),
        );
    let notes = Notebook::default();
    let record = Record::new("models", "az://acme/c/in/");
    let stopped = wire(
        &azure(&script).with_webhook_query("secret=hunter2"),
        &plan(source(Some(url))),
        record,
        &notes,
        &clock(),
    )
    .await
    .unwrap_err();
    assert_eq!(stopped.error.code.as_deref(), Some("Failed"));
    assert!(
        stopped.error.to_string().contains("handshake"),
        "{}",
        stopped.error
    );
    assert_eq!(
        notes.record().entries.len(),
        1,
        "it may be there: unwire will look"
    );
    let written = serde_json::to_string(&notes.record()).unwrap();
    assert!(
        !written.contains("hunter2") && !stopped.error.to_string().contains("hunter2"),
        "{written}"
    );
    script.is_over();
}

#[tokio::test]
async fn a_subscription_of_others_is_not_touched() {
    let script = Script::default();
    let mut theirs = subscription_there("Succeeded");
    theirs["properties"]["labels"] = json!([]);
    script.on(&format!("GET {QUEUE}"), 200, queue_there()).on(
        &format!("GET {SUBSCRIPTION}"),
        200,
        theirs,
    );
    let record = Record::new("models", "az://acme/c/in/");
    let stopped = wire(
        &azure(&script),
        &plan(source(None)),
        record,
        &Notebook::default(),
        &clock(),
    )
    .await;
    let error = stopped.unwrap_err().error;
    assert_eq!(error.kind, Kind::Precondition);
    assert!(
        error.to_string().contains("no label skyfresh-rule:models"),
        "{error}"
    );
    script.is_over();
}

#[tokio::test]
async fn an_account_is_found_in_any_subscription_and_tokens_stay_at_home() {
    let script = Script::default();
    let accounts = |id: &str| {
        format!(
            "GET {ARM}/subscriptions/{id}/providers/Microsoft.Storage/storageAccounts?api-version=2023-05-01"
        )
    };
    let first = format!("GET {ARM}/subscriptions?api-version=2022-12-01");
    let next = format!("{ARM}/subscriptions?page=2");
    script
        .on(
            &first,
            200,
            json!({ "value": [{ "subscriptionId": "a" }], "nextLink": next }),
        )
        .on(
            &format!("GET {next}"),
            200,
            json!({ "value": [{ "subscriptionId": "s" }] }),
        )
        .on(
            &accounts("a"),
            200,
            json!({ "value": [{ "name": "other", "id": "/other" }] }),
        )
        .on(
            &accounts("s"),
            200,
            json!({ "value": [{ "name": "acme", "id": ACCOUNT }] }),
        );
    assert_eq!(azure(&script).account_id("acme").await.unwrap(), ACCOUNT);
    script.is_over();
    script.on(
        &first,
        200,
        json!({ "value": [], "nextLink": "https://arm.test.evil.test/x" }),
    );
    let error = azure(&script).account_id("acme").await.unwrap_err();
    assert!(error.to_string().contains("another host"), "{error}");
    script.is_over();
    script.on(&first, 200, json!({ "value": [] }));
    assert_eq!(
        azure(&script).account_id("acme").await.unwrap_err().kind,
        Kind::Missing
    );
}

#[tokio::test]
async fn a_refusal_keeps_azures_words() {
    let script = Script::default();
    let words = "The client 'x' does not have authorization to perform action";
    script.on(
        &format!("GET {QUEUE}"),
        403,
        json!({ "error": { "code": "AuthorizationFailed", "message": words } }),
    );
    let record = Record::new("models", "az://acme/c/in/");
    let stopped = wire(
        &azure(&script),
        &plan(source(None)),
        record,
        &Notebook::default(),
        &clock(),
    )
    .await;
    let error = stopped.unwrap_err().error;
    assert_eq!(
        (error.kind, error.code.as_deref()),
        (Kind::Denied, Some("AuthorizationFailed"))
    );
    assert!(error.to_string().contains(words), "{error}");
}
