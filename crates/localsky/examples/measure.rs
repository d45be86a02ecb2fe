//! Measures a store in memory over loopback, server and client in this one process: small PUTs a second, and a large
//! object's GET and PUT in MB/s. Requests are presigned once, so that the client costs little.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest, Sha256};
use skyfresh_localsky::{LocalSky, ShapingProfile, SkyConfig};
use skyfresh_sky::{Clock, Rng, SystemClock};
use std::sync::Arc;

const SMALL_PUTS: usize = 20_000;
const SMALL_BYTES: usize = 10_000;
const CONNECTIONS: usize = 16;
const LARGE_BYTES: usize = 1 << 30;

fn presigned(host: &str, method: &str, path: &str) -> String {
    let digits: String = SystemClock
        .now()
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .take(14)
        .collect();
    let (date, time) = digits.split_at(8);
    let scope = format!("{date}/us-east-1/s3/aws4_request");
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=skyfresh%2F{}&X-Amz-Date={date}T{time}Z&X-Amz-Expires=3600&\
         X-Amz-SignedHeaders=host",
        scope.replace('/', "%2F")
    );
    let canonical = format!("{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}T{time}Z\n{scope}\n{}",
        hex::encode(Sha256::digest(canonical))
    );
    let mut key = b"AWS4skyfresh-local-secret".to_vec();
    for step in [date, "us-east-1", "s3", "aws4_request", &to_sign] {
        let mut mac = match Hmac::<Sha256>::new_from_slice(&key) {
            Ok(mac) => mac,
            Err(_) => unreachable!("HMAC takes keys of any length"),
        };
        mac.update(step.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    format!(
        "http://{host}{path}?{query}&X-Amz-Signature={}",
        hex::encode(key)
    )
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example's output")]
async fn main() -> anyhow::Result<()> {
    let config = SkyConfig {
        shaping: ShapingProfile::unshaped(),
        ..Default::default()
    };
    let region = config.regions[0].region.clone();
    let sky = LocalSky::start(config, Arc::new(SystemClock), Rng::from_entropy()).await?;
    sky.create_bucket(&region, "data", false).await?;
    let host = sky
        .endpoint(None, &region)
        .trim_start_matches("http://")
        .to_owned();
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let seconds_since = |start_ns: u64| (SystemClock.monotonic_ns() - start_ns) as f64 / 1e9;

    let small = Bytes::from(vec![7u8; SMALL_BYTES]);
    let start = SystemClock.monotonic_ns();
    let workers = (0..CONNECTIONS).map(|worker| {
        let (client, host, small) = (client.clone(), host.clone(), small.clone());
        tokio::spawn(async move {
            for index in 0..SMALL_PUTS / CONNECTIONS {
                let url = presigned(&host, "PUT", &format!("/data/{worker}/{index}"));
                let response = client
                    .request(http::Request::put(url).body(Full::new(small.clone()))?)
                    .await?;
                anyhow::ensure!(response.status().is_success(), "{}", response.status());
                response.into_body().collect().await?;
            }
            anyhow::Ok(())
        })
    });
    for worker in futures::future::join_all(workers).await {
        worker??;
    }
    println!(
        "small PUTs: {:.0}/s",
        SMALL_PUTS as f64 / seconds_since(start)
    );

    let large = Bytes::from(vec![7u8; LARGE_BYTES]);
    let start = SystemClock.monotonic_ns();
    let put = http::Request::put(presigned(&host, "PUT", "/data/large")).body(Full::new(large))?;
    anyhow::ensure!(client.request(put).await?.status().is_success());
    println!(
        "1 GiB PUT: {:.0} MB/s",
        LARGE_BYTES as f64 / 1e6 / seconds_since(start)
    );
    for _ in 0..2 {
        let start = SystemClock.monotonic_ns();
        let get =
            http::Request::get(presigned(&host, "GET", "/data/large")).body(Full::default())?;
        let mut body = client.request(get).await?.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
        anyhow::ensure!(bytes == LARGE_BYTES);
        println!(
            "1 GiB GET: {:.0} MB/s",
            LARGE_BYTES as f64 / 1e6 / seconds_since(start)
        );
    }
    sky.shutdown().await;
    Ok(())
}
