//! The price meter: what the traffic and the requests would have cost.
//!
//! Bodies are counted, headers are not. Bytes flow from the region that sends them: a PUT's from the client's region, a
//! GET's from the store's. On unshaped ports the client stands in the store's region, so nothing leaves it. Requests that
//! fail with 5xx or never get an answer are not billed, as on S3.

use serde::Serialize;
use skyfresh_sky::catalog::{Catalog, request_prices};
use skyfresh_sky::{Region, Usd};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a request is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestClass {
    /// PUT, COPY, POST, LIST.
    Write,
    /// GET, HEAD and everything else.
    Read,
    /// DELETE and abort: free.
    Delete,
    /// Not an operation of a store, or part of one that was counted: the chunks of a resumable upload, tokens, Pub/Sub.
    Unbilled,
}

/// Counters of one port, shared with the meter.
#[derive(Debug, Default)]
pub(crate) struct PortCounters {
    pub(crate) uploaded_bytes: AtomicU64,
    pub(crate) downloaded_bytes: AtomicU64,
    writes: AtomicU64,
    reads: AtomicU64,
    deletes: AtomicU64,
}

impl PortCounters {
    pub(crate) fn count(&self, class: RequestClass) {
        let counter = match class {
            RequestClass::Write => &self.writes,
            RequestClass::Read => &self.reads,
            RequestClass::Delete => &self.deletes,
            RequestClass::Unbilled => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads the counters of all ports.
#[derive(Debug)]
pub(crate) struct Meter {
    catalog: Catalog,
    ports: Vec<(Region, Region, Arc<PortCounters>)>,
}

impl Meter {
    pub(crate) fn new(catalog: Catalog) -> Self {
        Meter {
            catalog,
            ports: Vec::new(),
        }
    }

    /// Counters for a port whose clients stand in `client` and whose store in `store`.
    pub(crate) fn port(&mut self, client: &Region, store: &Region) -> Arc<PortCounters> {
        let counters = Arc::new(PortCounters::default());
        self.ports
            .push((client.clone(), store.clone(), counters.clone()));
        counters
    }

    pub(crate) fn snapshot(&self) -> MeterSnapshot {
        let mut flows: BTreeMap<(Region, Region), u64> = BTreeMap::new();
        let mut requests: BTreeMap<Region, RequestCounts> = BTreeMap::new();
        for (client, store, counters) in &self.ports {
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            *flows.entry((client.clone(), store.clone())).or_default() +=
                read(&counters.uploaded_bytes);
            *flows.entry((store.clone(), client.clone())).or_default() +=
                read(&counters.downloaded_bytes);
            let counts = requests.entry(store.clone()).or_default();
            counts.writes += read(&counters.writes);
            counts.reads += read(&counters.reads);
            counts.deletes += read(&counters.deletes);
        }
        for (region, counts) in &mut requests {
            let prices = request_prices(region.provider);
            counts.usd = prices.write.times(counts.writes) + prices.read.times(counts.reads);
        }
        let traffic: Vec<Traffic> = flows
            .into_iter()
            .map(|((from, to), bytes)| {
                let usd = self
                    .catalog
                    .egress_usd_per_gb(&from, &to)
                    .map(|price| price.per_gb(bytes));
                Traffic {
                    from,
                    to,
                    bytes,
                    usd,
                }
            })
            .collect();
        let egress_usd: Usd = traffic.iter().filter_map(|traffic| traffic.usd).sum();
        let request_usd: Usd = requests.values().map(|counts| counts.usd).sum();
        MeterSnapshot {
            traffic,
            requests,
            egress_usd,
            request_usd,
            total_usd: egress_usd + request_usd,
        }
    }
}

/// What has been used since the start, and what it would cost at list prices.
#[derive(Clone, Debug, Serialize)]
pub struct MeterSnapshot {
    /// Per ordered pair of regions.
    pub traffic: Vec<Traffic>,
    /// Per region of the store.
    pub requests: BTreeMap<Region, RequestCounts>,
    /// Egress of all pairs whose price is known.
    pub egress_usd: Usd,
    /// All requests.
    pub request_usd: Usd,
    /// Both together.
    pub total_usd: Usd,
}

/// Bytes of bodies that went one way.
#[derive(Clone, Debug, Serialize)]
pub struct Traffic {
    /// The sender's region.
    pub from: Region,
    /// The receiver's region.
    pub to: Region,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Their egress price; `None` where the catalogue does not list the pair.
    pub usd: Option<Usd>,
}

/// Requests to one region's store.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct RequestCounts {
    /// PUT, COPY, POST, LIST.
    pub writes: u64,
    /// GET, HEAD and everything else.
    pub reads: u64,
    /// DELETE and abort (free).
    pub deletes: u64,
    /// Their price.
    pub usd: Usd,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_billed_to_the_sender() {
        let region = |name: &str| name.parse::<Region>().unwrap();
        let (east, west) = (region("aws:us-east-1"), region("aws:us-west-2"));
        let mut meter = Meter::new(Catalog::embedded());
        let shaped = meter.port(&east, &west);
        let local = meter.port(&west, &west);
        shaped
            .uploaded_bytes
            .fetch_add(1_000_000_000, Ordering::Relaxed);
        shaped.count(RequestClass::Write);
        local
            .downloaded_bytes
            .fetch_add(5_000_000_000, Ordering::Relaxed);
        local.count(RequestClass::Read);
        local.count(RequestClass::Delete);
        let snapshot = meter.snapshot();
        assert_eq!(snapshot.egress_usd, Usd::from_usd(0.02));
        assert_eq!(snapshot.request_usd, Usd::from_usd(5.4e-6));
        let sent = snapshot
            .traffic
            .iter()
            .find(|traffic| traffic.from == east && traffic.to == west)
            .unwrap();
        assert_eq!(sent.bytes, 1_000_000_000);
        assert_eq!(snapshot.requests[&west].deletes, 1);
    }
}
