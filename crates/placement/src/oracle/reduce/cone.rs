//! The objects that one placement's reads are the cheapest for: a cone, by its rays.
//!
//! An object stores, is put, is written to and is read from in each region. Reads of one region are of a size between two bounds: mixtures
//! of reads of the least and of the greatest size. Each region's size may be another one, which is more than an oracle is asked; a placement
//! that this keeps needlessly costs memory, never an answer.

use crate::model::Scenario;
use crate::workload::Workload;

/// Sizes in GB, as fractions: from one, and up to another; `None`: without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Sizes {
    pub(in super::super) from: (i64, i64),
    pub(in super::super) until: Option<(i64, i64)>,
}

/// What a unit of an object is, along one ray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ray {
    /// A GB stored.
    Storage,
    /// A put.
    Puts,
    /// A GB written by a region.
    Ingress(usize),
    /// Reads by a region: so many gets, so many GB.
    Reads { region: usize, gets: i64, gb: i64 },
}

/// The cone of one placement.
pub(super) struct Cone {
    rays: Vec<Ray>,
    /// What a unit along each ray costs at the dearest store, in 1e-10 $, at least 1: shares are of this.
    pub(super) scales: Vec<f64>,
}

/// A workload's cost stays below 2^50 units of a store: floating point holds it exactly, and the solver need not compare wide numbers.
const COST_UNITS: f64 = (1u64 << 50) as f64;

impl Cone {
    /// Of a placement from which regions with a store in `reads` read objects of these sizes.
    pub(super) fn new(scenario: &Scenario, reads: &[Option<u32>], sizes: Sizes) -> Self {
        let regions = scenario.regions.len();
        let mut rays = vec![Ray::Storage, Ray::Puts];
        rays.extend((0..regions).map(Ray::Ingress));
        let read = |region: usize, (gb, gets): (i64, i64)| {
            let divisor = greatest_common_divisor(gb, gets).max(1);
            Ray::Reads {
                region,
                gets: gets / divisor,
                gb: gb / divisor,
            }
        };
        for region in (0..regions).filter(|region| reads[*region].is_some()) {
            rays.push(read(region, sizes.from));
            rays.push(read(region, sizes.until.unwrap_or((1, 0))));
        }
        let mut cone = Cone {
            rays,
            scales: Vec::new(),
        };
        let dearest = |ray: &Ray| {
            let stores = (0..scenario.stores.len()).filter(|store| scenario.stores[*store].allowed);
            let dearest = stores.map(|store| price(scenario, *ray, store)).max();
            dearest.unwrap_or(0).max(1) as f64
        };
        cone.scales = cone.rays.iter().map(dearest).collect();
        cone
    }

    /// What a unit along each ray costs in these stores where regions read from `reads`; `None` where a region of the cone may read from none.
    pub(super) fn plane(
        &self,
        scenario: &Scenario,
        stores: &[u32],
        reads: &[Option<u32>],
    ) -> Option<Vec<i128>> {
        let along = |ray: &Ray| -> Option<i128> {
            Some(match ray {
                Ray::Reads { region, .. } => price(scenario, *ray, reads[*region]? as usize),
                _ => stores
                    .iter()
                    .map(|store| price(scenario, *ray, *store as usize))
                    .sum(),
            })
        };
        self.rays.iter().map(along).collect()
    }

    /// The object that has `shares` of all rays, in whole numbers.
    pub(super) fn workload(&self, scenario: &Scenario, shares: &[f64]) -> Option<Workload> {
        let (mut size, mut puts) = (0, 0);
        let mut ingress = Vec::new();
        let mut read = vec![(0u128, 0u128); scenario.regions.len()];
        for ((ray, share), scale) in self.rays.iter().zip(shares).zip(&self.scales) {
            let units = (share / scale * COST_UNITS) as u128;
            match *ray {
                Ray::Storage => size = units,
                Ray::Puts => puts = units,
                Ray::Ingress(region) => ingress.push((region, units)),
                Ray::Reads { region, gets, gb } => {
                    read[region].0 += units.checked_mul(u128::try_from(gets).ok()?)?;
                    read[region].1 += units.checked_mul(u128::try_from(gb).ok()?)?;
                }
            }
        }
        let reads = read.into_iter().enumerate();
        let reads = reads.map(|(region, (gets, gb))| (region, gets, gb));
        Workload::from_parts(scenario, 1, (size, puts), ingress, reads.collect())
    }

    /// For each region of the cone the store of `stores` that it reads from: as in `found`; where it was not read, the one that is cheapest
    /// along both of its rays together.
    pub(super) fn reads(
        &self,
        scenario: &Scenario,
        stores: &[u32],
        found: &[(usize, u32)],
    ) -> Vec<Option<u32>> {
        let mut reads = vec![None; scenario.regions.len()];
        for (region, store) in found {
            reads[*region] = Some(*store);
        }
        for pair in self.rays.windows(2) {
            let [
                one @ Ray::Reads { region, .. },
                two @ Ray::Reads { region: other, .. },
            ] = pair
            else {
                continue;
            };
            if region != other || reads[*region].is_some() {
                continue;
            }
            let both = |store: &u32| {
                let store = *store as usize;
                price(scenario, *one, store) + price(scenario, *two, store)
            };
            let admissible = |store: &&u32| scenario.is_admissible(*region, **store as usize);
            reads[*region] = stores.iter().filter(admissible).copied().min_by_key(both);
        }
        reads
    }
}

/// What a unit along a ray costs at a store, in 1e-10 $.
fn price(scenario: &Scenario, ray: Ray, store: usize) -> i128 {
    let prices = &scenario.stores[store];
    match ray {
        Ray::Storage => prices.storage.into(),
        Ray::Puts => prices.put.into(),
        Ray::Ingress(region) => scenario.ingress[region * scenario.stride + store].into(),
        Ray::Reads { region, gets, gb } => {
            let egress = scenario.egress[region * scenario.stride + store];
            i128::from(gets) * i128::from(prices.get) + i128::from(gb) * i128::from(egress)
        }
    }
}

fn greatest_common_divisor(mut one: i64, mut other: i64) -> i64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}
