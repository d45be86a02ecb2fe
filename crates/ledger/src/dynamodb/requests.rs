//! One attempt at one request.

use super::errors::failure;
use super::key::Between;
use super::{DynamoDocuments, corrupt, stamp};
use crate::remote::{Attempted, Failure, name};
use crate::shared::{Condition, Document, DocumentId, Written};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, ReturnConsumedCapacity, ReturnValue,
};
use std::collections::HashMap;

/// An item, as the SDK has it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// A part of a query's result.
pub(super) struct Page {
    /// In the order asked for.
    pub(super) documents: Vec<Document>,
    /// Where the next page begins, where there is one.
    pub(super) next: Option<Item>,
}

const CONDITION_FAILED: &str = "ConditionalCheckFailedException";

impl DynamoDocuments {
    /// One consistent read.
    pub(super) async fn get_once(&self, id: &DocumentId) -> Attempted<Option<Document>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(id)))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failure("get", &name(id), error))?;
        self.counters.read_done(units(answer.consumed_capacity()));
        answer
            .item
            .map(|item| document("get", &id.partition, item))
            .transpose()
    }

    /// One write of a whole item.
    pub(super) async fn put_once(
        &self,
        id: &DocumentId,
        body: &[u8],
        new: &str,
        condition: &Condition,
    ) -> Attempted<Written> {
        let mut item = key(id);
        item.insert("b".into(), AttributeValue::B(Blob::new(body)));
        item.insert("v".into(), AttributeValue::S(new.to_owned()));
        let (expression, expected) = expression(condition);
        let answer = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .set_condition_expression(expression)
            .set_expression_attribute_values(expected)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match answer {
            Ok(answer) => {
                self.counters.wrote(units(answer.consumed_capacity()));
                Ok(Written::Done(Some(stamp(new))))
            }
            Err(error) => self.refused_or("put", id, error),
        }
    }

    /// One removal.
    pub(super) async fn delete_once(
        &self,
        id: &DocumentId,
        condition: &Condition,
    ) -> Attempted<Written> {
        let (expression, expected) = expression(condition);
        let answer = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(id)))
            .set_condition_expression(expression)
            .set_expression_attribute_values(expected)
            .return_values(ReturnValue::None)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match answer {
            Ok(answer) => {
                self.counters.wrote(units(answer.consumed_capacity()));
                Ok(Written::Done(None))
            }
            Err(error) => self.refused_or("delete", id, error),
        }
    }

    /// One page of a query: at most 1 MiB (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html>).
    pub(super) async fn query_once(
        &self,
        partition: &str,
        between: &Between,
        reverse: bool,
        limit: usize,
        start: Option<Item>,
    ) -> Attempted<Page> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("p = :p AND s BETWEEN :first AND :last")
            .expression_attribute_values(":p", AttributeValue::S(partition.to_owned()))
            .expression_attribute_values(":first", blob(&between.first))
            .expression_attribute_values(":last", blob(&between.last))
            .consistent_read(true)
            .scan_index_forward(!reverse)
            // One more than asked for: the range holds its end, which is not wanted.
            .limit(i32::try_from(limit.saturating_add(1)).unwrap_or(i32::MAX))
            .set_exclusive_start_key(start)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(|error| failure("scan", partition, error))?;
        self.counters.read_done(units(answer.consumed_capacity()));
        Ok(Page {
            next: answer.last_evaluated_key.filter(|next| !next.is_empty()),
            documents: answer
                .items
                .unwrap_or_default()
                .into_iter()
                .map(|item| document("scan", partition, item))
                .collect::<Attempted<_>>()?,
        })
    }

    fn refused_or<E>(
        &self,
        operation: &'static str,
        id: &DocumentId,
        error: SdkError<E>,
    ) -> Attempted<Written>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        if error.code() == Some(CONDITION_FAILED) {
            self.counters.refused();
            return Ok(Written::Refused);
        }
        Err(failure(operation, &name(id), error))
    }
}

fn units(consumed: Option<&ConsumedCapacity>) -> Option<f64> {
    consumed.and_then(ConsumedCapacity::capacity_units)
}

fn blob(bytes: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

fn key(id: &DocumentId) -> Item {
    HashMap::from([
        ("p".into(), AttributeValue::S(id.partition.clone())),
        ("s".into(), blob(&id.sort)),
    ])
}

/// The condition in DynamoDB's language, and the values it speaks of.
fn expression(condition: &Condition) -> (Option<String>, Option<Item>) {
    match condition {
        Condition::Any => (None, None),
        Condition::Absent => (Some("attribute_not_exists(p)".into()), None),
        Condition::Unchanged(expected) => (
            Some("v = :v".into()),
            Some(HashMap::from([(
                ":v".into(),
                AttributeValue::S(expected.0.clone()),
            )])),
        ),
    }
}

fn document(operation: &'static str, partition: &str, mut item: Item) -> Attempted<Document> {
    let mut take = |attribute: &str| {
        item.remove(attribute).ok_or_else(|| {
            let what = format!("an item has no attribute {attribute}");
            Failure::Final(corrupt(operation, partition, &what))
        })
    };
    match (take("s")?, take("b")?, take("v")?) {
        (AttributeValue::B(sort), AttributeValue::B(body), AttributeValue::S(text)) => {
            Ok(Document {
                sort: sort.into_inner(),
                body: body.into_inner(),
                stamp: stamp(&text),
            })
        }
        _ => Err(Failure::Final(corrupt(
            operation,
            partition,
            "an item has attributes of other types",
        ))),
    }
}
