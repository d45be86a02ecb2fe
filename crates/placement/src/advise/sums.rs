//! Advice on many groups, added up.

use super::Advised;
use crate::exact::{Cost, Wide};
use crate::explain::{Item, explain};
use crate::logs::Group;
use crate::model::Scenario;
use crate::workload::Workload;

/// What one item costs a month.
#[derive(Clone, Copy, Debug)]
pub struct ItemSum {
    /// What for.
    pub item: Item,
    /// Where everything is today.
    pub today: Cost,
    /// Where it is best.
    pub best: Cost,
}

/// What is in one region, and what it does, in a month. For pictures: not exact.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RegionSum {
    /// GB stored today, all copies.
    pub stored_today_gb: f64,
    /// GB stored where it is best.
    pub stored_best_gb: f64,
    /// Gets from here.
    pub gets: f64,
    /// GB read from here.
    pub read_gb: f64,
    /// GB written from here.
    pub written_gb: f64,
}

/// Sums of all groups that there is advice on.
#[derive(Clone, Debug)]
pub struct Sums {
    /// Groups, and objects in them.
    pub groups: u64,
    /// Objects.
    pub objects: u64,
    /// Bytes of one copy of each.
    pub bytes: u128,
    /// A month where everything is today.
    pub today: Cost,
    /// A month where it is best.
    pub best: Cost,
    /// Moving there, once.
    pub moving: Cost,
    /// Groups that are not moved.
    pub staying: u64,
    /// In the order of [`Item`]'s kinds.
    pub items: [ItemSum; 5],
    /// By region of the scenario.
    pub regions: Vec<RegionSum>,
}

const ITEMS: [Item; 5] = [
    Item::Storage,
    Item::Puts,
    Item::Ingress,
    Item::Gets,
    Item::Egress,
];

fn add(sum: &mut Cost, more: &Cost) {
    sum.numerator = sum.numerator.plus(more.numerator);
}

impl Sums {
    /// Nothing yet. Workloads are over `denominator`, all of them.
    pub fn new(scenario: &Scenario, denominator: u128) -> Self {
        let nothing = Cost {
            numerator: Wide::ZERO,
            denominator,
        };
        Sums {
            groups: 0,
            objects: 0,
            bytes: 0,
            today: nothing,
            best: nothing,
            moving: nothing,
            staying: 0,
            items: ITEMS.map(|item| ItemSum {
                item,
                today: nothing,
                best: nothing,
            }),
            regions: vec![RegionSum::default(); scenario.regions.len()],
        }
    }

    /// What is saved in a month.
    pub fn saving(&self) -> super::Saving {
        super::Saving::between(&self.today, &self.best)
    }

    /// One more group, which is in the stores `at` today.
    pub fn add(&mut self, scenario: &Scenario, at: &[u32], group: &Group, advised: &Advised) {
        self.groups += 1;
        self.objects = self.objects.saturating_add(group.objects);
        self.bytes = self.bytes.saturating_add(group.bytes);
        self.staying += u64::from(advised.moves.is_empty() && advised.stores == at);
        add(&mut self.today, &advised.today);
        add(&mut self.best, &advised.best);
        add(&mut self.moving, &advised.moving);
        self.itemise(scenario, &group.workload, at, |sum| &mut sum.today);
        self.itemise(scenario, &group.workload, &advised.stores, |sum| {
            &mut sum.best
        });
        let parts = group.workload.denominator as f64;
        let gb = group.bytes as f64 / 1e9;
        for store in at {
            self.regions[scenario.stores[*store as usize].region].stored_today_gb += gb;
        }
        for store in &advised.stores {
            self.regions[scenario.stores[*store as usize].region].stored_best_gb += gb;
        }
        for (region, gets, read) in &group.workload.reads {
            self.regions[*region].gets += *gets as f64 / parts;
            self.regions[*region].read_gb += *read as f64 / parts;
        }
        for (region, written) in &group.workload.ingress {
            self.regions[*region].written_gb += *written as f64 / parts;
        }
    }

    fn itemise(
        &mut self,
        scenario: &Scenario,
        workload: &Workload,
        stores: &[u32],
        of: fn(&mut ItemSum) -> &mut Cost,
    ) {
        // Today's stores may be out of reach; then it is the total alone that is told.
        for line in explain(scenario, workload, stores).unwrap_or_default() {
            if let Some(sum) = self.items.iter_mut().find(|sum| sum.item == line.item) {
                add(of(sum), &line.cost);
            }
        }
    }
}
