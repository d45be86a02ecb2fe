//! The accounts of a sky, and how they are put on its ports.

use super::Frontend;
use super::account::{Account, Neighbours, connection_string};
use super::auth::Service as Storage;
use crate::Result;
use crate::config::{Protocol, RegionConfig, SkyConfig};
use crate::net::Service;
use crate::store::Surroundings;
use skyfresh_sky::Region;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Where a store is reached, by the client's region (`None`: unshaped) and its own.
pub(crate) type Urls = BTreeMap<(Option<Region>, Region), String>;

/// The accounts of the regions that speak Azure's protocols.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accounts(Arc<Vec<Arc<Account>>>);

impl Accounts {
    /// Opens an account for every region that speaks Azure's protocols.
    pub(crate) fn open(
        config: &SkyConfig,
        surroundings: impl Fn(&RegionConfig) -> Surroundings,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self> {
        let mut accounts = Vec::new();
        for region in &config.regions {
            if region.protocol() != Protocol::Azure {
                continue;
            }
            let account = Account::open(
                region.directory.clone(),
                Arc::new(surroundings(region)),
                config.azure.keys(&config.access_key, &config.secret_key)?,
                tasks.clone(),
                stop.clone(),
            )?;
            for bucket in &region.buckets {
                account.ensure_container(&bucket.name, bucket.versioned)?;
            }
            accounts.push(Arc::new(account));
        }
        Ok(Accounts(Arc::new(accounts)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.0.iter()
    }

    pub(crate) fn find(&self, region: &Region) -> Option<&Arc<Account>> {
        self.iter().find(|account| account.region() == region)
    }

    /// Every region's Blob service.
    pub(crate) fn blob_services(&self) -> Vec<(Region, Service)> {
        self.services(Storage::Blob)
    }

    /// Every region's Queue service.
    pub(crate) fn queue_services(&self) -> Vec<(Region, Service)> {
        self.services(Storage::Queue)
    }

    fn services(&self, service: Storage) -> Vec<(Region, Service)> {
        self.iter()
            .map(|account| {
                let frontend = Frontend {
                    account: account.clone(),
                    service,
                };
                (account.region().clone(), Service::Azure(frontend))
            })
            .collect()
    }

    /// Tells every account how it reaches the stores of this sky, for copies between them. Called once, before anybody is
    /// served.
    pub(crate) fn introduce(&self, blobs: &Urls, queues: &Urls) {
        let port = |url: &str| url.rsplit(':').next()?.parse().ok();
        for account in self.iter() {
            let own = account.region();
            let url = |urls: &Urls, from: Option<&Region>, to: &Region| {
                let key = (from.cloned(), to.clone());
                urls.get(&key).cloned().unwrap_or_default()
            };
            let neighbours = Neighbours {
                blob_url: url(blobs, None, own),
                queue_url: url(queues, None, own),
                own_url: url(blobs, Some(own), own),
                routes: blobs
                    .iter()
                    .filter_map(|((_, to), any)| Some((port(any)?, url(blobs, Some(own), to))))
                    .collect(),
            };
            if account.neighbours.set(neighbours).is_err() {
                tracing::warn!(region = %own, "an account was introduced twice");
            }
        }
    }

    /// What Azure's own clients connect with.
    pub(crate) fn connection_string(
        &self,
        to: &Region,
        blob_url: &str,
        queue_url: &str,
    ) -> Option<String> {
        Some(connection_string(self.find(to)?, blob_url, queue_url))
    }
}
