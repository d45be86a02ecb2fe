//! Skyfresh's own S3 adapter against the local sky: the whole conformance suite, as on every other backend.

use async_trait::async_trait;
use skyfresh_localsky::{LocalSky, RegionConfig, ShapingProfile, SkyConfig};
use skyfresh_sky::{Location, Region, Rng, SystemClock};
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
