//! The conformance suites on DynamoDB, as moto and MiniStack speak it.
#![cfg(feature = "dynamodb")]

mod services;

use skyfresh_ledger::dynamodb::{AccessKeys, DynamoConfig, DynamoDocuments};
use skyfresh_ledger::shared::Documents;
use skyfresh_sky::{Rng, SystemClock};
use std::sync::Arc;

fn open(endpoint: &str, table: String) -> DynamoDocuments {
    let config = DynamoConfig {
        region: "us-east-1".into(),
        endpoint: Some(endpoint.to_owned()),
        table,
        credentials: Arc::new(AccessKeys {
            access_key_id: "test".into(),
            secret_access_key: "testtest".into(),
            session_token: None,
        }),
    };
    DynamoDocuments::new(config, Arc::new(SystemClock), &Rng::from_entropy())
}

async fn fresh(name: &str, variable: &str) -> Option<DynamoDocuments> {
    let endpoint = services::address("dynamodb", name, variable)?;
    let documents = open(&endpoint, services::unique("ledger"));
    documents.create().await.expect("a table");
    Some(documents)
}

async fn moto() -> Option<(Arc<dyn Documents>, ())> {
    Some((Arc::new(fresh("moto", "SKYFRESH_TEST_MOTO").await?), ()))
}

async fn ministack() -> Option<(Arc<dyn Documents>, ())> {
    let documents = fresh("MiniStack", "SKYFRESH_TEST_MINISTACK").await?;
    Some((Arc::new(documents), ()))
}

mod documents_on_moto {
    skyfresh_ledger::documents_conformance!(super::moto);
}

mod documents_on_ministack {
    skyfresh_ledger::documents_conformance!(super::ministack);
}
