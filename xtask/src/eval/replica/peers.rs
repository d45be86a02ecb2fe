//! What other ways would take and cost, by what is published of them.

use anyhow::{Context, Result};
use skyfresh_sky::catalog::{Catalog, notification_path, relay_vm, request_prices};
use skyfresh_sky::{Provider, Region};
use std::time::Duration;

/// Another way.
pub(super) struct Peer {
    pub(super) delay_s: f64,
    pub(super) usd: f64,
}

/// Bytes a second in a Gbit/s.
const BYTES_PER_S_IN_GBPS: f64 = 1.25e8;
/// Part of Skyplane's multipart uploads.
const MOVER_PART_BYTES: u64 = 64 << 20;
/// Typical delay of S3 RTC, in seconds (λReplica, slides).
const RTC_TYPICAL_S: f64 = 20.0;
/// Price of S3 RTC beside egress and requests, $/GB; from memory of the price page.
const RTC_USD_PER_GB: f64 = 0.015;

/// When who is to move something hears of it, in seconds.
fn told_s() -> f64 {
    notification_path("s3-lambda").map_or(0.0, |path| path.delay_ms.quantile(0.5) / 1_000.0)
}

/// A mover of Skyplane's kind: a machine on either side, provisioned when it is told, released when it is done.
pub(super) fn vm_mover(
    catalog: &Catalog,
    source: &Region,
    destination: &Region,
    size_bytes: u64,
) -> Result<Peer> {
    let moved = vm_bulk(catalog, source, destination, size_bytes, 1)?;
    Ok(Peer {
        delay_s: told_s() + moved.delay_s,
        ..moved
    })
}

/// The same with so many machines on either side, without the time until it is told.
pub(super) fn vm_bulk(
    catalog: &Catalog,
    source: &Region,
    destination: &Region,
    size_bytes: u64,
    machines: u32,
) -> Result<Peer> {
    let link = catalog
        .link(source, destination)
        .context("the catalogue has the link")?;
    let vm = |region: &Region| {
        relay_vm(region.provider)
            .with_context(|| format!("the catalogue has no machine of {region}"))
    };
    let (from, to) = (vm(source)?, vm(destination)?);
    let gbps = link
        .throughput_gbps
        .min(from.egress_gbps)
        .min(to.ingress_gbps);
    // Both start at the same time; the later one is waited for.
    let provisioning_s = from.provisioning_s.max(to.provisioning_s);
    let moving_s = size_bytes as f64 / (gbps * BYTES_PER_S_IN_GBPS * f64::from(machines));
    let billed = Duration::from_secs_f64(provisioning_s + moving_s);
    let egress = catalog
        .egress_usd_per_gb(source, destination)
        .context("the catalogue has the price")?;
    let parts = size_bytes.div_ceil(MOVER_PART_BYTES);
    let requests = request_prices(source.provider).read.times(parts)
        + request_prices(destination.provider).write.times(parts);
    let pair = from.price(billed) + to.price(billed);
    let usd = pair.times(u64::from(machines)) + egress.per_gb(size_bytes) + requests;
    Ok(Peer {
        delay_s: provisioning_s + moving_s,
        usd: usd.usd(),
    })
}

/// S3 Replication Time Control, between AWS regions.
pub(super) fn s3_rtc(
    catalog: &Catalog,
    source: &Region,
    destination: &Region,
    size_bytes: u64,
) -> Option<Peer> {
    if source.provider != Provider::Aws || destination.provider != Provider::Aws {
        return None;
    }
    let egress = catalog
        .egress_usd_per_gb(source, destination)?
        .per_gb(size_bytes);
    let prices = request_prices(Provider::Aws);
    let usd =
        (egress + prices.read + prices.write).usd() + RTC_USD_PER_GB * size_bytes as f64 / 1e9;
    Some(Peer {
        delay_s: RTC_TYPICAL_S,
        usd,
    })
}
