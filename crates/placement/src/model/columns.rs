//! Prices as floating point, which holds them exactly: they are whole numbers below 2⁵³.

use super::Scenario;

/// One column for each store that is allowed, in the order of their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    /// The store of each column.
    pub(crate) store: Vec<u32>,
    /// 1e-10 $ a GB and month, by column.
    pub(crate) storage: Vec<f64>,
    /// 1e-10 $ a put request, by column.
    pub(crate) put: Vec<f64>,
    /// 1e-10 $ a get request, by column.
    pub(crate) get: Vec<f64>,
    /// 1e-10 $ a GB written: [region][column].
    ingress: Vec<f64>,
    /// 1e-10 $ a GB read: [region][column].
    egress: Vec<f64>,
}

impl Columns {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let store: Vec<u32> = (0..scenario.stores.len() as u32)
            .filter(|store| scenario.stores[*store as usize].allowed)
            .collect();
        let prices = |of: fn(&super::Store) -> i64| {
            store
                .iter()
                .map(|store| of(&scenario.stores[*store as usize]) as f64)
                .collect()
        };
        let table = |of: &[i64]| {
            (0..scenario.regions.len())
                .flat_map(|region| {
                    let row = &of[region * scenario.stride..][..scenario.stride];
                    store.iter().map(move |store| row[*store as usize] as f64)
                })
                .collect()
        };
        Columns {
            storage: prices(|store| store.storage),
            put: prices(|store| store.put),
            get: prices(|store| store.get),
            ingress: table(&scenario.ingress),
            egress: table(&scenario.egress),
            store,
        }
    }

    /// What a GB written by a region costs, by column.
    pub(crate) fn ingress(&self, region: usize) -> &[f64] {
        &self.ingress[region * self.store.len()..][..self.store.len()]
    }

    /// What a GB read by a region costs, by column.
    pub(crate) fn egress(&self, region: usize) -> &[f64] {
        &self.egress[region * self.store.len()..][..self.store.len()]
    }
}
