//! The network's tables as Skyplane's and Cloudcast's planners read them: `throughput.csv`, `egress_price.csv`, `vm.csv`.

use super::{Machine, Network};
use skyfresh_sky::{Invalid, Provider, Region};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Names no more than the largest clouds have.
const MOST_REGIONS: usize = 1_000;
const LONGEST_LINE_BYTES: usize = 1_000;
const MOST_LINES: usize = 1_000_000;

impl Network {
    /// Reads `src,dst,gbps`, `src,dst,usd_per_gb` and `cloud,instance,egress_gbps,ingress_gbps,usd_per_hour`, each with its
    /// header, in Gbit/s of one pair of machines, dollars a GB and dollars an hour. A pair that stands in only one of the first
    /// two tables has no link. Machines start at once: the tables do not say otherwise.
    ///
    /// # Errors
    /// Names the table and the first line that cannot be read.
    pub fn read(throughput: &str, egress_price: &str, vm: &str) -> Result<Self, Invalid> {
        let throughput = pairs("throughput.csv", throughput, "gbps", 1e5)?;
        let prices = pairs("egress_price.csv", egress_price, "usd_per_gb", 1e3)?;
        let machines = machines(vm)?;
        let regions: BTreeSet<Region> = throughput
            .keys()
            .flat_map(|(from, to)| [from.clone(), to.clone()])
            .collect();
        if regions.is_empty() {
            return Err(Invalid::new(
                "network",
                "throughput.csv",
                "it has no link: expected lines src,dst,gbps below the header",
            ));
        }
        let regions: Vec<Region> = regions.into_iter().collect();
        let machines = regions
            .iter()
            .map(|region| machines.get(&region.provider).copied())
            .collect();
        let mut network = Network::empty(regions, machines);
        let count = network.len();
        for ((from, to), gbps) in &throughput {
            let (Some(a), Some(b)) = (network.number(from), network.number(to)) else {
                continue;
            };
            if let Some(price) = prices.get(&(from.clone(), to.clone())) {
                network.usd_per_gb[a * count + b] = *price;
                network.gbps[a * count + b] = *gbps;
            }
        }
        Ok(network)
    }
}

/// One table of links, `src,dst,gbps,usd_per_gb`, as this project keeps grids that planners are compared on, with the machines and
/// the flat price of the reference planners.
///
/// # Errors
/// Names the first line that cannot be read.
pub fn read_grid(text: &str) -> Result<Network, Invalid> {
    let mut machines = String::from("cloud,instance,egress_gbps,ingress_gbps,usd_per_hour\n");
    for vm in skyfresh_sky::catalog::vms() {
        let _ = writeln!(
            machines,
            "{},{},{},{},{}",
            vm.provider.as_str(),
            vm.instance,
            vm.egress_gbps,
            vm.ingress_gbps,
            vm.reference_usd_per_hour.usd()
        );
    }
    Network::read(text, text, &machines)
}

type Pairs = BTreeMap<(Region, Region), f64>;

fn pairs(name: &'static str, text: &str, figure: &str, most: f64) -> Result<Pairs, Invalid> {
    let mut pairs = Pairs::new();
    let mut regions = BTreeSet::new();
    for (number, fields) in lines(name, text, &["src", "dst", figure])? {
        let bad = |why: String| line_error(name, number, &fields.join(","), &why);
        let region = |text: &str| {
            text.parse::<Region>()
                .map_err(|error| bad(error.to_string()))
        };
        let (from, to) = (region(&fields[0])?, region(&fields[1])?);
        let value = positive(&fields[2], most).map_err(bad)?;
        regions.extend([from.clone(), to.clone()]);
        if regions.len() > MOST_REGIONS {
            return Err(bad(format!("more than {MOST_REGIONS} regions")));
        }
        if from != to {
            // Of two lines about one pair the first counts.
            pairs.entry((from, to)).or_insert(value);
        }
    }
    Ok(pairs)
}

fn machines(text: &str) -> Result<BTreeMap<Provider, Machine>, Invalid> {
    let columns = [
        "cloud",
        "instance",
        "egress_gbps",
        "ingress_gbps",
        "usd_per_hour",
    ];
    let mut machines = BTreeMap::new();
    for (number, fields) in lines("vm.csv", text, &columns)? {
        let bad = |why: String| line_error("vm.csv", number, &fields.join(","), &why);
        let provider: Provider = fields[0]
            .parse()
            .map_err(|error: Invalid| bad(error.to_string()))?;
        let caps = [positive(&fields[2], 1e5), positive(&fields[3], 1e5)];
        let [egress_gbps, ingress_gbps] = caps.map(|cap| cap.and_then(above_zero));
        let egress_gbps = egress_gbps.map_err(bad)?;
        machines.entry(provider).or_insert(Machine {
            egress_gbps,
            // The tables have one limit for all that a machine sends.
            internet_egress_gbps: egress_gbps,
            ingress_gbps: ingress_gbps.map_err(bad)?,
            usd_per_hour: positive(&fields[4], 1e5).map_err(bad)?,
            start_s: 0.0,
        });
    }
    Ok(machines)
}

/// Lines below the header: their numbers, and the fields of the wanted columns in the wanted order.
fn lines(
    name: &'static str,
    text: &str,
    columns: &[&str],
) -> Result<Vec<(usize, Vec<String>)>, Invalid> {
    let mut all = text
        .lines()
        .zip(1_usize..)
        .filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    let (header, number) = all.next().unwrap_or_default();
    let names: Vec<&str> = header.split(',').map(str::trim).collect();
    let places: Option<Vec<usize>> = columns
        .iter()
        .map(|column| names.iter().position(|name| name == column))
        .collect();
    let Some(places) = places else {
        let why = format!("expected the columns {}", columns.join(","));
        return Err(line_error(name, number, header, &why));
    };
    let mut lines = Vec::new();
    for (line, number) in all {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        if line.len() > LONGEST_LINE_BYTES || number > MOST_LINES {
            return Err(line_error(name, number, line, "too long"));
        }
        if fields.len() != names.len() {
            let why = format!("expected {} fields", names.len());
            return Err(line_error(name, number, line, &why));
        }
        lines.push((
            number,
            places.iter().map(|at| fields[*at].to_owned()).collect(),
        ));
    }
    Ok(lines)
}

fn positive(text: &str, most: f64) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let number = number.filter(|number| (0.0..=most).contains(number));
    number.ok_or_else(|| format!("{text:?} is no number from 0 to {most}"))
}

fn above_zero(number: f64) -> Result<f64, String> {
    if number > 0.0 {
        Ok(number)
    } else {
        Err("a machine that sends or receives nothing is no relay".into())
    }
}

fn line_error(name: &str, number: usize, line: &str, why: &str) -> Invalid {
    let shown: String = line.chars().take(100).collect();
    Invalid::new(
        "network line",
        shown,
        format!("{name} line {number}: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const VM: &str = "cloud,instance,egress_gbps,ingress_gbps,usd_per_hour\naws,m5,5,10,0.54\n";

    #[test]
    fn tables_are_read_and_faults_are_named() {
        let gbps = "src,dst,gbps\naws:a,aws:b,4.5\naws:b,aws:a,3\n";
        let price = "src,dst,usd_per_gb\naws:a,aws:b,0.02\n";
        let network = Network::read(gbps, price, VM).unwrap();
        assert_eq!(network.len(), 2);
        assert_eq!((network.gbps(0, 1), network.usd_per_gb(0, 1)), (4.5, 0.02));
        // Without a price there is no link.
        assert_eq!(network.gbps(1, 0), 0.0);
        assert_eq!(network.machine(0).egress_gbps, 5.0);

        let fault = |gbps: &str, vm: &str| Network::read(gbps, price, vm).unwrap_err().to_string();
        assert!(fault("src,dst,gbps\naws:a,aws:b,fast\n", VM).contains("throughput.csv line 2"));
        assert!(fault("src,dst\n", VM).contains("expected the columns src,dst,gbps"));
        assert!(fault("src,dst,gbps\naws:a,aws:b\n", VM).contains("expected 3 fields"));
        assert!(fault("src,dst,gbps\n", VM).contains("no link"));
        assert!(fault(gbps, &VM.replace(",5,", ",0,")).contains("vm.csv line 2"));
    }
}
