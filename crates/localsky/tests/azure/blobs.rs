//! Blobs under faults, on the meter, and over a restart.

use crate::client::{AzureClient, block_id, config, us};
use crate::support::start;
use http::Method;
use skyfresh_localsky::{Fault, FaultRule, OperationClass};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_answer_as_azure_would() {
    let sky = start(config()).await;
    let client = AzureClient::of(&sky, &us());
    client.put("a", "0123456789").await;
    let once = |fault, operations| FaultRule {
        operations,
        next: Some(1),
        ..FaultRule::new(fault)
    };
    sky.faults()
        .add(once(Fault::SlowDown, OperationClass::Write));
    let busy = client.put("a", "x").await;
    assert_eq!(
        (busy.status.as_u16(), &*busy.element("Code")),
        (503, "ServerBusy")
    );
    assert_eq!(busy.header("x-ms-error-code"), "ServerBusy");
    sky.faults()
        .add(once(Fault::InternalError, OperationClass::Read));
    assert_eq!(client.get("data/a").await.element("Code"), "InternalError");
    sky.faults().add(once(
        Fault::TruncatedBody { after_bytes: 4 },
        OperationClass::Read,
    ));
    assert!(client.send(Method::GET, "data/a", &[], "").await.is_err());
    sky.faults()
        .add(once(Fault::ConnectionReset, OperationClass::Write));
    let headers = [("x-ms-blob-type", "BlockBlob")];
    assert!(
        client
            .send(Method::PUT, "data/b", &headers, "x")
            .await
            .is_err()
    );
    assert_eq!(client.head("data/b").await.status, 404);
    sky.faults()
        .add(once(Fault::ResetAfterDone, OperationClass::Write));
    assert!(
        client
            .send(Method::PUT, "data/b", &headers, "x")
            .await
            .is_err()
    );
    assert_eq!(client.head("data/b").await.status, 200);
    sky.faults()
        .add(once(Fault::ListPageFails { page: 2 }, OperationClass::List));
    let list = "data?comp=list&maxresults=1&restype=container";
    let first = client.get(list).await;
    let next = first.element("NextMarker");
    let second = format!("{list}&marker={next}");
    assert_eq!(client.get(&second).await.status, 500);
    let page = client.get(&second).await;
    assert_eq!(
        (first.element("Name"), page.element("Name")),
        ("a".into(), "b".into())
    );
    assert_eq!(page.element("NextMarker"), "");
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_metered() {
    let sky = start(config()).await;
    let client = AzureClient::of(&sky, &us());
    client.put("a", "12345").await;
    client.get("data/a").await;
    client.head("data/a").await;
    client.get("data?comp=list&restype=container").await;
    client.delete("data/a").await;
    let meter = sky.meter();
    let counts = meter.requests[&us()];
    assert_eq!((counts.writes, counts.reads, counts.deletes), (2, 2, 1));
    assert!(counts.usd.usd() > 0.0);
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_can_start_within() {
    let sky = start(config()).await;
    let client = AzureClient::of(&sky, &us());
    for blob in ["a", "b", "c"] {
        client.put(blob, "x").await;
    }
    let page = client
        .get("data?comp=list&restype=container&startFrom=b&maxresults=1")
        .await;
    assert_eq!(page.element("Name"), "b");
    let next = page.element("NextMarker");
    let rest = client
        .get(&format!(
            "data?comp=list&restype=container&startFrom=b&maxresults=9&marker={next}"
        ))
        .await;
    assert_eq!(
        (rest.element("Name"), rest.text().matches("<Blob>").count()),
        ("c".into(), 1)
    );
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_disk_survives_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let on_disk = || {
        let mut config = config();
        config.regions.truncate(1);
        config.regions[0].directory = Some(root.path().to_owned());
        config
    };
    let sky = start(on_disk()).await;
    let client = AzureClient::of(&sky, &us());
    let etag = client.put("whole", "whole").await.header("etag").to_owned();
    client.put_blocks("blocks", &["one", "two", "three"]).await;
    // One block twice, one kept, one dropped, one left uncommitted.
    let twice = format!(
        "<Latest>{0}</Latest><Latest>{1}</Latest><Latest>{0}</Latest>",
        block_id(0),
        block_id(2)
    );
    assert_eq!(client.commit("blocks", &twice).await.status, 201);
    let target = format!("data/blocks?blockid={}&comp=block", block_id(7));
    client
        .send(Method::PUT, &target, &[], "seven")
        .await
        .unwrap();
    client.put("gone", "gone").await;
    client.delete("data/gone").await;
    let headers = [
        ("x-ms-blob-type", "BlockBlob"),
        ("x-ms-meta-a", "1"),
        ("x-ms-tags", "t=2"),
    ];
    client
        .send(Method::PUT, "data/described", &headers, "x")
        .await
        .unwrap();
    sky.shutdown().await;

    let sky = start(on_disk()).await;
    let client = AzureClient::of(&sky, &us());
    let whole = client.get("data/whole").await;
    assert_eq!(
        (whole.text(), whole.header("etag")),
        ("whole".into(), &*etag)
    );
    assert_eq!(client.get("data/blocks").await.text(), "onethreeone");
    assert_eq!(client.get("data/gone").await.status, 404);
    let described = client.head("data/described").await;
    assert_eq!(
        (
            described.header("x-ms-meta-a"),
            described.header("x-ms-tag-count")
        ),
        ("1", "1")
    );
    // A shorter list over the same block must not take its bytes away, now or later.
    let list = format!(
        "<Latest>{}</Latest><Latest>{}</Latest>",
        block_id(0),
        block_id(7)
    );
    assert_eq!(client.commit("blocks", &list).await.status, 201);
    assert_ne!(client.put("whole", "again").await.header("etag"), etag);
    sky.shutdown().await;

    let sky = start(on_disk()).await;
    let client = AzureClient::of(&sky, &us());
    assert_eq!(client.get("data/blocks").await.text(), "oneseven");
    assert_eq!(client.get("data/whole").await.text(), "again");
    sky.shutdown().await;
    // Nothing is left but what is referred to: whole, two blocks, described.
    assert_eq!(
        std::fs::read_dir(root.path().join("data")).unwrap().count(),
        4
    );
}
