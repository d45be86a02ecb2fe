//! Documents and the shared ledger on Cosmos DB, as `@vercel/cosmosdb-server` speaks it.
#![cfg(feature = "cosmos")]
#![allow(
    clippy::print_stdout,
    reason = "rates are for the person who runs the tests"
)]

mod services;

use services::proxy::Proxy;
use skyfresh_ledger::Ledger;
use skyfresh_ledger::cosmos::{CosmosConfig, CosmosDocuments, CosmosKey};
use skyfresh_ledger::shared::Documents;
use skyfresh_sky::{Kind, Rng, SystemClock};
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

/// The server's address and the name of a new container there.
async fn container() -> Option<(String, String)> {
    let endpoint = services::address("cosmos", "the Cosmos DB server", "SKYFRESH_TEST_COSMOS")?;
    let container = services::unique("ledger");
    open(&endpoint, container.clone())
        .create()
        .await
        .expect("a container");
    Some((endpoint, container))
}

async fn documents() -> Option<(Arc<dyn Documents>, ())> {
    let (endpoint, container) = container().await?;
    Some((Arc::new(open(&endpoint, container)), ()))
}

async fn ledger() -> Option<(Arc<dyn Ledger>, ())> {
    let (endpoint, container) = container().await?;
    Some(services::ledger(open(&endpoint, container)).await)
}

mod documents_conform {
    skyfresh_ledger::documents_conformance!(super::documents);
}

mod ledger_conforms {
    crate::ledger_on_a_service!(super::ledger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_claimants_share_the_work() {
    let Some((endpoint, container)) = container().await else {
        return;
    };
    let report = services::storm::sixteen_claimants_share_the_work(|| {
        Arc::new(open(&endpoint, container.clone()))
    })
    .await;
    println!("Cosmos DB: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_are_found_out() {
    let Some((endpoint, container)) = container().await else {
        return;
    };
    let server = endpoint.strip_prefix("http://").expect("http://host:port");
    let proxy = Proxy::to(server).await;
    let documents = open(&format!("http://{}", proxy.address), container);
    services::lost::lost_answers_are_found_out(&documents, &proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_is_made_once_and_a_missing_one_is_told() {
    let Some((endpoint, container)) = container().await else {
        return;
    };
    let documents = open(&endpoint, container);
    documents.create().await.expect("nothing to do");
    documents.check().await.expect("it is there");
    assert!(documents.charged_units() > 0.0);
    let missing = open(&endpoint, services::unique("missing"));
    let error = missing.check().await.expect_err("not there");
    assert_eq!(error.kind, Kind::Missing, "{error}");
}
