//! The table itself: created on request, checked before use.

use super::DynamoDocuments;
use super::errors::failure;
use crate::remote::{Attempted, Failure};
use crate::{Error, Result};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    TableDescription, TableStatus,
};
use skyfresh_sky::Kind;
use std::time::Duration;

/// How long a new table may take until it can be used; seconds are usual.
const CREATION_LIMIT: Duration = Duration::from_secs(120);

/// How often it is looked at meanwhile.
const CREATION_POLL: Duration = Duration::from_millis(500);

const OPERATION: &str = "open";

/// The key's attributes, with their roles and types.
const SCHEMA: [(&str, KeyType, ScalarAttributeType); 2] = [
    ("p", KeyType::Hash, ScalarAttributeType::S),
    ("s", KeyType::Range, ScalarAttributeType::B),
];

impl DynamoDocuments {
    /// Checks that the table is there, can be used, and has the right key.
    ///
    /// # Errors
    /// [`Kind::Missing`]: there is no such table; [`Kind::Invalid`]: it is another kind of table; [`Kind::RetryAfter`]: it is
    /// being created; others as the service answers.
    pub async fn check(&self) -> Result<()> {
        let Some(table) = self.describe().await? else {
            let why =
                "there is no such table: create it (key p: String, s: Binary), or have it created";
            return Err(self.error(Kind::Missing, why));
        };
        self.check_key(&table)?;
        match table.table_status() {
            Some(TableStatus::Active | TableStatus::Updating) => Ok(()),
            status => {
                let why = format!("the table cannot be used now: it is {status:?}");
                Err(self.error(Kind::RetryAfter, why))
            }
        }
    }

    /// Creates the table, paid by request, where it is absent, and waits until it can be used. Several may do so at once.
    /// Backups (point-in-time recovery) are left to its owner.
    ///
    /// # Errors
    /// As [`check`](Self::check); [`Kind::RetryAfter`]: it could not be used within two minutes.
    pub async fn create(&self) -> Result<()> {
        let start_ns = self.clock.monotonic_ns();
        loop {
            match self.describe().await? {
                None => {
                    self.repeater
                        .harmless(OPERATION, &self.table, || self.create_once())
                        .await?;
                }
                Some(table) => {
                    self.check_key(&table)?;
                    if table.table_status() == Some(&TableStatus::Active) {
                        return Ok(());
                    }
                }
            }
            let waited_ns = self.clock.monotonic_ns().saturating_sub(start_ns);
            if Duration::from_nanos(waited_ns) > CREATION_LIMIT {
                let why = format!(
                    "the new table could not be used within {} s",
                    CREATION_LIMIT.as_secs()
                );
                return Err(self.error(Kind::RetryAfter, why));
            }
            self.clock.sleep(CREATION_POLL).await;
        }
    }

    async fn create_once(&self) -> Attempted<()> {
        let mut request = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest);
        for (attribute, role, kind) in SCHEMA {
            let element = KeySchemaElement::builder()
                .attribute_name(attribute)
                .key_type(role)
                .build();
            let definition = AttributeDefinition::builder()
                .attribute_name(attribute)
                .attribute_type(kind)
                .build();
            let internal = |error: aws_sdk_dynamodb::error::BuildError| {
                Failure::Final(self.error(Kind::Internal, error.to_string()))
            };
            request = request
                .key_schema(element.map_err(internal)?)
                .attribute_definitions(definition.map_err(internal)?);
        }
        match request.send().await {
            Ok(_) => Ok(()),
            // Somebody else was quicker.
            Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
            Err(error) => Err(failure(OPERATION, &self.table, error)),
        }
    }

    async fn describe(&self) -> Result<Option<TableDescription>> {
        self.repeater
            .harmless(OPERATION, &self.table, || async {
                let request = self.client.describe_table().table_name(&self.table);
                match request.send().await {
                    Ok(answer) => Ok(answer.table),
                    Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
                    Err(error) => Err(failure(OPERATION, &self.table, error)),
                }
            })
            .await
    }

    fn check_key(&self, table: &TableDescription) -> Result<()> {
        let right = table.key_schema().len() == SCHEMA.len()
            && SCHEMA.iter().all(|(attribute, role, kind)| {
                let keyed = table.key_schema().iter().any(|element| {
                    element.attribute_name() == *attribute && element.key_type() == role
                });
                let typed = table.attribute_definitions().iter().any(|definition| {
                    definition.attribute_name() == *attribute && definition.attribute_type() == kind
                });
                keyed && typed
            });
        if right {
            return Ok(());
        }
        let why = "the table's key is not (p: String, s: Binary): it belongs to something else; name another";
        Err(self.error(Kind::Invalid, why))
    }

    fn error(&self, kind: Kind, why: impl Into<String>) -> Error {
        Error::new(kind, OPERATION, &self.table, why)
    }
}
