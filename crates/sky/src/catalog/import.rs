//! Tables of other systems, turned into the catalogue's own: Skyplane's profiles and SkyPIE's price lists.
//!
//! In: the text of their CSV files. Out: a text for [`super::Catalog::with_overrides`]. Never: guesses; what cannot be read is an
//! error that names file and line. Of two lines about one figure the first counts, so the best source is added first.

use super::region_prices;
use super::tables::{LINKS_HEADER, LONGEST_LINE_BYTES, MOST_REGIONS};
use crate::{Invalid, Provider, Region};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Skyplane: `src,dst,gbps`, Gbit/s of a VM pair.
    Throughput,
    /// Skyplane: `src,dst,usd_per_gb`.
    EgressPrice,
    /// Skyplane: `src,dst,avg_ms`.
    Rtt,
    /// Skyplane: `cloud,instance,egress_gbps,ingress_gbps,usd_per_hour`. Checked, and kept as a remark: links have no machines.
    Vms,
    /// SkyPIE: `src_vendor,src_region,dest_vendor,dest_region,cost`, $ a GB.
    NetworkCost,
    /// SkyPIE: `Vendor,Region,Name,Group,Tier,StartingRange,EndingRange,Unit,PricePerUnit`. The first bracket of the standard class
    /// is taken.
    StoragePricing,
}

impl Format {
    /// The columns it needs; there may be others.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Format::Throughput => &["src", "dst", "gbps"],
            Format::EgressPrice => &["src", "dst", "usd_per_gb"],
            Format::Rtt => &["src", "dst", "avg_ms"],
            Format::Vms => &[
                "cloud",
                "instance",
                "egress_gbps",
                "ingress_gbps",
                "usd_per_hour",
            ],
            Format::NetworkCost => &[
                "src_vendor",
                "src_region",
                "dest_vendor",
                "dest_region",
                "cost",
            ],
            Format::StoragePricing => &[
                "Vendor",
                "Region",
                "Tier",
                "Group",
                "StartingRange",
                "PricePerUnit",
            ],
        }
    }
}

/// Price, throughput and round-trip time of a pair, as they stand in [`LINKS_HEADER`].
type Pair = [Option<f64>; 3];
/// Storage, write and read, in 1e-10 $, as they stand in the header of prices.
type Prices = [Option<i64>; 3];

/// What was read so far.
#[derive(Clone, Debug, Default)]
pub struct Import {
    files: Vec<String>,
    regions: BTreeSet<Region>,
    links: BTreeMap<(Region, Region), Pair>,
    prices: BTreeMap<Region, Prices>,
    remarks: Vec<String>,
}

impl Import {
    /// Takes in a file; `name` stands for it in errors.
    ///
    /// # Errors
    /// Names the file and its first line that cannot be read.
    pub fn add(&mut self, format: Format, name: &str, text: &str) -> Result<(), Invalid> {
        let bad = |number: usize, line: &str, why: String| {
            let shown: String = line.chars().take(100).collect();
            Invalid::new("import line", shown, format!("{name} line {number}: {why}"))
        };
        let mut lines = text.lines().zip(1_usize..);
        let (header, _) = lines.next().unwrap_or_default();
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        let position = |column: &&str| names.iter().position(|name| name == column);
        let columns: Option<Vec<usize>> = format.columns().iter().map(position).collect();
        let columns = columns.ok_or_else(|| {
            let why = format!("expected the columns {}", format.columns().join(","));
            bad(1, header, why)
        })?;
        for (line, number) in lines.filter(|(line, _)| !line.trim().is_empty()) {
            if line.len() > LONGEST_LINE_BYTES {
                return Err(bad(number, line, "too long".into()));
            }
            let all: Vec<&str> = line.split(',').map(str::trim).collect();
            if all.len() != names.len() {
                let why = format!("expected {} fields", names.len());
                return Err(bad(number, line, why));
            }
            let fields: Vec<&str> = columns.iter().map(|column| all[*column]).collect();
            self.line(format, &fields)
                .map_err(|why| bad(number, line, why))?;
        }
        self.files.push(name.to_owned());
        Ok(())
    }

    fn line(&mut self, format: Format, fields: &[&str]) -> Result<(), String> {
        match (format, fields) {
            (Format::EgressPrice, [src, dst, price]) => {
                self.link(src, dst, 0, number(price, 0.0, 1_000.0)?)
            }
            (Format::Throughput, [src, dst, gbps]) => {
                self.link(src, dst, 1, number(gbps, 1e-6, 1e5)?)
            }
            (Format::Rtt, [src, dst, ms]) => self.link(src, dst, 2, number(ms, 1e-3, 1e5)?),
            (Format::NetworkCost, [vendor, src, to_vendor, dst, cost]) => {
                let (src, dst) = (format!("{vendor}:{src}"), format!("{to_vendor}:{dst}"));
                self.link(&src, &dst, 0, number(cost, 0.0, 1_000.0)?)
            }
            (Format::Vms, [cloud, instance, egress, ingress, price]) => {
                let cloud: Provider = cloud.parse().map_err(|error: Invalid| error.to_string())?;
                if !instance
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
                {
                    return Err(
                        "a machine's name has letters, digits, '-', '.' and '_' only".into(),
                    );
                }
                let (egress, ingress) = (number(egress, 1e-6, 1e5)?, number(ingress, 1e-6, 1e5)?);
                let price = number(price, 0.0, 1e5)?;
                self.remarks.push(format!(
                    "{} {instance}: {egress} Gbit/s out, {ingress} Gbit/s in, ${price} an hour",
                    cloud.as_str()
                ));
                Ok(())
            }
            (Format::StoragePricing, [vendor, name, tier, group, start, price]) => self.price(
                vendor,
                name,
                tier,
                group,
                number(start, 0.0, f64::MAX)?,
                price,
            ),
            _ => Err("a field is missing".into()),
        }
    }

    fn region(&mut self, name: &str) -> Result<Region, String> {
        let mut region: Region = name.parse().map_err(|error: Invalid| error.to_string())?;
        // A zone of Google Cloud stands for its region.
        let zone = region
            .name
            .rsplit_once('-')
            .filter(|(_, zone)| zone.len() == 1);
        if let (Provider::Gcp, Some((bare, _))) = (region.provider, zone) {
            region.name = bare.to_owned();
        }
        if !self.regions.contains(&region) {
            if self.regions.len() >= MOST_REGIONS {
                return Err(format!("more than {MOST_REGIONS} regions"));
            }
            self.regions.insert(region.clone());
        }
        Ok(region)
    }

    fn link(&mut self, src: &str, dst: &str, column: usize, value: f64) -> Result<(), String> {
        let pair = (self.region(src)?, self.region(dst)?);
        if pair.0 != pair.1 {
            self.links.entry(pair).or_default()[column].get_or_insert(value);
        }
        Ok(())
    }

    fn price(
        &mut self,
        vendor: &str,
        name: &str,
        tier: &str,
        group: &str,
        bracket_start: f64,
        price: &str,
    ) -> Result<(), String> {
        let region = self.region(&format!("{vendor}:{name}"))?;
        let standard = match region.provider {
            Provider::Aws => "General Purpose",
            Provider::Azure => "Hot",
            _ => "Standard Storage",
        };
        let column = match group {
            "storage" => 0,
            "put request" => 1,
            "get request" => 2,
            _ => return Ok(()),
        };
        // The list went through binary floating point: 4e-07 stands as 4.0000000000000003e-07.
        let e10 = (number(price, 0.0, 1_000.0)? * 1e10).round() as i64;
        if tier == standard && bracket_start == 0.0 {
            self.prices.entry(region).or_default()[column].get_or_insert(e10);
        }
        Ok(())
    }

    /// How many pairs have a figure, and how many regions have all their prices.
    pub fn counts(&self) -> (usize, usize) {
        (self.links.len(), self.complete_prices().count())
    }

    fn complete_prices(&self) -> impl Iterator<Item = (&Region, [i64; 3])> {
        self.prices
            .iter()
            .filter_map(|(region, prices)| match prices {
                [Some(storage), Some(write), Some(read)] => {
                    Some((region, [*storage, *write, *read]))
                }
                _ => None,
            })
    }

    /// The catalogue's own tables, for [`super::Catalog::with_overrides`].
    pub fn to_csv(&self) -> String {
        let mut text = String::new();
        for file in &self.files {
            // A name from outside must not begin a line of its own.
            let file: String = file.chars().filter(|c| !c.is_control()).collect();
            let _ = writeln!(text, "# from {file}");
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "# machine, for information: {remark}");
        }
        if !self.links.is_empty() {
            let _ = writeln!(text, "{LINKS_HEADER}");
        }
        let show =
            |figure: Option<f64>| figure.map_or_else(String::new, |figure| figure.to_string());
        for ((src, dst), [price, gbps, rtt]) in &self.links {
            let _ = writeln!(
                text,
                "{src},{dst},{},{},{}",
                show(*price),
                show(*gbps),
                show(*rtt)
            );
        }
        if self.complete_prices().next().is_some() {
            let _ = writeln!(text, "{}", region_prices::HEADER);
        }
        for (region, [storage, write, read]) in self.complete_prices() {
            let _ = writeln!(text, "{region},{storage},{write},{read}");
        }
        text
    }
}

/// A number within bounds.
fn number(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{text:?} is no number from {least} to {most}"))
}

#[cfg(test)]
mod tests;
