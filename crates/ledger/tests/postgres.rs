//! The conformance suites on PostgreSQL.
#![cfg(feature = "postgres")]

mod services;

use skyfresh_ledger::postgres::{PostgresConfig, PostgresDocuments, PostgresUrl};
use skyfresh_ledger::shared::Documents;
use skyfresh_sky::{Rng, SystemClock};
use std::sync::Arc;

fn open(url: &str, table: String) -> PostgresDocuments {
    let config = PostgresConfig {
        table,
        ..PostgresConfig::new(PostgresUrl::parse(url).expect("a URL"))
    };
    PostgresDocuments::new(config, Arc::new(SystemClock), &Rng::from_entropy()).expect("a pool")
}

async fn fresh() -> Option<PostgresDocuments> {
    let url = services::address("postgres", "PostgreSQL", "SKYFRESH_TEST_POSTGRES")?;
    let documents = open(&url, services::unique("ledger"));
    documents.create().await.expect("a table");
    Some(documents)
}

async fn documents() -> Option<(Arc<dyn Documents>, ())> {
    Some((Arc::new(fresh().await?), ()))
}

mod documents_on_postgres {
    skyfresh_ledger::documents_conformance!(super::documents);
}
