//! A minimal client of Google's APIs for tests: a bearer token and plain HTTP.

use super::Answer;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use skyfresh_localsky::{BucketConfig, RegionConfig, ShapingProfile, SkyConfig};
use skyfresh_sky::Region;

pub const TOKEN: &str = "skyfresh-local-token";

pub fn iowa() -> Region {
    super::region("gcp:us-central1")
}

pub fn belgium() -> Region {
    super::region("gcp:europe-west1")
}

/// Two unshaped regions in memory; the first has the bucket `data`, the second `far`. Small parts, small rewrites.
pub fn google_config() -> SkyConfig {
    let region = |region: Region, bucket: &str| RegionConfig {
        buckets: vec![BucketConfig {
            name: bucket.into(),
            versioned: false,
        }],
        ..RegionConfig::in_memory(region)
    };
    let mut config = SkyConfig {
        regions: vec![region(iowa(), "data"), region(belgium(), "far")],
        shaping: ShapingProfile::unshaped(),
        minimum_part_bytes: 1024,
        ..SkyConfig::default()
    };
    config.google.rewrite_bytes_per_call = 1024 * 1024;
    config
}

#[derive(Clone)]
pub struct GoogleClient {
    pub endpoint: String,
    pub token: Option<String>,
    http: HttpClient<HttpConnector, Full<Bytes>>,
}

impl GoogleClient {
    pub fn new(endpoint: String) -> Self {
        GoogleClient {
            endpoint,
            token: Some(TOKEN.into()),
            http: HttpClient::builder(TokioExecutor::new()).build(HttpConnector::new()),
        }
    }

    pub async fn try_send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, anyhow::Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.endpoint));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
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

    pub async fn send(&self, method: Method, target: &str, body: impl Into<Bytes>) -> Answer {
        self.try_send(method, target, &[], body).await.unwrap()
    }

    /// Uploads an object; the name needs no encoding.
    pub async fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>) -> Answer {
        let target = format!("/upload/storage/v1/b/{bucket}/o?uploadType=media&name={key}");
        self.send(Method::POST, &target, body).await
    }

    pub async fn get(&self, bucket: &str, key: &str) -> Answer {
        let target = format!("/storage/v1/b/{bucket}/o/{key}?alt=media");
        self.send(Method::GET, &target, "").await
    }

    /// Sends a resource and reads one, which must be answered 200.
    pub async fn call(&self, method: Method, target: &str, body: &Value) -> Value {
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let answer = self.send(method, target, text).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        json(&answer)
    }
}

pub fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {}", answer.text()))
}
