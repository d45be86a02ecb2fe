//! Opens the channels that the configuration names, with the credentials of their side.

use crate::config::{ChannelAddress, ChannelSection};
use crate::open::Opener;
use futures::FutureExt;
use http::Request;
use skyfresh_channel::Channel;
use skyfresh_channel::sqs::{SqsConfig, SqsQueue};
use skyfresh_engine::PulledChannel;
use skyfresh_server::{Fetch, KEYS_LIMIT_BYTES};
use skyfresh_sky::Clock;
use skyfresh_store::Result;
use skyfresh_store::service::{Limits, ServiceClient};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for an issuer's keys.
const KEYS_WAIT: Duration = Duration::from_secs(10);

/// Opens all channels. Nothing is sent yet.
///
/// # Errors
/// A channel's address or settings cannot be used.
pub(crate) fn open_all(opener: &Opener, sections: &[ChannelSection]) -> Result<Vec<PulledChannel>> {
    let mut all = Vec::new();
    for section in sections {
        all.push(PulledChannel {
            name: section.name.clone(),
            channel: open(opener, section)?,
            rules: section.rules.clone(),
            dead_letters: section.dead_letters,
            receivers: section.receivers,
        });
    }
    Ok(all)
}

fn open(opener: &Opener, section: &ChannelSection) -> Result<Arc<dyn Channel>> {
    match &section.address {
        ChannelAddress::Sqs(queue_url) => {
            let settings = opener.aws(section.endpoint.as_ref());
            let config = SqsConfig {
                queue_url: queue_url.clone(),
                region: settings.region,
                credentials: settings.credentials,
            };
            Ok(Arc::new(SqsQueue::new(config, opener.clock())?))
        }
        ChannelAddress::Pubsub(subscription) => Ok(Arc::new(
            opener.pubsub(subscription, section.endpoint.as_ref())?,
        )),
        ChannelAddress::AzureQueue(url) => Ok(Arc::new(
            opener.azure_queue(url, section.endpoint.as_ref())?,
        )),
    }
}

/// What the server reads the keys of tokens with: over the stores' client, so TLS is verified.
///
/// # Errors
/// The system's root certificates cannot be read.
pub(crate) fn fetch_keys(clock: Arc<dyn Clock>) -> Result<Fetch> {
    let client = ServiceClient::new(true, clock)?;
    Ok(Arc::new(move |url| {
        let client = client.clone();
        async move {
            let request = Request::get(&url)
                .body(bytes::Bytes::new())
                .map_err(|error| error.to_string())?;
            let limits = Limits {
                wait: KEYS_WAIT,
                answer_bytes: KEYS_LIMIT_BYTES,
            };
            let answer = client.send("read keys", &url, request, limits).await;
            let answer = answer.map_err(|error| error.to_string())?;
            match answer.status() {
                http::StatusCode::OK => Ok(answer.into_body()),
                status => Err(format!("{url} answered {status}")),
            }
        }
        .boxed()
    }))
}
