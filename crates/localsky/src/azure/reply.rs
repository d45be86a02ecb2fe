//! Answers, and bodies of requests.

use super::account::Account;
use super::error::{self, Result};
use super::request::{Head, http_date};
use crate::store::{Algorithm, Content, Hasher};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use s3s::Body;
use skyfresh_sky::Timestamp;

/// An answer being put together.
pub(crate) struct Reply(Response<Body>);

impl Reply {
    pub(crate) fn new(status: StatusCode) -> Self {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        Reply(response)
    }

    /// A header; a value that no header can hold is left out.
    pub(crate) fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value.as_ref().as_bytes()),
        ) {
            self.0.headers_mut().insert(name, value);
        }
        self
    }

    pub(crate) fn optional(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// Entity tag and time of the last change.
    pub(crate) fn validators(self, etag: &str, modified: Timestamp) -> Self {
        self.header("etag", format!("\"{etag}\""))
            .header("last-modified", http_date(modified))
    }

    pub(crate) fn xml(self, xml: String) -> Response<Body> {
        self.header("content-type", "application/xml")
            .body(Body::from(Bytes::from(xml)))
    }

    pub(crate) fn body(self, body: Body) -> Response<Body> {
        self.0.map(|_| body)
    }

    pub(crate) fn empty(self) -> Response<Body> {
        self.0
    }
}

/// A body that arrived whole and agrees with what was said about it.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) content: Content,
    pub(crate) md5: [u8; 16],
    pub(crate) crc64: [u8; 8],
}

impl Received {
    pub(crate) fn md5_base64(&self) -> String {
        BASE64.encode(self.md5)
    }

    pub(crate) fn crc64_base64(&self) -> String {
        BASE64.encode(self.crc64)
    }
}

/// MD5 and CRC-64 of what passes by. Azure's CRC-64 is the one that the CRC catalogue calls NVME (polynomial
/// 0x9A6C9329AC4BC9B5, reflected: `Crc64Hash` in the Azure SDK for C++, sdk/storage/azure-storage-common), written with its
/// least significant byte first.
pub(crate) struct Digester(Hasher);

impl Digester {
    pub(crate) fn new() -> Self {
        Digester(Hasher::new(&[Algorithm::Crc64Nvme]))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// MD5, then CRC-64.
    pub(crate) fn finish(self) -> ([u8; 16], [u8; 8]) {
        let digests = self.0.finish();
        let mut crc64 = [0; 8];
        if let Some(big_endian) = digests.checksum(Algorithm::Crc64Nvme) {
            crc64.copy_from_slice(big_endian);
            crc64.reverse();
        }
        (digests.md5, crc64)
    }
}

/// What the client says about the body's bytes.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    md5: Option<[u8; 16]>,
    crc64: Option<[u8; 8]>,
}

fn digest<const N: usize>(value: &str) -> Option<[u8; N]> {
    BASE64.decode(value).ok()?.try_into().ok()
}

impl Claims {
    /// From `Content-MD5` and `x-ms-content-crc64`, or from the names given.
    pub(crate) fn of(head: &Head, md5: &str, crc64: &str) -> Result<Self> {
        let md5 = match head.header(md5) {
            None => None,
            Some(value) => Some(digest(value).ok_or_else(error::invalid_md5)?),
        };
        let crc64 = match head.header(crc64) {
            None => None,
            Some(value) => Some(digest(value).ok_or_else(error::invalid_crc64)?),
        };
        Ok(Claims { md5, crc64 })
    }

    pub(crate) fn check(&self, md5: &[u8; 16], crc64: &[u8; 8]) -> Result<()> {
        if self.md5.is_some_and(|claimed| claimed != *md5) {
            return Err(error::md5_mismatch());
        }
        if self.crc64.is_some_and(|claimed| claimed != *crc64) {
            return Err(error::crc64_mismatch());
        }
        Ok(())
    }
}

/// Stores a request's body, which must have a length of at most `limit`.
pub(crate) async fn receive(
    account: &Account,
    head: &Head,
    body: Body,
    limit: u64,
) -> Result<Received> {
    let length = head.content_length()?.ok_or_else(error::length_required)?;
    if length > limit {
        return Err(error::request_body_too_large());
    }
    let claims = Claims::of(head, "content-md5", "x-ms-content-crc64")?;
    let received = store(account, body, limit).await?;
    claims.check(&received.md5, &received.crc64)?;
    Ok(received)
}

/// Stores a body of at most `limit` bytes.
pub(crate) async fn store<B>(account: &Account, mut body: B, limit: u64) -> Result<Received>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let mut digester = Digester::new();
    let mut writer = account.storage.writer().await?;
    let mut size = 0u64;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(error::StorageError::new(
                StatusCode::BAD_REQUEST,
                "InvalidInput",
                "The body ended before it was complete.",
            ));
        };
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        size += chunk.len() as u64;
        if size > limit {
            return Err(error::request_body_too_large());
        }
        digester.update(&chunk);
        writer.write(chunk).await?;
    }
    let (md5, crc64) = digester.finish();
    Ok(Received {
        content: writer.finish().await?,
        md5,
        crc64,
    })
}

/// A small body, such as a block list or a message.
pub(crate) async fn small_body(head: &Head, mut body: Body, limit: usize) -> Result<Bytes> {
    let claims = Claims::of(head, "content-md5", "x-ms-content-crc64")?;
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|_| error::invalid_xml())?.into_data() else {
            continue;
        };
        if bytes.len() + chunk.len() > limit {
            return Err(error::request_body_too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    let mut digester = Digester::new();
    digester.update(&bytes);
    let (md5, crc64) = digester.finish();
    claims.check(&md5, &crc64)?;
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of the Azure SDK for C++ (sdk/storage/azure-storage-common/test/ut/crypt_functions_test.cpp).
    #[test]
    fn the_crc64_is_azures() {
        for (text, expected) in [("", "AAAAAAAAAAA="), ("Hello Azure!", "DtjZpL9/o8c=")] {
            let mut digester = Digester::new();
            digester.update(text.as_bytes());
            assert_eq!(BASE64.encode(digester.finish().1), expected, "{text:?}");
        }
    }
}
