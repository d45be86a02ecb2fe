//! Documents in one Amazon DynamoDB table, over the official SDK.
//!
//! **In:** the operations of [`Documents`]; access keys from the caller, asked for before every request.
//! **Out:** single-item conditional writes, consistent reads and consistent queries of one partition; what they cost.
//! **Never:** repeats a conditional write whose answer was lost (it reads which stamp the item has instead), leaves repeating
//! to the SDK, reads the environment or a profile, deletes a table.
//!
//! An item has the key (`p`: string, `s`: binary) and the attributes `b` (the body) and `v` (its stamp). One region only: in a
//! global table with eventual consistency, conditions hold within one region
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html>).

mod credentials;
mod errors;
mod key;
mod requests;
mod table;
mod usage;

pub use credentials::{AccessKeys, AwsKeys};
pub use usage::Usage;

use crate::remote::{
    Failure, IN_FLIGHT, Repeater, Stamps, check_body, check_id, check_partition, name,
};
use crate::shared::{Condition, Document, DocumentId, Documents, Stamp, Written};
use crate::{Error, Result};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, IdentityCache, Region, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use credentials::FromKeys;
use skyfresh_sky::{Clock, Kind, Rng};
use std::sync::Arc;
use std::time::Duration;
use usage::Counters;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Which table, where, and as whom.
#[derive(Clone, Debug)]
pub struct DynamoConfig {
    /// The region's bare name, e.g. `eu-central-1`.
    pub region: String,
    /// Another address than the region's: `http://127.0.0.1:4566`.
    pub endpoint: Option<String>,
    /// The table's name.
    pub table: String,
    /// Who asks.
    pub credentials: Arc<dyn AwsKeys>,
}

/// Documents in a DynamoDB table.
#[derive(Debug)]
pub struct DynamoDocuments {
    client: Client,
    table: String,
    clock: Arc<dyn Clock>,
    repeater: Repeater,
    stamps: Stamps,
    counters: Counters,
}

impl DynamoDocuments {
    /// Documents in this table. Nothing is asked yet: [`check`](Self::check) or [`create`](Self::create) does.
    pub fn new(config: DynamoConfig, clock: Arc<dyn Clock>, rng: &Rng) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .build();
        let mut sdk = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(config.region))
            .http_client(http)
            .credentials_provider(FromKeys(config.credentials))
            // The caller's keys are current whenever they are asked for; a second cache could only hold old ones.
            .identity_cache(IdentityCache::no_cache())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        sdk.set_endpoint_url(config.endpoint);
        DynamoDocuments {
            client: Client::from_conf(sdk.build()),
            table: config.table,
            repeater: Repeater::new(Arc::clone(&clock), rng.fork(), IN_FLIGHT),
            stamps: Stamps::new(rng),
            counters: Counters::default(),
            clock,
        }
    }

    /// What was asked of the table since this was made.
    pub fn usage(&self) -> Usage {
        self.counters.read()
    }

    /// The state that a conditional write left behind after its answer was lost: ours, or unknown.
    async fn after_lost_put(&self, id: &DocumentId, stamp: String, lost: Error) -> Result<Written> {
        match self.get(id).await? {
            Some(document) if document.stamp.0 == stamp => Ok(Written::Done(Some(document.stamp))),
            _ => Err(lost),
        }
    }
}

#[async_trait]
impl Documents for DynamoDocuments {
    async fn get(&self, id: &DocumentId) -> Result<Option<Document>> {
        check_id("get", id)?;
        self.repeater
            .harmless("get", &name(id), || self.get_once(id))
            .await
    }

    async fn put(&self, id: &DocumentId, body: Vec<u8>, condition: Condition) -> Result<Written> {
        check_id("put", id)?;
        check_body("put", id, &body)?;
        // One stamp for all attempts: whichever of them took effect, this is how it is recognised.
        let stamp = self.stamps.next();
        let attempt = || self.put_once(id, &body, &stamp, &condition);
        if condition == Condition::Any {
            return self.repeater.harmless("put", &name(id), attempt).await;
        }
        match self.repeater.once("put", &name(id), attempt).await {
            Ok(written) => Ok(written),
            Err(Failure::Lost(error)) => self.after_lost_put(id, stamp, error).await,
            Err(failure) => Err(failure.into_error()),
        }
    }

    async fn delete(&self, id: &DocumentId, condition: Condition) -> Result<Written> {
        check_id("delete", id)?;
        let attempt = || self.delete_once(id, &condition);
        if condition == Condition::Any {
            return self.repeater.harmless("delete", &name(id), attempt).await;
        }
        self.repeater
            .once("delete", &name(id), attempt)
            .await
            .map_err(Failure::into_error)
    }

    async fn scan(
        &self,
        partition: &str,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Document>> {
        check_partition("scan", partition)?;
        let mut found = Vec::new();
        let Some(bounds) = key::between(from, to).filter(|_| limit > 0) else {
            return Ok(found);
        };
        let mut start = None;
        loop {
            let wanted = limit - found.len();
            let page = self
                .repeater
                .harmless("scan", partition, || {
                    self.query_once(partition, &bounds, reverse, wanted, start.clone())
                })
                .await?;
            let within = |document: &Document| {
                document.sort.as_slice() >= from && document.sort.as_slice() < to
            };
            found.extend(page.documents.into_iter().filter(within).take(wanted));
            start = page.next;
            if start.is_none() || found.len() == limit {
                return Ok(found);
            }
        }
    }
}

/// What the table holds that nothing here wrote.
fn corrupt(operation: &'static str, target: &str, what: &str) -> Error {
    let why = format!("{what}: something else writes to this table");
    Error::new(Kind::Corrupt, operation, target, why)
}

/// The stamp as the caller sees it.
fn stamp(text: &str) -> Stamp {
    Stamp(text.to_owned())
}
