//! Amazon SQS: a queue that S3 (directly, through SNS or through EventBridge) fills.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/Welcome.html>

pub(crate) mod protocol;

use crate::plumbing::Address;
use crate::{Channel, Delivery};
use async_trait::async_trait;
use bytes::Bytes;
use protocol::AwsJson;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Clock, Invalid, Kind, Timestamp};
use skyfresh_store::s3::{Credentials, S3Config};
use skyfresh_store::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Most messages in one call (API reference, `ReceiveMessage`, `DeleteMessageBatch`).
const BATCH: usize = 10;
/// Longest long poll (API reference, `ReceiveMessage`: `WaitTimeSeconds`).
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Longest a message can be hidden (API reference, `ChangeMessageVisibility`).
const LONGEST_HIDING: Duration = Duration::from_secs(43_200);
/// The name before operations in `X-Amz-Target`.
const TARGET_PREFIX: &str = "AmazonSQS";

/// The settings of a queue.
#[derive(Clone, Debug)]
pub struct SqsConfig {
    /// The queue's URL, e.g. `https://sqs.eu-west-1.amazonaws.com/123456789012/events`.
    pub queue_url: String,
    /// The region that signatures name; on AWS it is in the URL. Elsewhere `us-east-1` unless given.
    pub region: Option<String>,
    /// Where credentials come from: as for an S3 store.
    pub credentials: Credentials,
}

/// A queue.
#[derive(Debug)]
pub struct SqsQueue {
    name: String,
    calls: AwsJson,
}

impl SqsQueue {
    /// Opens a queue. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the URL or the region cannot be used.
    pub fn new(config: SqsConfig, clock: Arc<dyn Clock>) -> Result<Self> {
        let invalid = |error: Invalid| Error::new(Kind::Invalid, "open", "sqs", error.to_string());
        let address = Address::parse("queue", &config.queue_url).map_err(invalid)?;
        if address
            .path
            .split('/')
            .filter(|part| !part.is_empty())
            .count()
            < 2
        {
            return Err(invalid(Invalid::new(
                "queue",
                &config.queue_url,
                "expected https://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE",
            )));
        }
        let region = match (config.region, region_of(address.host())) {
            (Some(given), _) => given,
            (None, Some(found)) => found.to_owned(),
            (None, None) => "us-east-1".to_owned(),
        };
        let settings = S3Config {
            credentials: config.credentials,
            ..S3Config::default()
        };
        Ok(SqsQueue {
            name: address.url(),
            calls: AwsJson::new("sqs", TARGET_PREFIX, &address, &region, &settings, clock)?,
        })
    }

    /// Puts a message into the queue: for tests of what pulls from it.
    ///
    /// # Errors
    /// The queue refused it, or no answer came.
    pub async fn send(&self, body: &str) -> Result<()> {
        let arguments = serde_json::json!({ "QueueUrl": self.name, "MessageBody": body });
        let _: serde::de::IgnoredAny = self
            .calls
            .call(
                "SendMessage",
                &arguments,
                Duration::ZERO,
                "send",
                &self.name,
            )
            .await?;
        Ok(())
    }

    /// Makes the queue, with the server's defaults; one that is there already is left as it is. For tests: channels of real
    /// rules are wired with their policies.
    ///
    /// # Errors
    /// The server refused it, or no answer came.
    pub async fn create(&self) -> Result<()> {
        let name = self.name.rsplit('/').next().unwrap_or_default();
        let arguments = serde_json::json!({ "QueueName": name });
        let _: serde::de::IgnoredAny = self
            .calls
            .call(
                "CreateQueue",
                &arguments,
                Duration::ZERO,
                "create",
                &self.name,
            )
            .await?;
        Ok(())
    }

    async fn change(
        &self,
        action: &str,
        operation: &'static str,
        handles: &[String],
        visibility_timeout: Option<u64>,
    ) -> Result<Vec<String>> {
        let entries = handles
            .iter()
            .enumerate()
            .map(|(index, handle)| Entry {
                id: index.to_string(),
                receipt_handle: handle,
                visibility_timeout,
            })
            .collect();
        let arguments = Batch {
            queue_url: &self.name,
            entries,
        };
        let outcome: BatchOutcome = self
            .calls
            .call(action, &arguments, Duration::ZERO, operation, &self.name)
            .await?;
        let failed = outcome.failed.unwrap_or_default();
        for failure in &failed {
            tracing::debug!(queue = %self.name, code = %failure.code, "{action} failed for one message");
        }
        Ok(failed
            .into_iter()
            .filter_map(|failure| handles.get(failure.id.parse::<usize>().ok()?).cloned())
            .collect())
    }
}

/// The region of an AWS queue's host: `sqs.REGION.amazonaws.com[.cn]`, or the older `REGION.queue.amazonaws.com`.
fn region_of(host: &str) -> Option<&str> {
    let (head, rest) = host.split_once('.')?;
    if !rest.contains("amazonaws.") {
        return None;
    }
    match head {
        "sqs" | "sqs-fips" => rest.split('.').next(),
        _ if rest.starts_with("queue.") => Some(head),
        _ => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Receive<'a> {
    queue_url: &'a str,
    max_number_of_messages: usize,
    wait_time_seconds: u64,
    message_system_attribute_names: [&'a str; 2],
    /// The older name of the same; servers that do not know the newer one take it.
    attribute_names: [&'a str; 2],
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Received {
    #[serde(default)]
    messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    message_id: String,
    receipt_handle: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    attributes: Option<BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<'a> {
    queue_url: &'a str,
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    id: String,
    receipt_handle: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility_timeout: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchOutcome {
    #[serde(default)]
    failed: Option<Vec<Failed>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    id: String,
    #[serde(default)]
    code: String,
}

impl From<Message> for Delivery {
    fn from(message: Message) -> Self {
        let number =
            |name: &str| -> Option<u64> { message.attributes.as_ref()?.get(name)?.parse().ok() };
        Delivery {
            attempts: number("ApproximateReceiveCount")
                .map_or(1, |count| u32::try_from(count).unwrap_or(u32::MAX))
                .max(1),
            sent: number("SentTimestamp").map(Timestamp::from_unix_ms),
            id: message.message_id,
            handle: message.receipt_handle,
            body: Bytes::from(message.body),
            attributes: BTreeMap::new(),
        }
    }
}

#[async_trait]
impl Channel for SqsQueue {
    fn name(&self) -> &str {
        &self.name
    }

    async fn receive(&self, limit: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let wait = wait.min(LONGEST_WAIT);
        let names = ["ApproximateReceiveCount", "SentTimestamp"];
        let arguments = Receive {
            queue_url: &self.name,
            max_number_of_messages: limit.clamp(1, BATCH),
            wait_time_seconds: wait.as_secs(),
            message_system_attribute_names: names,
            attribute_names: names,
        };
        let received: Received = self
            .calls
            .call("ReceiveMessage", &arguments, wait, "receive", &self.name)
            .await?;
        Ok(received
            .messages
            .unwrap_or_default()
            .into_iter()
            .map(Delivery::from)
            .collect())
    }

    async fn acknowledge(&self, handles: &[String]) -> Result<Vec<String>> {
        let mut failed = Vec::new();
        for handles in handles.chunks(BATCH) {
            failed.extend(
                self.change("DeleteMessageBatch", "acknowledge", handles, None)
                    .await?,
            );
        }
        Ok(failed)
    }

    async fn give_back(&self, handles: &[String], delay: Duration) -> Result<()> {
        let seconds = delay.min(LONGEST_HIDING).as_secs();
        for handles in handles.chunks(BATCH) {
            // One that fails comes back by itself when its visibility time ends.
            self.change(
                "ChangeMessageVisibilityBatch",
                "give back",
                handles,
                Some(seconds),
            )
            .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_in_the_host() {
        for (host, region) in [
            ("sqs.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("sqs.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("us-west-2.queue.amazonaws.com", Some("us-west-2")),
            ("127.0.0.1", None),
            ("sqs.example.com", None),
        ] {
            assert_eq!(region_of(host), region, "{host}");
        }
    }

    #[test]
    fn a_message_tells_its_count_and_its_age() {
        let text = r#"{"Messages":[{"MessageId":"m","ReceiptHandle":"h","Body":"{}","MD5OfBody":"x",
            "Attributes":{"ApproximateReceiveCount":"3","SentTimestamp":"1700000000123"}},
            {"MessageId":"n","ReceiptHandle":"i","Body":""}]}"#;
        let received: Received = serde_json::from_str(text).unwrap();
        let all: Vec<Delivery> = received
            .messages
            .unwrap()
            .into_iter()
            .map(Delivery::from)
            .collect();
        assert_eq!((all[0].attempts, all[1].attempts), (3, 1));
        assert_eq!(
            all[0].sent,
            Some(Timestamp::from_unix_ms(1_700_000_000_123))
        );
        assert_eq!(all[1].sent, None);
    }
}
