//! SQS (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/>).

use super::{Aws, last_part, names, policy};
use crate::wiring::{ControlPlane, Found};
use serde_json::{Value, json};
use skyfresh_sky::Kind;
use skyfresh_store::{Error, Result};

/// The longest SQS keeps a message, seconds: a daemon that is down for a week still finds every event.
const RETENTION_S: u32 = 14 * 24 * 60 * 60;
/// How long a message that was taken stays hidden, seconds. Taking one in costs a ledger transaction, not a copy.
const VISIBILITY_S: u32 = 60;
/// How long a request for messages waits for one, seconds; the longest there is, as every request costs.
const WAIT_S: u32 = 20;

impl<C: ControlPlane> Aws<C> {
    async fn sqs(
        &self,
        operation: &'static str,
        arn: &str,
        action: &str,
        body: &Value,
    ) -> Result<Value> {
        self.call(operation, arn, "sqs", &format!("AmazonSQS.{action}"), body)
            .await
    }

    /// The queue's address, or `None` where there is none.
    async fn queue_url(&self, operation: &'static str, arn: &str) -> Result<Option<String>> {
        let body = json!({ "QueueName": last_part(arn) });
        match self.sqs(operation, arn, "GetQueueUrl", &body).await {
            Ok(answer) => match answer["QueueUrl"].as_str() {
                Some(url) => Ok(Some(url.to_owned())),
                None => Err(Error::new(
                    Kind::Invalid,
                    operation,
                    arn,
                    "SQS told no address",
                )),
            },
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn look_at_queue(
        &self,
        arn: &str,
        rule: &str,
        wanted_policy: &str,
    ) -> Result<Found> {
        let operation = "look at queue";
        let Some(url) = self.queue_url(operation, arn).await? else {
            return Ok(Found::Absent);
        };
        let body = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
        let found = match self.sqs(operation, arn, "GetQueueAttributes", &body).await {
            Ok(found) => found,
            // Deleted queues linger in the list of addresses for a minute.
            Err(error) if is_absent(&error) => return Ok(Found::Absent),
            Err(error) => return Err(error),
        };
        let tags = self
            .sqs(operation, arn, "ListQueueTags", &json!({ "QueueUrl": url }))
            .await?;
        let attributes = &found["Attributes"];
        let tag = tags["Tags"][names::TAG].as_str();
        if attributes["QueueArn"].as_str() != Some(arn) {
            return Ok(Found::Different(format!(
                "its ARN is {}",
                attributes["QueueArn"]
            )));
        }
        if tag != Some(rule) {
            return Ok(Found::Different(match tag {
                None => format!("it has no tag {}", names::TAG),
                Some(other) => format!("its tag {} is {other}", names::TAG),
            }));
        }
        let there = attributes["Policy"].as_str().unwrap_or_default();
        if !policy::covers(there, wanted_policy) {
            return Ok(Found::Different(
                "its access policy does not let the bucket send".into(),
            ));
        }
        Ok(Found::AsPlanned(arn.to_owned()))
    }

    pub(super) async fn create_queue(&self, arn: &str, rule: &str, policy: &str) -> Result<()> {
        let body = json!({
            "QueueName": last_part(arn),
            "Attributes": {
                "MessageRetentionPeriod": RETENTION_S.to_string(),
                "VisibilityTimeout": VISIBILITY_S.to_string(),
                "ReceiveMessageWaitTimeSeconds": WAIT_S.to_string(),
                "Policy": policy,
            },
            "tags": { names::TAG: rule },
        });
        let created = self.sqs("create queue", arn, "CreateQueue", &body).await;
        created.map(drop).map_err(|mut error| {
            // A queue's name is free again a minute after it was deleted.
            if error
                .code
                .as_deref()
                .is_some_and(|code| code.ends_with("QueueDeletedRecently"))
            {
                error.kind = Kind::RetryAfter;
            }
            error
        })
    }

    pub(super) async fn remove_queue(&self, arn: &str) -> Result<()> {
        let operation = "remove queue";
        let Some(url) = self.queue_url(operation, arn).await? else {
            return Ok(());
        };
        match self
            .sqs(operation, arn, "DeleteQueue", &json!({ "QueueUrl": url }))
            .await
        {
            Err(error) if !is_absent(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

fn is_absent(error: &Error) -> bool {
    matches!(
        error.code.as_deref(),
        Some("QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue")
    )
}
