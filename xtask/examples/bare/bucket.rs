//! Emptying a bucket, and counting what it holds.

use crate::connection::{Ask, Endpoint};
use crate::list::Walk;
use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Method;
use md5::{Digest, Md5};
use std::fmt::Write;

/// Deletes a page at a time until a listing is empty.
pub(crate) async fn empty(endpoint: Endpoint, bucket: &str) -> Result<()> {
    let path = format!("/{bucket}");
    let mut connection = endpoint.connect().await?;
    loop {
        let mut document = String::from("<Delete><Quiet>true</Quiet>");
        let mut keys = 0;
        if let Some(page) = Walk::new(&endpoint, bucket).await?.page().await? {
            for object in page.objects() {
                let key = object.context("an unknown form of listing")?.key;
                let _ = write!(document, "<Object><Key>{key}</Key></Object>");
                keys += 1;
            }
        }
        if keys == 0 {
            return Ok(());
        }
        document.push_str("</Delete>");
        let digest = BASE64.encode(Md5::digest(&document));
        let ask = Ask {
            method: Method::POST,
            path: &path,
            query: "delete=",
            headers: &[
                ("content-md5", digest),
                ("content-length", document.len().to_string()),
            ],
        };
        let answer = connection.ask(&ask, document.into()).await?;
        let text = String::from_utf8_lossy(&answer);
        if text.contains("<Error>") {
            bail!("objects of {bucket} could not be deleted: {text}");
        }
    }
}

/// Prints `{"objects":…,"bytes":…}`.
pub(crate) async fn count(endpoint: Endpoint, bucket: &str) -> Result<()> {
    let mut walk = Walk::new(&endpoint, bucket).await?;
    let (mut objects, mut bytes) = (0_u64, 0_u64);
    while let Some(page) = walk.page().await? {
        for object in page.objects() {
            objects += 1;
            bytes += object.context("an unknown form of listing")?.size;
        }
    }
    println!("{{\"objects\":{objects},\"bytes\":{bytes}}}");
    Ok(())
}
