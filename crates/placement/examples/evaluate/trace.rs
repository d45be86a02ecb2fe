//! A synthetic trace in the manner of the paper's (section 6.3): who places its objects at what cost, and how long it takes.
//!
//! 1.1 million objects of ten AWS regions in a week, 75 stores. Sizes are log-normal, median 100 KB, σ 2.2, at most 5 GB; the home
//! region and the hour are uniform, an object is kept from then to the week's end; 55% have one put; the home's gets follow Pareto's
//! law, α 1.2, at most 10,000. Remote regions read as model A says (each with probability p as often as the home) or B (each p times
//! as often).

use skyfresh_placement::{
    Limits, Prices, Requirements, Scenario, Workload, baselines, cost_of, solve,
};
use skyfresh_sky::Rng;
use std::collections::HashMap;
use std::time::Instant;

const OBJECTS: u64 = 1_100_000;
const THREADS: usize = 2;
/// The exact method places all objects; what is compared with it, one in so many (SpanStore decides by the sums of all).
const SAMPLED: u64 = 10;
const WEEK_HOURS: u64 = 168;
/// Hours in a month, as the published trace counts them: a byte-hour is 1.37e-12 GB-months.
const MONTH_HOURS: u128 = 730;
const BYTES_PER_GB: u128 = 1_000_000_000;
/// p is a whole number of these.
const PARTS: u128 = 1000;
/// The values of p, in [`PARTS`]: 0.1% to 100%, a decade apart.
const SHARES: [u128; 4] = [1, 10, 100, 1000];
/// All quantities are over this.
const DENOMINATOR: u128 = MONTH_HOURS * BYTES_PER_GB * PARTS;

const REGIONS: [&str; 10] = [
    "aws-us-east-2",
    "aws-us-west-2",
    "aws-eu-central-2",
    "aws-eu-west-2",
    "aws-ap-south-1",
    "aws-ap-southeast-2",
    "aws-eu-west-1",
    "aws-eu-south-1",
    "aws-me-central-1",
    "aws-eu-north-1",
];

/// Who places objects; the first is exact, and what the others are compared with.
const METHODS: [&str; 8] = [
    "exact, up to 12",
    "exact, up to 5",
    "SpanStore",
    "k-means",
    "profit",
    "single store",
    "home",
    "everywhere",
];

#[derive(Clone, Copy, PartialEq)]
enum Model {
    A,
    B,
}

/// One object: its group (hour, regions that access it), home and workload.
struct Object {
    group: (u64, u16),
    home: usize,
    workload: Workload,
}

struct Trace<'a> {
    scenario: &'a Scenario,
    /// Indices of [`REGIONS`].
    regions: Vec<usize>,
    model: Model,
    /// p, in [`PARTS`].
    remote: u128,
}

impl Trace<'_> {
    fn object(&self, number: u64) -> Object {
        let rng = Rng::seeded(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // Box and Muller.
        let normal =
            (-2.0 * (1.0 - rng.unit()).ln()).sqrt() * (std::f64::consts::TAU * rng.unit()).cos();
        let bytes = (1e5 * (2.2 * normal).exp()).clamp(1.0, 5e9) as u128;
        let home = rng.below(REGIONS.len() as u64) as usize;
        let hour = rng.below(WEEK_HOURS);
        let puts = u128::from(rng.chance(0.55));
        let gets = (1.0 - rng.unit()).powf(-1.0 / 1.2).min(1e4) as u128;
        let mut group = 1 << home;
        let mut reads = Vec::new();
        for (place, region) in self.regions.iter().enumerate() {
            let parts = match self.model {
                _ if place == home => PARTS,
                Model::A => PARTS * u128::from(rng.unit() * (PARTS as f64) < self.remote as f64),
                Model::B => self.remote,
            };
            if parts > 0 {
                group |= 1 << place;
                let (gets, gb) = (
                    gets * parts * (DENOMINATOR / PARTS),
                    gets * parts * bytes * MONTH_HOURS,
                );
                reads.push((*region, gets, gb));
            }
        }
        let kept = bytes * u128::from(WEEK_HOURS - hour) * PARTS;
        let ingress = vec![(self.regions[home], puts * bytes * MONTH_HOURS * PARTS)];
        let workload = Workload::from_parts(
            self.scenario,
            DENOMINATOR,
            (kept, puts * DENOMINATOR),
            ingress,
            reads,
        );
        Object {
            group: (hour, group),
            home,
            workload: workload.expect("known regions"),
        }
    }

    /// What `of` gives for one in `step` objects, in shares of one thread each.
    fn on_threads<T: Send>(
        &self,
        step: u64,
        of: impl Fn(&mut dyn Iterator<Item = Object>) -> T + Sync,
    ) -> Vec<T> {
        std::thread::scope(|scope| {
            let of = &of;
            let run = |thread: usize| {
                move || {
                    of(&mut (thread as u64..OBJECTS / step)
                        .step_by(THREADS)
                        .map(|number| self.object(number * step)))
                }
            };
            let running: Vec<_> = (0..THREADS)
                .map(|thread| scope.spawn(run(thread)))
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        })
    }

    fn usd(&self, workload: &Workload, set: &[u32]) -> f64 {
        cost_of(self.scenario, workload, set)
            .expect("in reach")
            .0
            .usd()
    }
}

fn scenario(prices: &Prices, most: usize) -> Scenario {
    let asked = Requirements {
        regions: "aws".into(),
        max_replicas: Some(most),
        ..Requirements::default()
    };
    Scenario::new(prices, &asked).expect("a scenario")
}

pub(crate) fn run(prices: &Prices) {
    let (twelve, five) = (scenario(prices, 12), scenario(prices, 5));
    let index = |name: &&str| twelve.region(name).expect("a region of AWS");
    for model in [Model::A, Model::B] {
        for remote in SHARES {
            let trace = Trace {
                scenario: &twelve,
                regions: REGIONS.iter().map(index).collect(),
                model,
                remote,
            };
            one(&trace, &five);
        }
    }
}

/// Seconds that this thread has had a processor (Linux, proc(5): `schedstat`).
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let first = text.split_ascii_whitespace().next();
    first
        .and_then(|text| text.parse::<f64>().ok())
        .expect("nanoseconds")
        / 1e9
}

/// Dollars and seconds by method.
type Totals = [(f64, f64); METHODS.len()];

fn one(trace: &Trace<'_>, five: &Scenario) {
    let twelve = trace.scenario;
    // SpanStore sums first.
    let parts = trace.on_threads(1, |objects| {
        let mut sums: HashMap<(u64, u16), Workload> = HashMap::new();
        for object in objects {
            match sums.entry(object.group) {
                std::collections::hash_map::Entry::Occupied(mut sum) => {
                    let more = sum.get().plus(&object.workload).expect("within 128 bits");
                    sum.insert(more);
                }
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(object.workload);
                }
            }
        }
        sums
    });
    let mut sums: HashMap<(u64, u16), Workload> = HashMap::new();
    for (group, workload) in parts.into_iter().flatten() {
        let sum = match sums.get(&group) {
            Some(sum) => sum.plus(&workload).expect("within 128 bits"),
            None => workload,
        };
        sums.insert(group, sum);
    }
    let start = Instant::now();
    let decided: HashMap<(u64, u16), Vec<u32>> = sums
        .iter()
        .map(|(group, total)| {
            let set = baselines::span_store(twelve, total, Limits::default());
            (*group, set.expect("feasible"))
        })
        .collect();
    let span_seconds = start.elapsed().as_secs_f64();
    // The exact method alone, for its time.
    let start = Instant::now();
    let shares = trace.on_threads(1, |objects| {
        let before = processor_seconds();
        let with_gap = objects
            .map(|object| solve(twelve, &object.workload, Limits::default()).expect("feasible"))
            .filter(|placement| placement.gap > 0.0)
            .count();
        (with_gap, processor_seconds() - before)
    });
    let total_seconds = start.elapsed().as_secs_f64();
    let with_gap: usize = shares.iter().map(|(with_gap, _)| with_gap).sum();
    // What it takes where nothing else runs on the two processors.
    let busy_seconds = shares.iter().map(|(_, busy)| *busy).fold(0.0, f64::max);
    let parts = trace.on_threads(SAMPLED, |objects| {
        let mut totals: Totals = Default::default();
        for object in objects {
            let workload = &object.workload;
            let exact = |scenario: &Scenario| {
                solve(scenario, workload, Limits::default())
                    .expect("feasible")
                    .stores
            };
            let home = &trace.regions[object.home..=object.home];
            let methods: [&dyn Fn() -> Vec<u32>; METHODS.len()] = [
                &|| exact(twelve),
                &|| exact(five),
                &|| decided[&object.group].clone(),
                &|| baselines::k_means(twelve, workload, 5),
                &|| baselines::profit(twelve, workload, 12),
                &|| baselines::single_best(twelve, workload),
                &|| baselines::everywhere(twelve, workload, home),
                &|| baselines::everywhere(twelve, workload, &trace.regions),
            ];
            for (method, (usd, seconds)) in methods.iter().zip(&mut totals) {
                let start = Instant::now();
                let set = method();
                *seconds += start.elapsed().as_secs_f64();
                *usd += trace.usd(workload, &set);
            }
        }
        totals
    });
    for (place, method) in METHODS.iter().enumerate() {
        let usd: f64 = parts.iter().map(|totals| totals[place].0).sum();
        let mut seconds: f64 = parts.iter().map(|totals| totals[place].1).sum();
        if *method == "SpanStore" {
            seconds += span_seconds;
        }
        println!(
            "{}",
            serde_json::json!({
                "part": "trace", "model": if trace.model == Model::A { "A" } else { "B" },
                "remote": trace.remote as f64 / PARTS as f64, "method": method, "usd": usd, "cpu_seconds": seconds,
                "total_seconds": total_seconds, "busy_seconds": busy_seconds, "with_gap": with_gap, "groups": sums.len(),
                "objects": OBJECTS, "sampled": OBJECTS / SAMPLED,
            })
        );
    }
}
