//! Documents and the shared ledger on DynamoDB, as moto and MiniStack speak it.
#![cfg(feature = "dynamodb")]
#![allow(
    clippy::print_stdout,
    reason = "rates are for the person who runs the tests"
)]

mod services;

use services::proxy::Proxy;
use skyfresh_ledger::dynamodb::{AccessKeys, AwsKeys, DynamoConfig, DynamoDocuments};
use skyfresh_ledger::shared::{Condition, DocumentId, Documents, Written};
use skyfresh_ledger::{Error, Ledger};
use skyfresh_sky::{Kind, Rng, SystemClock};
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

const MOTO: (&str, &str) = ("moto", "SKYFRESH_TEST_MOTO");
const MINISTACK: (&str, &str) = ("MiniStack", "SKYFRESH_TEST_MINISTACK");

/// The server's address and the name of a new table there.
async fn table((name, variable): (&str, &str)) -> Option<(String, String)> {
    let endpoint = services::address("dynamodb", name, variable)?;
    let table = services::unique("ledger");
    open(&endpoint, table.clone())
        .create()
        .await
        .expect("a table");
    Some((endpoint, table))
}

async fn fresh(server: (&str, &str)) -> Option<DynamoDocuments> {
    let (endpoint, table) = table(server).await?;
    Some(open(&endpoint, table))
}

mod on_moto {
    use super::*;

    async fn documents() -> Option<(Arc<dyn Documents>, ())> {
        Some((Arc::new(fresh(MOTO).await?), ()))
    }

    async fn ledger() -> Option<(Arc<dyn Ledger>, ())> {
        Some(services::ledger(fresh(MOTO).await?).await)
    }

    mod documents_conform {
        skyfresh_ledger::documents_conformance!(super::documents);
    }

    mod ledger_conforms {
        crate::ledger_on_a_service!(super::ledger);
    }
}

mod on_ministack {
    use super::*;

    async fn documents() -> Option<(Arc<dyn Documents>, ())> {
        Some((Arc::new(fresh(MINISTACK).await?), ()))
    }

    async fn ledger() -> Option<(Arc<dyn Ledger>, ())> {
        Some(services::ledger(fresh(MINISTACK).await?).await)
    }

    mod documents_conform {
        skyfresh_ledger::documents_conformance!(super::documents);
    }

    mod ledger_conforms {
        crate::ledger_on_a_service!(super::ledger);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_claimants_share_the_work() {
    for server in [MOTO, MINISTACK] {
        let Some((endpoint, table)) = table(server).await else {
            continue;
        };
        let opened = std::sync::Mutex::new(Vec::new());
        let report = services::storm::sixteen_claimants_share_the_work(|| {
            let documents = Arc::new(open(&endpoint, table.clone()));
            opened.lock().expect("a list").push(Arc::clone(&documents));
            documents
        })
        .await;
        let usage: Vec<_> = opened
            .lock()
            .expect("a list")
            .iter()
            .map(|d| d.usage())
            .collect();
        let writes: f64 = usage.iter().map(|usage| usage.write_units).sum();
        let reads: f64 = usage.iter().map(|usage| usage.read_units).sum();
        let refused: u64 = usage.iter().map(|usage| usage.refused_writes).sum();
        println!(
            "{}: {report}; {writes} write units, {reads} read units, {refused} refused writes",
            server.0
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answers_are_found_out() {
    let Some((endpoint, table)) = table(MINISTACK).await else {
        return;
    };
    let server = endpoint.strip_prefix("http://").expect("http://host:port");
    let proxy = Proxy::to(server).await;
    let documents = open(&format!("http://{}", proxy.address), table);
    services::lost::lost_answers_are_found_out(&documents, &proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_are_counted() {
    let Some(documents) = fresh(MOTO).await else {
        return;
    };
    let id = DocumentId {
        partition: "units".into(),
        sort: b"a".to_vec(),
    };
    let put = async |condition| documents.put(&id, vec![1], condition).await.expect("put");
    assert!(matches!(put(Condition::Absent).await, Written::Done(_)));
    assert_eq!(put(Condition::Absent).await, Written::Refused);
    documents.get(&id).await.expect("get");
    documents
        .scan("units", b"", b"z", false, 9)
        .await
        .expect("scan");
    let usage = documents.usage();
    assert_eq!((usage.requests, usage.refused_writes), (4, 1));
    assert!(
        usage.write_units >= 1.0 && usage.read_units >= 1.0,
        "{usage:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_made_once_and_a_missing_one_is_told() {
    for server in [MOTO, MINISTACK] {
        let Some((endpoint, table)) = table(server).await else {
            continue;
        };
        let documents = open(&endpoint, table);
        documents.create().await.expect("nothing to do");
        documents.check().await.expect("it is there");
        let missing = open(&endpoint, services::unique("missing"));
        let error = missing.check().await.expect_err("not there");
        assert_eq!(error.kind, Kind::Missing, "{error}");
        let id = DocumentId {
            partition: "p".into(),
            sort: b"s".to_vec(),
        };
        let error = missing.get(&id).await.expect_err("not there");
        assert_eq!(error.kind, Kind::Missing, "{error}");
    }
}

/// Nobody listens there: said within the time that a lease lasts, and as what may pass.
#[tokio::test]
async fn a_service_that_cannot_be_reached_is_told() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", port.local_addr().expect("an address"));
    drop(port);
    let id = DocumentId {
        partition: "p".into(),
        sort: b"s".to_vec(),
    };
    let error = open(&address, "t".into())
        .get(&id)
        .await
        .expect_err("no service");
    assert_eq!(error.kind, Kind::RetryAfter, "{error}");
}

/// Whoever asks for keys and finds none is told so, in the words of where they were looked for.
#[tokio::test]
async fn what_the_source_of_keys_says_is_passed_on() {
    #[derive(Debug)]
    struct NoKeys;

    #[async_trait::async_trait]
    impl AwsKeys for NoKeys {
        async fn keys(&self) -> skyfresh_ledger::Result<AccessKeys> {
            let why = "no profile, no role";
            Err(Error::new(Kind::Denied, "sign", "DynamoDB", why))
        }
    }

    let config = DynamoConfig {
        region: "us-east-1".into(),
        endpoint: Some("http://127.0.0.1:9".into()),
        table: "t".into(),
        credentials: Arc::new(NoKeys),
    };
    let documents = DynamoDocuments::new(config, Arc::new(SystemClock), &Rng::from_entropy());
    let error = documents.check().await.expect_err("no keys");
    assert_eq!(error.kind, Kind::Denied, "{error}");
    assert!(error.to_string().contains("no profile, no role"), "{error}");
}
