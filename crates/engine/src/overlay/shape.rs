//! From a plan of regions to a job of relays. Pure.

use skyfresh_plan::overlay::OverlayPlan;
use skyfresh_relay::topology::{Destination, Node, Rates, RegionTree, Security, Topology, spread};
use skyfresh_relay::{Error as RelayError, NodeId, Result as RelayResult};
use skyfresh_sky::{Kind, Region};
use std::collections::BTreeMap;

/// Chunks that a relay buffers for one tree: 256 MiB of the usual parts, about what a machine sends in the third of a second that
/// two long ways take there and back.
const QUEUE_CHUNKS: u16 = 16;

/// A place where a relay can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// In which region.
    pub region: Region,
    /// What its executor starts it by (a host that `ssh` reaches, say); `None` where the executor chooses.
    pub address: Option<String>,
}

/// What a plan leaves open.
#[derive(Clone, Debug)]
pub struct OverlayShape<'a> {
    /// The plan.
    pub plan: &'a OverlayPlan,
    /// Where relays can be started; `None`: as many as the plan has machines, wherever the executor puts them.
    pub hosts: Option<&'a [Host]>,
    /// What relays are told of the source ([`spec`](super::spec)).
    pub source: serde_json::Value,
    /// Each target's name, region, and what relays are told of it. Targets in the source's own region are written by its relays.
    pub targets: Vec<(String, Region, serde_json::Value)>,
    /// Most bytes of a part.
    pub chunk_bytes: u32,
    /// Parallel connections of each hop.
    pub connections: u16,
    /// How bytes are protected.
    pub security: Security,
}

/// The job's shape: a node for every machine of the plan (as many as there are hosts, where there are fewer), each tree of
/// regions spread over its regions' nodes.
///
/// # Errors
/// `Invalid` where a region of the plan has no host, or a target's region is not on it.
pub fn shape(of: &OverlayShape<'_>) -> RelayResult<Topology> {
    let plan = of.plan;
    let mut nodes = Vec::new();
    let mut by_region: BTreeMap<&Region, Vec<NodeId>> = BTreeMap::new();
    for (region, count) in &plan.vms {
        let addresses: Vec<Option<String>> = match of.hosts {
            None => vec![None; *count as usize],
            Some(hosts) => {
                let here = hosts.iter().filter(|host| host.region == *region);
                let here = here.map(|host| host.address.clone());
                here.take(*count as usize).collect()
            }
        };
        for (at, address) in addresses.into_iter().enumerate() {
            let id = NodeId::new(named(region, at + 1))?;
            by_region.entry(region).or_default().push(id.clone());
            nodes.push(Node {
                id,
                region: region.to_string(),
                address,
            });
        }
    }
    let staff = |region: &Region| {
        by_region.get(region).cloned().ok_or_else(|| {
            let why = format!("{region} is on the plan and has no host: add one");
            RelayError::new(Kind::Invalid, "place relays", why)
        })
    };
    let trees: Vec<RegionTree> = plan
        .trees
        .iter()
        .filter(|tree| tree.stripes > 0)
        .map(|tree| RegionTree {
            stripes: tree.stripes,
            edges: tree
                .edges
                .iter()
                .map(|(from, to)| (from.to_string(), to.to_string()))
                .collect(),
        })
        .collect();
    let mut destinations = Vec::new();
    for (name, region, sink) in &of.targets {
        destinations.push(Destination {
            name: name.clone(),
            nodes: staff(region)?,
            sink: sink.clone(),
        });
    }
    let topology = Topology {
        trees: spread(&trees, &nodes)?,
        sources: staff(&plan.source)?,
        nodes,
        source: of.source.clone(),
        destinations,
        chunk_bytes: of.chunk_bytes,
        queue_chunks: QUEUE_CHUNKS,
        connections: of.connections,
        rates: Some(Rates {
            total_gbps: plan.throughput_gbps,
            pair_gbps: plan
                .edges
                .iter()
                .map(|edge| (edge.src.to_string(), edge.dst.to_string(), edge.pair_gbps))
                .collect(),
        }),
        security: of.security,
        compress: false,
    };
    topology.validate()?;
    Ok(topology)
}

/// A relay's name: its region, and which of those there.
fn named(region: &Region, number: usize) -> String {
    let text = format!("{region}-{number}");
    let plain = text.chars().map(|c| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' => c,
        _ => '-',
    });
    plain.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_plan::overlay::StripeTree;

    fn region(text: &str) -> Region {
        text.parse().unwrap()
    }

    fn plan() -> OverlayPlan {
        let (a, b, c) = (
            region("aws:us-east-1"),
            region("gcp:us-east1"),
            region("gcp:us-west1"),
        );
        OverlayPlan {
            engine: "best".into(),
            source: a.clone(),
            destinations: vec![b.clone(), c.clone()],
            volume_gb: 1.0,
            cost_usd: 0.2,
            egress_usd: 0.2,
            vm_usd: 0.0,
            requests_usd: 0.0,
            fee_usd: 0.0,
            time_s: 1.0,
            start_s: 0.0,
            throughput_gbps: 8.0,
            lower_bound_usd: None,
            lower_bound_s: None,
            vms: [(a.clone(), 2), (b.clone(), 1), (c.clone(), 1)].into(),
            stripes: 4,
            trees: vec![
                StripeTree {
                    stripes: 4,
                    edges: vec![(a, b.clone()), (b, c)],
                },
                StripeTree {
                    stripes: 0,
                    edges: Vec::new(),
                },
            ],
            edges: Vec::new(),
        }
    }

    fn of<'a>(plan: &'a OverlayPlan, hosts: Option<&'a [Host]>) -> OverlayShape<'a> {
        let target = |text: &str| (text.to_owned(), region(text), serde_json::Value::Null);
        OverlayShape {
            plan,
            hosts,
            source: serde_json::Value::Null,
            targets: vec![
                target("gcp:us-east1"),
                target("gcp:us-west1"),
                target("aws:us-east-1"),
            ],
            chunk_bytes: 1 << 20,
            connections: 2,
            security: Security::Sealed,
        }
    }

    #[test]
    fn every_machine_becomes_a_relay_and_every_target_has_its_regions_relays() {
        let plan = plan();
        let topology = shape(&of(&plan, None)).unwrap();
        let names: Vec<&str> = topology.nodes.iter().map(|node| node.id.as_str()).collect();
        assert_eq!(
            names,
            [
                "aws-us-east-1-1",
                "aws-us-east-1-2",
                "gcp-us-east1-1",
                "gcp-us-west1-1"
            ]
        );
        assert_eq!(topology.trees.len(), 2, "one tree a machine of the source");
        assert_eq!(topology.destinations[2].nodes, topology.sources);
    }

    #[test]
    fn hosts_that_there_are_carry_it_and_a_region_without_one_is_named() {
        let plan = plan();
        let host = |text: &str| Host {
            region: region(text),
            address: Some(format!("host.{}", region(text).name)),
        };
        let mut hosts = vec![host("aws:us-east-1"), host("gcp:us-east1")];
        let error = shape(&of(&plan, Some(&hosts))).unwrap_err();
        assert!(error.to_string().contains("gcp:us-west1"), "{error}");
        hosts.push(host("gcp:us-west1"));
        let topology = shape(&of(&plan, Some(&hosts))).unwrap();
        assert_eq!((topology.nodes.len(), topology.trees.len()), (3, 1));
        assert_eq!(topology.nodes[1].address.as_deref(), Some("host.us-east1"));
    }
}
