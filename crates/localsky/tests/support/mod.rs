//! A minimal S3 client for tests: signs with SigV4 (payload unsigned) and speaks plain HTTP, so that nothing of the
//! project stands between the test and the wire.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part of it"
)]

pub mod google;

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest, Sha256};
use skyfresh_localsky::{BucketConfig, LocalSky, RegionConfig, ShapingProfile, SkyConfig};
use skyfresh_sky::{Clock, Region, Rng, SystemClock};
use std::sync::Arc;

pub fn region(name: &str) -> Region {
    name.parse().unwrap()
}

pub fn east() -> Region {
    region("aws:us-east-1")
}

pub fn west() -> Region {
    region("aws:us-west-2")
}

/// Two unshaped regions in memory, each with the bucket `data`, accepting parts of 1 KiB.
pub fn config() -> SkyConfig {
    let region = |region| RegionConfig {
        buckets: vec![BucketConfig {
            name: "data".into(),
            versioned: false,
        }],
        ..RegionConfig::in_memory(region)
    };
    SkyConfig {
        regions: vec![region(east()), region(west())],
        shaping: ShapingProfile::unshaped(),
        minimum_part_bytes: 1024,
        ..Default::default()
    }
}

pub async fn start(config: SkyConfig) -> LocalSky {
    LocalSky::start(config, Arc::new(SystemClock), Rng::seeded(7))
        .await
        .unwrap()
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first XML element of this name.
    pub fn element(&self, name: &str) -> String {
        let text = self.text();
        let rest = text
            .split_once(&format!("<{name}>"))
            .map_or("", |(_, rest)| rest);
        rest.split_once("</")
            .map_or("", |(value, _)| value)
            .to_owned()
    }
}

#[derive(Clone)]
pub struct Client {
    pub endpoint: String,
    pub signing_region: String,
    http: HttpClient<HttpConnector, Full<Bytes>>,
}

impl Client {
    pub fn new(endpoint: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = HttpClient::builder(TokioExecutor::new()).build(connector);
        Client {
            endpoint,
            signing_region: "us-east-1".into(),
            http,
        }
    }

    /// Sends a signed request. `target` is percent-encoded; its query is in alphabetical order with `=` throughout.
    pub async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, anyhow::Error> {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{target}", self.endpoint));
        for (name, value) in headers.iter().copied().chain(
            self.sign(&method, target)
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        ) {
            request = request.header(name, value);
        }
        let response = self
            .http
            .request(request.body(Full::new(body.into()))?)
            .await?;
        let (head, body) = response.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    pub async fn put(&self, target: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Method::PUT, target, &[], body).await.unwrap()
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.send(Method::GET, target, &[], "").await.unwrap()
    }

    pub async fn post(&self, target: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, target, &[], body).await.unwrap()
    }

    /// The headers that sign a request without looking at its body.
    pub fn sign(&self, method: &Method, target: &str) -> Vec<(&'static str, String)> {
        let host = self.endpoint.trim_start_matches("http://");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let now = SystemClock.now().to_string();
        let digits: String = now.chars().filter(char::is_ascii_digit).take(14).collect();
        let (date, time) = digits.split_at(8);
        let stamp = format!("{date}T{time}Z");
        let scope = format!("{date}/{}/s3/aws4_request", self.signing_region);
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{stamp}\n\n\
             host;x-amz-content-sha256;x-amz-date\nUNSIGNED-PAYLOAD"
        );
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}",
            hex::encode(Sha256::digest(canonical))
        );
        let mut key = b"AWS4skyfresh-local-secret".to_vec();
        for step in [date, &self.signing_region, "s3", "aws4_request", &to_sign] {
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(step.as_bytes());
            key = mac.finalize().into_bytes().to_vec();
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=skyfresh/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
             Signature={}",
            hex::encode(key)
        );
        vec![
            ("authorization", authorization),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD".into()),
            ("x-amz-date", stamp),
        ]
    }
}
