//! Documents in one Azure Cosmos DB container (API for NoSQL), over thin REST.
//!
//! **In:** the operations of [`Documents`]; the account's key from the caller.
//! **Out:** writes of single items with `If-Match`, point reads, and queries of one logical partition.
//! **Never:** works on an account whose reads may be stale, repeats a conditional write whose answer was lost (it reads which
//! state the item has instead), sends the key, deletes a container.
//!
//! An item has `id` (a hash of the sort key, as ids are short and must not hold `/`), `p` (the partition), `s` (the sort key in
//! hexadecimal, whose order as text is the order of the bytes), `b` (the body in base64) and `v` (chosen by the writer, so that
//! it recognises its own write). The stamp is the item's `_etag`, which every write renews
//! (<https://learn.microsoft.com/azure/cosmos-db/database-transactions-optimistic-concurrency>).

mod client;
mod container;
mod errors;
mod item;
mod requests;
mod signing;

pub use signing::CosmosKey;

use crate::remote::{
    Failure, IN_FLIGHT, Repeater, Stamps, check_body, check_id, check_partition, name,
};
use crate::shared::{Condition, Document, DocumentId, Documents, Written};
use crate::{Error, Result};
use async_trait::async_trait;
use client::Client;
use item::Item;
use skyfresh_sky::{Clock, Kind, Rng};
use std::sync::Arc;

/// Which container, where, and the key to it.
#[derive(Clone, Debug)]
pub struct CosmosConfig {
    /// `https://ACCOUNT.documents.azure.com`. An address that begins with `http://` can only be an emulator's.
    pub endpoint: String,
    /// The database's name.
    pub database: String,
    /// The container's name.
    pub container: String,
    /// A read-write key of the account.
    pub key: CosmosKey,
}

/// Documents in a Cosmos DB container.
#[derive(Debug)]
pub struct CosmosDocuments {
    client: Client,
    database: String,
    container: String,
    repeater: Repeater,
    stamps: Stamps,
}

impl CosmosDocuments {
    /// Documents in this container. Nothing is asked yet: [`check`](Self::check) or [`create`](Self::create) does.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: an address or a name cannot be used; [`Kind::Internal`]: the system's root certificates cannot be
    /// read.
    pub fn new(config: CosmosConfig, clock: Arc<dyn Clock>, rng: &Rng) -> Result<Self> {
        for part in [&config.database, &config.container] {
            check_name(part)?;
        }
        Ok(CosmosDocuments {
            client: Client::new(&config.endpoint, config.key, Arc::clone(&clock))?,
            database: config.database,
            container: config.container,
            repeater: Repeater::new(clock, rng.fork(), IN_FLIGHT),
            stamps: Stamps::new(rng),
        })
    }

    /// Request units (RU) that the account has charged since this was made.
    pub fn charged_units(&self) -> f64 {
        self.client.charged_units()
    }

    async fn after_lost_put(&self, id: &DocumentId, mark: &str, lost: Error) -> Result<Written> {
        let item = self
            .repeater
            .harmless("get", &name(id), || self.get_once(id))
            .await?;
        match item {
            Some(item) if item.v == mark => Ok(Written::Done(Some(item.stamp()))),
            _ => Err(lost),
        }
    }
}

#[async_trait]
impl Documents for CosmosDocuments {
    async fn get(&self, id: &DocumentId) -> Result<Option<Document>> {
        check_id("get", id)?;
        self.repeater
            .harmless("get", &name(id), || self.get_once(id))
            .await?
            .map(|item| item.document("get"))
            .transpose()
    }

    async fn put(&self, id: &DocumentId, body: Vec<u8>, condition: Condition) -> Result<Written> {
        check_id("put", id)?;
        check_body("put", id, &body)?;
        let item = Item::new(id, &body, self.stamps.next());
        let attempt = || self.put_once(id, &item, &condition);
        if condition == Condition::Any {
            return self.repeater.harmless("put", &name(id), attempt).await;
        }
        match self.repeater.once("put", &name(id), attempt).await {
            Ok(written) => Ok(written),
            Err(Failure::Lost(error)) => self.after_lost_put(id, &item.v, error).await,
            Err(failure) => Err(failure.into_error()),
        }
    }

    async fn delete(&self, id: &DocumentId, condition: Condition) -> Result<Written> {
        check_id("delete", id)?;
        let attempt = || self.delete_once(id, &condition);
        match condition {
            // There is nothing to remove where the condition holds.
            Condition::Absent => Ok(match self.get(id).await? {
                Some(_) => Written::Refused,
                None => Written::Done(None),
            }),
            Condition::Any => self.repeater.harmless("delete", &name(id), attempt).await,
            Condition::Unchanged(_) => self
                .repeater
                .once("delete", &name(id), attempt)
                .await
                .map_err(Failure::into_error),
        }
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
        if from >= to {
            return Ok(found);
        }
        let query = requests::Query::new(partition, from, to, reverse);
        let mut continuation = None;
        while found.len() < limit {
            let wanted = limit - found.len();
            let page = self
                .repeater
                .harmless("scan", partition, || {
                    self.query_once(&query, wanted, continuation.as_deref())
                })
                .await?;
            for item in page.items.into_iter().take(wanted) {
                found.push(item.document("scan")?);
            }
            continuation = page.continuation;
            if continuation.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

/// Names that need no escaping in an address: the signature is over the plain text.
fn check_name(part: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=255).contains(&part.len()) && part.bytes().all(plain) && !part.starts_with('.') {
        return Ok(());
    }
    let why = "names of databases and containers have 1 to 255 letters, digits, '-', '_' or '.'";
    Err(Error::new(Kind::Invalid, "open", part, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_change_the_address_are_refused() {
        for good in ["ledger", "a-b_c.d", "7"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "..", "a?b", "a b", "a%2fb", "ä"] {
            assert_eq!(check_name(bad).unwrap_err().kind, Kind::Invalid, "{bad}");
        }
    }
}
