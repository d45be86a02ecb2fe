//! The two S3 requests that the load needs, by a client of its own, so that nothing under test measures itself.
//!
//! Signatures follow the S3 API reference, "Authenticating Requests: Using the Authorization Header".

use anyhow::{Context, Result, bail};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::io::Read;

/// Bodies are not hashed into the signature: hashing would be the load's dearest part.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// A bucket of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// `http://127.0.0.1:port`.
    pub(super) endpoint: String,
    /// Its name.
    pub(super) name: String,
    /// The region that requests are signed for.
    pub(super) region: String,
    /// Who signs.
    pub(super) keys: Keys,
}

/// A key pair.
#[derive(Clone)]
pub(super) struct Keys {
    /// The access key id.
    pub(super) access: String,
    /// The secret access key.
    pub(super) secret: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Keys({})", self.access)
    }
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// The key; the load's own keys need no decoding.
    pub(super) key: String,
    /// Size in bytes.
    pub(super) size: u64,
    /// Entity tag, without quotes.
    pub(super) etag: String,
}

impl Bucket {
    /// Writes an object of `size` bytes; the answer is its entity tag.
    pub(super) fn put(
        &self,
        agent: &ureq::Agent,
        key: &str,
        size: u64,
        mut body: impl Read,
    ) -> Result<String> {
        let request = self.request("PUT", &format!("/{}/{key}", self.name), "")?;
        let mut call = agent
            .put(&request.url)
            .header("content-length", size.to_string());
        for (name, value) in &request.headers {
            call = call.header(*name, value);
        }
        let response = call
            .send(ureq::SendBody::from_reader(&mut body))
            .with_context(|| format!("PUT {key}"))?;
        let etag = response
            .headers()
            .get("etag")
            .context("PUT was answered without an ETag")?;
        Ok(etag
            .to_str()
            .context("the ETag is not text")?
            .trim_matches('"')
            .to_owned())
    }

    /// One page of the objects with keys after `after`, in order of their keys.
    pub(super) fn list_after(&self, agent: &ureq::Agent, after: &str) -> Result<Vec<Listed>> {
        let query = format!("list-type=2&start-after={after}");
        let request = self.request("GET", &format!("/{}", self.name), &query)?;
        let mut call = agent.get(&request.url);
        for (name, value) in &request.headers {
            call = call.header(*name, value);
        }
        let text = call
            .call()
            .context("listing")?
            .body_mut()
            .read_to_string()
            .context("listing")?;
        parse_listing(&text)
    }

    fn request(&self, method: &str, path: &str, query: &str) -> Result<SignedRequest> {
        let Some((_, host)) = self.endpoint.split_once("://") else {
            bail!("no scheme in {}", self.endpoint)
        };
        let time = jiff::Timestamp::now()
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string();
        let signed = [
            ("host", host),
            ("x-amz-content-sha256", UNSIGNED),
            ("x-amz-date", &time),
        ];
        let authorization = authorization(
            &self.keys,
            &self.region,
            &time,
            &Canonical {
                method,
                path,
                query,
                headers: &signed,
                payload: UNSIGNED,
            },
        );
        let separator = if query.is_empty() { "" } else { "?" };
        Ok(SignedRequest {
            url: format!("{}{path}{separator}{query}", self.endpoint),
            headers: [
                ("x-amz-content-sha256", UNSIGNED.to_owned()),
                ("x-amz-date", time),
                ("authorization", authorization),
            ],
        })
    }
}

struct SignedRequest {
    url: String,
    headers: [(&'static str, String); 3],
}

/// What a signature covers. Path and query are already percent-encoded; headers and query are in order of their names.
struct Canonical<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    headers: &'a [(&'a str, &'a str)],
    payload: &'a str,
}

/// The value of the `Authorization` header; `time` as `20130524T000000Z`.
fn authorization(keys: &Keys, region: &str, time: &str, request: &Canonical<'_>) -> String {
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let headers: String = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let Canonical {
        method,
        path,
        query,
        payload,
        ..
    } = request;
    let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{payload}");
    let day = time.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/s3/aws4_request");
    let digest = hex::encode(Sha256::digest(canonical));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
    let secret = format!("AWS4{}", keys.secret);
    let key = [day, region, "s3", "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| keyed(&key, part));
    let signature = hex::encode(keyed(&key, &text));
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
        keys.access
    )
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The objects of a ListObjectsV2 answer. Keys are the load's own: digits, letters, hyphens.
fn parse_listing(text: &str) -> Result<Vec<Listed>> {
    let objects = text.split("<Contents>").skip(1).map(|object| {
        let field = |name: &str| {
            let (_, rest) = object.split_once(&format!("<{name}>"))?;
            Some(rest.split_once(&format!("</{name}>"))?.0)
        };
        Some(Listed {
            key: field("Key")?.to_owned(),
            size: field("Size")?.parse().ok()?,
            etag: field("ETag")?
                .replace("&quot;", "")
                .trim_matches('"')
                .to_owned(),
        })
    });
    objects
        .collect::<Option<Vec<_>>>()
        .with_context(|| format!("an unknown form of listing: {text:.300}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example "GET Object" of the page named in this file's head.
    #[test]
    fn the_documented_example_has_the_documented_signature() {
        let keys = Keys {
            access: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        };
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let headers = [
            ("host", "examplebucket.s3.amazonaws.com"),
            ("range", "bytes=0-9"),
            ("x-amz-content-sha256", empty),
            ("x-amz-date", "20130524T000000Z"),
        ];
        let request = Canonical {
            method: "GET",
            path: "/test.txt",
            query: "",
            headers: &headers,
            payload: empty,
        };
        let value = authorization(&keys, "us-east-1", "20130524T000000Z", &request);
        assert!(
            value.ends_with(
                "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
            ),
            "{value}"
        );
    }

    #[test]
    fn listings_are_read() {
        let text = "<ListBucketResult><Name>b</Name><Contents><Key>k-1</Key><ETag>&quot;ab&quot;</ETag><Size>3</Size></Contents>\
                    <Contents><Key>k-2</Key><ETag>\"cd-2\"</ETag><Size>4</Size></Contents></ListBucketResult>";
        let listed = parse_listing(text).expect("a listing");
        assert_eq!(
            listed[0],
            Listed {
                key: "k-1".into(),
                size: 3,
                etag: "ab".into()
            }
        );
        assert_eq!((listed.len(), listed[1].etag.as_str()), (2, "cd-2"));
        assert!(
            parse_listing("<ListBucketResult/>")
                .expect("an empty listing")
                .is_empty()
        );
        assert!(parse_listing("<Contents><Key>k</Key></Contents>").is_err());
    }

    #[test]
    fn secrets_are_not_printed() {
        let keys = Keys {
            access: "id".into(),
            secret: "hidden".into(),
        };
        assert!(!format!("{keys:?}").contains("hidden"));
    }
}
