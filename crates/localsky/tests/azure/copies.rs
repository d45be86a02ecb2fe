//! Copies from elsewhere: between regions, at the pace and price of the way, and only from this machine.

use crate::client::{ACCOUNT, AzureClient, block_id, config, europe, signed, until, us};
use crate::support::start;
use skyfresh_localsky::{LocalSky, ShapingProfile, SkyConfig};

fn bytes_between(sky: &LocalSky) -> u64 {
    let traffic = sky.meter().traffic;
    let found = traffic
        .iter()
        .find(|traffic| traffic.from == us() && traffic.to == europe());
    found.map_or(0, |traffic| traffic.bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_from_elsewhere_is_egress_of_its_source() {
    let sky = start(config()).await;
    let (from, to) = (
        AzureClient::of(&sky, &us()),
        AzureClient::of(&sky, &europe()),
    );
    from.put("source", vec![b'x'; 100_000]).await;
    let source = signed(&from, "source");
    let target = format!("data/copy?blockid={}&comp=block", block_id(0));
    let headers = [
        ("x-ms-copy-source", &*source),
        ("x-ms-source-range", "bytes=10-40009"),
    ];
    let put = to.put_empty(&target, &headers).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let list = format!("<Latest>{}</Latest>", block_id(0));
    assert_eq!(to.commit("copy", &list).await.status, 201);
    assert_eq!(to.head("data/copy").await.header("content-length"), "40000");
    assert_eq!(bytes_between(&sky), 40_000);
    // Also by a port that is not shaped or metered for the destination.
    let whole = [
        ("x-ms-copy-source", &*source),
        ("x-ms-blob-type", "BlockBlob"),
    ];
    assert_eq!(to.put_empty("data/whole", &whole).await.status, 201);
    assert_eq!(bytes_between(&sky), 140_000);
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_outside_this_machine_is_refused() {
    let sky = start(config()).await;
    let client = AzureClient::of(&sky, &us());
    for source in [
        "http://example.org/a",
        "https://127.0.0.1/a",
        "file:///etc/passwd",
        "nonsense",
    ] {
        let headers = [
            ("x-ms-copy-source", source),
            ("x-ms-blob-type", "BlockBlob"),
        ];
        let refused = client.put_empty("data/a", &headers).await;
        assert_eq!(
            (refused.status.as_u16(), &*refused.element("Code")),
            (400, "InvalidHeaderValue")
        );
    }
    sky.shutdown().await;
}

/// The way between the regions is so slow that a copy of 24 MiB takes more than a minute; its first bytes come at once.
fn slow() -> SkyConfig {
    SkyConfig {
        shaping: ShapingProfile {
            time_scale: 0.01,
            bandwidth_scale: 0.03,
            ..ShapingProfile::default()
        },
        ..config()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_copy_is_pending_and_can_be_aborted() {
    let sky = start(slow()).await;
    let (from, to) = (
        AzureClient::of(&sky, &us()),
        AzureClient::of(&sky, &europe()),
    );
    from.put("source", vec![0u8; 24 << 20]).await;
    let source = signed(&from, "source");
    let started = to
        .put_empty(
            "data/copy",
            &[("x-ms-copy-source", &source), ("x-ms-meta-a", "1")],
        )
        .await;
    assert_eq!(
        (started.status.as_u16(), started.header("x-ms-copy-status")),
        (202, "pending")
    );
    let id = started.header("x-ms-copy-id").to_owned();
    let pending = to.head("data/copy").await;
    assert_eq!(
        (
            pending.header("x-ms-copy-status"),
            pending.header("content-length")
        ),
        ("pending", "0")
    );
    assert_eq!(
        to.put("copy", "x").await.element("Code"),
        "PendingCopyOperation"
    );
    let abort = [("x-ms-copy-action", "abort")];
    let other = format!("data/copy?comp=copy&copyid={}", id.replace(|_| true, "0"));
    assert_eq!(
        to.put_empty(&other, &abort).await.element("Code"),
        "NoPendingCopyOperation"
    );
    let target = format!("data/copy?comp=copy&copyid={id}");
    assert_eq!(to.put_empty(&target, &abort).await.status, 204);
    let aborted = to.head("data/copy").await;
    assert_eq!(
        (
            aborted.header("x-ms-copy-status"),
            aborted.header("content-length")
        ),
        ("aborted", "0")
    );
    assert_eq!(aborted.header("x-ms-meta-a"), "1");
    assert_eq!(to.put("copy", "x").await.status, 201);
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_cut_short_by_a_restart_has_failed() {
    let root = tempfile::tempdir().unwrap();
    let on_disk = || {
        let mut config = slow();
        for region in &mut config.regions {
            region.directory = Some(root.path().join(&region.region.name));
        }
        config
    };
    let sky = start(on_disk()).await;
    let (from, to) = (
        AzureClient::of(&sky, &us()),
        AzureClient::of(&sky, &europe()),
    );
    from.put("source", vec![0u8; 24 << 20]).await;
    let source = signed(&from, "source");
    to.put_empty("data/copy", &[("x-ms-copy-source", &source)])
        .await;
    sky.shutdown().await;
    let sky = start(on_disk()).await;
    let to = AzureClient::of(&sky, &europe());
    assert_eq!(
        to.head("data/copy").await.header("x-ms-copy-status"),
        "failed"
    );
    assert_eq!(to.put("copy", "x").await.status, 201);
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_copy_ends_with_all_its_bytes() {
    let sky = start(config()).await;
    let client = AzureClient::of(&sky, &us());
    let body: Vec<u8> = (0..5u32 << 20).map(|at| (at * 31 % 251) as u8).collect();
    client.put("source", body.clone()).await;
    // Of its own account: without a signature.
    let source = format!("{}/{ACCOUNT}/data/source", client.endpoint);
    let started = client
        .put_empty("data/copy", &[("x-ms-copy-source", &source)])
        .await;
    assert_eq!(started.header("x-ms-copy-status"), "pending");
    until("the copy", async || {
        client.head("data/copy").await.header("x-ms-copy-status") == "success"
    })
    .await;
    let copy = client.get("data/copy").await;
    assert!(copy.body == body, "the copy differs from its source");
    assert_eq!(
        copy.header("x-ms-copy-progress"),
        format!("{0}/{0}", body.len())
    );
    sky.shutdown().await;
}
