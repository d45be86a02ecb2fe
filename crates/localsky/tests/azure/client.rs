//! A minimal client that signs with Shared Key, written from the documentation alone, so that nothing of the server's own
//! canonicalisation stands on both sides.

use crate::support::Answer;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::Sha256;
use skyfresh_localsky::{BucketConfig, LocalSky, RegionConfig, ShapingProfile, SkyConfig};
use skyfresh_sky::{Clock, Region, SystemClock, timeout};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

pub const ACCOUNT: &str = "skyfresh";
pub const SECRET: &str = "skyfresh-local-secret";

pub fn us() -> Region {
    crate::support::region("azure:eastus")
}

pub fn europe() -> Region {
    crate::support::region("azure:westeurope")
}

/// Two unshaped Azure regions in memory, each with the container `data`.
pub fn config() -> SkyConfig {
    let region = |region| RegionConfig {
        buckets: vec![BucketConfig {
            name: "data".into(),
            versioned: false,
        }],
        ..RegionConfig::in_memory(region)
    };
    SkyConfig {
        regions: vec![region(us()), region(europe())],
        shaping: ShapingProfile::unshaped(),
        ..SkyConfig::default()
    }
}

#[derive(Clone)]
pub struct AzureClient {
    pub endpoint: String,
    http: HttpClient<HttpConnector, Full<Bytes>>,
}

impl AzureClient {
    pub fn new(endpoint: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        AzureClient {
            endpoint,
            http: HttpClient::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Of a region's blobs, unshaped.
    pub fn of(sky: &LocalSky, region: &Region) -> Self {
        Self::new(sky.endpoint(None, region))
    }

    /// The URL of a blob of `data`.
    pub fn url(&self, blob: &str) -> String {
        format!("{}/{ACCOUNT}/data/{blob}", self.endpoint)
    }

    /// Sends a request as it is.
    pub async fn raw(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
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

    /// Sends a signed request. `target` is below the account: `data/blob?comp=…`, percent-encoded, its query without
    /// escapes.
    pub async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let body = body.into();
        let now = UNIX_EPOCH + Duration::from_millis(SystemClock.now().unix_ms());
        let date = httpdate::fmt_http_date(now);
        let mut all: BTreeMap<String, String> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        all.insert("x-ms-date".into(), date);
        all.insert("x-ms-version".into(), "2021-12-02".into());
        let signature = sign(&method, target, &all, body.len());
        all.insert(
            "authorization".into(),
            format!("SharedKey {ACCOUNT}:{signature}"),
        );
        let headers: Vec<(&str, &str)> = all
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let url = format!("{}/{ACCOUNT}/{target}", self.endpoint);
        self.raw(method, &url, &headers, body).await
    }

    pub async fn put(&self, blob: &str, body: impl Into<Bytes>) -> Answer {
        let headers = [("x-ms-blob-type", "BlockBlob")];
        self.send(Method::PUT, &format!("data/{blob}"), &headers, body)
            .await
            .unwrap()
    }

    pub async fn put_empty(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::PUT, target, headers, "").await.unwrap()
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.send(Method::GET, target, &[], "").await.unwrap()
    }

    pub async fn head(&self, target: &str) -> Answer {
        self.send(Method::HEAD, target, &[], "").await.unwrap()
    }

    pub async fn delete(&self, target: &str) -> Answer {
        self.send(Method::DELETE, target, &[], "").await.unwrap()
    }

    /// Puts blocks of these bodies and commits them in order.
    pub async fn put_blocks(&self, blob: &str, bodies: &[&'static str]) -> Answer {
        let mut list = String::new();
        for (number, body) in bodies.iter().enumerate() {
            let id = block_id(number);
            let target = format!("data/{blob}?blockid={id}&comp=block");
            let put = self.send(Method::PUT, &target, &[], *body).await.unwrap();
            assert_eq!(put.status, 201, "{}", put.text());
            list.push_str(&format!("<Latest>{id}</Latest>"));
        }
        self.commit(blob, &list).await
    }

    pub async fn commit(&self, blob: &str, list: &str) -> Answer {
        let body = format!("<?xml version=\"1.0\"?><BlockList>{list}</BlockList>");
        self.send(
            Method::PUT,
            &format!("data/{blob}?comp=blocklist"),
            &[],
            body,
        )
        .await
        .unwrap()
    }
}

/// Without characters that a URL would have to escape.
pub fn block_id(number: usize) -> String {
    BASE64.encode(format!("{number:06}"))
}

/// The signature by learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key.
fn sign(
    method: &Method,
    target: &str,
    headers: &BTreeMap<String, String>,
    length: usize,
) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let length = if length == 0 {
        String::new()
    } else {
        length.to_string()
    };
    let mut text = format!(
        "{method}\n\n\n{length}\n{}\n{}\n\n",
        header("content-md5"),
        header("content-type")
    );
    for name in [
        "if-modified-since",
        "if-match",
        "if-none-match",
        "if-unmodified-since",
        "range",
    ] {
        text.push_str(&header(name));
        text.push('\n');
    }
    for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("x-ms-")) {
        text.push_str(&format!("{name}:{value}\n"));
    }
    text.push_str(&format!("/{ACCOUNT}/{ACCOUNT}/{path}"));
    let query: BTreeMap<String, &str> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_lowercase(), value))
        .collect();
    for (name, value) in query {
        text.push_str(&format!("\n{name}:{value}"));
    }
    hmac(&text)
}

/// Under the account's key, Base64.
pub fn hmac(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    BASE64.encode(mac.finalize().into_bytes())
}

/// A blob's URL with a signature that allows reading it.
pub fn signed(client: &AzureClient, blob: &str) -> String {
    let expiry = "2099-01-01";
    let text =
        format!("r\n\n{expiry}\n/blob/{ACCOUNT}/data/{blob}\n\n\n\n2021-12-02\nb\n\n\n\n\n\n\n");
    let signature = hmac(&text)
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    format!(
        "{}?sp=r&se={expiry}&sv=2021-12-02&sr=b&sig={signature}",
        client.url(blob)
    )
}

/// Waits until something is so; fails after a minute.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let wait = async {
        while !holds().await {
            SystemClock.sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        timeout(&SystemClock, Duration::from_secs(60), wait)
            .await
            .is_some(),
        "waited a minute for {what}"
    );
}
