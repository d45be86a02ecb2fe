//! The little of Azure's management API that subscribes to events of this account:
//! `/subscriptions/…/storageAccounts/ACCOUNT/providers/Microsoft.EventGrid/eventSubscriptions[/NAME]`, with the sky's
//! bearer token. Subscription and resource group may be any.
//!
//! Source: learn.microsoft.com/rest/api/eventgrid/controlplane/event-subscriptions.

use super::Frontend;
use super::account::Account;
use super::auth::Grant;
use super::error::Result;
use super::reply::{Reply, small_body};
use super::request::Head;
use crate::config::Secret;
use crate::notify::{EventFormat, EventGridFilter, WebhookTarget, validate};
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use s3s::Body;
use serde_json::{Value, json};

const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// A subscription as it was given, and who hears of events by it.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    resource: Value,
    target: WebhookTarget,
}

/// The management API's own form of errors.
struct Refusal(StatusCode, &'static str, String);

fn bad(message: impl Into<String>) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, "InvalidRequest", message.into())
}

fn answer(status: StatusCode, value: &Value) -> Response<Body> {
    Reply::new(status)
        .header("content-type", "application/json; charset=utf-8")
        .body(Body::from(Bytes::from(value.to_string())))
}

/// The name behind `eventSubscriptions`; empty for all of them. `None`: another resource.
fn subscription_name<'a>(path: &'a str, account: &str) -> Option<&'a str> {
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let fits = |index: usize, expected: &str| {
        segments
            .get(index)
            .is_some_and(|segment| segment.eq_ignore_ascii_case(expected))
    };
    // The account is the first segment of the whole path, so this begins behind `subscriptions`.
    let known = fits(1, "resourceGroups")
        && fits(3, "providers")
        && fits(4, "Microsoft.Storage")
        && fits(5, "storageAccounts")
        && fits(6, account)
        && fits(7, "providers")
        && fits(8, "Microsoft.EventGrid")
        && fits(9, "eventSubscriptions");
    match segments.len() {
        10 if known => Some(""),
        11 if known => Some(segments[10]),
        _ => None,
    }
}

impl Frontend {
    /// Whether this request is for the management API.
    pub(super) fn is_management(head: &Head) -> bool {
        head.account == "subscriptions"
    }

    pub(super) async fn manage(
        &self,
        head: Head,
        grant: &Grant,
        body: Body,
    ) -> Result<Response<Body>> {
        let body = small_body(&head, body, BODY_LIMIT_BYTES).await?;
        let done = match grant {
            Grant::Everything => manage(&self.account, &head, &body).await,
            Grant::Signature(_) => Err(Refusal(
                StatusCode::FORBIDDEN,
                "AuthorizationFailed",
                "a shared access signature does not manage event subscriptions".into(),
            )),
        };
        Ok(done.unwrap_or_else(|Refusal(status, code, message)| {
            answer(
                status,
                &json!({ "error": { "code": code, "message": message } }),
            )
        }))
    }
}

async fn manage(account: &Account, head: &Head, body: &[u8]) -> Result<Response<Body>, Refusal> {
    let missing = |what: &str| {
        Refusal(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            format!("The resource {what} was not found."),
        )
    };
    let name = subscription_name(&head.path, &account.keys.account)
        .ok_or_else(|| missing(&head.raw_path))?;
    if head.query("api-version").is_none() {
        let message =
            "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(Refusal(
            StatusCode::BAD_REQUEST,
            "MissingApiVersionParameter",
            message.into(),
        ));
    }
    match (&head.method, name) {
        (&Method::GET, "") => {
            let all: Vec<Value> = account.subscriptions(|all| {
                all.values()
                    .map(|subscription| subscription.resource.clone())
                    .collect()
            });
            Ok(answer(StatusCode::OK, &json!({ "value": all })))
        }
        (&Method::GET, name) => account
            .subscriptions(|all| all.get(name).cloned())
            .map(|subscription| answer(StatusCode::OK, &subscription.resource))
            .ok_or_else(|| missing(name)),
        (&Method::PUT, name) if !name.is_empty() => put(account, head, name, body).await,
        (&Method::DELETE, name) if !name.is_empty() => {
            let Some(gone) = account.subscriptions(|all| all.remove(name)) else {
                return Ok(Reply::new(StatusCode::NO_CONTENT).empty());
            };
            replace_target(account, Some(&gone.target), None)?;
            Ok(Reply::new(StatusCode::OK).empty())
        }
        _ => Err(Refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            format!("{} is not served on event subscriptions", head.method),
        )),
    }
}

async fn put(
    account: &Account,
    head: &Head,
    name: &str,
    body: &[u8],
) -> Result<Response<Body>, Refusal> {
    let given: Value = serde_json::from_slice(body)
        .map_err(|error| bad(format!("the body is not JSON: {error}")))?;
    let mut properties = given["properties"].clone();
    let mut target = target(account, &properties)?;
    let topic = super::events::topic(&account.keys.account);
    validate(
        &target,
        &topic,
        &account.surroundings.rng,
        &*account.surroundings.clock,
    )
    .await
    .map_err(|reason| {
        Refusal(
            StatusCode::BAD_REQUEST,
            "Url validation",
            format!(
                "The attempt to validate the provided endpoint {} failed: {reason}.",
                target.url
            ),
        )
    })?;
    target.validated = true;
    hide_secrets(&mut properties);
    properties["provisioningState"] = json!("Succeeded");
    properties["topic"] = json!(topic);
    let resource = json!({
        "id": head.raw_path,
        "name": name,
        "type": "Microsoft.EventGrid/eventSubscriptions",
        "properties": properties,
    });
    let subscription = Subscription {
        resource: resource.clone(),
        target: target.clone(),
    };
    let before = account.subscriptions(|all| all.insert(name.to_owned(), subscription));
    replace_target(
        account,
        before.as_ref().map(|before| &before.target),
        Some(target),
    )?;
    let status = if before.is_some() {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok(answer(status, &resource))
}

/// A webhook's URL and secret attributes are given, never shown: only the URL without its query is.
fn hide_secrets(properties: &mut Value) {
    let destination = &mut properties["destination"]["properties"];
    if let Some(url) = destination["endpointUrl"].as_str().map(str::to_owned) {
        let base = url.split_once('?').map_or(url.as_str(), |(base, _)| base);
        destination["endpointBaseUrl"] = json!(base);
        if let Some(destination) = destination.as_object_mut() {
            destination.remove("endpointUrl");
        }
    }
    let mappings = destination["deliveryAttributeMappings"].as_array_mut();
    for mapping in mappings.into_iter().flatten() {
        if mapping["properties"]["isSecret"] == json!(true) {
            mapping["properties"]["value"] = json!("Hidden");
        }
    }
}

fn target(account: &Account, properties: &Value) -> Result<WebhookTarget, Refusal> {
    let destination = &properties["destination"];
    let details = &destination["properties"];
    let cloud_events = match properties["eventDeliverySchema"].as_str() {
        None | Some("EventGridSchema") => false,
        Some("CloudEventSchemaV1_0") => true,
        Some(other) => {
            return Err(bad(format!(
                "eventDeliverySchema {other} is not served here"
            )));
        }
    };
    let mut target = match destination["endpointType"].as_str() {
        Some("WebHook") => {
            let url = details["endpointUrl"]
                .as_str()
                .ok_or_else(|| bad("destination.properties.endpointUrl is missing"))?;
            let format = if cloud_events {
                EventFormat::CloudEvents
            } else {
                EventFormat::EventGrid
            };
            WebhookTarget::new(url, bearer(details)?).speaking(format)
        }
        Some("StorageQueue") if cloud_events => {
            return Err(bad("queues are filled in the Event Grid schema here"));
        }
        Some("StorageQueue") => {
            let queue = details["queueName"]
                .as_str()
                .ok_or_else(|| bad("destination.properties.queueName is missing"))?;
            let url = format!(
                "{}/{}/{queue}",
                account.neighbours().queue_url,
                account.keys.account
            );
            WebhookTarget::new(url, Some(account.keys.bearer.clone()))
                .speaking(EventFormat::StorageQueue)
        }
        other => {
            return Err(bad(format!(
                "destination.endpointType {other:?} is neither WebHook nor StorageQueue"
            )));
        }
    };
    let filter = &properties["filter"];
    let text = |name: &str| filter[name].as_str().unwrap_or_default().to_owned();
    target.region = Some(account.region().clone());
    target.filter = EventGridFilter {
        subject_begins_with: text("subjectBeginsWith"),
        subject_ends_with: text("subjectEndsWith"),
        event_types: filter["includedEventTypes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|kind| kind.as_str().map(str::to_owned))
            .collect(),
    };
    Ok(target)
}

/// The one delivery attribute served: a static `Authorization: Bearer …`.
fn bearer(details: &Value) -> Result<Option<Secret>, Refusal> {
    let mut token = None;
    for mapping in details["deliveryAttributeMappings"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let is_authorization = mapping["name"]
            .as_str()
            .is_some_and(|name| name.eq_ignore_ascii_case("authorization"));
        let value = mapping["properties"]["value"]
            .as_str()
            .and_then(|value| value.strip_prefix("Bearer "));
        match value {
            Some(value) if is_authorization => token = Some(Secret::new(value)),
            _ => {
                return Err(bad(
                    "deliveryAttributeMappings: only a static Authorization: Bearer … is served here",
                ));
            }
        }
    }
    Ok(token)
}

fn replace_target(
    account: &Account,
    before: Option<&WebhookTarget>,
    after: Option<WebhookTarget>,
) -> Result<(), Refusal> {
    let changed = account.surroundings.notifications.update(|settings| {
        settings.targets.retain(|target| Some(target) != before);
        settings.targets.extend(after);
    });
    changed.map_err(|error| bad(error.to_string()))
}
