//! Signed small requests to AWS services beside S3 (queues, topics, event buses), with the same credentials as a store.

use super::S3Config;
use super::signing::{Signer, Unsigned};
use crate::http::HttpClient;
use crate::service::{Limits, ServiceClient};
use crate::{Error, Result};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use reqsign_aws_v4::RequestSigner;
use sha2::{Digest, Sha256};
use skyfresh_sky::{Clock, Kind};
use std::sync::Arc;

/// Signs and sends small requests to one AWS service in one region.
pub struct AwsService {
    client: ServiceClient,
    credentials: Signer,
    signer: RequestSigner,
}

impl std::fmt::Debug for AwsService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwsService")
            .field("signer", &self.signer)
            .finish_non_exhaustive()
    }
}

impl AwsService {
    /// `service` is its signing name, e.g. `sqs`. Of `config`, the credentials and the connect timeout are used.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: TLS is needed and the system's root certificates cannot be read.
    pub fn new(
        service: &str,
        region: &str,
        https: bool,
        config: &S3Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let http =
            HttpClient::new(https, config.connect_timeout, Arc::clone(&clock)).map_err(|why| {
                let why = format!(
                    "TLS needs the system's root certificates: {why} (install ca-certificates)"
                );
                Error::new(Kind::Invalid, "open", service, why)
            })?;
        Ok(AwsService {
            client: ServiceClient::over(http.clone(), Arc::clone(&clock)),
            credentials: Signer::new(config, None, http, clock),
            signer: RequestSigner::new(service, region),
        })
    }

    /// Signs a request (Signature Version 4, the body's SHA-256 included), sends it and collects the answer, whatever its
    /// status. Where the answer says that the credentials are no longer good and others can be had, it is sent once more.
    ///
    /// # Errors
    /// [`Kind::Denied`]: no credentials were found. Otherwise as [`ServiceClient::send`].
    pub async fn send(
        &self,
        operation: &'static str,
        target: &str,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>> {
        let (mut parts, body) = request.into_parts();
        let hash = HeaderValue::from_str(&hex::encode(Sha256::digest(&body)));
        if let Ok(hash) = hash {
            parts.headers.insert("x-amz-content-sha256", hash);
        }
        let mut renewed = false;
        loop {
            let mut signed = parts.clone();
            let generation = self
                .credentials
                .sign(&self.signer, &mut signed)
                .await
                .map_err(|unsigned| refused(operation, target, unsigned))?;
            let request = Request::from_parts(signed, body.clone());
            let answer = self.client.send(operation, target, request, limits).await?;
            let again = !renewed
                && is_credential_refusal(answer.status(), answer.body())
                && self.credentials.renew(generation).await;
            if !again {
                return Ok(answer);
            }
            renewed = true;
        }
    }
}

fn refused(operation: &'static str, target: &str, unsigned: Unsigned) -> Error {
    let error = Error::new(unsigned.kind, operation, target, unsigned.context);
    match unsigned.source {
        Some(source) => error.with_source(source),
        None => error,
    }
}

/// Whether other credentials could help: AWS general reference, "Common errors".
fn is_credential_refusal(status: StatusCode, body: &[u8]) -> bool {
    const CODES: [&[u8]; 4] = [
        b"ExpiredToken",
        b"InvalidClientTokenId",
        b"UnrecognizedClientException",
        b"InvalidSignatureException",
    ];
    matches!(status.as_u16(), 400 | 401 | 403)
        && CODES
            .iter()
            .any(|code| body.windows(code.len()).any(|window| window == *code))
}
