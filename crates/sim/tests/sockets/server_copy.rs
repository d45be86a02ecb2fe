//! Two buckets of one store: the destination's store takes objects from the source's by itself, over HTTP.

use crate::scene::{arrival, key, over_http, start};
use futures::StreamExt;
use skyfresh_engine::{EngineConfig, Rule};
use skyfresh_ledger::{Ledger, MemoryLedger};
use skyfresh_localsky::{BucketConfig, LocalSky, RegionConfig, ShapingProfile, SkyConfig};
use skyfresh_sky::{Attributes, Location, Region, Rng, SystemClock};
use skyfresh_store::{GetOptions, ObjectStore, Precondition, PutOptions, single_chunk};
use std::sync::Arc;

async fn body(store: &dyn ObjectStore, name: &str) -> Vec<u8> {
    let read = store.get(&key(name), GetOptions::default()).await.unwrap();
    let chunks: Vec<_> = read.body.collect().await;
    let chunks = chunks.into_iter().map(|chunk| chunk.unwrap().to_vec());
    chunks.collect::<Vec<_>>().concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bucket_is_filled_from_another_without_reading_it() {
    let east: Region = "aws:us-east-1".parse().unwrap();
    let bucket = |name: &str| BucketConfig {
        name: name.into(),
        versioned: name == "target",
    };
    let config = SkyConfig {
        regions: vec![RegionConfig {
            buckets: vec![bucket("source"), bucket("target")],
            ..RegionConfig::in_memory(east.clone())
        }],
        shaping: ShapingProfile::unshaped(),
        ..SkyConfig::default()
    };
    let sky = LocalSky::start(config, Arc::new(SystemClock), Rng::seeded(7));
    let sky = sky.await.unwrap();
    let endpoint = sky.endpoint(None, &east);
    let location = |bucket: &str| -> Location {
        let text = format!("s3://{bucket}/in/?endpoint={endpoint}&region=us-east-1");
        text.parse().unwrap()
    };
    let (source, target) = (
        over_http(&location("source")),
        over_http(&location("target")),
    );
    let mut rule = Rule::new("rule", location("source"), vec![location("target")]);
    rule.destinations[0].server_copy = true;
    let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());

    let attributes = Attributes {
        content_type: Some("text/x-kept".into()),
        ..Attributes::default()
    };
    let put = async |name: &str, size: usize| {
        let content: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let options = PutOptions {
            size: size as u64,
            attributes: attributes.clone(),
            precondition: Precondition::None,
        };
        let name = key(name);
        let put = source.put(&name, options, single_chunk(content));
        put.await.unwrap().version
    };
    // A name that has to be encoded, and tags, which only a copy in parts leaves behind.
    let (plain, tagged) = (put("a b+c", 700_000).await, put("tagged", 6_000_000).await);
    let tags = [("team".to_owned(), "vision".to_owned())].into();
    source.set_tags(&key("tagged"), &tags).await.unwrap();
    let engine = start(EngineConfig::new("one"), rule, Arc::clone(&ledger)).await;
    for (name, version, strategy) in [
        ("a b+c", &plain, "server-side copy from the source"),
        (
            "tagged",
            &tagged,
            "server-side copy from the source in 1 part",
        ),
    ] {
        let receipt = arrival(ledger.as_ref(), name, version).await;
        assert_eq!(receipt.strategy, strategy);
        assert_eq!(
            (receipt.bytes_moved, receipt.bytes_saved),
            (0, receipt.size)
        );
        let head = target.head(&key(name)).await.unwrap();
        assert_eq!(head.attributes.content_type.as_deref(), Some("text/x-kept"));
        assert_eq!(head.tag_count, 0);
        assert_eq!(receipt.destination, Some(head.version));
        assert!(body(source.as_ref(), name).await == body(target.as_ref(), name).await);
    }
    // The next version replaces the first one.
    let second = put("a b+c", 800_000).await;
    engine.sweep("rule").unwrap();
    let receipt = arrival(ledger.as_ref(), "a b+c", &second).await;
    assert_eq!((receipt.bytes_moved, receipt.bytes_saved), (0, 800_000));
    assert_eq!(target.head(&key("a b+c")).await.unwrap().size, 800_000);
    assert!(target.list_uploads(None).await.unwrap().uploads.is_empty());
    engine.shutdown().await;
}
