//! Part 1: delay and cost to nine regions of three clouds, against λReplica's own design, a mover on machines, and S3 RTC.

use super::choice::{Case, Design, Planned};
use super::peers::{self, Peer};
use super::stats::{Mean, Paired, Sign};
use super::world::{Lab, Outcome};
use super::{DESTINATIONS, Replica, SIZES, SOURCE, difference, dollars, region};
use crate::report::Report;
use anyhow::Result;
use skyfresh_plan::replicate::Planner;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::format_bytes;

/// Fewest objects of which a p99.9 is told.
const LEAST_FOR_P999: usize = 1_000;

/// One row.
struct Compared {
    case: Case,
    ours: Planned,
    theirs: Planned,
    predicted_p99_s: f64,
}

pub(super) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (size_bytes, slo) in SIZES {
        for destination in DESTINATIONS {
            cases.push(Case {
                destination: region(destination)?,
                size_bytes,
                slo: slo.parse()?,
            });
        }
    }
    Ok(cases)
}

/// True where every guarantee was kept, and what was called in time was.
pub(super) fn run(lab: &Lab, asked: &Replica) -> Result<bool> {
    let (mut planner, mut theirs) = (
        Design::Skyfresh.planner()?,
        Design::LambdaReplica.planner()?,
    );
    let compared = cases()?
        .into_iter()
        .map(|case| Compared::plan(case, &mut planner, &mut theirs))
        .collect::<Result<Vec<_>>>()?;
    let mut runs = Vec::new();
    for one in &compared {
        let objects = asked.objects_of(one.case.size_bytes);
        for (planned, design) in [
            (&one.ours, Design::Skyfresh),
            (&one.theirs, Design::LambdaReplica),
        ] {
            let experiment = one.case.experiment(planned, design, objects);
            runs.push(experiment.runs(asked.seeds));
        }
    }
    let outcomes = lab.run(&runs)?;
    let (mut rows, mut designs, mut good, mut tally) =
        (Vec::new(), Vec::new(), true, Tally::default());
    for (one, pair) in compared.iter().zip(outcomes.chunks(2)) {
        let [ours, theirs] = pair else { continue };
        let attained = super::stats::average(&ours.attained);
        let late = one.ours.called_in_time && attained < one.case.slo.percentile / 100.0 - 0.02;
        good &= ours.kept && theirs.kept && !late;
        rows.push(one.row(ours, planner.catalog())?);
        designs.push(one.against_design(ours, theirs, &mut tally));
    }
    table(asked, rows).publish("replica")?;
    against(asked, designs, &tally).publish("replica-designs")?;
    Ok(good)
}

/// How often which verdict was given, over all rows.
#[derive(Default)]
struct Tally {
    rows: usize,
    worse_delay: usize,
    worse_cost: usize,
    with_p999: usize,
    better_p999: usize,
    worse_p999: usize,
}

impl Compared {
    fn plan(case: Case, planner: &mut Planner, theirs: &mut Planner) -> Result<Self> {
        let ours = case.plan(Design::Skyfresh, planner)?;
        Ok(Compared {
            predicted_p99_s: case.predicted_p99_s(planner, &ours)?,
            theirs: case.plan(Design::LambdaReplica, theirs)?,
            ours,
            case,
        })
    }

    /// What it takes and costs, beside what is published of others.
    fn row(&self, ours: &Outcome, catalog: &Catalog) -> Result<Vec<String>> {
        let (source, case) = (region(SOURCE)?, &self.case);
        let mover = peers::vm_mover(catalog, &source, &case.destination, case.size_bytes)?;
        let rtc = peers::s3_rtc(catalog, &source, &case.destination, case.size_bytes);
        let pair = |peer: &Peer| format!("{:.1}, {}", peer.delay_s, dollars(peer.usd));
        let (p50, p99) = (Mean::of(&ours.p50_s), Mean::of(&ours.p99_s));
        let usd = Mean::of(&ours.usd);
        Ok(vec![
            format_bytes(case.size_bytes),
            case.destination.to_string(),
            self.ours.name.clone(),
            format!("{:.2}", p50.value),
            p99.text(),
            format!("{:.2}", self.predicted_p99_s),
            case.slo.to_string(),
            format!("{:.2}%", super::stats::average(&ours.attained) * 100.0),
            dollars(usd.value),
            dollars(self.ours.predicted_usd),
            pair(&mover),
            format!(
                "{}, {}",
                difference(p50.value, mover.delay_s),
                difference(usd.value, mover.usd)
            ),
            rtc.map_or("–".into(), |it| pair(&it)),
        ])
    }

    /// Ours and λReplica's design, object by object.
    fn against_design(&self, ours: &Outcome, theirs: &Outcome, tally: &mut Tally) -> Vec<String> {
        let lags = Paired::of(&ours.lag_s, &theirs.lag_s);
        let objects = lags.count();
        let shape = |planned: &Planned| planned.name.replace(" parts", "");
        let both = |p: f64| format!("{:.2} / {:.2}", lags.ours(p), lags.theirs(p));
        let change = |p: f64| {
            let (low, high) = lags.interval_of_difference(p);
            (format!("{low:+.2} to {high:+.2}"), sign(low, high))
        };
        let (usd, other_usd) = (Mean::of(&ours.usd), Mean::of(&theirs.usd));
        let saved = Mean::of_differences(&ours.usd, &theirs.usd);
        let ((p99_text, p99), told) = (change(0.99), objects >= LEAST_FOR_P999);
        let (p999_text, p999) = change(0.999);
        let cheaper = saved.sign();
        tally.rows += 1;
        tally.worse_delay += usize::from(p99 == Sign::Above);
        tally.worse_cost += usize::from(cheaper == Sign::Above);
        if told {
            tally.with_p999 += 1;
            tally.better_p999 += usize::from(p999 == Sign::Below);
            tally.worse_p999 += usize::from(p999 == Sign::Above);
        }
        let word = |sign: Sign| match sign {
            Sign::Below => "better",
            Sign::Undecided => "equal",
            Sign::Above => "WORSE",
        };
        vec![
            format_bytes(self.case.size_bytes),
            self.case.destination.to_string(),
            objects.to_string(),
            shape(&self.ours),
            shape(&self.theirs),
            both(0.5),
            both(0.99),
            p99_text,
            if told { both(0.999) } else { "–".into() },
            if told { p999_text } else { "–".into() },
            format!(
                "{} / {} ({})",
                dollars(usd.value),
                dollars(other_usd.value),
                difference(usd.value, other_usd.value)
            ),
            format!(
                "p99 {}, p99.9 {}, $ {}",
                word(p99),
                if told { word(p999) } else { "–" },
                word(cheaper)
            ),
        ]
    }
}

/// By where an interval lies.
fn sign(low: f64, high: f64) -> Sign {
    match (low, high) {
        (_, high) if high < 0.0 => Sign::Below,
        (low, _) if low > 0.0 => Sign::Above,
        _ => Sign::Undecided,
    }
}

fn table(asked: &Replica, rows: Vec<Vec<String>>) -> Report {
    let sizes = SIZES.map(|(size, _)| {
        let objects = asked.objects_of(size);
        format!("{objects} of {}", format_bytes(size))
    });
    Report {
        title: "Replication from AWS us-east-1: planned, simulated, and beside other ways",
        notes: vec![
            format!(
                "Objects in each of {} seeds: {}, one every 20 s; the real engine in virtual time, the ledger on DynamoDB, parts copied by functions, objects in one piece by the process that was told. ± is half of the 95% interval of the mean of the seeds' quantiles (Student's t).",
                asked.seeds,
                sizes.join(", ")
            ),
            "Delay: from the PUT until the copy is readable, notification included (S3 to Lambda: p50 1.35 s, p99 2.22 s). The simulator's links, rates, starts and prices are the catalogue's; so are the planner's: what is shown is the planner's arithmetic and the engine's overheads, not real clouds.".into(),
            "Against λReplica's own design: [replica-designs.md](replica-designs.md).".into(),
            "VM mover (Skyplane's behaviour): two machines are provisioned for the transfer, move it over the measured 64-connection link, and are billed by the second, a minute at least; told as fast as a function is. At the catalogue's on-demand prices.".into(),
            "S3 RTC: about 20 s typically (λReplica, slides, \"Real-World Object Storage Trace\"; no distribution is published), egress and requests and $0.015 a GB (from memory). Between AWS regions only.".into(),
            "Machines of the process itself are not billed: they run whether or not there is a change. The simulated dollars contain what the ledger is asked while nothing changes, and a listing: together about $0.00005 an object at this load, which is most of the price of a small one.".into(),
            "The planner takes the fastest of the ways in time whose price is within 1% of the cheapest. Plans are carried out with as many workers as they say (`[engine] parts_a_worker = 1`); where nothing is planned, the engine gives an object a worker for every four parts.".into(),
        ],
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
            "VM mover: p50 s, $",
            "delay, $ against it",
            "S3 RTC: s, $",
        ],
        rows,
    }
}

fn against(asked: &Replica, rows: Vec<Vec<String>>, tally: &Tally) -> Report {
    let Tally {
        rows: all,
        worse_delay,
        worse_cost,
        with_p999,
        better_p999,
        worse_p999,
    } = tally;
    Report {
        title: "Skyfresh against λReplica's own design, in the same simulated sky",
        notes: vec![
            format!(
                "**Of {all} rows: p99 worse in {worse_delay}, dollars worse in {worse_cost}. Of {with_p999} rows with a p99.9: strictly better in {better_p999}, worse in {worse_p999}.**"
            ),
            "In each cell Skyfresh stands first. Both see the same objects, notifications and links, with the same seeds.".into(),
            "λReplica's design, as far as it is published: the cheapest region and number of functions whose p99 by Normal and Gumbel is within the SLO, parts of 8 MiB, a counter that hands each part out once, one part at a time in each function, which ends when the counter does. It is carried out by our engine, so that it has neither the prototype's polling, nor its lost parts, nor its copies through disk, which would make it worse.".into(),
            format!(
                "Quantiles are of all objects of {} seeds together. Differences are Skyfresh's quantile less the other's: 95% intervals by bootstrap over pairs of the same object (1,000 draws). Dollars are better or worse where the 95% interval of the seeds' differences (Student's t) does not hold zero. A p99.9 is told of 1,000 objects and more; of fewer it would be the maximum.",
                asked.seeds
            ),
            "Objects in one piece are copied by the same process in both, which favours λReplica: a function of its own would have to start first, and be paid.".into(),
            "No function dies here. Where one does, the prototype loses its parts; its design with our lease waits a minute for them.".into(),
        ],
        columns: vec![
            "size",
            "to",
            "objects",
            "Skyfresh",
            "λReplica's design",
            "p50 s",
            "p99 s",
            "difference of p99, s",
            "p99.9 s",
            "difference of p99.9, s",
            "$ each",
            "verdict",
        ],
        rows,
    }
}
