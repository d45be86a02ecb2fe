//! The management API that subscribes to events.

use crate::client::{AzureClient, SECRET, config, until, us};
use crate::events::receiver;
use crate::support::{Answer, start};
use http::Method;
use serde_json::{Value, json};

const SCOPE: &str = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/any/providers/\
                     Microsoft.Storage/storageAccounts/skyfresh/providers/Microsoft.EventGrid/eventSubscriptions";

async fn manage(client: &AzureClient, method: Method, name: &str, body: Value) -> Answer {
    let url = format!("{}{SCOPE}{name}?api-version=2022-06-15", client.endpoint);
    let bearer = format!("Bearer {SECRET}");
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    client.raw(method, &url, &headers, body).await.unwrap()
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_is_made_shown_and_removed() {
    let sky = start(config()).await;
    let client = AzureClient::of(&sky, &us());
    let (url, heard) = receiver().await;
    let subscription = json!({ "properties": {
        "destination": { "endpointType": "WebHook", "properties": {
            "endpointUrl": url,
            "deliveryAttributeMappings": [{
                "name": "Authorization", "type": "Static",
                "properties": { "value": "Bearer secret-token", "isSecret": true },
            }],
        }},
        "filter": {
            "subjectBeginsWith": "/blobServices/default/containers/data/blobs/in/",
            "includedEventTypes": ["Microsoft.Storage.BlobCreated"],
        },
    }});
    let made = manage(&client, Method::PUT, "/skyfresh-rule", subscription.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(
        json_of(&made)["properties"]["provisioningState"],
        "Succeeded"
    );
    assert_eq!(
        manage(&client, Method::PUT, "/skyfresh-rule", subscription)
            .await
            .status,
        200
    );
    let shown = manage(&client, Method::GET, "/skyfresh-rule", Value::Null).await;
    assert_eq!(json_of(&shown)["name"], "skyfresh-rule");
    assert!(
        !shown.text().contains("secret-token") && !shown.text().contains("code=abc"),
        "{}",
        shown.text()
    );
    let all = manage(&client, Method::GET, "", Value::Null).await;
    assert_eq!(json_of(&all)["value"].as_array().unwrap().len(), 1);

    client.put("out/a", "x").await;
    client.put("in/a", "x").await;
    client.delete("data/in/a").await;
    client.put("in/b", "x").await;
    until("two events", async || {
        heard.lock().unwrap().events.len() == 2
    })
    .await;
    assert!(heard.lock().unwrap().authorized);

    assert_eq!(
        manage(&client, Method::DELETE, "/skyfresh-rule", Value::Null)
            .await
            .status,
        200
    );
    assert_eq!(
        manage(&client, Method::DELETE, "/skyfresh-rule", Value::Null)
            .await
            .status,
        204
    );
    assert_eq!(
        manage(&client, Method::GET, "/skyfresh-rule", Value::Null)
            .await
            .status,
        404
    );
    assert!(sky.notifications().settings().targets.is_empty());
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_to_a_queue_fills_it() {
    let sky = start(config()).await;
    let client = AzureClient::of(&sky, &us());
    let queues = AzureClient::new(sky.find_queue_endpoint(None, &us()).unwrap());
    queues.put_empty("changes", &[]).await;
    let subscription = json!({ "properties": { "destination": {
        "endpointType": "StorageQueue", "properties": { "resourceId": "any", "queueName": "changes" },
    }}});
    assert_eq!(
        manage(&client, Method::PUT, "/to-queue", subscription)
            .await
            .status,
        201
    );
    client.put("a", "x").await;
    until("a message", async || {
        let answer = queues.head("changes?comp=metadata").await;
        answer.header("x-ms-approximate-messages-count") == "1"
    })
    .await;
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_subscribed_says_why() {
    let sky = start(config()).await;
    let client = AzureClient::of(&sky, &us());
    let (url, heard) = receiver().await;
    heard.lock().unwrap().refusals = 1;
    let to = |endpoint: &str| {
        json!({ "properties": { "destination": {
            "endpointType": "WebHook", "properties": { "endpointUrl": endpoint },
        }}})
    };
    let refused = manage(&client, Method::PUT, "/a", to(&url)).await;
    assert_eq!(
        (refused.status.as_u16(), &json_of(&refused)["error"]["code"]),
        (400, &json!("Url validation"))
    );
    assert_eq!(
        manage(&client, Method::PUT, "/a", to("ftp://x"))
            .await
            .status,
        400
    );
    let hub = json!({ "properties": { "destination": { "endpointType": "EventHub" } } });
    assert_eq!(manage(&client, Method::PUT, "/a", hub).await.status, 400);
    let unknown = format!(
        "{}/subscriptions/x/resourceGroups/y?api-version=1",
        client.endpoint
    );
    let bearer = format!("Bearer {SECRET}");
    let headers = [("authorization", &*bearer)];
    let answer = client
        .raw(Method::GET, &unknown, &headers, "")
        .await
        .unwrap();
    assert_eq!(answer.status, 404);
    let url = format!("{}{SCOPE}?api-version=2022-06-15", client.endpoint);
    assert_eq!(
        client.raw(Method::GET, &url, &[], "").await.unwrap().status,
        401
    );
    assert!(sky.notifications().settings().targets.is_empty());
    sky.shutdown().await;
}
