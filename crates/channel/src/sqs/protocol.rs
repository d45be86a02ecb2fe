//! The AWS JSON 1.0 protocol: one POST a call, the operation in a header, errors by name.
//!
//! <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>

use crate::plumbing::{Address, Refusal, json, limits, request};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Clock, Kind};
use skyfresh_store::s3::{AwsService, S3Config};
use skyfresh_store::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

/// Calls one AWS service that speaks JSON.
#[derive(Debug)]
pub(crate) struct AwsJson {
    service: AwsService,
    /// The server, without a path: every call goes to `/`.
    server: String,
    /// What stands before the operation in `X-Amz-Target`.
    prefix: &'static str,
}

/// What the service said instead of an answer: the name under `__type`, and words under either spelling, or both.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(rename = "__type", default)]
    name: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(rename = "Message", default)]
    capital_message: Option<String>,
}

impl AwsJson {
    /// `signing_name` is the service's name in signatures, e.g. `sqs`; `prefix` its name in `X-Amz-Target`.
    pub(crate) fn new(
        signing_name: &str,
        prefix: &'static str,
        address: &Address,
        region: &str,
        config: &S3Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        Ok(AwsJson {
            service: AwsService::new(signing_name, region, address.https, config, clock)?,
            server: address.server(),
            prefix,
        })
    }

    /// One call. `wait` is how long the service was asked to wait before it answers; `operation` and `target` name the call
    /// in errors.
    pub(crate) async fn call<A: DeserializeOwned>(
        &self,
        name: &str,
        arguments: &impl Serialize,
        wait: Duration,
        operation: &'static str,
        target: &str,
    ) -> Result<A> {
        let body = serde_json::to_vec(arguments)
            .map_err(|error| Error::new(Kind::Internal, operation, target, error.to_string()))?;
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", &format!("{}.{name}", self.prefix)),
        ];
        let url = format!("{}/", self.server);
        let request = request(
            operation,
            target,
            Method::POST,
            &url,
            &headers,
            Bytes::from(body),
        )?;
        let answer = self
            .service
            .send(operation, target, request, limits(wait))
            .await?;
        if answer.status() == StatusCode::OK {
            // Some operations have no answer; some servers then send no document.
            let body: &[u8] = match answer.body() {
                empty if empty.is_empty() => b"{}",
                body => body,
            };
            return json(operation, target, body);
        }
        let problem: Problem = serde_json::from_slice(answer.body()).unwrap_or_default();
        let mut refusal = Refusal::new(answer.status(), answer.headers());
        refusal.code = problem.name.map(|name| bare_name(&name).to_owned());
        refusal.message = problem
            .message
            .or(problem.capital_message)
            .unwrap_or_default();
        let kind = refusal.code.as_deref().and_then(kind_of);
        Err(refusal.into_error(kind, operation, target))
    }
}

/// `com.amazonaws.sqs#QueueDoesNotExist` and `AWS.SimpleQueueService.NonExistentQueue` by their last part.
fn bare_name(name: &str) -> &str {
    let name = name.rsplit(['#', '.']).next().unwrap_or(name);
    name.split(':').next().unwrap_or(name)
}

/// Amazon SQS API reference, "Common errors" and the errors of each action.
fn kind_of(code: &str) -> Option<Kind> {
    Some(match code {
        "QueueDoesNotExist" | "NonExistentQueue" | "ResourceNotFoundException" => Kind::Missing,
        "AccessDenied"
        | "AccessDeniedException"
        | "KmsAccessDenied"
        | "KmsDisabled"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "MissingAuthenticationToken"
        | "OptInRequired" => Kind::Denied,
        "OverLimit"
        | "RequestThrottled"
        | "KmsThrottled"
        | "Throttling"
        | "ThrottlingException"
        | "QueueDeletedRecently"
        | "RequestExpired" => Kind::RetryAfter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_known_under_every_spelling() {
        for (name, kind) in [
            ("com.amazonaws.sqs#QueueDoesNotExist", Some(Kind::Missing)),
            (
                "AWS.SimpleQueueService.NonExistentQueue",
                Some(Kind::Missing),
            ),
            ("AccessDeniedException", Some(Kind::Denied)),
            (
                "ThrottlingException:http://internal",
                Some(Kind::RetryAfter),
            ),
            ("SomethingNew", None),
        ] {
            assert_eq!(kind_of(bare_name(name)), kind, "{name}");
        }
    }
}
