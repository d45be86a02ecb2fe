//! What is asked of an overlay, as the command line says it.

use crate::bulk::relays::PART_BYTES;
use crate::catalog_file;
use crate::exit::{Exit, Told};
use skyfresh_plan::network::{Addresses, MachinePrices, Network};
use skyfresh_plan::overlay::{Goal, Request, StartUp, StoreIo};
use skyfresh_sky::catalog::{Catalog, Coordinates};
use skyfresh_sky::{Invalid, Provider, Region, parse_bytes};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Bytes of a part where none are asked for: what relays carry at most of objects that are not very large.
const USUAL_PART_BYTES: u64 = PART_BYTES as u64;

/// Regions, volume and the network.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// The region that the data is in, e.g. aws:us-east-1
    #[arg(value_name = "SOURCE", required = true)]
    source: Option<Region>,
    /// The regions that it must also be in
    #[arg(value_name = "DESTINATION", required = true, num_args = 1..)]
    destinations: Vec<Region>,
    /// How much data
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, required = true)]
    size: Option<u64>,
    /// Most machines in one region
    #[arg(long, value_name = "N", default_value_t = 1)]
    vms: u32,
    /// In how many equal parts the volume is routed; by default one for every 62.5 MB
    #[arg(long, value_name = "N")]
    stripes: Option<u32>,
    /// Let nothing flow through this region, or through any of this provider; may be given again
    #[arg(long, value_name = "REGION|PROVIDER")]
    without: Vec<String>,
    /// Let data flow through regions that have a store and no machines, such as R2's: it is written there, and read again
    #[arg(long)]
    through_stores: bool,
    /// Count the time until machines have started, and what they cost until then
    #[arg(long)]
    start_up: bool,
    /// What one machine reads from the source's store, in Gbit/s: `skyfresh profile` measures it [default: as fast as data leaves]
    #[arg(long, value_name = "RATE", default_value_t = f64::INFINITY, hide_default_value = true)]
    read_gbps: f64,
    /// What one machine writes to a destination's store, in Gbit/s [default: as fast as data arrives]
    #[arg(long, value_name = "RATE", default_value_t = f64::INFINITY, hide_default_value = true)]
    write_gbps: f64,
    /// Plan on the tables of this folder, throughput.csv, egress_price.csv and vm.csv, instead of the catalogue
    #[arg(long, value_name = "DIR")]
    network: Option<PathBuf>,
    /// Your own figures, before the catalogue's
    #[arg(long, value_name = "FILE", conflicts_with = "network")]
    overrides: Option<PathBuf>,
    /// By which of Google Cloud's network tiers data leaves for other providers: standard where a region has it, premium elsewhere; or
    /// either, whichever makes the better plan [default: premium]
    #[arg(long, value_name = "TIER", value_enum, conflicts_with = "network")]
    gcp_tier: Option<TierChoice>,
    /// What the standard tier carries of what the premium one does, e.g. 0.9, where nobody measured it [default: stays on premium there]
    #[arg(long, value_name = "SHARE", requires = "gcp_tier")]
    standard_share: Option<f64>,
    /// Machines of one provider reach one another by internal addresses, in joined networks of yours: Google Cloud's limit of 7 Gbit/s a
    /// machine then holds for other providers alone
    #[arg(long, conflicts_with = "network")]
    internal_addresses: bool,
    /// Bytes in a part, for each of which a read at the source and a write at every destination is paid [default: 16MiB; with --network
    /// requests are not counted]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    part_size: Option<u64>,
    /// Leave requests to the stores out of the price
    #[arg(long, conflicts_with = "part_size")]
    without_requests: bool,
    /// Price every machine as the papers' planners do, at $0.54 an hour
    #[arg(long)]
    reference_prices: bool,
}

/// By which network tier data leaves Google Cloud for other providers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum TierChoice {
    /// Over Google's own network to near its destination.
    #[default]
    Premium,
    /// Over the internet from near its source.
    Standard,
    /// Whichever of both makes the better plan.
    Either,
}

impl Asked {
    /// The networks to plan on, the best plan on any of them being the answer: one for each tier that may be taken.
    pub(super) fn networks(&self) -> anyhow::Result<Vec<Network>> {
        let premium = self.base_network()?;
        let standard = || premium.on_standard_tier(self.standard_share).map_err(usage);
        Ok(match self.gcp_tier.unwrap_or_default() {
            TierChoice::Premium => vec![premium],
            TierChoice::Standard => vec![standard()?],
            TierChoice::Either => {
                let standard = standard()?;
                vec![premium, standard]
            }
        })
    }

    /// The network, where only one will do.
    pub(super) fn network(&self) -> anyhow::Result<Network> {
        let mut networks = self.networks()?;
        match (networks.pop(), networks.is_empty()) {
            (Some(network), true) => Ok(network),
            _ => Err(Told::new(Exit::Usage, "this is made for one network tier")
                .hint("--gcp-tier premium, or --gcp-tier standard")
                .into()),
        }
    }

    fn base_network(&self) -> anyhow::Result<Network> {
        match &self.network {
            Some(folder) => {
                let read = |name: &str| catalog_file::read(&folder.join(name));
                let network = Network::read(
                    &read("throughput.csv")?,
                    &read("egress_price.csv")?,
                    &read("vm.csv")?,
                );
                let network = network.map_err(usage)?;
                // The papers' tables have no prices of requests.
                Ok(match self.part_size {
                    Some(_) => network.with_request_prices(&Catalog::embedded()),
                    None => network,
                })
            }
            None => {
                let catalog = catalog_file::overridden(self.overrides.as_deref())?;
                let prices = match self.reference_prices {
                    true => MachinePrices::Reference,
                    false => MachinePrices::OnDemand,
                };
                let addresses = match self.internal_addresses {
                    true => Addresses::Internal,
                    false => Addresses::Public,
                };
                Ok(Network::from_catalog(&catalog, prices).reached_by(addresses))
            }
        }
    }

    /// The request, regions named as the network names them.
    pub(super) fn request(&self, network: &Network, goal: Goal) -> anyhow::Result<Request> {
        let named = |region: &Region| listed(network, region);
        let (Some(source), Some(size)) = (&self.source, self.size) else {
            return Err(Told::new(Exit::Usage, "name the regions, and --size").into());
        };
        let destinations: Result<Vec<Region>, Told> = self.destinations.iter().map(named).collect();
        let volume_gb = size as f64 / 1e9;
        let mut request = Request::new(named(source)?, destinations?, volume_gb, goal);
        request.vms_per_region = self.vms;
        request.stripes = self.stripes;
        request.through_stores = self.through_stores;
        request.start_up = match self.start_up {
            true => StartUp::Counted,
            false => StartUp::Ready,
        };
        request.store_io = StoreIo {
            read_gbps: self.read_gbps,
            write_gbps: self.write_gbps,
        };
        let usual = self.network.is_none() && !self.without_requests;
        let usual = usual.then_some(USUAL_PART_BYTES);
        request.part_bytes = self.part_size.or(usual);
        for text in &self.without {
            if let Ok(provider) = text.parse::<Provider>() {
                request.without_providers.insert(provider);
            } else {
                let region: Region = text.parse().map_err(usage)?;
                request.without_regions.insert(listed(network, &region)?);
            }
        }
        Ok(request)
    }

    /// Volume in GB, for pictures.
    pub(super) fn volume_gb(&self) -> f64 {
        self.size.unwrap_or(0) as f64 / 1e9
    }
}

/// The network's name of a region: measured tables name a zone of Google Cloud where the catalogue names its region.
fn listed(network: &Network, region: &Region) -> Result<Region, Told> {
    if network.number(region).is_some() {
        return Ok(region.clone());
    }
    let mut zoned = region.clone();
    zoned.name.push_str("-a");
    let other = match region.provider {
        Provider::Gcp if network.number(&zoned).is_some() => Some(zoned),
        Provider::Gcp => {
            let bare = region.name.strip_suffix("-a").map(|name| Region {
                name: name.to_owned(),
                ..region.clone()
            });
            bare.filter(|bare| network.number(bare).is_some())
        }
        _ => None,
    };
    other.ok_or_else(|| {
        let why = format!("the network has no region {region}");
        let provider = network.of_provider(region.provider);
        let hint = match provider.first() {
            Some(_) => "`skyfresh catalog regions` lists those of the catalogue".to_owned(),
            None => format!("it has none of {}", region.provider.as_str()),
        };
        Told::new(Exit::Usage, why).hint(hint)
    })
}

/// Where the network's regions are.
pub(super) fn places(network: &Network) -> BTreeMap<Region, Coordinates> {
    let catalog = Catalog::embedded();
    let place = |region: &Region| {
        let mut bare = region.clone();
        if let (Provider::Gcp, Some((name, zone))) = (region.provider, region.name.rsplit_once('-'))
            && zone.len() == 1
        {
            bare.name = name.to_owned();
        }
        catalog.place(&bare).and_then(|place| place.coordinates)
    };
    let all = network.regions().iter();
    all.filter_map(|region| Some((region.clone(), place(region)?)))
        .collect()
}

pub(super) fn usage(error: Invalid) -> Told {
    Told::new(Exit::Usage, error.to_string())
}

/// Gbit/s: `10Gbps`, `500Mbps`, or a bare number.
pub(super) fn parse_gbps(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.to_ascii_lowercase() {
        lower if lower.ends_with("gbps") => (text[..text.len() - 4].trim().to_owned(), 1.0),
        lower if lower.ends_with("mbps") => (text[..text.len() - 4].trim().to_owned(), 1e-3),
        _ => (text.trim().to_owned(), 1.0),
    };
    let number = number
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite() && *number > 0.0);
    number
        .map(|number| number * scale)
        .ok_or_else(|| format!("{text} is no throughput: write 10Gbps or 500Mbps"))
}

/// Dollars above zero.
pub(crate) fn parse_usd(text: &str) -> Result<f64, String> {
    let usd = text.trim_start_matches('$').parse::<f64>().ok();
    usd.filter(|usd| usd.is_finite() && *usd > 0.0)
        .ok_or_else(|| format!("{text} is no budget: write dollars above zero, e.g. 12.50"))
}

/// Writes a file that the user named.
pub(super) fn write(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).map_err(|error| {
        Told::new(
            Exit::Failed,
            format!("cannot write {}: {error}", path.display()),
        )
        .into()
    })
}
