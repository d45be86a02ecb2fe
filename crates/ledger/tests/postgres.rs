//! Documents and the shared ledger on PostgreSQL.
#![cfg(feature = "postgres")]
#![allow(
    clippy::print_stdout,
    reason = "rates are for the person who runs the tests"
)]

mod services;

use services::proxy::Proxy;
use skyfresh_ledger::Ledger;
use skyfresh_ledger::postgres::{PostgresConfig, PostgresDocuments, PostgresUrl};
use skyfresh_ledger::shared::Documents;
use skyfresh_sky::{Kind, Rng, SystemClock};
use std::sync::Arc;

fn open(url: &str, table: String) -> PostgresDocuments {
    let config = PostgresConfig {
        table,
        ..PostgresConfig::new(PostgresUrl::parse(url).expect("a URL"))
    };
    PostgresDocuments::new(config, Arc::new(SystemClock), &Rng::from_entropy()).expect("a pool")
}

/// The server's URL and the name of a new table there.
async fn table() -> Option<(String, String)> {
    let url = services::address("postgres", "PostgreSQL", "SKYFRESH_TEST_POSTGRES")?;
    let table = services::unique("ledger");
    open(&url, table.clone()).create().await.expect("a table");
    Some((url, table))
}

async fn documents() -> Option<(Arc<dyn Documents>, ())> {
    let (url, table) = table().await?;
    Some((Arc::new(open(&url, table)), ()))
}

async fn ledger() -> Option<(Arc<dyn Ledger>, ())> {
    let (url, table) = table().await?;
    Some(services::ledger(open(&url, table)).await)
}

mod documents_conform {
    skyfresh_ledger::documents_conformance!(super::documents);
}

mod ledger_conforms {
    crate::ledger_on_a_service!(super::ledger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_claimants_share_the_work() {
    let Some((url, table)) = table().await else {
        return;
    };
    let report =
        services::storm::sixteen_claimants_share_the_work(|| Arc::new(open(&url, table.clone())))
            .await;
    println!("PostgreSQL: {report}");
}

/// `host:port` of a URL.
fn host(url: &str) -> &str {
    let rest = url.split_once('@').map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_are_found_out() {
    let Some((url, table)) = table().await else {
        return;
    };
    let proxy = Proxy::to(host(&url)).await;
    let documents = open(&url.replace(host(&url), &proxy.address), table);
    services::lost::lost_answers_are_found_out(&documents, &proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_made_once_and_a_wrong_one_is_told() {
    let Some((url, table)) = table().await else {
        return;
    };
    let documents = open(&url, table);
    documents.create().await.expect("nothing to do");
    documents.check().await.expect("it is there");
    let kind = async |table: &str| {
        let error = open(&url, table.into()).check().await.expect_err("unfit");
        (error.kind, error.to_string())
    };
    let (missing, why) = kind("skyfresh_missing").await;
    assert_eq!(missing, Kind::Missing);
    assert!(
        why.contains("CREATE TABLE IF NOT EXISTS skyfresh_missing"),
        "{why}"
    );
    // A table of the system's own, with other columns.
    let (other, why) = kind("pg_database").await;
    assert_eq!(other, Kind::Invalid, "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_without_repeating_it() {
    let Some((url, _)) = table().await else {
        return;
    };
    let wrong = url.replace("skyfresh-test@", "hunter2@");
    assert_ne!(wrong, url, "the test server asks for a password");
    let error = open(&wrong, "t".into()).check().await.expect_err("refused");
    assert_eq!(error.kind, Kind::Denied, "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}
