//! The tables of a catalogue: regions by number, and the figures of every ordered pair of them in one array.

use super::estimate::{Estimator, Fits};
use super::link::{Figure, Figures, Origin};
use super::places::{self, Place};
use super::region_prices::{self, PriceScope, RegionPrices};
use super::standard_tier::{self, NetworkTier, StandardTier};
use crate::{Invalid, Provider, Region, Usd};
use std::collections::HashMap;

/// Columns of the table of links, and of the user's own.
pub(super) const LINKS_HEADER: &str = "src,dst,usd_per_gb,throughput_gbps,rtt_ms";
/// Every header that begins a table of figures.
pub(super) const HEADERS: [&str; 3] = [LINKS_HEADER, region_prices::HEADER, standard_tier::HEADER];
/// So many regions at the most: the array of pairs grows with the square (13 MB).
pub(super) const MOST_REGIONS: usize = 512;
/// No line of a table is longer.
pub(super) const LONGEST_LINE_BYTES: usize = 1_000;

/// Everything a catalogue knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub(super) places: Vec<Place>,
    index: HashMap<Region, usize>,
    /// Row by row: the pair from region i to region j at i × `stride` + j.
    cells: Vec<Figures>,
    /// Room for regions: at least as many as there are.
    stride: usize,
    prices: Vec<Option<RegionPrices>>,
    /// Ways over Google Cloud's STANDARD tier.
    standard: HashMap<(usize, usize), StandardTier>,
}

impl Tables {
    /// The regions, and what the tables list of them; then estimates for what they do not.
    pub(super) fn read(
        regions: &str,
        links: &str,
        prices: &str,
        standard: &str,
        fits: &str,
    ) -> Result<Self, Invalid> {
        let mut tables = Tables::listed(regions, links, prices)?;
        tables.take(standard, Origin::Listed)?;
        tables.estimate(&Fits::parse(fits)?);
        Ok(tables)
    }

    /// What the tables list alone.
    pub(super) fn listed(regions: &str, links: &str, prices: &str) -> Result<Self, Invalid> {
        let places = places::parse(regions)?;
        let mut tables = Tables {
            index: (0..)
                .zip(&places)
                .map(|(at, place)| (place.region.clone(), at))
                .collect(),
            cells: vec![Figures::default(); places.len() * places.len()],
            prices: vec![None; places.len()],
            standard: HashMap::new(),
            stride: places.len(),
            places,
        };
        tables.take(links, Origin::Listed)?;
        tables.take(prices, Origin::Listed)?;
        tables.free_egress();
        Ok(tables)
    }

    /// Nothing that leaves R2 is billed, wherever it goes (Cloudflare, R2 pricing, read 2026-11).
    fn free_egress(&mut self) {
        let regions = self.places.len();
        for from in
            (0..regions).filter(|at| self.places[*at].region.provider == Provider::Cloudflare)
        {
            for to in (0..regions).filter(|to| *to != from) {
                self.cells[from * self.stride + to].egress_usd_per_gb =
                    Some(Figure::new(Usd::ZERO, Origin::Listed));
            }
        }
    }

    fn estimate(&mut self, fits: &Fits) {
        let estimator = Estimator::new(self, fits);
        let (mut complete, regions) = (self.cells.clone(), self.places.len());
        let pairs = (0..regions).flat_map(|from| (0..regions).map(move |to| (from, to)));
        for (from, to) in pairs.filter(|(from, to)| from != to) {
            let figures = &mut complete[from * self.stride + to];
            let estimated = |value| Figure::new(value, Origin::Estimated);
            if figures.rtt_ms.is_none() {
                figures.rtt_ms = estimator.rtt_ms(from, to, None).map(estimated);
            }
            if let (None, Some(rtt)) = (figures.throughput_gbps, figures.rtt_ms) {
                let gbps = estimator.throughput_gbps(from, to, rtt.value);
                figures.throughput_gbps = gbps.map(estimated);
            }
            if figures.egress_usd_per_gb.is_none() {
                let price = estimator.egress_usd_per_gb(from, to);
                figures.egress_usd_per_gb = price.map(|usd| Figure::new(usd, Origin::Estimated));
            }
        }
        self.cells = complete;
    }

    /// Takes in every table of a text: each begins with its header line, `#` starts a comment line, an empty figure keeps what is
    /// known. A region that is not known yet is added.
    ///
    /// # Errors
    /// Names the first line that cannot be read, by its number.
    pub(super) fn take(&mut self, text: &str, origin: Origin) -> Result<(), Invalid> {
        let mut header = None;
        let mut last = (String::new(), 0);
        for (line, number) in text.lines().zip(1_usize..) {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let bad = |why: String| {
                let shown: String = line.chars().take(100).collect();
                Invalid::new("catalogue line", shown, format!("line {number}: {why}"))
            };
            if line.len() > LONGEST_LINE_BYTES {
                return Err(bad("too long".into()));
            }
            if HEADERS.contains(&line.trim()) {
                header = Some(line.trim());
                continue;
            }
            // Five columns at the most: a sixth is as wrong as a seventh.
            let mut fields = [""; 6];
            let mut count = 0;
            for (field, slot) in line.split(',').zip(&mut fields) {
                (*slot, count) = (field.trim(), count + 1);
            }
            let fields = &fields[..count];
            match header {
                Some(LINKS_HEADER) => {
                    let figures = link_figures(fields, origin).map_err(bad)?;
                    // Lines of one source follow one another.
                    if last.0 != fields[0] {
                        last = (
                            fields[0].to_owned(),
                            self.number_of(fields[0]).map_err(bad)?,
                        );
                    }
                    let to = self.number_of(fields[1]).map_err(bad)?;
                    if last.1 == to {
                        return Err(bad("from a region to itself".into()));
                    }
                    let cell = last.1 * self.stride + to;
                    self.cells[cell] = over(self.cells[cell], figures);
                }
                Some(standard_tier::HEADER) => self.take_standard(fields, origin).map_err(bad)?,
                Some(_) => {
                    let scope = match origin {
                        Origin::Override => PriceScope::Override,
                        _ => PriceScope::Region,
                    };
                    let (region, prices) = region_prices::read(fields, scope).map_err(bad)?;
                    let at = self.number_of(region).map_err(bad)?;
                    self.prices[at] = Some(prices);
                }
                None => {
                    let why = format!("expected a header first: {}", HEADERS.join(", or "));
                    return Err(bad(why));
                }
            }
        }
        Ok(())
    }

    fn take_standard(&mut self, fields: &[&str], origin: Origin) -> Result<(), String> {
        let (from, to, figures) = standard_tier::read(fields, origin)?;
        let way = (self.number_of(from)?, self.number_of(to)?);
        let region = |at: usize| &self.places[at].region;
        if !NetworkTier::applies(region(way.0), region(way.1)) {
            return Err("the STANDARD tier leads from Google Cloud to other providers".into());
        }
        let known = self.standard.entry(way).or_default();
        *known = known.under(figures);
        Ok(())
    }

    /// What is known of a way over the STANDARD tier, by its regions' numbers.
    pub(super) fn standard(&self, way: (usize, usize)) -> Option<StandardTier> {
        self.standard.get(&way).copied()
    }

    /// The number of a region, which is added where it is new.
    fn number_of(&mut self, name: &str) -> Result<usize, String> {
        let region: Region = name.parse().map_err(|error: Invalid| error.to_string())?;
        if let Some(at) = self.index.get(&region) {
            return Ok(*at);
        }
        let before = self.places.len();
        if before >= MOST_REGIONS {
            return Err(format!("more than {MOST_REGIONS} regions"));
        }
        self.index.insert(region.clone(), before);
        self.places.push(Place::unknown(region));
        self.prices.push(None);
        if before == self.stride {
            self.widen();
        }
        Ok(before)
    }

    /// Makes room for twice as many regions.
    fn widen(&mut self) {
        let (old, new) = (self.stride, (2 * self.stride).clamp(16, MOST_REGIONS));
        let mut cells = vec![Figures::default(); new * new];
        for from in 0..old {
            cells[from * new..][..old].copy_from_slice(&self.cells[from * old..][..old]);
        }
        (self.cells, self.stride) = (cells, new);
    }

    /// The number of a region, where it is known.
    pub(super) fn number(&self, region: &Region) -> Option<usize> {
        self.index.get(region).copied()
    }

    /// The figures of a pair, by its numbers.
    pub(super) fn cell(&self, from: usize, to: usize) -> &Figures {
        &self.cells[from * self.stride + to]
    }

    /// The region's own prices, where they are listed.
    pub(super) fn prices(&self, region: &Region) -> Option<RegionPrices> {
        self.prices[self.number(region)?]
    }
}

/// New figures over old ones.
fn over(old: Figures, new: Figures) -> Figures {
    Figures {
        egress_usd_per_gb: new.egress_usd_per_gb.or(old.egress_usd_per_gb),
        throughput_gbps: new.throughput_gbps.or(old.throughput_gbps),
        rtt_ms: new.rtt_ms.or(old.rtt_ms),
    }
}

fn link_figures(fields: &[&str], origin: Origin) -> Result<Figures, String> {
    let [_, _, price, gbps, rtt] = fields[..] else {
        return Err(format!("expected {LINKS_HEADER}"));
    };
    // Bounds far beyond what is sold or possible, so that a slipped column or unit is noticed.
    Ok(Figures {
        egress_usd_per_gb: figure(price, "usd_per_gb", 0.0..=1_000.0, origin)?
            .map(|price| Figure::new(Usd::from_usd(price.value), price.origin)),
        throughput_gbps: figure(gbps, "throughput_gbps", 1e-6..=1e5, origin)?,
        rtt_ms: figure(rtt, "rtt_ms", 1e-3..=1e5, origin)?,
    })
}

/// A figure, empty where it is unknown; a `?` behind it says that it is doubted.
pub(super) fn figure(
    text: &str,
    name: &str,
    bounds: std::ops::RangeInclusive<f64>,
    origin: Origin,
) -> Result<Option<Figure<f64>>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let (digits, origin) = match (text.strip_suffix('?'), origin) {
        (Some(digits), Origin::Listed) => (digits, Origin::Doubted),
        (Some(digits), origin) => (digits, origin),
        (None, origin) => (text, origin),
    };
    let value = digits
        .parse::<f64>()
        .ok()
        .filter(|value| bounds.contains(value));
    let value = value.ok_or_else(|| {
        format!(
            "{name} must be a number from {} to {}, or empty",
            bounds.start(),
            bounds.end()
        )
    })?;
    Ok(Some(Figure::new(value, origin)))
}
