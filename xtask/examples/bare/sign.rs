//! Signature version 4 with UNSIGNED-PAYLOAD: the S3 API reference, "Authenticating Requests: Using the Authorization
//! Header". The signing key is derived once a process, as any client would.

use anyhow::{Context, Result};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The region both servers are asked for.
pub(crate) const REGION: &str = "us-east-1";

/// Bodies are not hashed into the signature.
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Who signs, on which day.
pub(crate) struct Signer {
    access: String,
    key: Vec<u8>,
    time: String,
}

impl Signer {
    /// Takes the key pair from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as the tools compared do. One time is signed for
    /// the life of the process: S3 accepts it for a quarter of an hour.
    pub(crate) fn from_environment() -> Result<Signer> {
        let variable =
            |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        let access = variable("AWS_ACCESS_KEY_ID")?;
        let secret = variable("AWS_SECRET_ACCESS_KEY")?;
        let time = jiff::Timestamp::now()
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string();
        let key = [&time[..8], REGION, "s3", "aws4_request"]
            .iter()
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| {
                keyed(&key, part)
            });
        Ok(Signer { access, key, time })
    }

    /// The value of `x-amz-date`.
    pub(crate) fn time(&self) -> &str {
        &self.time
    }

    /// The value of `authorization`. Path and query are percent-encoded already, the query in order of its names.
    pub(crate) fn authorization(
        &self,
        method: &str,
        path: &str,
        query: &str,
        host: &str,
    ) -> String {
        let time = &self.time;
        let scope = format!("{}/{REGION}/s3/aws4_request", &time[..8]);
        let names = "host;x-amz-content-sha256;x-amz-date";
        let canonical = format!(
            "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{UNSIGNED}\nx-amz-date:{time}\n\n{names}\n{UNSIGNED}"
        );
        let digest = hex::encode(Sha256::digest(canonical));
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
        let signature = hex::encode(keyed(&self.key, &text));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
            self.access
        )
    }
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
