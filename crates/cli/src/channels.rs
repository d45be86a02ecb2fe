//! Opens the channels that the configuration names, with the credentials of their side.

use crate::config::{ChannelAddress, ChannelSection};
use crate::open::Opener;
use skyfresh_channel::Channel;
use skyfresh_channel::sqs::{SqsConfig, SqsQueue};
use skyfresh_engine::PulledChannel;
use skyfresh_sky::Kind;
use skyfresh_store::{Error, Result};
use std::sync::Arc;

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
        ChannelAddress::Pubsub(address) | ChannelAddress::AzureQueue(address) => Err(Error::new(
            Kind::Unsupported,
            "open",
            address.clone(),
            "this kind of channel cannot be opened yet",
        )),
    }
}
