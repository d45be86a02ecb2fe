//! Faults on purpose, torn uploads, and refusals, as a client sees them.

mod support;

use http::{Method, StatusCode};
use skyfresh_localsky::{Fault, FaultRule, OperationClass};
use support::{Client, config, east, start, west};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_shows_as_it_says_and_then_is_spent() {
    let sky = start(config()).await;
    let client = Client::new(sky.endpoint(None, &east()));
    assert_eq!(
        client.put("/data/k", vec![7u8; 100_000]).await.status,
        StatusCode::OK
    );
    let once = |fault| FaultRule {
        next: Some(1),
        ..FaultRule::new(fault)
    };

    sky.faults().add(once(Fault::SlowDown));
    let refused = client.put("/data/k", vec![1u8; 50_000]).await;
    assert_eq!(
        (refused.status.as_u16(), refused.element("Code").as_str()),
        (503, "SlowDown")
    );

    sky.faults().add(once(Fault::ConnectionReset));
    assert!(client.send(Method::GET, "/data/k", &[], "").await.is_err());

    sky.faults()
        .add(once(Fault::TruncatedBody { after_bytes: 1_000 }));
    assert!(
        client.send(Method::GET, "/data/k", &[], "").await.is_err(),
        "a cut body must not look whole"
    );

    sky.faults().add(once(Fault::ResetAfterDone));
    assert!(
        client
            .send(Method::PUT, "/data/done", &[], "x")
            .await
            .is_err()
    );
    assert_eq!(client.get("/data/done").await.text(), "x");

    sky.faults().add(once(Fault::Delay { delay_ms: 150 }));
    let clock = skyfresh_sky::SystemClock;
    let before = skyfresh_sky::Clock::monotonic_ns(&clock);
    assert_eq!(client.get("/data/k").await.body.len(), 100_000);
    assert!(skyfresh_sky::Clock::monotonic_ns(&clock) - before >= 150_000_000);
    assert!(sky.faults().rules().is_empty());

    sky.faults().add(once(Fault::Hold));
    let (held, mut waiting) = (client.clone(), Box::pin(client.put("/data/held", "x")));
    let a_while = std::time::Duration::from_millis(100);
    let answered = skyfresh_sky::timeout(&clock, a_while, &mut waiting).await;
    assert!(answered.is_none());
    assert_eq!(held.get("/data/held").await.status, StatusCode::NOT_FOUND);
    sky.faults().clear();
    assert_eq!(waiting.await.status, StatusCode::OK);

    // Only where they apply.
    let rule = FaultRule {
        region: Some(west()),
        operations: OperationClass::Write,
        ..FaultRule::new(Fault::SlowDown)
    };
    sky.faults().set(vec![rule]);
    assert_eq!(client.put("/data/k2", "x").await.status, StatusCode::OK);
    let west_client = Client::new(sky.endpoint(None, &west()));
    assert_eq!(
        west_client.put("/data/k", "x").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(
        west_client.get("/data/k").await.status,
        StatusCode::NOT_FOUND
    );
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_fails_at_the_page_that_was_named() {
    let sky = start(config()).await;
    let client = Client::new(sky.endpoint(None, &east()));
    for key in 0..5 {
        client.put(&format!("/data/k{key}"), "x").await;
    }
    sky.faults()
        .add(FaultRule::new(Fault::ListPageFails { page: 3 }));
    let mut token = String::new();
    for page in 1..=3 {
        let continuation = if token.is_empty() {
            String::new()
        } else {
            format!("continuation-token={token}&")
        };
        let listed = client
            .get(&format!("/data?{continuation}list-type=2&max-keys=2"))
            .await;
        let expected = if page == 3 { 500 } else { 200 };
        assert_eq!(
            listed.status.as_u16(),
            expected,
            "page {page}: {}",
            listed.text()
        );
        token = listed.element("NextContinuationToken");
    }
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_upload_publishes_nothing() {
    let sky = start(config()).await;
    let client = Client::new(sky.endpoint(None, &east()));
    client.put("/data/k", "old").await;
    for sent in [0, 1, 70_000] {
        let mut socket =
            tokio::net::TcpStream::connect(client.endpoint.trim_start_matches("http://"))
                .await
                .unwrap();
        let mut head = format!(
            "PUT /data/k HTTP/1.1\r\nhost: {}\r\ncontent-length: 100000\r\n",
            client.endpoint.trim_start_matches("http://")
        );
        for (name, value) in client.sign(&Method::PUT, "/data/k") {
            head += &format!("{name}: {value}\r\n");
        }
        socket
            .write_all(format!("{head}\r\n").as_bytes())
            .await
            .unwrap();
        socket.write_all(&vec![1u8; sent]).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer).await;
        assert!(!answer.contains("200 OK"), "{answer}");
        assert_eq!(
            client.get("/data/k").await.text(),
            "old",
            "after {sent} bytes"
        );
    }
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_regions_refuse_and_redirect() {
    let sky = start(skyfresh_localsky::SkyConfig {
        strict_regions: true,
        ..config()
    })
    .await;
    sky.create_bucket(&west(), "only-west", false)
        .await
        .unwrap();
    let mut client = Client::new(sky.endpoint(None, &east()));
    let redirected = client.get("/only-west/k").await;
    assert_eq!(redirected.status, StatusCode::MOVED_PERMANENTLY);
    assert_eq!(redirected.header("x-amz-bucket-region"), "us-west-2");
    assert_eq!(redirected.element("Code"), "PermanentRedirect");
    client.signing_region = "us-west-2".into();
    let refused = client.get("/data/k").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        (
            refused.element("Code").as_str(),
            refused.element("Region").as_str()
        ),
        ("AuthorizationHeaderMalformed", "us-east-1")
    );
    sky.shutdown().await;
}
