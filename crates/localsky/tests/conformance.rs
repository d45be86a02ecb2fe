//! Skyfresh's own adapters against the local sky: the whole conformance suite, as on every other backend.

use async_trait::async_trait;
use skyfresh_localsky::{LocalSky, RegionConfig, ShapingProfile, SkyConfig};
use skyfresh_sky::{Attributes, Location, Region, Rng, SystemClock};
use skyfresh_store::conformance::{Backend, run_all};
use skyfresh_store::s3::{Credentials, S3Config, S3Store};
use skyfresh_store::{ObjectStore, Result};
use std::sync::Arc;

const SECRET: &str = "skyfresh-local-secret";

struct Sky {
    name: &'static str,
    endpoint: String,
}

impl Sky {
    fn at(&self, bucket: &str, prefix: &str) -> Location {
        format!(
            "s3://{bucket}/{prefix}?endpoint={}&region=us-east-1",
            self.endpoint
        )
        .parse()
        .expect("a location")
    }
}

#[async_trait]
impl Backend for Sky {
    fn name(&self) -> String {
        self.name.into()
    }

    fn place(&self, case: &str) -> Location {
        self.at("conformance", &format!("{case}/"))
    }

    fn missing_place(&self) -> Location {
        self.at("no-such-bucket", "")
    }

    async fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        let credentials = Credentials::Static {
            access_key_id: "skyfresh".into(),
            secret_access_key: SECRET.into(),
            session_token: None,
        };
        let config = S3Config {
            credentials,
            ..S3Config::default()
        };
        Ok(Arc::new(S3Store::new(
            location.clone(),
            config,
            Arc::new(SystemClock),
            Rng::seeded(1),
        )?))
    }
}

/// Google Cloud Storage, or Azure Blob Storage, by what opens a location there.
struct OtherCloud<O> {
    name: &'static str,
    /// `scheme://bucket/` of the bucket that is there, and of one that is not.
    places: (String, String),
    options: String,
    open: O,
}

#[async_trait]
impl<O> Backend for OtherCloud<O>
where
    O: Fn(Location) -> Result<Arc<dyn ObjectStore>> + Send + Sync,
{
    fn name(&self) -> String {
        self.name.into()
    }

    fn place(&self, case: &str) -> Location {
        let (there, options) = (&self.places.0, &self.options);
        format!("{there}{case}/{options}")
            .parse()
            .expect("a location")
    }

    fn missing_place(&self) -> Location {
        let (missing, options) = (&self.places.1, &self.options);
        format!("{missing}{options}").parse().expect("a location")
    }

    async fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        (self.open)(location.clone())
    }

    fn keeps(&self, asked: Attributes) -> Attributes {
        match self.name {
            AZURE => skyfresh_store::MetadataLimits::AZURE.fit(asked).attributes,
            _ => asked,
        }
    }

    fn refuses_key(&self, full_key: &str) -> bool {
        self.name == AZURE && skyfresh_store::azure::refused_name(full_key).is_some()
    }
}

const AZURE: &str = "localsky, Azure";

/// Where Azure itself is not what the seam's strictest case asks for; `store/tests/azure.rs` tests how it is.
const AZURE_DIFFERS: [(&str, &str); 3] = [
    (
        "a_part_uploaded_again_is_replaced",
        "on Azure the receipt of a replaced part completes with exactly that receipt's bytes",
    ),
    (
        "aborted_uploads_are_gone",
        "Azure takes blocks for any upload: completing an aborted one is refused, adding a part to it is not",
    ),
    (
        "tags_are_kept_and_replaced",
        "Azure's tags hold no `@` and nothing beyond ASCII",
    ),
];

/// An unshaped sky of one region with the bucket `conformance`.
async fn one_region(name: &str) -> (LocalSky, Region) {
    let region: Region = name.parse().expect("a region");
    let config = SkyConfig {
        regions: vec![RegionConfig::in_memory(region.clone())],
        shaping: ShapingProfile::unshaped(),
        ..SkyConfig::default()
    };
    let sky = LocalSky::start(config, Arc::new(SystemClock), Rng::seeded(7))
        .await
        .expect("the sky starts");
    sky.create_bucket(&region, "conformance", false)
        .await
        .expect("a bucket");
    (sky, region)
}

#[tokio::test(flavor = "multi_thread")]
async fn google_conforms() {
    use skyfresh_store::gcs::{GcsConfig, GcsStore, GoogleCredentialSource};
    let (sky, region) = one_region("gcp:us-central1").await;
    let token = SkyConfig::default().google.token.expose().to_owned();
    let open = move |location: Location| -> Result<Arc<dyn ObjectStore>> {
        let config = GcsConfig {
            credentials: GoogleCredentialSource::Token(token.clone()),
            ..GcsConfig::default()
        };
        let store = GcsStore::new(location, config, Arc::new(SystemClock), Rng::seeded(1))?;
        Ok(Arc::new(store))
    };
    let google = OtherCloud {
        name: "localsky, Google Cloud Storage",
        places: ("gs://conformance/".into(), "gs://no-such-bucket/".into()),
        options: format!("?endpoint={}", sky.endpoint(None, &region)),
        open,
    };
    let report = run_all(&google, &[]).await;
    assert!(report.passed(), "{report}");
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_conforms() {
    use skyfresh_store::azure::{AzureConfig, AzureCredentialSource, AzureStore};
    let (sky, region) = one_region("azure:westeurope").await;
    let connection = sky
        .azure_connection_string(None, &region)
        .expect("it speaks Azure's protocol");
    let open = move |location: Location| -> Result<Arc<dyn ObjectStore>> {
        let config = AzureConfig {
            credentials: AzureCredentialSource::ConnectionString(connection.clone()),
            ..AzureConfig::default()
        };
        let store = AzureStore::new(location, config, Arc::new(SystemClock), Rng::seeded(1))?;
        Ok(Arc::new(store))
    };
    let azure = OtherCloud {
        name: AZURE,
        places: (
            "az://skyfresh/conformance/".into(),
            "az://skyfresh/no-such-container/".into(),
        ),
        options: format!("?endpoint={}", sky.endpoint(None, &region)),
        open,
    };
    let report = run_all(&azure, &AZURE_DIFFERS).await;
    assert!(report.passed(), "{report}");
    sky.shutdown().await;
}

async fn conforms(name: &'static str, versioned: bool) {
    let region: Region = "aws:us-east-1".parse().expect("a region");
    let config = SkyConfig {
        regions: vec![RegionConfig::in_memory(region.clone())],
        shaping: ShapingProfile::unshaped(),
        ..SkyConfig::default()
    };
    let sky = LocalSky::start(config, Arc::new(SystemClock), Rng::seeded(7))
        .await
        .expect("the sky starts");
    sky.create_bucket(&region, "conformance", versioned)
        .await
        .expect("a bucket");
    let report = run_all(
        &Sky {
            name,
            endpoint: sky.endpoint(None, &region),
        },
        &[],
    )
    .await;
    assert!(report.passed(), "{report}");
    assert!(
        report.complete(),
        "the local sky can do everything S3 can:\n{report}"
    );
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn localsky_conforms() {
    conforms("localsky", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn localsky_conforms_with_versions() {
    conforms("localsky, versioned", true).await;
}
