//! `cargo xtask eval replica`: the planner's choices carried out by the real engine in the simulated sky, beside what
//! other ways would take and cost.

mod peers;
mod world;

use crate::report::Report;
use anyhow::{Context, Result, anyhow, bail};
use peers::Peer;
use skyfresh_plan::predict::{Samples, Shape, Site};
use skyfresh_plan::replicate::{Ask, Candidate, Planner, Settings, Way};
use skyfresh_sky::catalog::{Catalog, notification_path};
use skyfresh_sky::{Region, Rng, Slo, Usd, format_bytes};
use std::time::Duration;
use world::{Experiment, Outcome};

/// Plan and simulate replication from AWS us-east-1 to nine regions of three clouds, beside other ways.
#[derive(clap::Args)]
pub(crate) struct Replica {
    /// Seeds, each a run of its own
    #[arg(long, value_name = "N", default_value = "3")]
    seeds: u64,
    /// Objects in each run; fewer of large ones, so that no run moves more than 40 GB
    #[arg(long, value_name = "N", default_value = "100")]
    objects: u64,
}

const SOURCE: &str = "aws:us-east-1";
/// Near, in Europe and in Asia, of each cloud.
const DESTINATIONS: [&str; 9] = [
    "aws:us-west-2",
    "aws:eu-west-1",
    "aws:ap-northeast-1",
    "azure:eastus",
    "azure:westeurope",
    "azure:japaneast",
    "gcp:us-central1",
    "gcp:europe-west1",
    "gcp:asia-northeast1",
];
/// Sizes of the published evaluation (λReplica, slides, "Experimental setup"), and an SLO for each.
const SIZES: [(u64, &str); 3] = [
    (1_000_000, "10s@p99"),
    (128_000_000, "10s@p99"),
    (1_000_000_000, "15s@p99"),
];
/// Bytes that one run moves at most.
const MOST_BYTES: u64 = 40_000_000_000;
/// How S3 tells a function of a change; the delay until then is part of the SLO.
const NOTIFICATION: &str = "s3-lambda";
const STATE: &str = "dynamodb";
/// The published prototype's sizing: parts of 8 MiB, a function for each 32 MiB, at most 128, in the source's region
/// (`replication-facts.md` of the research notes).
const PROTOTYPE_PART_BYTES: u64 = 8 << 20;
const PROTOTYPE_BYTES_A_WORKER: u64 = 32 << 20;
const PROTOTYPE_MOST_WORKERS: u64 = 128;

fn region(name: &str) -> Result<Region> {
    name.parse().with_context(|| format!("{name} is no region"))
}

impl Replica {
    /// Runs it; true where every simulated run kept its guarantees and every SLO that was called in time was.
    pub(crate) fn run(self) -> Result<bool> {
        if self.seeds < 2 {
            bail!("an interval over seeds needs at least two of them: --seeds 2 or more");
        }
        world::build()?;
        let settings = Settings {
            state: Some(STATE.into()),
            ..Settings::default()
        };
        let mut planner = Planner::new(Catalog::embedded(), settings)?;
        let (mut rows, mut good) = (Vec::new(), true);
        for (size_bytes, slo) in SIZES {
            for destination in DESTINATIONS {
                let case = Case {
                    destination: region(destination)?,
                    size_bytes,
                    slo: slo.parse()?,
                };
                println!("{destination} {}", format_bytes(size_bytes));
                let (row, kept) = case.run(&mut planner, &self)?;
                rows.push(row);
                good &= kept;
            }
        }
        let report = Report {
            title: "Replication from AWS us-east-1: planned, simulated, and beside other ways",
            notes: notes(&self),
            columns: vec![
                "size",
                "to",
                "plan",
                "p50 s",
                "p99 s (±)",
                "predicted p99 s",
                "SLO",
                "attained",
                "$ each",
                "predicted $",
                "prototype's sizing: p99 s, $",
                "VM mover: p50 s, $",
                "delay, $ against it",
                "S3 RTC: s, $",
            ],
            rows,
        };
        report.publish("replica")?;
        Ok(good)
    }
}

fn notes(asked: &Replica) -> Vec<String> {
    vec![
        format!(
            "{} objects (40 of 1 GB), one every 20 s, in each of {} seeds; the real engine in virtual time, the ledger on DynamoDB, parts copied by functions, objects in one piece by the process that was told. ± is half of the 95% interval of the mean of the seeds' quantiles (Student's t).",
            asked.objects, asked.seeds
        ),
        "Delay: from the PUT until the copy is readable, notification included (S3 to Lambda: p50 1.35 s, p99 2.22 s). The simulator's links, rates, starts and prices are the catalogue's; so are the planner's: what is shown is the planner's arithmetic and the engine's overheads, not real clouds.".into(),
        "Prototype's sizing: parts of 8 MiB, a function for each 32 MiB, at most 128, in the source's region, carried out by the same engine in the same sky. It has neither the prototype's lost parts nor its polling, which would make it worse.".into(),
        "VM mover (Skyplane's behaviour): two machines are provisioned for the transfer, move it over the measured 64-connection link, and are billed by the second, a minute at least; told as fast as a function is. At the catalogue's on-demand prices.".into(),
        "S3 RTC: about 20 s typically (λReplica, slides, \"Real-World Object Storage Trace\"; no distribution is published), egress and requests and $0.015 a GB (from memory). Between AWS regions only.".into(),
        "Machines of the process itself are not billed: they run whether or not there is a change. The simulated dollars contain what the ledger is asked while nothing changes, and a listing: together about $0.00005 an object at this load, which is most of the price of a small one.".into(),
        "The planner takes the fastest of the ways in time whose price is within 1% of the cheapest.".into(),
        "The engine gives an object no more than a worker for every four parts (`engine/src/decide.rs`): plans with more are carried out with as many as the prototype's sizing has, and what is predicted of them is too early by up to a third. Plans within it are predicted within 4% at 128 MB and 12% at 1 GB.".into(),
    ]
}

/// One object size to one destination.
struct Case {
    destination: Region,
    size_bytes: u64,
    slo: Slo,
}

/// What is carried out.
struct Planned {
    name: String,
    site: Site,
    shape: Shape,
    predicted_p99_s: f64,
    predicted_usd: f64,
    /// Whether the planner called it in time.
    called_in_time: bool,
}

impl Case {
    fn run(&self, planner: &mut Planner, asked: &Replica) -> Result<(Vec<String>, bool)> {
        let planned = self.plan(planner)?;
        let (total, parts) = (
            self.size_bytes,
            self.size_bytes.div_ceil(PROTOTYPE_PART_BYTES),
        );
        let functions = Site::functions(region(SOURCE)?).context("AWS has functions")?;
        let workers = total
            .div_ceil(PROTOTYPE_BYTES_A_WORKER)
            .clamp(1, PROTOTYPE_MOST_WORKERS);
        let sized = Shape::Parts {
            workers: u32::try_from(workers)?,
            part_bytes: PROTOTYPE_PART_BYTES,
        };
        // One beside the other: each is a process of one thread.
        let (ours, prototype) = std::thread::scope(|scope| {
            let theirs =
                (parts > 1).then(|| scope.spawn(|| self.simulate(&functions, sized, asked)));
            let ours = self.simulate(&planned.site, planned.shape, asked);
            (ours, theirs.map(std::thread::ScopedJoinHandle::join))
        });
        let ours = ours?;
        let prototype = match prototype {
            None => None,
            Some(joined) => Some(joined.map_err(|_| anyhow!("the prototype's run panicked"))??),
        };
        let source = region(SOURCE)?;
        let mover = peers::vm_mover(planner.catalog(), &source, &self.destination, total)?;
        let rtc = peers::s3_rtc(planner.catalog(), &source, &self.destination, total);
        // Two points less than was called: a run of 40 objects knows no more.
        let late = planned.called_in_time && ours.attained < self.slo.percentile / 100.0 - 0.02;
        let kept = ours.kept && !late && prototype.as_ref().is_none_or(|it| it.kept);
        let pair = |peer: &Peer| format!("{:.1}, {}", peer.delay_s, dollars(peer.usd));
        let less = |ours: f64, other: f64| format!("{:+.1}%", (ours / other - 1.0) * 100.0);
        let row = vec![
            format_bytes(total),
            self.destination.to_string(),
            planned.name,
            format!("{:.2}", ours.p50_s),
            format!("{:.2} (±{:.2})", ours.p99_s, ours.p99_error_s),
            format!("{:.2}", planned.predicted_p99_s),
            self.slo.to_string(),
            format!("{:.2}%", ours.attained * 100.0),
            dollars(ours.usd),
            dollars(planned.predicted_usd),
            prototype.map_or("–".into(), |it| {
                format!(
                    "{:.2} (±{:.2}), {}",
                    it.p99_s,
                    it.p99_error_s,
                    dollars(it.usd)
                )
            }),
            pair(&mover),
            format!(
                "{}, {}",
                less(ours.p50_s, mover.delay_s),
                less(ours.usd, mover.usd)
            ),
            rtc.map_or("–".into(), |it| pair(&it)),
        ];
        Ok((row, kept))
    }

    /// Asks the planner; what the notification usually leaves of the SLO at its own p99 is what it may use.
    fn plan(&self, planner: &mut Planner) -> Result<Planned> {
        let path = notification_path(NOTIFICATION).context("the catalogue has the path")?;
        let mut ask = Ask::new(
            region(SOURCE)?,
            self.destination.clone(),
            self.size_bytes,
            self.slo,
        );
        ask.elapsed = Duration::from_secs_f64(path.delay_ms.quantile(0.99) / 1_000.0);
        // In one piece the process that was told copies by itself.
        let process = Site::process(ask.source.clone());
        ask.sites.push(process);
        let choice = planner.choose(&ask)?;
        let wanted = |way: &Way| match way {
            Way::Workers { site, shape, .. } => shape.is_parts() == (site.platform().is_some()),
            Way::ServerCopy => false,
        };
        // The fastest within a percent of the cheapest in time, as the planner chooses, of what this experiment can carry out.
        let usable = || {
            choice
                .candidates
                .iter()
                .filter(|it| wanted(&it.way) && it.refused.is_none())
        };
        let in_time = || usable().filter(|it| it.in_time >= ask.share());
        let least_usd = in_time().next().map_or(0.0, |it| it.cost.total().usd());
        let affordable = |it: &&Candidate| it.cost.total().usd() <= least_usd * (1.0 + ask.premium);
        let in_time = in_time()
            .filter(affordable)
            .min_by(|a, b| a.at_slo_s.total_cmp(&b.at_slo_s));
        let called_in_time = in_time.is_some();
        let fastest = || usable().min_by(|a, b| a.at_slo_s.total_cmp(&b.at_slo_s));
        let winner = in_time
            .or_else(fastest)
            .context("no way can be carried out")?;
        let Way::Workers { site, shape, .. } = &winner.way else {
            bail!("{} is not carried out here", winner.way);
        };
        let rng = Rng::named(1, "notification");
        let told = Samples::new(
            (0..10_000)
                .map(|_| path.delay_ms.sample(&rng) / 1_000.0)
                .collect(),
        );
        let transfer = self.transfer_samples(planner, site, *shape)?;
        Ok(Planned {
            name: winner.way.to_string(),
            site: site.clone(),
            shape: *shape,
            predicted_p99_s: told.plus(&transfer, &rng).quantile(0.99),
            predicted_usd: winner.cost.total().usd(),
            called_in_time,
        })
    }

    /// The transfer's predicted delays, as draws that can be added to the notification's.
    fn transfer_samples(&self, planner: &Planner, site: &Site, shape: Shape) -> Result<Samples> {
        use skyfresh_plan::predict::{Route, Warm};
        let state = skyfresh_sky::catalog::state_service(STATE);
        let source = region(SOURCE)?;
        let cold = Settings::default().cold;
        let route = Route::of(
            planner.catalog(),
            &source,
            &self.destination,
            site,
            state,
            cold,
        )?;
        let predicted = Warm::new(route, 2, 0.99, 1).predict(shape, self.size_bytes);
        let at = |index: u32| predicted.quantile((f64::from(index) + 0.5) / 10_000.0);
        Ok(Samples::new((0..10_000).map(at).collect()))
    }

    fn simulate(&self, site: &Site, shape: Shape, asked: &Replica) -> Result<Outcome> {
        world::run(&Experiment {
            source: SOURCE,
            destination: &self.destination,
            size_bytes: self.size_bytes,
            slo: self.slo,
            site,
            shape,
            notification: NOTIFICATION,
            state: STATE,
            objects: asked.objects.min((MOST_BYTES / self.size_bytes).max(1)),
            seeds: asked.seeds,
        })
    }
}

fn dollars(usd: f64) -> String {
    Usd::from_usd(usd).to_string()
}
