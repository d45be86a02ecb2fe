//! Cloud Storage to Pub/Sub: topic, right to publish, subscription, notification configuration.
//!
//! Requests: Pub/Sub REST reference (<https://cloud.google.com/pubsub/docs/reference/rest>) and the JSON API's
//! `notificationConfigs` (<https://cloud.google.com/storage/docs/json_api/v1/notifications>).

mod access;
mod plan;

pub use plan::{Source, plan};

use super::control::{json_answer, json_request, refusal};
use super::{Cloud, ControlPlane, Found, Resource, Signing, names};
use access::{add_publisher, is_publisher, remove_publisher};
use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json};
use skyfresh_sky::Kind;
use skyfresh_store::{Error, Result};

/// How topics are named where Cloud Storage speaks of them.
const PUBSUB: &str = "//pubsub.googleapis.com/";
/// How long a pulled message stays hidden, seconds (10 to 600).
const ACK_DEADLINE_S: u32 = 60;
/// How long messages wait to be taken; the longest without extra charge
/// (<https://cloud.google.com/pubsub/docs/subscription-properties>).
const RETENTION: &str = "604800s";

/// Google Cloud as a control plane.
#[derive(Debug)]
pub struct Google<C> {
    control: C,
    storage: String,
    pubsub: String,
}

impl<C: ControlPlane> Google<C> {
    /// Google's own services.
    pub fn new(control: C) -> Self {
        Self::at(
            control,
            "https://storage.googleapis.com",
            "https://pubsub.googleapis.com",
        )
    }

    /// Services at these addresses, without a slash at the end.
    pub fn at(control: C, storage: impl Into<String>, pubsub: impl Into<String>) -> Self {
        Google {
            control,
            storage: storage.into(),
            pubsub: pubsub.into(),
        }
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
        let error = &told["error"];
        let code = error["status"]
            .as_str()
            .or_else(|| error["errors"][0]["reason"].as_str());
        Err(refusal(
            operation,
            target,
            &answer,
            code,
            error["message"].as_str(),
        ))
    }

    /// As [`Google::call`], with `None` where the service says that there is none.
    async fn read(
        &self,
        operation: &'static str,
        target: &str,
        url: &str,
    ) -> Result<Option<Value>> {
        match self.call(operation, target, Method::GET, url, None).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind == Kind::Missing => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The number of the project a bucket belongs to.
    ///
    /// # Errors
    /// [`Kind::Denied`]: `storage.buckets.get` is missing.
    pub async fn project_of(&self, bucket: &str) -> Result<String> {
        let operation = "read bucket";
        let target = format!("gs://{bucket}");
        let url = format!(
            "{}/storage/v1/b/{bucket}?fields=projectNumber",
            self.storage
        );
        let found = self
            .call(operation, &target, Method::GET, &url, None)
            .await?;
        let number = found["projectNumber"].as_str();
        number.map(str::to_owned).ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                operation,
                target,
                "its project is not told: give it with --project",
            )
        })
    }

    /// The e-mail address that Cloud Storage publishes under for buckets of a project
    /// (<https://cloud.google.com/storage/docs/getting-service-agent>).
    ///
    /// # Errors
    /// [`Kind::Denied`]: `resourcemanager.projects.get` is missing.
    pub async fn service_agent(&self, project: &str) -> Result<String> {
        let operation = "read service agent";
        let target = format!("projects/{project}");
        let url = format!(
            "{}/storage/v1/projects/{project}/serviceAccount",
            self.storage
        );
        let found = self
            .call(operation, &target, Method::GET, &url, None)
            .await?;
        let address = found["email_address"].as_str();
        address.map(str::to_owned).ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                operation,
                target,
                "the answer names no e-mail address",
            )
        })
    }

    /// The topics that are told of every object below a prefix, for people.
    ///
    /// # Errors
    /// [`Kind::Denied`]: `storage.buckets.get` is missing.
    pub async fn listeners(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        let configs = self.notifications(bucket).await?;
        let tells = |config: &&Value| {
            let types = config["event_types"].as_array();
            prefix.starts_with(config["object_name_prefix"].as_str().unwrap_or_default())
                && types.is_none_or(|types| types.iter().any(|kind| kind == "OBJECT_FINALIZE"))
        };
        let topics = configs.iter().filter(tells);
        Ok(topics
            .filter_map(|config| config["topic"].as_str())
            .map(|topic| topic.strip_prefix(PUBSUB).unwrap_or(topic).to_owned())
            .collect())
    }

    async fn notifications(&self, bucket: &str) -> Result<Vec<Value>> {
        let target = format!("gs://{bucket}");
        let url = format!("{}/storage/v1/b/{bucket}/notificationConfigs", self.storage);
        let found = self
            .call(
                "read notification configurations",
                &target,
                Method::GET,
                &url,
                None,
            )
            .await?;
        Ok(found["items"].as_array().cloned().unwrap_or_default())
    }

    async fn look_at_notification(&self, resource: &Resource) -> Result<Found> {
        let Resource::GcsNotification {
            bucket,
            topic,
            rule,
            prefix,
            events,
        } = resource
        else {
            return Err(not_ours(resource));
        };
        // The project may be told by its number where it was given by its name.
        let short = |topic: &str| topic.rsplit('/').next().unwrap_or_default().to_owned();
        let configs = self.notifications(bucket).await?;
        let ours = configs.iter().find(|config| {
            short(config["topic"].as_str().unwrap_or_default()) == short(topic)
                && config["custom_attributes"][names::TAG] == rule.as_str()
        });
        let Some(config) = ours else {
            return Ok(Found::Absent);
        };
        if config["object_name_prefix"].as_str().unwrap_or_default() != prefix {
            return Ok(Found::Different(format!(
                "its prefix is {}",
                config["object_name_prefix"]
            )));
        }
        let types = config["event_types"].as_array().into_iter().flatten();
        let mut types: Vec<&str> = types.filter_map(Value::as_str).collect();
        let mut wanted: Vec<&str> = events.iter().map(String::as_str).collect();
        types.sort_unstable();
        wanted.sort_unstable();
        if types != wanted {
            return Ok(Found::Different(format!(
                "its events are {}",
                types.join(", ")
            )));
        }
        let id = config["id"].as_str().unwrap_or_default();
        Ok(Found::AsPlanned(notification_name(bucket, id)))
    }

    async fn look_at_topic(&self, name: &str, label: &str) -> Result<Found> {
        let url = format!("{}/v1/{name}", self.pubsub);
        let found = self.read("look at topic", name, &url).await?;
        Ok(found.map_or(Found::Absent, |found| labelled(&found, name, label)))
    }

    async fn look_at_subscription(&self, resource: &Resource) -> Result<Found> {
        let Resource::PubsubSubscription {
            name,
            topic,
            label,
            push,
        } = resource
        else {
            return Err(not_ours(resource));
        };
        let url = format!("{}/v1/{name}", self.pubsub);
        let Some(found) = self.read("look at subscription", name, &url).await? else {
            return Ok(Found::Absent);
        };
        // After its topic was deleted a subscription says `_deleted-topic_`, and gets nothing any more.
        let told = found["topic"].as_str().unwrap_or_default();
        if told.rsplit('/').next() != topic.rsplit('/').next() {
            return Ok(Found::Different(format!("its topic is {told}")));
        }
        let wanted = push.as_ref().map_or("", |push| &push.url);
        let address = found["pushConfig"]["pushEndpoint"]
            .as_str()
            .unwrap_or_default();
        if address != wanted {
            return Ok(Found::Different(match address {
                "" => "it is pulled".to_owned(),
                address => format!("it pushes to {address}"),
            }));
        }
        Ok(labelled(&found, name, label))
    }

    /// A topic's access policy, with its `etag`.
    async fn policy(&self, topic: &str) -> Result<Value> {
        // Version 3: a policy with conditions must be read and written whole ("Specifying a policy version").
        let url = format!(
            "{}/v1/{topic}:getIamPolicy?options.requestedPolicyVersion=3",
            self.pubsub
        );
        self.call("read access policy", topic, Method::GET, &url, None)
            .await
    }

    /// Writes the policy that `change` makes; refused by Pub/Sub where somebody else wrote one since it was read.
    async fn change_policy(&self, topic: &str, change: impl Fn(&mut Value) + Send) -> Result<()> {
        let mut policy = self.policy(topic).await?;
        change(&mut policy);
        let url = format!("{}/v1/{topic}:setIamPolicy", self.pubsub);
        let body = json!({ "policy": policy });
        self.call(
            "write access policy",
            topic,
            Method::POST,
            &url,
            Some(&body),
        )
        .await
        .map(drop)
        .map_err(|mut error| {
            if error.kind == Kind::Precondition {
                error.kind = Kind::RetryAfter;
            }
            error
        })
    }

    async fn delete(&self, operation: &'static str, target: &str, url: &str) -> Result<()> {
        match self
            .call(operation, target, Method::DELETE, url, None)
            .await
        {
            Err(error) if error.kind != Kind::Missing => Err(error),
            _ => Ok(()),
        }
    }
}

fn notification_name(bucket: &str, id: &str) -> String {
    format!("projects/_/buckets/{bucket}/notificationConfigs/{id}")
}

fn labelled(found: &Value, name: &str, label: &str) -> Found {
    match found["labels"][names::TAG].as_str() {
        Some(told) if told == label => Found::AsPlanned(name.to_owned()),
        Some(told) => Found::Different(format!("its label {} is {told}", names::TAG)),
        None => Found::Different(format!("it has no label {}", names::TAG)),
    }
}

/// Cloud Storage tries the topic when a configuration is created, and may not know yet that it was given the right.
fn not_yet(mut error: Error) -> Error {
    if error.context.contains("permission to publish") {
        error.kind = Kind::RetryAfter;
    }
    error
}

fn not_ours(resource: &Resource) -> Error {
    let why = "it belongs to another cloud than the rule's source";
    Error::new(Kind::Invalid, "wire", resource.name(), why)
}

#[async_trait]
impl<C: ControlPlane> Cloud for Google<C> {
    async fn look(&self, resource: &Resource) -> Result<Found> {
        match resource {
            Resource::PubsubTopic { name, label } => self.look_at_topic(name, label).await,
            Resource::PubsubPublisher { topic, member } => match self.policy(topic).await {
                Ok(policy) if is_publisher(&policy, member) => {
                    Ok(Found::AsPlanned(resource.name()))
                }
                Ok(_) => Ok(Found::Absent),
                Err(error) if error.kind == Kind::Missing => Ok(Found::Absent),
                Err(error) => Err(error),
            },
            Resource::PubsubSubscription { .. } => self.look_at_subscription(resource).await,
            Resource::GcsNotification { .. } => self.look_at_notification(resource).await,
            other => Err(not_ours(other)),
        }
    }

    async fn create(&self, resource: &Resource) -> Result<String> {
        match resource {
            Resource::PubsubTopic { name, label } => {
                let body = json!({ "labels": { names::TAG: label } });
                let url = format!("{}/v1/{name}", self.pubsub);
                self.call("create topic", name, Method::PUT, &url, Some(&body))
                    .await?;
            }
            Resource::PubsubPublisher { topic, member } => {
                self.change_policy(topic, |policy| add_publisher(policy, member))
                    .await?;
            }
            Resource::PubsubSubscription {
                name,
                topic,
                label,
                push,
            } => {
                let mut body = json!({
                    "topic": topic,
                    "labels": { names::TAG: label },
                    "ackDeadlineSeconds": ACK_DEADLINE_S,
                    "messageRetentionDuration": RETENTION,
                    // An empty policy: never removed for want of use.
                    "expirationPolicy": {},
                });
                if let Some(push) = push {
                    body["pushConfig"] = json!({
                        "pushEndpoint": push.url,
                        "oidcToken": { "serviceAccountEmail": push.service_account, "audience": push.audience },
                    });
                }
                let url = format!("{}/v1/{name}", self.pubsub);
                self.call("create subscription", name, Method::PUT, &url, Some(&body))
                    .await?;
            }
            Resource::GcsNotification {
                bucket,
                topic,
                rule,
                prefix,
                events,
            } => {
                let mut body = json!({
                    "topic": format!("{PUBSUB}{topic}"),
                    "payload_format": "JSON_API_V1",
                    "event_types": events,
                    "custom_attributes": { names::TAG: rule },
                });
                if !prefix.is_empty() {
                    body["object_name_prefix"] = prefix.as_str().into();
                }
                let target = format!("gs://{bucket}");
                let url = format!("{}/storage/v1/b/{bucket}/notificationConfigs", self.storage);
                let created = self
                    .call(
                        "create notification configuration",
                        &target,
                        Method::POST,
                        &url,
                        Some(&body),
                    )
                    .await
                    .map_err(not_yet)?;
                return Ok(notification_name(
                    bucket,
                    created["id"].as_str().unwrap_or_default(),
                ));
            }
            other => return Err(not_ours(other)),
        }
        Ok(resource.name())
    }

    async fn remove(&self, resource: &Resource, name: &str) -> Result<()> {
        match resource {
            Resource::PubsubTopic { .. } | Resource::PubsubSubscription { .. } => {
                let operation = match resource {
                    Resource::PubsubTopic { .. } => "remove topic",
                    _ => "remove subscription",
                };
                self.delete(operation, name, &format!("{}/v1/{name}", self.pubsub))
                    .await
            }
            Resource::PubsubPublisher { topic, member } => {
                self.change_policy(topic, |policy| remove_publisher(policy, member))
                    .await
            }
            Resource::GcsNotification { bucket, .. } => {
                let id = name.rsplit('/').next().unwrap_or_default();
                let url = format!(
                    "{}/storage/v1/b/{bucket}/notificationConfigs/{id}",
                    self.storage
                );
                self.delete("remove notification configuration", name, &url)
                    .await
            }
            other => Err(not_ours(other)),
        }
    }
}
