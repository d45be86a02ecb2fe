//! Estimates for pairs of regions that nobody measured. Each is marked where it is used; `docs/catalogue.md` states the errors.
//!
//! - Round-trip time: that of the nearest pair that was measured, where both ends have a measured region within
//!   [`STAND_IN_KM`]; otherwise a line over the great-circle distance, fitted for each pair of providers.
//! - Throughput: a power of the round-trip time, fitted for each ordered pair of providers, never above the machines' limits.
//! - Price: what the same source charges to the same kind of destination in the same part of the world.

use super::table::rows;
use super::tables::Tables;
use super::{Place, PlaceSource, relay_vm};
use crate::{Invalid, Provider, Usd};
use std::collections::BTreeMap;

/// How far away a region may be whose round-trip times stand for another's, in km. Within 300 km the error is a third of the line's;
/// farther regions hardly add to it.
const STAND_IN_KM: f64 = 300.0;

/// The shortest round trip between two regions that was measured is 1.5 ms; no estimate is far below.
const LEAST_RTT_MS: f64 = 1.0;

/// What estimates between two providers are made from: a line of `crates/sky/catalog/link_fits.csv`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fit {
    rtt_base_ms: f64,
    rtt_ms_per_1000_km: f64,
    gbps_at_1_ms: f64,
    gbps_exponent: f64,
}

/// The fits, by the names of both providers.
#[derive(Debug)]
pub(super) struct Fits(BTreeMap<(String, String), Fit>);

impl Fits {
    pub(super) fn parse(csv: &str) -> Result<Self, Invalid> {
        let mut fits = BTreeMap::new();
        for row in rows("fit", csv)? {
            let exponent = row.text("gbps_exponent")?;
            let fit = Fit {
                rtt_base_ms: row.number("rtt_base_ms")?,
                rtt_ms_per_1000_km: row.number("rtt_ms_per_1000_km")?,
                gbps_at_1_ms: row.number("gbps_at_1_ms")?,
                // Longer ways are slower: the exponent is below zero.
                gbps_exponent: exponent
                    .parse()
                    .map_err(|_| Invalid::new("gbps_exponent", exponent, "expected a number"))?,
            };
            let providers = (row.text("from")?.to_owned(), row.text("to")?.to_owned());
            fits.insert(providers, fit);
        }
        Ok(Fits(fits))
    }

    fn get(&self, from: Provider, to: Provider) -> Option<Fit> {
        // R2 was never measured: it is taken for the average of two clouds.
        let (from, to) = match from == Provider::Cloudflare || to == Provider::Cloudflare {
            true => ("any", "any"),
            false => (from.as_str(), to.as_str()),
        };
        self.0.get(&(from.to_owned(), to.to_owned())).copied()
    }
}

/// Makes estimates from what is listed.
pub(super) struct Estimator<'a> {
    tables: &'a Tables,
    fits: &'a Fits,
    /// For each region itself and those near it, with their distance in km, the nearest first.
    stand_ins: Vec<Vec<(f64, usize)>>,
}

impl<'a> Estimator<'a> {
    /// Over what is listed alone: no estimate is made from another.
    pub(super) fn new(tables: &'a Tables, fits: &'a Fits) -> Self {
        let places = &tables.places;
        let near = |place: &Place| {
            let mut near: Vec<(f64, usize)> = places
                .iter()
                .enumerate()
                // Where a region is only assumed to be, its neighbours say nothing.
                .filter(|(_, other)| {
                    place.source != PlaceSource::Area && other.source != PlaceSource::Area
                })
                .filter_map(|(index, other)| Some((place.distance_km(other)?, index)))
                .filter(|(km, _)| *km <= STAND_IN_KM)
                .collect();
            near.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
            near
        };
        Estimator {
            tables,
            fits,
            stand_ins: places.iter().map(near).collect(),
        }
    }

    /// Round-trip time in ms. `hidden` is a region whose measurements are not looked at, for finding the error.
    pub(super) fn rtt_ms(&self, from: usize, to: usize, hidden: Option<usize>) -> Option<f64> {
        self.rtt_ms_of_neighbours(from, to, hidden)
            .or_else(|| self.rtt_ms_by_distance(from, to))
            .map(|ms| (ms * 10.0).round() / 10.0)
    }

    fn rtt_ms_of_neighbours(&self, from: usize, to: usize, hidden: Option<usize>) -> Option<f64> {
        let ends = self.stand_ins[from].iter().flat_map(|one| {
            let others = self.stand_ins[to].iter();
            others.map(move |other| (one.0 + other.0, one.1, other.1))
        });
        let measured = ends.filter_map(|(km, one, other)| {
            let seen = one != other && hidden.is_none_or(|region| region != one && region != other);
            let rtt = self.tables.cell(one, other).rtt_ms.filter(|_| seen)?;
            Some((km, rtt.value))
        });
        let nearest = measured.min_by(|one, other| one.0.total_cmp(&other.0));
        nearest.map(|(_, ms)| ms)
    }

    /// The line over the distance alone.
    pub(super) fn rtt_ms_by_distance(&self, from: usize, to: usize) -> Option<f64> {
        let (from, to) = (&self.tables.places[from], &self.tables.places[to]);
        let fit = self.fits.get(from.region.provider, to.region.provider)?;
        let ms = fit.rtt_base_ms + fit.rtt_ms_per_1000_km * from.distance_km(to)? / 1000.0;
        Some(ms.max(LEAST_RTT_MS))
    }

    /// Throughput in Gbit/s of a pair with this round-trip time.
    pub(super) fn throughput_gbps(&self, from: usize, to: usize, rtt_ms: f64) -> Option<f64> {
        let (from, to) = (
            self.tables.places[from].region.provider,
            self.tables.places[to].region.provider,
        );
        let fit = self.fits.get(from, to)?;
        let fitted = fit.gbps_at_1_ms * libm::pow(rtt_ms.max(LEAST_RTT_MS), fit.gbps_exponent);
        // R2 has no machine of its own: there the other side's limits count alone.
        let egress = relay_vm(from).map_or(f64::INFINITY, |vm| vm.egress_gbps);
        let ingress = relay_vm(to).map_or(f64::INFINITY, |vm| vm.ingress_gbps);
        Some((fitted.min(egress).min(ingress) * 100.0).round() / 100.0)
    }

    /// Egress price a GB, without looking at the pair's own.
    pub(super) fn egress_usd_per_gb(&self, from: usize, to: usize) -> Option<Usd> {
        let (source, target) = (&self.tables.places[from], &self.tables.places[to]);
        let inside = |place: &Place| place.region.provider == source.region.provider;
        let known: Vec<(&Place, Usd)> = (0..self.tables.places.len())
            .filter(|index| *index != from && *index != to)
            .filter(|index| inside(&self.tables.places[*index]) == inside(target))
            .filter_map(|index| {
                let price = self.tables.cell(from, index).egress_usd_per_gb?;
                Some((&self.tables.places[index], price.value))
            })
            .collect();
        let in_zone = |place: &Place| place.zone.is_some() && place.zone == target.zone;
        // No price into that part of the world: within a cloud that of leaving one's own, between clouds that to anywhere.
        let elsewhere = |place: &Place| !inside(target) || place.zone != source.zone;
        usual(&known, in_zone).or_else(|| usual(&known, elsewhere))
    }
}

/// The price of most regions among some; of two as common the higher.
fn usual(known: &[(&Place, Usd)], among: impl Fn(&Place) -> bool) -> Option<Usd> {
    let mut counts: BTreeMap<Usd, usize> = BTreeMap::new();
    for (_, price) in known.iter().filter(|(place, _)| among(place)) {
        *counts.entry(*price).or_default() += 1;
    }
    let usual = counts
        .iter()
        .max_by_key(|(price, count)| (**count, **price));
    usual.map(|(price, _)| *price)
}

#[cfg(test)]
mod tests;
