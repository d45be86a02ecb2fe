//! What relays did.

use super::Running;
use crate::context::Context;
use crate::output::{Style, Table};
use crate::render;
use anyhow::Context as _;
use serde::Serialize;
use skyfresh_plan::overlay::OverlayPlan;
use skyfresh_relay::job::JobReport;
use skyfresh_relay::topology::Topology;
use skyfresh_relay::{NodeId, Result as RelayResult};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Region, Usd, format_bytes};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinError;

/// What relays did, for machines.
#[derive(Serialize)]
struct Done {
    relays: bool,
    predicted_s: f64,
    predicted_usd: f64,
    seconds: f64,
    start_s: f64,
    egress_usd: f64,
    read_bytes: u64,
    resent_parts: u64,
    reroutes: u64,
    direct_parts: u64,
    hops: Vec<Hop>,
}

#[derive(Serialize)]
struct Hop {
    from: String,
    to: String,
    bytes: u64,
    usd: f64,
}

/// Relays that have ended.
pub(in crate::bulk) struct Ended {
    plan: OverlayPlan,
    expected_s: f64,
    topology: Topology,
    report: Result<RelayResult<JobReport>, JoinError>,
    fallen: Option<(u64, String)>,
}

impl Running {
    /// Waits until the relays have ended, and their machines with them.
    pub(in crate::bulk) async fn ended(self) -> Ended {
        Ended {
            report: self.job.await,
            fallen: self.fallen.read(),
            plan: self.plan,
            expected_s: self.expected_s,
            topology: self.topology,
        }
    }
}

impl Ended {
    /// Says what they did.
    pub(in crate::bulk) fn tell(self, catalog: &Catalog, context: &Context) -> anyhow::Result<()> {
        let report = self.report.context("the relays' owner broke off")?;
        let fallen = self.fallen;
        let output = &context.output;
        if let Some((parts, why)) = &fallen {
            output.note(format_args!(
                "{parts} parts went direct, which relays could not carry; the first: {why}"
            ));
        }
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                output.note(format_args!("relays ended early: {error}"));
                return Ok(());
            }
        };
        let hops = hops(&report, &self.topology, catalog);
        let egress_usd: f64 = hops.iter().map(|hop| hop.usd).sum();
        let carrying_ms = report.took_ms.saturating_sub(report.start_ms);
        if output.json {
            return output.json_line(&Done {
                relays: true,
                predicted_s: self.expected_s,
                predicted_usd: self.plan.egress_usd,
                seconds: carrying_ms as f64 / 1e3,
                start_s: report.start_ms as f64 / 1e3,
                egress_usd,
                read_bytes: report.read_bytes,
                resent_parts: report.resent_chunks,
                reroutes: report.reroutes,
                direct_parts: fallen.map_or(0, |(parts, _)| parts),
                hops,
            });
        }
        let mut table = Table::new(&["RELAYED FROM", "TO", "BYTES", "EGRESS"]);
        for hop in &hops {
            table.row(vec![
                (Style::Plain, hop.from.clone()),
                (Style::Plain, hop.to.clone()),
                (Style::Plain, format_bytes(hop.bytes)),
                (Style::Plain, format!("${:.6}", hop.usd)),
            ]);
        }
        output.line(table.render(output, 0).trim_end());
        output.line(format_args!(
            "  relays: started in {}, carried {} for {} (planned: {:.1} s and ${:.6} of egress)",
            render::duration(Duration::from_millis(report.start_ms)),
            format_bytes(report.read_bytes),
            render::duration(Duration::from_millis(carrying_ms)),
            self.expected_s,
            self.plan.egress_usd,
        ));
        Ok(())
    }
}

/// What went over each hop between regions, and what that costs.
fn hops(report: &JobReport, topology: &Topology, catalog: &Catalog) -> Vec<Hop> {
    let region = |id: &NodeId| {
        let known = topology.node(id).or_else(|| {
            // One that was started in a dead one's place, perhaps in that of another such: its name with a number.
            let named = |stem: &str| topology.nodes.iter().find(|node| node.id.as_str() == stem);
            let stems = std::iter::successors(id.as_str().rsplit_once("-r"), |(stem, _)| {
                stem.rsplit_once("-r")
            });
            stems.into_iter().find_map(|(stem, _)| named(stem))
        });
        known.and_then(|node| node.region.parse::<Region>().ok())
    };
    let mut sums: BTreeMap<(Region, Region), u64> = BTreeMap::new();
    for edge in &report.edges {
        if let (Some(from), Some(to)) = (region(&edge.from), region(&edge.to)) {
            *sums.entry((from, to)).or_default() += edge.bytes;
        }
    }
    let hops = sums.into_iter().map(|((from, to), bytes)| {
        let price = match from == to {
            true => Usd::default(),
            false => catalog.egress_usd_per_gb(&from, &to).unwrap_or_default(),
        };
        Hop {
            from: from.to_string(),
            to: to.to_string(),
            bytes,
            usd: price.per_gb(bytes).usd(),
        }
    });
    hops.collect()
}
