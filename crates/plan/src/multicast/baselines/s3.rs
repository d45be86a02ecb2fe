//! S3 replication with time control to several regions: straight, for egress and a fee, between regions of AWS alone.

use super::{Baseline, direct::Direct};
use crate::overlay::{Draft, Limits};
use crate::packing::Work;
use skyfresh_sky::Provider;

pub(super) struct Replication;

/// "99.99% of new objects within 15 minutes" (AWS, S3 Replication Time Control). Cloudcast saw it end sooner (section 5.2.1), and
/// prints no figure; a plan needs one to rely on.
const OBJECTIVE_S: f64 = 900.0;
/// AWS, S3 pricing, Replication Time Control data transfer, from memory.
const FEE_USD_PER_GB: f64 = 0.015;

impl Baseline for Replication {
    fn draft(&self, limits: &Limits, work: &mut Work) -> Option<Draft> {
        let request = limits.request;
        let mut ends = request.destinations.iter().chain([&request.source]);
        if ends.any(|region| region.provider != Provider::Aws) {
            return None;
        }
        let mut draft = Direct { machines: None }.draft(limits, work)?;
        draft.time = Some(OBJECTIVE_S / limits.gbits());
        Some(draft)
    }

    fn fee_usd(&self, limits: &Limits) -> f64 {
        FEE_USD_PER_GB * limits.request.volume_gb * limits.request.destinations.len() as f64
    }
}
