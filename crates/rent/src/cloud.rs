//! A provider of machines.

use crate::{Machine, Offer, Tags};
use async_trait::async_trait;
use skyfresh_relay::Result;
use skyfresh_sky::Region;

/// Rents machines out.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// Rents one, that runs `user_data` as it begins, and is deleted or at least stopped when it shuts down. It may not run yet when this
    /// returns. The same `token` again rents nothing more, and gives the machine that there is.
    ///
    /// # Errors
    /// `RetryAfter`: not now (no capacity, too many requests). `Denied`, `Invalid`: not so.
    async fn launch(
        &self,
        offer: &Offer,
        tags: &Tags,
        token: &str,
        user_data: &str,
    ) -> Result<Machine>;

    /// All machines of ours in a region, those that are gone and still shown included. Their addresses may be left out.
    ///
    /// # Errors
    /// `RetryAfter`, `Denied`, `Invalid`.
    async fn find(&self, region: &Region) -> Result<Vec<Machine>>;

    /// One machine; `None`: the provider does not know it, or not yet.
    ///
    /// # Errors
    /// `RetryAfter`, `Denied`, `Invalid`.
    async fn look(&self, region: &Region, id: &str) -> Result<Option<Machine>>;

    /// Deletes a machine. One that is gone and still shown is no error.
    ///
    /// # Errors
    /// `Missing`: the provider does not know it, or not yet. `RetryAfter`, `Denied`, `Invalid`.
    async fn terminate(&self, region: &Region, id: &str) -> Result<()>;
}
