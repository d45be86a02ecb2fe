//! The seam: what every channel must offer.

use async_trait::async_trait;
use bytes::Bytes;
use skyfresh_sky::Timestamp;
use skyfresh_store::Result;
use std::collections::BTreeMap;
use std::time::Duration;

/// Largest message that is looked at, bytes. An S3 or Event Grid event has about 1 KiB; the queues themselves take no more than
/// this (Amazon SQS developer guide, "Quotas") or less.
pub const MESSAGE_LIMIT_BYTES: usize = 256 << 10;

/// One message, handed out until it is acknowledged: at least once, in any order, perhaps late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The channel's own name of the message; the same at every delivery.
    pub id: String,
    /// What to acknowledge or give back this delivery by.
    pub handle: String,
    /// The message, decoded from the channel's envelope but not interpreted.
    pub body: Bytes,
    /// What the channel carries beside the body, by name (Pub/Sub attributes).
    pub attributes: BTreeMap<String, String>,
    /// How often it was delivered, this time included, where the channel counts (else 1).
    pub attempts: u32,
    /// When it was put into the channel, where the channel says so.
    pub sent: Option<Timestamp>,
}

/// A queue or subscription that is pulled from. Everything may be called from several tasks at once.
#[async_trait]
pub trait Channel: Send + Sync + std::fmt::Debug {
    /// Its address, for people and as the key of its counters; holds no secret.
    fn name(&self) -> &str;

    /// At most `limit` messages (fewer where the channel gives fewer at once), waiting up to `wait` for the first. Each stays
    /// hidden from others for the channel's own visibility time.
    async fn receive(&self, limit: usize, wait: Duration) -> Result<Vec<Delivery>>;

    /// Removes messages for good. Gives the handles that could not be removed: they will be delivered again.
    async fn acknowledge(&self, handles: &[String]) -> Result<Vec<String>>;

    /// Gives messages back: delivered again after about `delay`.
    async fn give_back(&self, handles: &[String], delay: Duration) -> Result<()>;
}
