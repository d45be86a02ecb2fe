//! The container itself: created on request, checked before use.

use super::CosmosDocuments;
use super::client::{Answer, Ask};
use super::errors::failure;
use super::signing::Resource;
use crate::remote::Attempted;
use crate::{Error, Result};
use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use skyfresh_sky::Kind;

const OPERATION: &str = "open";

/// The path that items are partitioned by.
const PARTITION_PATH: &str = "/p";

/// What is read of an account
/// (<https://learn.microsoft.com/rest/api/cosmos-db/get-database-account>).
#[derive(Deserialize)]
struct Account {
    #[serde(rename = "userConsistencyPolicy")]
    consistency: Consistency,
}

#[derive(Deserialize)]
struct Consistency {
    #[serde(rename = "defaultConsistencyLevel")]
    level: String,
}

/// What is read of a container.
#[derive(Deserialize)]
struct Container {
    #[serde(rename = "partitionKey")]
    partition_key: PartitionKey,
}

#[derive(Deserialize)]
struct PartitionKey {
    paths: Vec<String>,
}

impl CosmosDocuments {
    /// Checks that the account reads what was written, and that the container is there with the right partition key.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: the account's default consistency is weaker than Strong, so that another process may read what
    /// is no longer true; [`Kind::Missing`]: there is no such container; [`Kind::Invalid`]: it is partitioned by something
    /// else; others as the service answers.
    pub async fn check(&self) -> Result<()> {
        self.check_consistency().await?;
        self.check_container().await
    }

    /// Creates database and container where they are absent, with the account's or the database's throughput. Several may do
    /// so at once.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub async fn create(&self) -> Result<()> {
        self.check_consistency().await?;
        self.create_resource("dbs", "", "dbs", json!({"id": self.database}))
            .await?;
        let database = format!("dbs/{}", self.database);
        let container = json!({
            "id": self.container,
            "partitionKey": {"paths": [PARTITION_PATH], "kind": "Hash", "version": 2},
            // Bodies are not looked for: an index of them would only cost.
            "indexingPolicy": {
                "indexingMode": "consistent",
                "automatic": true,
                "includedPaths": [{"path": "/p/?"}, {"path": "/s/?"}],
                "excludedPaths": [{"path": "/*"}],
            },
        });
        self.create_resource("colls", &database, &format!("{database}/colls"), container)
            .await?;
        self.check_container().await
    }

    async fn check_consistency(&self) -> Result<()> {
        if self.client.is_emulator() {
            // One process holds everything: every read sees every write.
            return Ok(());
        }
        let answer = self.ask(Method::GET, "", "", "", None).await?;
        let account: Account = self.read(&answer)?;
        if account.consistency.level == "Strong" {
            return Ok(());
        }
        let why = format!(
            "the account's default consistency is {}; a shared ledger needs Strong: set it under \"Default consistency\"",
            account.consistency.level
        );
        Err(self.error(Kind::Unsupported, why))
    }

    async fn check_container(&self) -> Result<()> {
        let link = self.container_link();
        let answer = self.ask(Method::GET, "colls", &link, &link, None).await?;
        let container: Container = self.read(&answer)?;
        if container.partition_key.paths == [PARTITION_PATH] {
            return Ok(());
        }
        let why = format!(
            "the container is partitioned by {}, not by {PARTITION_PATH}: it belongs to something else; name another",
            container.partition_key.paths.join(", ")
        );
        Err(self.error(Kind::Invalid, why))
    }

    async fn create_resource(&self, kind: &str, link: &str, path: &str, body: Value) -> Result<()> {
        self.ask(Method::POST, kind, link, path, Some(body))
            .await
            .map(|_| ())
    }

    async fn ask(
        &self,
        method: Method,
        kind: &str,
        link: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer> {
        let target = self.target();
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        self.repeater
            .harmless(OPERATION, &target, async || -> Attempted<Answer> {
                let answer = self
                    .client
                    .send(Ask {
                        operation: OPERATION,
                        target: &target,
                        method: method.clone(),
                        resource: Resource { kind, link },
                        path,
                        headers: Vec::new(),
                        body: body.clone(),
                    })
                    .await?;
                match answer.status {
                    200 | 201 => Ok(answer),
                    // It is there already: just what was asked for.
                    409 if method == Method::POST => Ok(answer),
                    _ => Err(failure(OPERATION, &target, &answer)),
                }
            })
            .await
    }

    fn read<'a, T: Deserialize<'a>>(&self, answer: &'a Answer) -> Result<T> {
        serde_json::from_slice(&answer.body).map_err(|error| {
            self.error(Kind::Corrupt, format!("the answer cannot be read: {error}"))
        })
    }

    fn target(&self) -> String {
        format!("{}/{}", self.client.endpoint(), self.container_link())
    }

    fn error(&self, kind: Kind, why: impl Into<String>) -> Error {
        Error::new(kind, OPERATION, self.target(), why)
    }
}
