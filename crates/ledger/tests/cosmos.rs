//! The conformance suites on Cosmos DB, as `@vercel/cosmosdb-server` speaks it.
#![cfg(feature = "cosmos")]

mod services;

use skyfresh_ledger::cosmos::{CosmosConfig, CosmosDocuments, CosmosKey};
use skyfresh_ledger::shared::Documents;
use skyfresh_sky::{Rng, SystemClock};
use std::sync::Arc;

/// The server looks at no signature: any key will do.
const KEY: &str = "c2t5ZnJlc2g=";

fn open(endpoint: &str, container: String) -> CosmosDocuments {
    let config = CosmosConfig {
        endpoint: endpoint.to_owned(),
        database: "skyfresh".into(),
        container,
        key: CosmosKey::parse(KEY).expect("base64"),
    };
    CosmosDocuments::new(config, Arc::new(SystemClock), &Rng::from_entropy()).expect("a client")
}

async fn fresh() -> Option<CosmosDocuments> {
    let endpoint = services::address("cosmos", "the Cosmos DB server", "SKYFRESH_TEST_COSMOS")?;
    let documents = open(&endpoint, services::unique("ledger"));
    documents.create().await.expect("a container");
    Some(documents)
}

async fn documents() -> Option<(Arc<dyn Documents>, ())> {
    Some((Arc::new(fresh().await?), ()))
}

mod documents_on_cosmos {
    skyfresh_ledger::documents_conformance!(super::documents);
}
