//! An Azure account that reads URLs of other stores by itself: S3's by a signature in the URL, those of Azure elsewhere by theirs.

use bytes::Bytes;
use futures::TryStreamExt;
use skyfresh_localsky::{LocalSky, RegionConfig, ShapingProfile, SkyConfig};
use skyfresh_sky::{Attributes, Kind, Location, ObjectKey, Region, Rng, SystemClock};
use skyfresh_store::azure::{AzureConfig, AzureCredentialSource, AzureStore};
use skyfresh_store::checksum::{Crc64, Md5};
use skyfresh_store::s3::{Credentials, S3Config, S3Store};
use skyfresh_store::{
    GetOptions, ObjectHead, ObjectStore, Precondition, PutOptions, PutReceipt, Result, single_chunk,
};
use std::sync::Arc;

/// A sky of S3 and of Azure in two places.
struct Skies {
    sky: LocalSky,
    s3: Arc<dyn ObjectStore>,
    elsewhere: Arc<dyn ObjectStore>,
    azure: Arc<dyn ObjectStore>,
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

async fn skies() -> Skies {
    let regions = ["aws:us-east-1", "azure:westeurope", "azure:northeurope"];
    let regions: Vec<Region> = regions.iter().map(|name| name.parse().unwrap()).collect();
    let config = SkyConfig {
        regions: regions
            .iter()
            .cloned()
            .map(RegionConfig::in_memory)
            .collect(),
        shaping: ShapingProfile::unshaped(),
        ..SkyConfig::default()
    };
    let sky = LocalSky::start(config, Arc::new(SystemClock), Rng::seeded(7))
        .await
        .unwrap();
    for (index, region) in regions.iter().enumerate() {
        let name = format!("bucket{index}");
        sky.create_bucket(region, &name, false).await.unwrap();
    }
    let azure = |index: usize| -> Arc<dyn ObjectStore> {
        let region = &regions[index];
        let connection = sky.azure_connection_string(None, region).unwrap();
        let location = format!(
            "az://skyfresh/bucket{index}/p/?endpoint={}",
            sky.endpoint(None, region)
        );
        let config = AzureConfig {
            credentials: AzureCredentialSource::ConnectionString(connection),
            ..AzureConfig::default()
        };
        let location: Location = location.parse().unwrap();
        Arc::new(AzureStore::new(location, config, Arc::new(SystemClock), Rng::seeded(1)).unwrap())
    };
    let location = format!(
        "s3://bucket0/from here/?endpoint={}&region=us-east-1",
        sky.endpoint(None, &regions[0])
    );
    let config = S3Config {
        credentials: Credentials::Static {
            access_key_id: "skyfresh".into(),
            secret_access_key: "skyfresh-local-secret".into(),
            session_token: None,
        },
        ..S3Config::default()
    };
    let location: Location = location.parse().unwrap();
    let s3 = S3Store::new(location, config, Arc::new(SystemClock), Rng::seeded(1)).unwrap();
    Skies {
        s3: Arc::new(s3),
        elsewhere: azure(1),
        azure: azure(2),
        sky,
    }
}

async fn put(store: &dyn ObjectStore, name: &str, content: &Bytes) -> ObjectHead {
    let options = PutOptions {
        size: content.len() as u64,
        attributes: Attributes {
            content_type: Some("text/plain".into()),
            ..Attributes::default()
        },
        precondition: Precondition::None,
    };
    let body = single_chunk(content.clone());
    store.put(&key(name), options, body).await.unwrap();
    store.head(&key(name)).await.unwrap()
}

async fn read(store: &dyn ObjectStore, name: &str) -> Bytes {
    let found = store.get(&key(name), GetOptions::default()).await.unwrap();
    let chunks: Vec<Bytes> = found.body.try_collect().await.unwrap();
    chunks.concat().into()
}

impl Skies {
    /// Has Azure read an object of `from`, with what is said of it in `head`.
    async fn pull(
        &self,
        from: &dyn ObjectStore,
        name: &str,
        head: &ObjectHead,
        precondition: Precondition,
    ) -> Result<PutReceipt> {
        let url = from.read_url(&key(name), &head.version).await?.unwrap();
        assert!(!format!("{url:?}").contains("ignature"), "{url:?}");
        let attributes = &head.attributes;
        self.azure
            .pull(&key(name), &url, head, attributes, &precondition)
            .await
    }

    async fn absent(&self, name: &str) {
        let head = self.azure.head(&key(name)).await;
        assert_eq!(head.unwrap_err().kind, Kind::Missing, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_azure_reads_by_itself_is_proved_before_it_is_visible() {
    let skies = skies().await;
    let content = Bytes::from(
        (0..300_000u32)
            .map(|at| (at * 7 % 253) as u8)
            .collect::<Vec<_>>(),
    );
    for from in [Arc::clone(&skies.s3), Arc::clone(&skies.elsewhere)] {
        for name in ["plain", "a b/ä+%41&=?"] {
            let head = put(&*from, name, &content).await;
            let receipt = skies.pull(&*from, name, &head, Precondition::Absent).await;
            let receipt = receipt.unwrap();
            assert_eq!(receipt.crc64, Some(Crc64::of(&content)));
            assert_eq!(read(&*skies.azure, name).await, content);
            let pulled = skies.azure.head(&key(name)).await.unwrap();
            assert_eq!(pulled.version.etag, receipt.version.etag);
            assert_eq!(
                pulled.attributes.content_type.as_deref(),
                Some("text/plain")
            );
            let again = skies.pull(&*from, name, &head, Precondition::Absent).await;
            assert_eq!(again.unwrap_err().kind, Kind::Precondition);
            let gone = skies.azure.delete(&key(name), &Precondition::None).await;
            gone.unwrap();
        }
    }
    skies.sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_proved_is_never_visible() {
    let skies = skies().await;
    let (content, other) = (
        Bytes::from_static(b"content"),
        Bytes::from_static(b"another"),
    );
    let s3 = Arc::clone(&skies.s3);
    let head = put(&*s3, "k", &content).await;
    assert!(head.crc64.is_some(), "S3 states one");
    let with = |crc64, md5| ObjectHead {
        crc64,
        md5,
        ..head.clone()
    };
    let (crc64, md5) = (Crc64::of(&other), Md5::of(&other));
    for (said, kinds) in [
        (with(Some(crc64), None), &[Kind::Corrupt][..]),
        (with(None, Some(md5)), &[Kind::Corrupt, Kind::Invalid]),
        (with(None, None), &[Kind::Unsupported]),
    ] {
        let error = skies.pull(&*s3, "k", &said, Precondition::None).await;
        let error = error.unwrap_err();
        assert!(kinds.contains(&error.kind), "{:?}: {error}", error.kind);
        skies.absent("k").await;
    }
    let by_md5 = with(None, Some(Md5::of(&content)));
    skies
        .pull(&*s3, "k", &by_md5, Precondition::None)
        .await
        .unwrap();
    assert_eq!(read(&*skies.azure, "k").await, content);
    // Replaced after it was looked at.
    let old = put(&*s3, "replaced", &content).await;
    put(&*s3, "replaced", &other).await;
    let error = skies.pull(&*s3, "replaced", &old, Precondition::None).await;
    assert_eq!(error.unwrap_err().kind, Kind::Corrupt);
    skies.absent("replaced").await;
    let old = put(&*skies.elsewhere, "replaced", &content).await;
    put(&*skies.elsewhere, "replaced", &other).await;
    let from = Arc::clone(&skies.elsewhere);
    let error = skies
        .pull(&*from, "replaced", &old, Precondition::None)
        .await;
    assert!(error.is_err());
    skies.absent("replaced").await;
    skies.sky.shutdown().await;
}
