//! What a run costs, counted where it happens and priced by the catalogue's own formulas.

use super::{Sim, Site};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use skyfresh_sky::catalog::{Catalog, StateService, request_prices};
use skyfresh_sky::{Provider, Region, Usd};
use skyfresh_store::ByteStream;
use skyfresh_store::memory::OperationKind;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Requests as providers price them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Write,
    Read,
    Free,
}

fn class(kind: OperationKind) -> Class {
    match kind {
        OperationKind::Put
        | OperationKind::CreateUpload
        | OperationKind::UploadPart
        | OperationKind::CopyPart
        | OperationKind::CompleteUpload
        | OperationKind::Copy
        | OperationKind::List
        | OperationKind::ListParts
        | OperationKind::ListUploads
        | OperationKind::SetTags => Class::Write,
        OperationKind::CheckReadable
        | OperationKind::Head
        | OperationKind::Get
        | OperationKind::Parts
        | OperationKind::Tags => Class::Read,
        OperationKind::Delete | OperationKind::AbortUpload | OperationKind::Probe => Class::Free,
    }
}

/// What was used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Priced requests by provider: writes, reads.
    pub(crate) requests: BTreeMap<Provider, (u64, u64)>,
    /// Bytes that left one region for another.
    pub(crate) bytes: BTreeMap<(Region, Region), u64>,
    /// Invocations of functions.
    pub(crate) invocations: u64,
    /// What they cost: each is rounded by itself.
    pub(crate) functions: Usd,
    /// Write and read units of the ledger's service.
    pub(crate) state_units: (u64, u64),
    /// What machines cost.
    pub(crate) machines: Usd,
}

/// Dollars by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// Bytes between regions.
    pub egress: Usd,
    /// Requests to object stores.
    pub requests: Usd,
    /// Functions.
    pub functions: Usd,
    /// The ledger's service.
    pub state: Usd,
    /// Keeping the copies for as long as the run took.
    pub storage: Usd,
    /// Machines that processes run on.
    pub machines: Usd,
}

impl Bill {
    /// All of it.
    pub fn total(&self) -> Usd {
        [
            self.egress,
            self.requests,
            self.functions,
            self.state,
            self.storage,
            self.machines,
        ]
        .into_iter()
        .sum()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Counts>);

impl Meter {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request that reached a store, whatever it answered.
    pub(crate) fn request(&self, site: &Site, kind: OperationKind) {
        let mut counts = self.counts();
        let (writes, reads) = counts.requests.entry(site.region.provider).or_default();
        match class(kind) {
            Class::Write => *writes += 1,
            Class::Read => *reads += 1,
            Class::Free => {}
        }
    }

    /// Bytes that flowed from one region to another.
    pub(crate) fn moved(&self, from: &Region, to: &Region, bytes: u64) {
        if from == to || bytes == 0 {
            return;
        }
        let mut counts = self.counts();
        match counts.bytes.get_mut(&(from.clone(), to.clone())) {
            Some(moved) => *moved += bytes,
            None => {
                counts.bytes.insert((from.clone(), to.clone()), bytes);
            }
        }
    }

    /// An invocation of a function.
    pub(crate) fn invocation(&self, price: Usd) {
        let mut counts = self.counts();
        counts.invocations += 1;
        counts.functions += price;
    }

    /// A machine that was had for a while.
    pub(crate) fn machine(&self, price: Usd) {
        self.counts().machines += price;
    }

    /// Units of the ledger's service.
    pub(crate) fn state(&self, write_units: u64, read_units: u64) {
        let mut counts = self.counts();
        counts.state_units.0 += write_units;
        counts.state_units.1 += read_units;
    }

    pub(crate) fn read(&self) -> Counts {
        self.counts().clone()
    }
}

impl Counts {
    /// The bill, but for storage.
    pub(crate) fn bill(&self, catalog: &Catalog, state: Option<&StateService>) -> Bill {
        let requests = self.requests.iter().map(|(provider, (writes, reads))| {
            let prices = request_prices(*provider);
            prices.write.times(*writes) + prices.read.times(*reads)
        });
        let egress = self.bytes.iter().map(|((from, to), bytes)| {
            let price = catalog.egress_usd_per_gb(from, to).unwrap_or_default();
            price.per_gb(*bytes)
        });
        let (writes, reads) = self.state_units;
        Bill {
            egress: egress.sum(),
            requests: requests.sum(),
            functions: self.functions,
            state: state.map_or(Usd::ZERO, |service| service.price(writes, reads)),
            storage: Usd::ZERO,
            machines: self.machines,
        }
    }
}

/// Counts a body's bytes as they leave `from` for `to`; nothing where they are one region.
pub(crate) fn metered(sim: &Arc<Sim>, from: &Region, to: &Region, body: ByteStream) -> ByteStream {
    if from == to {
        return body;
    }
    let (sim, from, to) = (Arc::clone(sim), from.clone(), to.clone());
    body.inspect_ok(move |chunk| sim.meter.moved(&from, &to, chunk.len() as u64))
        .boxed()
}
