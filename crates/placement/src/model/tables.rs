//! A scenario as plain tables, to be written down and read again.

use super::columns::Columns;
use super::scenario::{LANES, MAX_REGIONS, MAX_STORES};
use super::{Groups, Scenario, Store};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Invalid;
use std::collections::BTreeMap;

/// Everything of a scenario that is not made from the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tables {
    regions: Vec<String>,
    stores: Vec<Store>,
    /// 1e-10 $ a GB, one row for each region with an entry for each store.
    ingress: Vec<i64>,
    egress: Vec<i64>,
    /// Whether a region may read from a store, in the same order; empty: always.
    admissible: Vec<bool>,
    replicas: (usize, usize),
    groups: Groups,
    slo_seconds: Option<f64>,
}

impl Tables {
    /// The tables of a scenario.
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let unpadded = |table: &[i64]| {
            table
                .chunks(scenario.stride)
                .flat_map(|row| row[..scenario.stores.len()].iter().copied())
                .collect()
        };
        Tables {
            regions: scenario.regions.clone(),
            stores: scenario.stores.clone(),
            ingress: unpadded(&scenario.ingress),
            egress: unpadded(&scenario.egress),
            admissible: if scenario.admissible.is_empty() {
                Vec::new()
            } else {
                scenario
                    .admissible
                    .chunks(scenario.stride)
                    .flat_map(|row| row[..scenario.stores.len()].iter().copied())
                    .collect()
            },
            replicas: scenario.replicas,
            groups: scenario.groups.clone(),
            slo_seconds: scenario.slo_seconds,
        }
    }

    /// The scenario; an error where the tables do not fit each other.
    pub(crate) fn scenario(self) -> Result<Scenario, Invalid> {
        let invalid = |why: &str| Err(Invalid::new("tables of a scenario", "", why));
        let (rows, columns) = (self.regions.len(), self.stores.len());
        if rows == 0 || columns == 0 || rows > MAX_REGIONS || columns > MAX_STORES {
            return invalid("expected 1 to 1,000 regions and 1 to 10,000 stores");
        }
        let cells = rows * columns;
        if self.ingress.len() != cells
            || self.egress.len() != cells
            || !(self.admissible.is_empty() || self.admissible.len() == cells)
        {
            return invalid("a table has not one entry for each region and store");
        }
        let sorted = self.regions.is_sorted_by(|one, other| one < other)
            && self.stores.is_sorted_by(|one, other| one.name < other.name);
        let providers = self.groups.provider_count;
        let known = self
            .stores
            .iter()
            .all(|store| store.region < rows && store.provider < providers)
            && self
                .groups
                .regions
                .iter()
                .all(|(region, provider)| *region < rows && *provider < providers)
            && self
                .groups
                .providers
                .iter()
                .all(|provider| *provider < providers)
            && providers <= rows;
        let (least, most) = self.replicas;
        if !sorted || !known || least == 0 || least > most || most > columns {
            return invalid("names are not in order, or numbers name what there is not");
        }
        let prices = self
            .stores
            .iter()
            .flat_map(|store| [store.storage, store.put, store.get]);
        if prices
            .chain(self.ingress.iter().copied())
            .chain(self.egress.iter().copied())
            .any(|price| price < 0)
        {
            return invalid("a price is negative");
        }
        let stride = columns.next_multiple_of(LANES);
        let padded = |table: &[i64]| {
            let mut wide = vec![0; rows * stride];
            for (to, from) in wide.chunks_mut(stride).zip(table.chunks(columns)) {
                to[..columns].copy_from_slice(from);
            }
            wide
        };
        let mut admissible = Vec::new();
        if !self.admissible.is_empty() {
            admissible = vec![false; rows * stride];
            for (to, from) in admissible
                .chunks_mut(stride)
                .zip(self.admissible.chunks(columns))
            {
                to[..columns].copy_from_slice(from);
            }
        }
        let by_region: BTreeMap<String, usize> =
            (0..rows).map(|at| (self.regions[at].clone(), at)).collect();
        let mut scenario = Scenario {
            ingress: padded(&self.ingress),
            egress: padded(&self.egress),
            admissible,
            by_region,
            regions: self.regions,
            stores: self.stores,
            stride,
            replicas: self.replicas,
            groups: self.groups,
            columns: Columns::default(),
            slo_seconds: self.slo_seconds,
        };
        scenario.columns = Columns::new(&scenario);
        Ok(scenario)
    }
}
