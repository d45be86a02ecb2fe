//! Blob Storage to a Storage queue or a webhook, by an Event Grid subscription; all through Azure Resource Manager.
//!
//! Requests: "Queue - Create" of the storage resource provider (<https://learn.microsoft.com/rest/api/storagerp/queue>) and "Event
//! Subscriptions - Create Or Update" (<https://learn.microsoft.com/rest/api/eventgrid/controlplane/event-subscriptions>).

use super::EventDestination;
use super::control::{json_answer, json_request, refusal};
use super::{Cloud, ControlPlane, Found, Plan, Resource, Signing, names};
use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json};
use skyfresh_sky::{Clock, Kind};
use skyfresh_store::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// Azure Resource Manager in the public cloud; also what a token is asked for.
pub const MANAGEMENT: &str = "https://management.azure.com";
const SUBSCRIPTIONS_VERSION: &str = "2022-12-01";
const STORAGE_VERSION: &str = "2023-05-01";
const EVENT_GRID_VERSION: &str = "2022-06-15";
/// The metadata key that marks a queue: C# identifiers only, so no hyphen.
const METADATA: &str = "skyfresh_rule";
/// Event Grid sets a subscription up in the background, in seconds; a webhook must answer its handshake meanwhile.
const SETTLING: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_secs(2);
/// How long a message waits in the queue, seconds; longer costs storage for events that a sweep has found since.
const MESSAGE_TTL_S: u32 = 7 * 24 * 60 * 60;
/// Pages of subscriptions and accounts that are read in search of one account.
const MAX_PAGES: usize = 100;

/// Azure as a control plane.
pub struct Azure<C> {
    control: C,
    management: String,
    /// What follows the `?` of a webhook's address: a secret, so no part of any plan or record.
    webhook_query: Option<String>,
    clock: Arc<dyn Clock>,
}

/// What to wire.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The rule.
    pub rule: &'a str,
    /// Resource id of the storage account.
    pub account_id: &'a str,
    /// The container.
    pub container: &'a str,
    /// Names begin with this.
    pub prefix: &'a str,
    /// Sent to an address instead of a queue; without what follows its `?`, which [`Azure::with_webhook_query`] is given.
    pub webhook: Option<&'a str>,
}

/// What is to be there for a source.
pub fn plan(source: Source<'_>) -> Plan {
    let rule = source.rule.to_owned();
    let account_id = source.account_id.to_owned();
    let mut resources = Vec::new();
    let destination = match source.webhook {
        Some(url) => EventDestination::Webhook(url.to_owned()),
        None => {
            let name = names::storage_queue(&rule);
            resources.push(Resource::StorageQueue {
                account_id: account_id.clone(),
                name: name.clone(),
                rule: rule.clone(),
            });
            EventDestination::Queue(name)
        }
    };
    resources.push(Resource::EventSubscription {
        account_id,
        name: names::event_subscription(&rule),
        rule: rule.clone(),
        destination,
        subject_begins_with: subject(source.container, source.prefix),
        events: [
            "Microsoft.Storage.BlobCreated",
            "Microsoft.Storage.BlobDeleted",
        ]
        .map(str::to_owned)
        .into(),
    });
    Plan { rule, resources }
}

/// How events name blobs (<https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage>).
fn subject(container: &str, prefix: &str) -> String {
    format!("/blobServices/default/containers/{container}/blobs/{prefix}")
}

impl<C: ControlPlane> Azure<C> {
    /// Azure Resource Manager at `management` ([`MANAGEMENT`]), without a slash at the end. `clock` times the waits for what is
    /// set up in the background.
    pub fn new(control: C, management: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Azure {
            control,
            management: management.into(),
            webhook_query: None,
            clock,
        }
    }

    /// The same, adding this to the address of a webhook where one is created.
    pub fn with_webhook_query(mut self, query: impl Into<String>) -> Self {
        self.webhook_query = Some(query.into());
        self
    }

    async fn call(
        &self,
        operation: &'static str,
        target: &str,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let request = json_request(operation, target, method, url, "application/json", body)?;
        let answer = self
            .control
            .send(&Signing::Bearer, operation, target, request)
            .await?;
        if answer.status().is_success() {
            return json_answer(operation, target, answer.body());
        }
        let told: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let text = |field: &str| told["error"][field].as_str();
        Err(refusal(
            operation,
            target,
            &answer,
            text("code"),
            text("message"),
        ))
    }

    async fn read(
        &self,
        operation: &'static str,
        id: &str,
        version: &str,
    ) -> Result<Option<Value>> {
        let url = self.url(id, version);
        match self.call(operation, id, Method::GET, &url, None).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind == Kind::Missing => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn url(&self, id: &str, version: &str) -> String {
        format!("{}{id}?api-version={version}", self.management)
    }

    /// All pages of a list. The address of the next page must be on the same host: the token goes along.
    async fn list(&self, operation: &'static str, id: &str, version: &str) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut url = self.url(id, version);
        for _ in 0..MAX_PAGES {
            let page = self.call(operation, id, Method::GET, &url, None).await?;
            found.extend(page["value"].as_array().cloned().unwrap_or_default());
            match page["nextLink"].as_str().filter(|next| !next.is_empty()) {
                None => return Ok(found),
                Some(next) if next.starts_with(&format!("{}/", self.management)) => {
                    url = next.to_owned();
                }
                Some(_) => {
                    let why = "the next page is at another host: the token is not sent there";
                    return Err(Error::new(Kind::Invalid, operation, id, why));
                }
            }
        }
        let why = format!(
            "more than {MAX_PAGES} pages: give the account's resource id with --account-id"
        );
        Err(Error::new(Kind::Unsupported, operation, id, why))
    }

    /// The resource id of a storage account, found in all subscriptions that the credentials can see.
    ///
    /// # Errors
    /// [`Kind::Missing`]: none of them has it.
    pub async fn account_id(&self, account: &str) -> Result<String> {
        let operation = "find storage account";
        let subscriptions = self
            .list(operation, "/subscriptions", SUBSCRIPTIONS_VERSION)
            .await?;
        let ids = subscriptions
            .iter()
            .filter_map(|subscription| subscription["subscriptionId"].as_str());
        for id in ids {
            let path = format!("/subscriptions/{id}/providers/Microsoft.Storage/storageAccounts");
            let accounts = self.list(operation, &path, STORAGE_VERSION).await?;
            let found = accounts.iter().find(|found| found["name"] == account);
            if let Some(id) = found.and_then(|found| found["id"].as_str()) {
                return Ok(id.to_owned());
            }
        }
        let why = "no subscription that these credentials can see has it: give its resource id with --account-id, or the \
                   credentials the right to read it (Microsoft.Storage/storageAccounts/read)";
        Err(Error::new(Kind::Missing, operation, account, why))
    }

    /// Where events of every blob below a prefix go, for people.
    ///
    /// # Errors
    /// [`Kind::Denied`]: `Microsoft.EventGrid/eventSubscriptions/read` is missing.
    pub async fn listeners(
        &self,
        account_id: &str,
        container: &str,
        prefix: &str,
    ) -> Result<Vec<String>> {
        let id = format!("{account_id}/providers/Microsoft.EventGrid/eventSubscriptions");
        let subscriptions = self
            .list("read event subscriptions", &id, EVENT_GRID_VERSION)
            .await?;
        let wanted = subject(container, prefix);
        let tells = |one: &&Value| {
            let filter = &one["properties"]["filter"];
            let types = filter["includedEventTypes"].as_array();
            wanted.starts_with(filter["subjectBeginsWith"].as_str().unwrap_or_default())
                && filter["subjectEndsWith"]
                    .as_str()
                    .unwrap_or_default()
                    .is_empty()
                && types.is_none_or(|types| {
                    types
                        .iter()
                        .any(|kind| kind == "Microsoft.Storage.BlobCreated")
                })
        };
        let names = subscriptions.iter().filter(tells).map(|one| {
            let kind = one["properties"]["destination"]["endpointType"].as_str();
            format!(
                "{} ({})",
                one["name"].as_str().unwrap_or_default(),
                kind.unwrap_or("unknown")
            )
        });
        Ok(names.collect())
    }

    async fn look_at_queue(&self, resource: &Resource, rule: &str) -> Result<Found> {
        let name = resource.name();
        let found = self.read("look at queue", &name, STORAGE_VERSION).await?;
        Ok(match found {
            None => Found::Absent,
            Some(found) if found["properties"]["metadata"][METADATA] == rule => {
                Found::AsPlanned(name)
            }
            Some(_) => Found::Different(format!("its metadata has no {METADATA}={rule}")),
        })
    }

    async fn look_at_subscription(&self, resource: &Resource) -> Result<Found> {
        let Resource::EventSubscription { rule, .. } = resource else {
            return Err(not_ours(resource));
        };
        let name = resource.name();
        let Some(found) = self
            .read("look at event subscription", &name, EVENT_GRID_VERSION)
            .await?
        else {
            return Ok(Found::Absent);
        };
        let (there, wanted) = (
            &found["properties"],
            &subscription_body(resource)["properties"],
        );
        let labels = there["labels"].as_array();
        if !labels.is_some_and(|labels| labels.iter().any(|one| *one == label(rule))) {
            return Ok(Found::Different(format!("it has no label {}", label(rule))));
        }
        for field in ["subjectBeginsWith", "includedEventTypes"] {
            if there["filter"][field] != wanted["filter"][field] {
                return Ok(Found::Different(format!(
                    "its {field} is {}",
                    there["filter"][field]
                )));
            }
        }
        let destination = &there["destination"];
        let same = match wanted["destination"]["endpointType"].as_str() {
            // The address of a webhook is a secret that is not told again; its host is.
            Some("WebHook") => {
                destination["endpointType"] == "WebHook"
                    && wanted["destination"]["properties"]["endpointUrl"]
                        .as_str()
                        .is_some_and(|url| {
                            let base = destination["properties"]["endpointBaseUrl"].as_str();
                            base.is_none_or(|base| url == base)
                        })
            }
            _ => {
                destination["endpointType"] == "StorageQueue"
                    && destination["properties"]["queueName"]
                        == wanted["destination"]["properties"]["queueName"]
            }
        };
        if !same {
            return Ok(Found::Different(format!("it sends to {destination}")));
        }
        match there["provisioningState"].as_str() {
            Some(state @ ("Failed" | "Canceled" | "AwaitingManualAction")) => {
                Ok(Found::Different(format!("setting it up ended as {state}")))
            }
            _ => Ok(Found::AsPlanned(name)),
        }
    }

    /// Waits until what was begun in the background is over: `Some(())` tells that it is.
    async fn settled(&self, operation: &'static str, id: &str, gone: bool) -> Result<()> {
        let start_ns = self.clock.monotonic_ns();
        loop {
            let found = self.read(operation, id, EVENT_GRID_VERSION).await?;
            let state = found
                .as_ref()
                .map(|found| found["properties"]["provisioningState"].as_str());
            match (gone, state) {
                (true, None) | (false, Some(None | Some("Succeeded"))) => return Ok(()),
                (_, Some(Some(failed @ ("Failed" | "Canceled" | "AwaitingManualAction")))) => {
                    let why = format!(
                        "it ended as {failed}: a webhook must answer Event Grid's handshake, and a queue must be there"
                    );
                    return Err(Error::new(Kind::Invalid, operation, id, why).with_code(failed));
                }
                _ => {}
            }
            let waited = Duration::from_nanos(self.clock.monotonic_ns().saturating_sub(start_ns));
            if waited >= SETTLING {
                let why = format!(
                    "not done within {} s; it may still be: run this again",
                    SETTLING.as_secs()
                );
                return Err(
                    Error::new(Kind::Precondition, operation, id, why).with_code("NotSettled")
                );
            }
            self.clock.sleep(POLL).await;
        }
    }
}

fn label(rule: &str) -> String {
    format!("{}:{rule}", names::TAG)
}

fn subscription_body(resource: &Resource) -> Value {
    let Resource::EventSubscription {
        account_id,
        rule,
        destination,
        subject_begins_with,
        events,
        ..
    } = resource
    else {
        return Value::Null;
    };
    let destination = match destination {
        EventDestination::Queue(queue) => json!({
            "endpointType": "StorageQueue",
            "properties": {
                "resourceId": account_id,
                "queueName": queue,
                "queueMessageTimeToLiveInSeconds": MESSAGE_TTL_S,
            },
        }),
        EventDestination::Webhook(url) => json!({
            "endpointType": "WebHook",
            "properties": { "endpointUrl": url },
        }),
    };
    json!({ "properties": {
        "destination": destination,
        "filter": {
            "subjectBeginsWith": subject_begins_with,
            "isSubjectCaseSensitive": true,
            "includedEventTypes": events,
        },
        "labels": [label(rule)],
        "eventDeliverySchema": "EventGridSchema",
    } })
}

fn not_ours(resource: &Resource) -> Error {
    let why = "it belongs to another cloud than the rule's source";
    Error::new(Kind::Invalid, "wire", resource.name(), why)
}

#[async_trait]
impl<C: ControlPlane> Cloud for Azure<C> {
    async fn look(&self, resource: &Resource) -> Result<Found> {
        match resource {
            Resource::StorageQueue { rule, .. } => self.look_at_queue(resource, rule).await,
            Resource::EventSubscription { .. } => self.look_at_subscription(resource).await,
            other => Err(not_ours(other)),
        }
    }

    async fn create(&self, resource: &Resource) -> Result<String> {
        let name = resource.name();
        match resource {
            Resource::StorageQueue { rule, .. } => {
                let body = json!({ "properties": { "metadata": { METADATA: rule } } });
                let url = self.url(&name, STORAGE_VERSION);
                self.call("create queue", &name, Method::PUT, &url, Some(&body))
                    .await?;
            }
            Resource::EventSubscription { .. } => {
                let operation = "create event subscription";
                let url = self.url(&name, EVENT_GRID_VERSION);
                let mut body = subscription_body(resource);
                if let (
                    Resource::EventSubscription {
                        destination: EventDestination::Webhook(url),
                        ..
                    },
                    Some(query),
                ) = (resource, &self.webhook_query)
                {
                    let address =
                        &mut body["properties"]["destination"]["properties"]["endpointUrl"];
                    *address = format!("{url}?{query}").into();
                }
                self.call(operation, &name, Method::PUT, &url, Some(&body))
                    .await?;
                self.settled(operation, &name, false).await?;
            }
            other => return Err(not_ours(other)),
        }
        Ok(name)
    }

    async fn remove(&self, resource: &Resource, name: &str) -> Result<()> {
        let (operation, version) = match resource {
            Resource::StorageQueue { .. } => ("remove queue", STORAGE_VERSION),
            Resource::EventSubscription { .. } => ("remove event subscription", EVENT_GRID_VERSION),
            other => return Err(not_ours(other)),
        };
        let url = self.url(name, version);
        match self.call(operation, name, Method::DELETE, &url, None).await {
            Err(error) if error.kind != Kind::Missing => return Err(error),
            _ => {}
        }
        match resource {
            Resource::EventSubscription { .. } => self.settled(operation, name, true).await,
            _ => Ok(()),
        }
    }
}
