//! What requests to the object stores of a plan cost. Pure.
//!
//! In: prices of requests by region, the size of a part. Out: dollars a GB: of each link, and of the ends. Never: an unknown price
//! taken for zero.
//!
//! A machine at the source reads each part once, however many destinations there are and whichever trees it goes by; each destination
//! writes it once. A region that has only a store cannot pass on what it holds: what enters it is written there, and whoever receives
//! from it reads it there, so its requests are those of its links. Objects are taken to be large: a part is a request, and what begins
//! and completes an upload is not counted.

use crate::network::{Network, RequestUsd};
use crate::packing::Instance;
use skyfresh_sky::{Invalid, Region};

/// Bytes of a GB.
const GB: f64 = 1e9;

/// Dollars a GB for requests to stores.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Requests {
    /// By region that has only a store: reads and writes there, of every link out of it and into it. Empty where requests are not
    /// counted.
    stores: Vec<Option<RequestUsd>>,
    /// Of the volume, once: what machines at the source read, and what they write at the destinations.
    pub(crate) ends: f64,
}

impl Requests {
    /// For parts of this size; `None`: requests are not counted.
    pub(crate) fn new(
        network: &Network,
        source: usize,
        destinations: &[usize],
        part_bytes: Option<u64>,
    ) -> Result<Self, Invalid> {
        let Some(part_bytes) = part_bytes else {
            return Ok(Requests::default());
        };
        if part_bytes == 0 {
            return Err(Invalid::new("part size", "0", "must be a byte or more"));
        }
        let parts_per_gb = GB / part_bytes as f64;
        let per_gb = |node: usize| {
            let usd = network.request_usd(node)?;
            Some(RequestUsd {
                read: usd.read * parts_per_gb,
                write: usd.write * parts_per_gb,
            })
        };
        let known = |node: usize| per_gb(node).ok_or_else(|| unknown(&network.regions()[node]));
        let mut ends = 0.0;
        for (node, reads) in destinations
            .iter()
            .map(|node| (*node, false))
            .chain([(source, true)])
        {
            let usd = known(node)?;
            if network.has_machines(node) {
                ends += if reads { usd.read } else { usd.write };
            }
        }
        let nodes = 0..network.len();
        let stores = nodes.map(|node| match network.has_machines(node) {
            true => None,
            // Nothing goes through a store whose prices nobody knows.
            false => Some(per_gb(node).unwrap_or(RequestUsd {
                read: f64::INFINITY,
                write: f64::INFINITY,
            })),
        });
        Ok(Requests {
            stores: stores.collect(),
            ends,
        })
    }

    /// Puts what links cost in requests on top of their egress; those through a store whose prices nobody knows are taken out.
    pub(crate) fn add_to(&self, instance: &mut Instance) {
        for from in 0..self.stores.len() {
            for to in 0..self.stores.len() {
                let usd = self.link(from, to);
                match usd.is_finite() {
                    true => instance.usd_per_gb[from * instance.nodes + to] += usd,
                    false => instance.forbid(from, to),
                }
            }
        }
    }

    /// What a GB over a link costs in requests.
    pub(crate) fn link(&self, from: usize, to: usize) -> f64 {
        let of = |node: usize| self.stores.get(node).copied().flatten();
        of(from).map_or(0.0, |usd| usd.read) + of(to).map_or(0.0, |usd| usd.write)
    }
}

fn unknown(region: &Region) -> Invalid {
    let why = "what requests to its store cost is not known: put it among your own figures, or leave requests out";
    Invalid::new("region", region.to_string(), why)
}
