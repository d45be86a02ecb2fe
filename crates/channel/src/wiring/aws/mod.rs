//! S3 to SQS, straight or through EventBridge.

mod events;
mod notification;
mod plan;
mod policy;
mod queue;
mod signed;

pub use plan::{Caller, Endpoints, Source, Via, plan};
pub use signed::Signed;

use super::control::{json_answer, json_request, refusal};
use super::{Cloud, ControlPlane, Found, Resource, Signing, names};
use crate::plumbing;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use notification::{Document, QueueConfiguration};
use serde::Deserialize;
use serde_json::Value;
use skyfresh_sky::Kind;
use skyfresh_store::{Error, Result};

/// Longest notification document that is read: 100 configurations
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html>) of a few hundred bytes each.
const DOCUMENT_LIMIT_BYTES: usize = 1 << 20;

/// AWS as a control plane for one region.
#[derive(Debug)]
pub struct Aws<C> {
    control: C,
    endpoints: Endpoints,
    region: String,
}

impl<C: ControlPlane> Aws<C> {
    /// The services of `region`, at these addresses.
    pub fn new(control: C, endpoints: Endpoints, region: impl Into<String>) -> Self {
        Aws {
            control,
            endpoints,
            region: region.into(),
        }
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The address that messages of a queue are received at.
    pub fn queue_address(&self, arn: &str) -> String {
        let account = arn.split(':').nth(4).unwrap_or_default();
        format!("{}/{account}/{}", self.endpoints.sqs, last_part(arn))
    }

    fn signing(&self, service: &'static str) -> Signing {
        Signing::Aws {
            service,
            region: self.region.clone(),
        }
    }

    /// Asks who we are; needs no permission
    /// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>).
    ///
    /// # Errors
    /// [`Kind::Denied`]: the credentials are not AWS's, or no longer good.
    pub async fn caller(&self) -> Result<Caller> {
        let operation = "identify";
        let address = format!("{}/", self.endpoints.sts);
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let body = Bytes::from_static(b"Action=GetCallerIdentity&Version=2011-06-15");
        let request =
            plumbing::request(operation, &address, Method::POST, &address, &headers, body)?;
        let answer = self.xml(operation, &address, "sts", request).await?;
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Outer {
            get_caller_identity_result: Inner,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Inner {
            arn: String,
            account: String,
        }
        let text = String::from_utf8_lossy(answer.body());
        let outer: Outer = quick_xml::de::from_str(&text).map_err(|error| {
            let why = format!("the answer is not STS's: {error}");
            Error::new(Kind::Invalid, operation, &*address, why)
        })?;
        let Inner { arn, account } = outer.get_caller_identity_result;
        Ok(Caller { account, arn })
    }

    /// Sends a request whose refusals are XML (S3, STS).
    async fn xml(
        &self,
        operation: &'static str,
        target: &str,
        service: &'static str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>> {
        let answer = self
            .control
            .send(&self.signing(service), operation, target, request)
            .await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        // S3 has the code at the top, STS below `Error`.
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        struct Told {
            code: Option<String>,
            message: Option<String>,
            error: Option<Box<Told>>,
        }
        let text = String::from_utf8_lossy(answer.body());
        let told: Told = quick_xml::de::from_str(&text).unwrap_or_default();
        let told = match told.error {
            Some(inner) => *inner,
            None => told,
        };
        Err(refusal(
            operation,
            target,
            &answer,
            told.code.as_deref(),
            told.message.as_deref(),
        ))
    }

    /// Calls an operation of a service that speaks JSON (SQS, EventBridge).
    async fn call(
        &self,
        operation: &'static str,
        resource: &str,
        service: &'static str,
        action: &str,
        body: &Value,
    ) -> Result<Value> {
        let (address, content_type) = match service {
            "sqs" => (&self.endpoints.sqs, "application/x-amz-json-1.0"),
            _ => (&self.endpoints.events, "application/x-amz-json-1.1"),
        };
        let url = format!("{address}/");
        let mut request = json_request(
            operation,
            resource,
            Method::POST,
            &url,
            content_type,
            Some(body),
        )?;
        let action = http::HeaderValue::from_str(action)
            .map_err(|error| Error::new(Kind::Internal, operation, resource, error.to_string()))?;
        request.headers_mut().insert("x-amz-target", action);
        let answer = self
            .control
            .send(&self.signing(service), operation, resource, request)
            .await?;
        if answer.status().is_success() {
            return json_answer(operation, resource, answer.body());
        }
        let told: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        // `com.amazonaws.sqs#QueueDoesNotExist`
        let code = told["__type"]
            .as_str()
            .and_then(|code| code.rsplit('#').next());
        let message = told["message"].as_str().or(told["Message"].as_str());
        Err(refusal(operation, resource, &answer, code, message))
    }

    /// The bucket's notification configuration.
    async fn notifications(&self, bucket: &str) -> Result<Document> {
        let operation = "read notification configuration";
        let target = format!("s3://{bucket}");
        let address = format!("{}?notification", with_slash(&self.endpoints.bucket));
        let request =
            plumbing::request(operation, &target, Method::GET, &address, &[], Bytes::new())?;
        let answer = self.xml(operation, &target, "s3", request).await?;
        let strange = |why: String| Error::new(Kind::Invalid, operation, &*target, why);
        if answer.body().len() > DOCUMENT_LIMIT_BYTES {
            return Err(strange(format!(
                "it is longer than {DOCUMENT_LIMIT_BYTES} bytes"
            )));
        }
        let text =
            std::str::from_utf8(answer.body()).map_err(|error| strange(error.to_string()))?;
        Document::parse(text).map_err(strange)
    }

    /// Writes the document whole, then reads it again: S3 offers no condition on it, so a change that somebody made between
    /// our reading and our writing can only be noticed afterwards.
    async fn change_notifications(
        &self,
        bucket: &str,
        change: impl Fn(&Document) -> Document + Send + Sync,
        holds: impl Fn(&Document) -> bool + Send + Sync,
    ) -> Result<()> {
        let operation = "write notification configuration";
        let target = format!("s3://{bucket}");
        let before = self.notifications(bucket).await?;
        let wanted = change(&before);
        let address = format!("{}?notification", with_slash(&self.endpoints.bucket));
        let headers = [("content-type", "application/xml")];
        let body = Bytes::from(wanted.to_xml());
        let request = plumbing::request(operation, &target, Method::PUT, &address, &headers, body)?;
        self.xml(operation, &target, "s3", request)
            .await
            .map_err(not_yet)?;
        let after = self.notifications(bucket).await?;
        let lost = wanted.missing_from(&after);
        if holds(&after) && lost.is_empty() {
            return Ok(());
        }
        let what = match lost.is_empty() {
            true => "our change did not last".to_owned(),
            false => format!("this is no longer there: {}", lost.join("; ")),
        };
        let why = format!(
            "somebody else changed the bucket's notification configuration at the same moment ({what}): look at it, then run \
             this again"
        );
        Err(Error::new(Kind::Precondition, operation, target, why).with_code("ChangedMeanwhile"))
    }

    /// What of the bucket's events reaches a queue or EventBridge, for people.
    ///
    /// # Errors
    /// [`Kind::Denied`]: `s3:GetBucketNotification` is missing.
    pub async fn listeners(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        let document = self.notifications(bucket).await?;
        let mut found: Vec<String> = document
            .queues()
            .filter(|queue| queue.tells_of(prefix))
            .map(|queue| queue.queue)
            .collect();
        if document.has_event_bridge() {
            found.push("EventBridge".to_owned());
        }
        Ok(found)
    }
}

/// The destination was created a moment ago and S3 does not yet see that it may write there: the same request succeeds later.
fn not_yet(mut error: Error) -> Error {
    if error.code.as_deref() == Some("InvalidArgument")
        && error
            .context
            .contains("Unable to validate the following destination")
    {
        error.kind = Kind::RetryAfter;
    }
    error
}

fn with_slash(url: &str) -> String {
    format!("{}/", url.trim_end_matches('/'))
}

#[async_trait]
impl<C: ControlPlane> Cloud for Aws<C> {
    async fn look(&self, resource: &Resource) -> Result<Found> {
        match resource {
            Resource::SqsQueue { arn, rule, policy } => self.look_at_queue(arn, rule, policy).await,
            Resource::S3Notification {
                bucket,
                id,
                queue_arn,
                prefix,
                events,
            } => {
                let wanted = QueueConfiguration::new(id, queue_arn, prefix, events);
                let found = self.notifications(bucket).await?.queue(id);
                Ok(match found.map(|found| found.differs_from(&wanted)) {
                    None => Found::Absent,
                    Some(None) => Found::AsPlanned(resource.name()),
                    Some(Some(why)) => Found::Different(why),
                })
            }
            Resource::S3EventBridge { bucket } => {
                let on = self.notifications(bucket).await?.has_event_bridge();
                Ok(match on {
                    true => Found::AsPlanned(resource.name()),
                    false => Found::Absent,
                })
            }
            Resource::EventBridgeRule { arn, rule, pattern } => {
                self.look_at_event_rule(arn, rule, pattern).await
            }
            Resource::EventBridgeTarget {
                event_rule,
                id,
                queue_arn,
            } => {
                self.look_at_target(resource, event_rule, id, queue_arn)
                    .await
            }
            other => Err(not_ours(other)),
        }
    }

    async fn create(&self, resource: &Resource) -> Result<String> {
        match resource {
            Resource::SqsQueue { arn, rule, policy } => {
                self.create_queue(arn, rule, policy).await?
            }
            Resource::S3Notification {
                bucket,
                id,
                queue_arn,
                prefix,
                events,
            } => {
                let wanted = QueueConfiguration::new(id, queue_arn, prefix, events);
                let holds = |after: &Document| {
                    let there = after.queue(id);
                    there.is_some_and(|there| there.differs_from(&wanted).is_none())
                };
                self.change_notifications(bucket, |before| before.with_queue(&wanted), holds)
                    .await?;
            }
            Resource::S3EventBridge { bucket } => {
                self.change_notifications(
                    bucket,
                    Document::with_event_bridge,
                    Document::has_event_bridge,
                )
                .await?;
            }
            Resource::EventBridgeRule { arn, rule, pattern } => {
                self.create_event_rule(arn, rule, pattern).await?;
            }
            Resource::EventBridgeTarget {
                event_rule,
                id,
                queue_arn,
            } => self.create_target(event_rule, id, queue_arn).await?,
            other => return Err(not_ours(other)),
        }
        Ok(resource.name())
    }

    async fn remove(&self, resource: &Resource, _name: &str) -> Result<()> {
        match resource {
            Resource::SqsQueue { arn, .. } => self.remove_queue(arn).await,
            Resource::S3Notification { bucket, id, .. } => {
                self.change_notifications(
                    bucket,
                    |before| before.without_queue(id),
                    |after| after.queue(id).is_none(),
                )
                .await
            }
            Resource::S3EventBridge { bucket } => {
                self.change_notifications(bucket, Document::without_event_bridge, |after| {
                    !after.has_event_bridge()
                })
                .await
            }
            Resource::EventBridgeRule { arn, .. } => self.remove_event_rule(arn).await,
            Resource::EventBridgeTarget { event_rule, id, .. } => {
                self.remove_target(event_rule, id).await
            }
            other => Err(not_ours(other)),
        }
    }
}

fn not_ours(resource: &Resource) -> Error {
    let why = "it belongs to another cloud than the rule's source";
    Error::new(Kind::Invalid, "wire", resource.name(), why)
}

/// The last part of an ARN.
fn last_part(arn: &str) -> &str {
    arn.rsplit([':', '/']).next().unwrap_or(arn)
}
