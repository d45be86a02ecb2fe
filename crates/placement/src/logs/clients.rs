//! Where clients are: networks by region, the longest prefix first.

use super::Origin;
use crate::model::Scenario;
use skyfresh_sky::Invalid;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// More lines are no table of networks.
const MAX_NETWORKS: usize = 1_000_000;

/// Which region of a scenario a request comes from.
#[derive(Clone, Debug)]
pub struct Clients {
    /// By length of prefix, longest first: networks of version 4, of version 6, with their regions.
    version_4: Vec<(u32, HashMap<u32, usize>)>,
    version_6: Vec<(u32, HashMap<u128, usize>)>,
    names: HashMap<String, usize>,
    /// Of clients that are in no network.
    otherwise: usize,
    /// Of the store.
    home: usize,
}

/// `aws:eu-west-1`, as the rest of Skyfresh writes it, is `aws-eu-west-1` here.
fn find(scenario: &Scenario, name: &str) -> Option<usize> {
    scenario
        .region(name)
        .or_else(|| scenario.region(&name.replacen(':', "-", 1)))
}

fn mask_4(bits: u32, length: u32) -> u32 {
    bits & u32::MAX.checked_shl(32 - length).unwrap_or(0)
}

fn mask_6(bits: u128, length: u32) -> u128 {
    bits & u128::MAX.checked_shl(128 - length).unwrap_or(0)
}

fn table<T>(lengths: BTreeMap<u32, HashMap<T, usize>>) -> Vec<(u32, HashMap<T, usize>)> {
    lengths.into_iter().rev().collect()
}

impl Clients {
    /// No networks: every client is in the region `otherwise`, and the store in `home`, both indices of `scenario`'s.
    pub fn everywhere(scenario: &Scenario, otherwise: usize, home: usize) -> Self {
        Clients {
            version_4: Vec::new(),
            version_6: Vec::new(),
            names: (scenario.regions().iter().cloned()).zip(0..).collect(),
            otherwise,
            home,
        }
    }

    /// The networks of a table with lines `NETWORK,REGION`, e.g. `10.1.0.0/16,aws-eu-west-1` or `2001:db8::/32,gcp:us-west1`; lines
    /// that begin with `#` are comments. An error names the line.
    pub fn with_networks(mut self, scenario: &Scenario, text: &str) -> Result<Self, Invalid> {
        let mut version_4: BTreeMap<u32, HashMap<u32, usize>> = BTreeMap::new();
        let mut version_6: BTreeMap<u32, HashMap<u128, usize>> = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let invalid = |why: &str| {
                let given: String = line.chars().take(100).collect();
                Invalid::new(
                    "table of clients",
                    given,
                    format!("line {}: {why}", number + 1),
                )
            };
            if number >= MAX_NETWORKS {
                return Err(invalid("more than a million lines"));
            }
            let (network, region) = line
                .split_once([',', '\t', ' '])
                .ok_or_else(|| invalid("expected NETWORK,REGION"))?;
            let region = find(scenario, region.trim()).ok_or_else(|| {
                invalid("no such region among those chosen; names are Vendor-Region, e.g. aws-eu-west-1")
            })?;
            let (address, length) = match network.trim().split_once('/') {
                Some((address, length)) => (address, Some(length)),
                None => (network.trim(), None),
            };
            let address: IpAddr = address
                .parse()
                .map_err(|_| invalid("expected a network such as 10.1.0.0/16 or 2001:db8::/32"))?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let length = match length {
                None => most,
                Some(length) => length
                    .parse()
                    .ok()
                    .filter(|length| *length <= most)
                    .ok_or_else(|| invalid("the length of the prefix is none"))?,
            };
            let before = match address {
                IpAddr::V4(address) => {
                    let network = mask_4(address.to_bits(), length);
                    version_4.entry(length).or_default().insert(network, region)
                }
                IpAddr::V6(address) => {
                    let network = mask_6(address.to_bits(), length);
                    version_6.entry(length).or_default().insert(network, region)
                }
            };
            if before.is_some_and(|before| before != region) {
                return Err(invalid("the same network has another region above"));
            }
        }
        self.version_4 = table(version_4);
        self.version_6 = table(version_6);
        Ok(self)
    }

    /// The region of a request, and whether it is known: otherwise it is that of all clients that are in no network.
    pub fn region(&self, origin: &Origin<'_>) -> (usize, bool) {
        let known = match origin {
            Origin::Store => Some(self.home),
            Origin::Region(name) => self
                .names
                .get(*name)
                .or_else(|| self.names.get(&name.replacen(':', "-", 1)))
                .copied(),
            Origin::Address(text) => match text.parse() {
                Ok(IpAddr::V4(address)) => self.network_4(address.to_bits()),
                Ok(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
                    Some(address) => self.network_4(address.to_bits()),
                    None => self.version_6.iter().find_map(|(length, networks)| {
                        networks.get(&mask_6(address.to_bits(), *length)).copied()
                    }),
                },
                Err(_) => None,
            },
        };
        (known.unwrap_or(self.otherwise), known.is_some())
    }

    fn network_4(&self, bits: u32) -> Option<usize> {
        self.version_4
            .iter()
            .find_map(|(length, networks)| networks.get(&mask_4(bits, *length)).copied())
    }
}
