//! TLS to PostgreSQL: a front with a certificate of its own before the real server.
#![cfg(feature = "postgres")]

mod services;

use base64::Engine;
use skyfresh_ledger::postgres::{PostgresConfig, PostgresDocuments, PostgresUrl};
use skyfresh_ledger::shared::{Condition, DocumentId, Documents};
use skyfresh_sky::{Kind, Rng, SystemClock};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a client sends first: 8 bytes that ask for TLS
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>, SSLRequest).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A server that has a certificate for `name`, signed by nobody else; what is decrypted goes to `upstream`. Its port, and the
/// certificate as PEM.
async fn front(name: &str, upstream: Option<String>) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a server");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
            tokio::spawn(async move {
                let mut asked = [0; 8];
                if client.read_exact(&mut asked).await.is_err() || asked != SSL_REQUEST {
                    return;
                }
                client.write_all(b"S").await.expect("the client reads");
                if let (Ok(mut client), Some(upstream)) = (acceptor.accept(client).await, upstream)
                {
                    let mut server = TcpStream::connect(upstream).await.expect("the server");
                    // Ends as the client or the server does.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    (port, pem(made.cert.der()))
}

/// A certificate as a file holds it.
fn pem(certificate: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fn open(url: &str, table: &str) -> PostgresDocuments {
    let config = PostgresConfig {
        table: table.into(),
        ..PostgresConfig::new(PostgresUrl::parse(url).expect("a URL"))
    };
    PostgresDocuments::new(config, Arc::new(SystemClock), &Rng::from_entropy()).expect("a pool")
}

fn trusting(pem: &str, directory: &Path) -> String {
    let path = directory.join("authority.pem");
    std::fs::write(&path, pem).expect("a file");
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_certificate_is_served_through() {
    let Some(url) = services::address("postgres_tls", "PostgreSQL", "SKYFRESH_TEST_POSTGRES")
    else {
        return;
    };
    let (user, rest) = url.split_once('@').expect("user@host");
    let upstream = rest.split('/').next().expect("a host").to_owned();
    let (port, pem) = front("localhost", Some(upstream)).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = trusting(&pem, directory.path());
    let table = services::unique("tls");
    // No `sslmode`: TLS is what one gets.
    let encrypted = format!("{user}@localhost:{port}/postgres?sslrootcert={file}");
    let documents = open(&encrypted, &table);
    documents.create().await.expect("a table");
    let id = DocumentId {
        partition: "p".into(),
        sort: b"s".to_vec(),
    };
    documents
        .put(&id, b"secret".to_vec(), Condition::Absent)
        .await
        .expect("put");
    let found = documents.get(&id).await.expect("get").expect("there");
    assert_eq!(found.body, b"secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_nobody_known_is_refused() {
    let (port, _) = front("localhost", None).await;
    for mode in ["", "?sslmode=require", "?sslmode=verify-full"] {
        let url = format!("postgres://u:p@localhost:{port}/d{mode}");
        let error = open(&url, "t").check().await.expect_err("not trusted");
        assert_eq!(error.kind, Kind::Denied, "{error}");
        assert!(error.to_string().contains("sslrootcert"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_name_is_refused() {
    let (port, pem) = front("other.example", None).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = trusting(&pem, directory.path());
    let url = format!("postgres://u:p@localhost:{port}/d?sslmode=require&sslrootcert={file}");
    let error = open(&url, "t").check().await.expect_err("another name");
    assert_eq!(error.kind, Kind::Denied, "{error}");
}

/// Somebody between us and the server says that it has no TLS: nothing more is said to them, no password above all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_gets_no_password() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let heard = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut asked = [0; 8];
        client.read_exact(&mut asked).await.expect("a request");
        assert_eq!(asked, SSL_REQUEST);
        client.write_all(b"N").await.expect("the client reads");
        let mut more = Vec::new();
        // A client that hangs up may do so with a reset.
        let _ = client.read_to_end(&mut more).await;
        more
    });
    let url = format!("postgres://u:hunter2@localhost:{port}/d");
    let error = open(&url, "t").check().await.expect_err("no TLS");
    assert_eq!(error.kind, Kind::Denied, "{error}");
    assert!(error.to_string().contains("sslmode=disable"), "{error}");
    assert_eq!(
        heard.await.expect("it listened"),
        b"",
        "nothing in the clear"
    );
}

#[test]
fn authorities_that_cannot_be_read_are_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let empty = trusting("no certificate here\n", directory.path());
    for file in ["/does/not/exist.pem", &empty] {
        let url =
            PostgresUrl::parse(&format!("postgres://u@h/d?sslrootcert={file}")).expect("a URL");
        let config = PostgresConfig::new(url);
        let error = PostgresDocuments::new(config, Arc::new(SystemClock), &Rng::seeded(1));
        assert_eq!(error.expect_err("no authority").kind, Kind::Invalid);
    }
}
