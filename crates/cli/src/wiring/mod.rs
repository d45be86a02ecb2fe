//! The control planes of the clouds, opened with a side's credentials; and what was created there, on record.
//!
//! In: a location, the environment. Out: clients of `skyfresh_channel::wiring`. Never: opens the ledger, so that wiring works while
//! a daemon holds it.

mod opened;
mod records;

pub(crate) use opened::{Opened, channel_lines};
pub(crate) use records::Records;

use crate::context::Context;
use crate::open::Opener;
use skyfresh_channel::wiring::aws::{Aws, Endpoints, Signed};
use skyfresh_channel::wiring::azure::{Azure, MANAGEMENT};
use skyfresh_channel::wiring::google::Google;
use skyfresh_channel::wiring::{NoToken, TokenSource, WithBearer};
use skyfresh_sky::{Kind, Location};
use skyfresh_store::service::ServiceClient;
use skyfresh_store::{Error, ObjectStore, Result};
use std::sync::Arc;

/// AWS in the region of a bucket.
///
/// # Errors
/// [`Kind::Unsupported`]: the bucket is not on AWS, and the environment names no address for queues beside it.
pub(crate) async fn aws(
    opener: &Opener,
    location: &Location,
    context: &Context,
) -> Result<Aws<Signed>> {
    let (endpoints, region) = endpoints(opener, location, context).await?;
    let https = [
        &endpoints.bucket,
        &endpoints.sqs,
        &endpoints.events,
        &endpoints.sts,
    ]
    .iter()
    .any(|address| address.starts_with("https://"));
    let (plain, section) = opener.resolve(location)?;
    let config = opener.s3_config(&plain, section);
    let signed = Signed::new(&config, &region, https, &context.clock)?;
    Ok(Aws::new(signed, endpoints, region))
}

/// Where the bucket and the services beside it answer. The variables are the AWS SDKs' own (AWS SDKs reference guide,
/// "Service-specific endpoints").
async fn endpoints(
    opener: &Opener,
    location: &Location,
    context: &Context,
) -> Result<(Endpoints, String)> {
    let store = opener.s3(location)?;
    let environment = &context.environment;
    let everywhere = environment.get("AWS_ENDPOINT_URL");
    let named = |variable: &str| environment.get(variable).or(everywhere);
    let (_, section) = opener.resolve(location)?;
    let elsewhere = location
        .option("endpoint")
        .is_some_and(|value| value.contains("://"))
        || section.is_some_and(|section| section.url.is_some())
        || opener.environment_endpoint().is_some();
    if elsewhere && named("AWS_ENDPOINT_URL_SQS").is_none() {
        let why = "this store only speaks S3's protocol: it has no queues that Skyfresh could create. Let it post its \
                   notifications to the daemon (POST /v1/notifications), or set AWS_ENDPOINT_URL_SQS where it has SQS too";
        return Err(
            Error::new(Kind::Unsupported, "wire", location.to_string(), why)
                .with_code("NoControlPlane"),
        );
    }
    // A bucket of AWS names its own region whatever was configured; the first call finds out, even one that is refused.
    let reached = store.check_readable().await;
    if let Err(error) = reached
        && error.kind != Kind::Denied
    {
        return Err(error);
    }
    let identity = store.identity().await?;
    let mut endpoints = Endpoints::of_region(identity.url, &identity.region);
    for (address, variable) in [
        (&mut endpoints.sqs, "AWS_ENDPOINT_URL_SQS"),
        (&mut endpoints.events, "AWS_ENDPOINT_URL_EVENTBRIDGE"),
        (&mut endpoints.sts, "AWS_ENDPOINT_URL_STS"),
    ] {
        if let Some(named) = named(variable) {
            *address = named.trim_end_matches('/').to_owned();
        }
    }
    Ok((endpoints, identity.region))
}

/// Google Cloud. `STORAGE_EMULATOR_HOST` and `PUBSUB_EMULATOR_HOST` name local servers, as for Google's own clients; those are asked
/// without a token.
pub(crate) fn google(
    opener: &Opener,
    location: &Location,
    context: &Context,
) -> Result<Google<WithBearer>> {
    let environment = &context.environment;
    let with_scheme = |address: &str| match address.contains("://") {
        true => address.trim_end_matches('/').to_owned(),
        false => format!("http://{address}"),
    };
    let (_, section) = opener.resolve(location)?;
    let storage = location
        .option("endpoint")
        .filter(|value| value.contains("://"))
        .or(section.and_then(|section| section.url.as_deref()))
        .or(environment.get("STORAGE_EMULATOR_HOST"))
        .map(with_scheme);
    let pubsub = environment.get("PUBSUB_EMULATOR_HOST").map(with_scheme);
    match (storage, pubsub) {
        (None, None) => {
            let client = ServiceClient::new(true, Arc::clone(&context.clock))?;
            Ok(Google::new(WithBearer::new(
                client,
                opener.token_source(location)?,
            )))
        }
        (Some(storage), Some(pubsub)) => {
            let https = storage.starts_with("https://") || pubsub.starts_with("https://");
            let client = ServiceClient::new(https, Arc::clone(&context.clock))?;
            // A token for Google never goes to another host.
            let token: Arc<dyn TokenSource> = Arc::new(NoToken);
            Ok(Google::at(WithBearer::new(client, token), storage, pubsub))
        }
        _ => {
            let why = "storage and Pub/Sub must both be Google's, or both be local: set STORAGE_EMULATOR_HOST (or ?endpoint=) and \
                       PUBSUB_EMULATOR_HOST together";
            Err(Error::new(Kind::Invalid, "wire", location.to_string(), why))
        }
    }
}

/// Azure Resource Manager; `AZURE_RESOURCE_MANAGER_URL` names another than the public cloud's, such as a local server, which is
/// asked without a token where it is on plain HTTP.
pub(crate) fn azure(
    opener: &Opener,
    location: &Location,
    context: &Context,
) -> Result<Azure<WithBearer>> {
    let management = context
        .environment
        .get("AZURE_RESOURCE_MANAGER_URL")
        .unwrap_or(MANAGEMENT);
    let management = management.trim_end_matches('/');
    let https = management.starts_with("https://");
    let client = ServiceClient::new(https, Arc::clone(&context.clock))?;
    let token: Arc<dyn TokenSource> = match https {
        true => opener.token_source(location)?,
        false => Arc::new(NoToken),
    };
    Ok(Azure::new(
        WithBearer::new(client, token),
        management,
        Arc::clone(&context.clock),
    ))
}
