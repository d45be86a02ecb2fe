//! What a dry run says beyond what would be copied: the way, the time, the dollars, what would be lost.

use super::progress::get;
use super::summary::Ended;
use crate::render;
use skyfresh_engine::region_of;
use skyfresh_sky::catalog::request_prices;
use skyfresh_sky::{Region, Usd, format_bytes};
use std::time::Duration;

/// What a dry run estimates for one destination.
pub(super) struct Estimate {
    /// Requests and egress by the catalogue.
    pub(super) usd: Usd,
    /// Whether the catalogue lists what leaving the source costs; else only requests are counted.
    pub(super) egress_priced: bool,
    /// By the catalogue's link, where it has one.
    pub(super) took: Option<Duration>,
}

pub(super) fn estimate(ended: &Ended<'_>, index: usize) -> Estimate {
    let target = &ended.tally.targets[index];
    let (from, to) = (
        region_of(ended.source, None),
        region_of(&ended.targets[index], None),
    );
    let (objects, bytes) = (get(&target.planned), get(&target.planned_bytes));
    let by_server = ended.same_service.get(index).copied().unwrap_or(false);
    let egress = ended.catalog.egress_usd_per_gb(&from, &to);
    // A copy is at least a read and a write; parts add a few.
    let requests = request_prices(from.provider).read.times(objects)
        + request_prices(to.provider).write.times(objects);
    let local = from == Region::local() || to == Region::local();
    Estimate {
        usd: requests + egress.unwrap_or_default().per_gb(bytes),
        egress_priced: egress.is_some() || local,
        took: link_rate(ended, &from, &to)
            .filter(|rate| *rate > 0.0 && !by_server)
            .map(|rate| Duration::from_secs_f64(bytes as f64 / rate)),
    }
}

fn link_rate(ended: &Ended<'_>, from: &Region, to: &Region) -> Option<f64> {
    let local = *from == Region::local() || *to == Region::local();
    let link = (!local).then(|| ended.catalog.link(from, to)).flatten()?;
    // 10⁹ bits a second.
    Some(link.throughput_gbps * 1e9 / 8.0)
}

/// In words.
pub(super) fn remarks(ended: &Ended<'_>, index: usize) -> Vec<String> {
    let (location, target) = (&ended.targets[index], &ended.tally.targets[index]);
    let estimate = estimate(ended, index);
    let mut remarks = Vec::new();
    let way = match ended.same_service.get(index) {
        _ if ended.relayed => {
            "large objects by relays, as told above; time and cost here are those without them"
        }
        Some(true) => "by the store itself where checksums prove it, else through this machine",
        _ => "through this machine, one read for all destinations",
    };
    remarks.push(format!("way: {way}"));
    remarks.push(match estimate.took {
        Some(took) => format!(
            "time: about {} over the catalogue's link for {}",
            render::duration(took),
            format_bytes(get(&target.planned_bytes))
        ),
        None => "time: not known beforehand (no measured link between these places)".to_owned(),
    });
    remarks.push(match estimate.egress_priced {
        true => format!("cost: about {}", estimate.usd),
        false => format!(
            "cost: about {} for requests; what leaving the source costs is not known (say ?region=PROVIDER:NAME)",
            estimate.usd
        ),
    });
    let lost = ended
        .metadata
        .get(index)
        .map(|(from, to)| to.lost_from(from))
        .unwrap_or_default();
    if !lost.is_empty() {
        remarks.push(format!("{location} cannot keep: {}", lost.join(", ")));
    }
    remarks
}
