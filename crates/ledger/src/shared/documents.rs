//! The seam to a document store: what DynamoDB, Cosmos DB and PostgreSQL all do alike.

use crate::Result;
use async_trait::async_trait;

/// Where a document is. Partitions hold any number of documents, ordered by `sort` as bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// Unit of ordering and of throughput (1,000 writes/s on DynamoDB): at most 1,024 bytes of text.
    pub partition: String,
    /// Order within the partition: at most 1,024 bytes, any bytes.
    pub sort: Vec<u8>,
}

/// The store's own mark of one state of one document (an attribute, an ETag, a row version): compared, never interpreted.
/// Never recurs for the same id, not even after a removal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stamp(pub String);

/// A document as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Order within its partition.
    pub sort: Vec<u8>,
    /// Content, at most 300 KiB.
    pub body: Vec<u8>,
    /// Which state of it this is.
    pub stamp: Stamp,
}

/// What a write demands of the document as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Any,
    /// There is none.
    Absent,
    /// It is still in this state.
    Unchanged(Stamp),
}

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Done, and durable. The stamp of the new state; `None` after a removal.
    Done(Option<Stamp>),
    /// The condition did not hold; nothing has changed.
    Refused,
}

/// A store of documents. Every single write is atomic and durable when it returns; every read sees all writes that returned
/// before it began (strong consistency). Throttling and lost connections are retried within, bounded, *only* where repeating is
/// safe: a conditional write whose answer was lost comes out as [`Kind::RetryAfter`](skyfresh_sky::Kind::RetryAfter), and the
/// caller reads what became of it.
#[async_trait]
pub trait Documents: Send + Sync + std::fmt::Debug {
    /// One document.
    async fn get(&self, id: &DocumentId) -> Result<Option<Document>>;

    /// Sets a document's whole content.
    async fn put(&self, id: &DocumentId, body: Vec<u8>, condition: Condition) -> Result<Written>;

    /// Removes a document. Under [`Condition::Any`] one that is not there is no error.
    async fn delete(&self, id: &DocumentId, condition: Condition) -> Result<Written>;

    /// At most `limit` documents of a partition with `from <= sort < to`, in order, the last first where `reverse`. Fewer than
    /// `limit` means that there are no more.
    async fn scan(
        &self,
        partition: &str,
        from: &[u8],
        to: &[u8],
        reverse: bool,
        limit: usize,
    ) -> Result<Vec<Document>>;
}
