//! Several providers as one.

use crate::{Cloud, Machine, Offer, Tags};
use async_trait::async_trait;
use skyfresh_relay::{Error, Result};
use skyfresh_sky::{Kind, Provider, Region};
use std::sync::Arc;

/// Rents at the provider that a region belongs to.
#[derive(Default)]
pub struct Clouds {
    clouds: Vec<(Provider, Arc<dyn Cloud>)>,
}

impl Clouds {
    /// The same with one more provider.
    pub fn with(mut self, provider: Provider, cloud: Arc<dyn Cloud>) -> Self {
        self.clouds.push((provider, cloud));
        self
    }

    fn of(&self, region: &Region) -> Result<&dyn Cloud> {
        let found = self.clouds.iter().find(|(of, _)| *of == region.provider);
        let cloud = found.map(|(_, cloud)| &**cloud);
        cloud.ok_or_else(|| {
            let why = format!("{region} is of a provider of whom nothing is rented");
            Error::new(Kind::Invalid, "choose cloud", why)
        })
    }
}

#[async_trait]
impl Cloud for Clouds {
    async fn launch(
        &self,
        offer: &Offer,
        tags: &Tags,
        token: &str,
        user_data: &str,
    ) -> Result<Machine> {
        let cloud = self.of(&offer.region)?;
        cloud.launch(offer, tags, token, user_data).await
    }

    async fn find(&self, region: &Region) -> Result<Vec<Machine>> {
        self.of(region)?.find(region).await
    }

    async fn look(&self, region: &Region, id: &str) -> Result<Option<Machine>> {
        self.of(region)?.look(region, id).await
    }

    async fn terminate(&self, region: &Region, id: &str) -> Result<()> {
        self.of(region)?.terminate(region, id).await
    }
}
