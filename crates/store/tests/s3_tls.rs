//! TLS: a store that cannot prove who it is gets nothing, not even a signed request.

mod s3_support;

use skyfresh_sky::{Kind, ObjectKey, SystemClock};
use skyfresh_store::ObjectStore;
use skyfresh_store::service::{Limits, ServiceClient};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A server with a certificate that nobody vouches for.
fn self_signed() -> TlsAcceptor {
    let certified =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("a server");
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let acceptor = self_signed();
    let handshakes = tokio::spawn(async move {
        let mut outcomes = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            outcomes.push(acceptor.accept(socket).await.is_ok());
            // The client tries three times before it gives up.
            if outcomes.len() == 3 {
                break;
            }
        }
        outcomes
    });
    let store = s3_support::store(&s3_support::place(
        &format!("https://localhost:{port}"),
        "b",
        "",
    ));
    let error = store
        .head(&ObjectKey::new("k").expect("a key"))
        .await
        .expect_err("no trust, no answer");
    assert_eq!(error.kind, Kind::RetryAfter);
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(
        handshakes.await.expect("the server ran"),
        [false, false, false],
        "no request was ever sent"
    );
}

/// Queues, subscriptions and key sets are reached through this client.
#[tokio::test]
async fn so_is_that_of_a_service_beside_the_stores() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let acceptor = self_signed();
    let handshake = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("a client");
        acceptor.accept(socket).await.is_ok()
    });
    // Even where the caller did not say that TLS would be needed.
    let client = ServiceClient::new(false, Arc::new(SystemClock)).expect("a client");
    let request = http::Request::get(format!("https://localhost:{port}/keys"))
        .body(bytes::Bytes::new())
        .expect("a request");
    let limits = Limits {
        wait: std::time::Duration::from_secs(60),
        answer_bytes: 1_000,
    };
    let refused = client.send("read keys", "keys", request, limits).await;
    let error = refused.expect_err("no trust, no answer");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(
        !handshake.await.expect("the server ran"),
        "no request was ever sent"
    );
}
