//! Open stores by location, and the throttles of the rules that read them.

use crate::intake::watch::Watched;
use crate::throttle::Throttle;
use crate::{Result, Rule};
use futures::stream::BoxStream;
use skyfresh_sky::{Clock, Location};
use skyfresh_store::ObjectStore;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Opens the store behind a location; given by the binary, which knows credentials and endpoints.
pub trait OpenStore: Send + Sync + std::fmt::Debug {
    /// Opens without IO beyond reading local credentials.
    ///
    /// # Errors
    /// The location cannot be opened as configured.
    fn open(&self, location: &Location) -> skyfresh_store::Result<Arc<dyn ObjectStore>>;

    /// Watches a location for changes, where that is possible (`None` otherwise: events come from elsewhere).
    fn watch(
        &self,
        _location: &Location,
    ) -> Option<skyfresh_store::Result<BoxStream<'static, Watched>>> {
        None
    }
}

/// Every store that is open in this process. One store per location, so that its capabilities are probed once.
#[derive(Debug)]
pub struct Stores {
    opener: Arc<dyn OpenStore>,
    open: Mutex<HashMap<Location, Arc<dyn ObjectStore>>>,
    throttles: Mutex<HashMap<String, Arc<Throttle>>>,
}

impl Stores {
    /// None open yet.
    pub fn new(opener: Arc<dyn OpenStore>) -> Self {
        Stores {
            opener,
            open: Mutex::default(),
            throttles: Mutex::default(),
        }
    }

    /// The store at a location, opened on first use.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn get(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = open.get(location) {
            return Ok(Arc::clone(store));
        }
        let store = self.opener.open(location)?;
        open.insert(location.clone(), Arc::clone(&store));
        Ok(store)
    }

    /// Watches a location, where that is possible.
    pub(crate) fn watch(&self, location: &Location) -> Option<Result<BoxStream<'static, Watched>>> {
        self.opener.watch(location).map(|watched| Ok(watched?))
    }

    /// The rule's throttle, shared by everything that reads for it in this process.
    pub(crate) fn throttle(&self, rule: &str) -> Option<Arc<Throttle>> {
        self.throttles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(rule)
            .cloned()
    }

    /// Sets the rule's rate as configured.
    pub(crate) fn set_throttle(
        &self,
        rule: &Rule,
        clock: &Arc<dyn Clock>,
    ) -> Option<Arc<Throttle>> {
        let mut throttles = self
            .throttles
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match rule.bandwidth {
            Some(bandwidth) => {
                let throttle =
                    Arc::new(Throttle::new(bandwidth.bytes_per_second, Arc::clone(clock)));
                throttles.insert(rule.name.clone(), Arc::clone(&throttle));
                Some(throttle)
            }
            None => {
                throttles.remove(&rule.name);
                None
            }
        }
    }
}
