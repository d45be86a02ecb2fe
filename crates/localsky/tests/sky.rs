//! A whole sky: shaping, meter, restart from disk on the same ports, the admin endpoint.

mod support;

use http::{Method, StatusCode};
use skyfresh_localsky::{LocalSky, RegionConfig, ShapingProfile, SkyConfig, StragglerDistribution};
use skyfresh_sky::{Clock, SystemClock, Usd};
use support::{Client, config, east, start, west};

fn elapsed_ms(since_ns: u64) -> u64 {
    (SystemClock.monotonic_ns() - since_ns) / 1_000_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_way_takes_its_round_trip_and_its_rate() {
    let shaping = ShapingProfile {
        jitter_share: 0.0,
        stragglers: StragglerDistribution::NONE,
        // us-east-1 and us-west-2: about 68 ms, and 8.5 MB/s a connection, of which this leaves 0.85.
        bandwidth_scale: 0.1,
        ..Default::default()
    };
    let sky = start(SkyConfig {
        shaping,
        ..config()
    })
    .await;
    let near = Client::new(sky.endpoint(None, &west()));
    let far = Client::new(sky.endpoint(Some(&east()), &west()));
    near.put("/data/k", vec![1u8; 400_000]).await;
    // The first request also pays for the connection.
    far.get("/data/none").await;
    let began = SystemClock.monotonic_ns();
    far.get("/data/none").await;
    let round_trip = elapsed_ms(began);
    assert!((68..200).contains(&round_trip), "{round_trip} ms");
    let began = SystemClock.monotonic_ns();
    assert_eq!(far.get("/data/k").await.body.len(), 400_000);
    let slow = elapsed_ms(began);
    assert!(
        (450..1_500).contains(&slow),
        "{slow} ms for 400 kB at 0.85 MB/s and 68 ms"
    );
    let began = SystemClock.monotonic_ns();
    far.put("/data/up", vec![1u8; 400_000]).await;
    let slow = elapsed_ms(began);
    assert!((450..1_500).contains(&slow), "{slow} ms");
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_meter_bills_who_sends() {
    let sky = start(config()).await;
    let far = Client::new(sky.endpoint(Some(&east()), &west()));
    far.put("/data/k", vec![1u8; 1_000_000]).await;
    far.get("/data/k").await;
    far.get("/data/k").await;
    Client::new(sky.endpoint(None, &west()))
        .get("/data/k")
        .await;
    far.send(Method::DELETE, "/data/k", &[], "").await.unwrap();
    let meter = sky.meter();
    let bytes = |from, to| {
        meter
            .traffic
            .iter()
            .find(|line| line.from == from && line.to == to)
            .map_or(0, |line| line.bytes)
    };
    assert_eq!(bytes(east(), west()), 1_000_000);
    assert_eq!(bytes(west(), east()), 2_000_000);
    assert_eq!(bytes(west(), west()), 1_000_000);
    let requests = &meter.requests[&west()];
    assert_eq!(
        (requests.writes, requests.reads, requests.deletes),
        (1, 3, 1)
    );
    // 3 MB at $0.02 a GB; one write and three reads.
    assert_eq!(meter.egress_usd, Usd::from_usd(0.000_06));
    assert_eq!(meter.request_usd, Usd::from_usd(6.2e-6));
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opaque_entity_tags_are_no_md5_and_a_given_md5_is_checked_all_the_same() {
    let sky = start(SkyConfig {
        opaque_etags: true,
        ..config()
    })
    .await;
    let client = Client::new(sky.endpoint(None, &west()));
    let first = client.put("/data/k", "content").await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("\"x") && tag.len() == 35, "{tag}");
    assert_eq!(client.get("/data/k").await.header("etag"), tag);
    // The same content again: another tag, as every write has its own.
    assert_ne!(client.put("/data/k", "content").await.header("etag"), tag);
    // The MD5 of nothing.
    let md5 = [("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
    let wrong = client
        .send(Method::PUT, "/data/k", &md5, "content")
        .await
        .unwrap();
    assert_eq!(wrong.element("Code"), "BadDigest");
    let right = client.send(Method::PUT, "/data/k", &md5, "").await.unwrap();
    assert!(right.status.is_success(), "{}", right.text());
    sky.shutdown().await;
}

fn on_disk(root: &std::path::Path, port: Option<u16>) -> SkyConfig {
    let mut config = SkyConfig {
        listen_port: port,
        ..config()
    };
    for region in &mut config.regions {
        region.directory = Some(root.join(&region.region.name));
    }
    config
}

/// The first of `count` neighbouring ports that are free now, below those that the kernel gives out by itself.
fn free_base(count: u16) -> u16 {
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let start = 20_000 + (std::process::id() % 600) as u16 * 16;
    (start..32_000 - count)
        .find(|base| (*base..base + count).all(free))
        .expect("neighbouring free ports")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_survives_a_restart_on_the_same_ports() {
    let root = tempfile::tempdir().unwrap();
    let base = free_base(7);
    let sky = start(on_disk(root.path(), Some(base))).await;
    sky.create_bucket(&east(), "versioned", true).await.unwrap();
    let endpoint = sky.endpoint(None, &east());
    assert_eq!(endpoint, format!("http://127.0.0.1:{}", base + 1));
    let client = Client::new(endpoint.clone());
    let headers = [
        ("x-amz-meta-m", "1"),
        ("x-amz-tagging", "t=1"),
        ("content-type", "a/b"),
    ];
    let odd = "/data/.././/%C3%A9%20";
    assert_eq!(
        client
            .send(Method::PUT, odd, &headers, "odd")
            .await
            .unwrap()
            .status,
        StatusCode::OK
    );
    client.put("/data/over", "old").await;
    client.put("/data/over", "new").await;
    client.put("/data/gone", "x").await;
    client
        .send(Method::DELETE, "/data/gone", &[], "")
        .await
        .unwrap();
    client.put("/versioned/k", "1").await;
    let second = client
        .put("/versioned/k", "2")
        .await
        .header("x-amz-version-id")
        .to_owned();
    client
        .send(Method::DELETE, "/versioned/k", &[], "")
        .await
        .unwrap();
    let id = client
        .post("/data/m?uploads=", "")
        .await
        .element("UploadId");
    let first = client
        .put(
            &format!("/data/m?partNumber=1&uploadId={id}"),
            vec![1u8; 2048],
        )
        .await;
    sky.shutdown().await;

    let sky = start(on_disk(root.path(), Some(base))).await;
    assert_eq!(sky.endpoint(None, &east()), endpoint);
    let client = Client::new(endpoint);
    let found = client.get(odd).await;
    assert_eq!(
        (
            found.text().as_str(),
            found.header("x-amz-meta-m"),
            found.header("content-type")
        ),
        ("odd", "1", "a/b")
    );
    assert_eq!(found.header("x-amz-tagging-count"), "1");
    assert_eq!(client.get("/data/over").await.text(), "new");
    assert_eq!(client.get("/data/gone").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        client
            .get("/versioned/k")
            .await
            .header("x-amz-delete-marker"),
        "true"
    );
    assert_eq!(
        client
            .get(&format!("/versioned/k?versionId={second}"))
            .await
            .text(),
        "2"
    );
    let last = client
        .put(&format!("/data/m?partNumber=2&uploadId={id}"), "end")
        .await;
    let part = |number, answer: &support::Answer| {
        format!(
            "<Part><ETag>{}</ETag><PartNumber>{number}</PartNumber></Part>",
            answer.header("etag")
        )
    };
    let xml = format!(
        "<CompleteMultipartUpload>{}{}</CompleteMultipartUpload>",
        part(1, &first),
        part(2, &last)
    );
    let completed = client.post(&format!("/data/m?uploadId={id}"), xml).await;
    assert_eq!(completed.status, StatusCode::OK, "{}", completed.text());
    assert_eq!(client.get("/data/m").await.body.len(), 2051);
    let copy = [("x-amz-copy-source", "data/m")];
    client
        .send(Method::PUT, "/data/copy", &copy, "")
        .await
        .unwrap();
    client
        .send(Method::DELETE, "/data/m", &[], "")
        .await
        .unwrap();
    assert_eq!(client.get("/data/copy").await.body.len(), 2051);
    sky.shutdown().await;
    // Nothing is left but what is referred to: odd, over, two versions, two part files of the copy.
    let data = std::fs::read_dir(root.path().join("us-east-1/data"))
        .unwrap()
        .count();
    assert_eq!(data, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_endpoint_steers_the_sky() {
    let sky = start(config()).await;
    let admin = Client::new(sky.admin_url().to_owned());
    let json = [("content-type", "application/json")];
    let body = r#"{"region":"aws:us-east-1","name":"made","versioned":true}"#;
    let made = admin
        .send(Method::POST, "/buckets", &json, body)
        .await
        .unwrap();
    assert_eq!(made.status, StatusCode::CREATED);
    assert!(
        admin
            .get("/buckets")
            .await
            .text()
            .contains(r#""name":"made""#)
    );
    let rules = r#"[{"fault":{"kind":"slow_down"},"operations":"write","next":1}]"#;
    assert_eq!(
        admin
            .send(Method::POST, "/faults", &json, rules)
            .await
            .unwrap()
            .status,
        StatusCode::OK
    );
    let client = Client::new(sky.endpoint(None, &east()));
    assert_eq!(
        client.put("/made/k", "x").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    let put = client.put("/made/k", "x").await;
    assert!(!put.header("x-amz-version-id").is_empty());
    let meter: serde_json::Value = serde_json::from_slice(&admin.get("/meter").await.body).unwrap();
    assert_eq!(meter["requests"]["aws:us-east-1"]["writes"], 1);
    let settings = r#"{"targets":[{"url":"http://127.0.0.1:1/","token":"hidden"}]}"#;
    let shown = admin
        .send(Method::POST, "/notifications", &json, settings)
        .await
        .unwrap();
    assert_eq!(shown.status, StatusCode::OK);
    assert!(
        !shown.text().contains("hidden"),
        "a token must not be shown"
    );
    let bad = admin
        .send(
            Method::POST,
            "/notifications",
            &json,
            r#"{"targets":[{"url":"ftp://x"}]}"#,
        )
        .await
        .unwrap();
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert!(
        admin
            .get("/endpoints")
            .await
            .text()
            .contains(&client.endpoint)
    );
    sky.shutdown().await;
}

#[tokio::test]
async fn a_sky_that_cannot_be_says_why() {
    let twice = SkyConfig {
        regions: vec![
            RegionConfig::in_memory(east()),
            RegionConfig::in_memory(east()),
        ],
        ..config()
    };
    let start = |config| {
        LocalSky::start(
            config,
            std::sync::Arc::new(SystemClock),
            skyfresh_sky::Rng::seeded(1),
        )
    };
    let error = start(twice).await.unwrap_err();
    assert!(error.to_string().contains("listed twice"), "{error}");
    let running = start(config()).await.unwrap();
    let port = running
        .admin_url()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let error = start(SkyConfig {
        listen_port: Some(port),
        ..config()
    })
    .await
    .unwrap_err();
    assert_eq!(error.kind, skyfresh_sky::Kind::RetryAfter, "{error}");
}
