//! `cargo xtask eval replica`: what replication takes and costs, beside other ways, carried out by the real engine in the
//! simulated sky.
//!
//! **In:** the catalogue, the planner, and `skyfresh sim`, built in release. **Out:** a table in `docs/results/` for each part,
//! printed as well, and pictures. **Never:** a figure that was not simulated, or computed from the sources that stand beside it.

mod ablations;
mod batching;
mod bulk;
mod bursts;
mod calibration;
mod changelog;
mod choice;
mod delay;
mod peers;
mod stats;
mod world;

use anyhow::{Context, Result, bail};
use skyfresh_sky::{Region, Usd};
use world::Lab;

/// Simulate replication from AWS us-east-1 as planned, beside other ways, and why it does so.
#[derive(clap::Args)]
pub(crate) struct Replica {
    /// The part to run, several with several of these; all where it is left out
    #[arg(long = "part", value_name = "NAME")]
    parts: Vec<Part>,
    /// Seeds, each a run of its own
    #[arg(long, value_name = "N", default_value = "3")]
    seeds: u64,
    /// Objects in each run of the first part; a sixteenth of those of 1 GB
    #[arg(long, value_name = "N", default_value = "334")]
    objects: u64,
    /// Virtual minutes of each run of the bursts
    #[arg(long, value_name = "N", default_value = "6")]
    minutes: u64,
}

/// See the modules of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Delay and cost to nine regions, against three others
    Delay,
    /// 100 GB by hundreds of functions
    Bulk,
    /// What pulling, duplicating and choosing a region are worth
    Ablations,
    /// Predicted against observed, before and after learning
    Calibration,
    /// The synthetic, IBM-like load with bursts of 5 to 30 times
    Bursts,
    /// One object that changes again and again
    Batching,
    /// Objects made from others
    Changelog,
}

impl Part {
    /// Those that run where nothing is asked for.
    const USUAL: [Part; 7] = [
        Part::Delay,
        Part::Bulk,
        Part::Ablations,
        Part::Calibration,
        Part::Bursts,
        Part::Batching,
        Part::Changelog,
    ];
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
/// Objects up to this size are so many as is asked for; of larger ones a sixteenth, which moves about as many bytes.
const MANY_UP_TO_BYTES: u64 = 128_000_000;
/// How S3 tells a function of a change; the delay until then is part of the SLO.
const NOTIFICATION: &str = "s3-lambda";
const STATE: &str = "dynamodb";

fn region(name: &str) -> Result<Region> {
    name.parse().with_context(|| format!("{name} is no region"))
}

fn dollars(usd: f64) -> String {
    Usd::from_usd(usd).to_string()
}

/// `-12.3%`: by how much ours differs from another.
fn difference(ours: f64, other: f64) -> String {
    format!("{:+.1}%", (ours / other - 1.0) * 100.0)
}

impl Replica {
    /// Runs it; true where every simulated run kept its guarantees and what was called in time was.
    pub(crate) fn run(self) -> Result<bool> {
        if self.seeds < 2 {
            bail!("an interval over seeds needs at least two of them: --seeds 2 or more");
        }
        world::build()?;
        let lab = Lab::default();
        let parts = match self.parts.is_empty() {
            true => Part::USUAL.to_vec(),
            false => self.parts.clone(),
        };
        let mut good = true;
        for part in parts {
            println!("{part:?}");
            good &= match part {
                Part::Delay => delay::run(&lab, &self)?,
                Part::Bulk => bulk::run(&lab, &self)?,
                Part::Ablations => ablations::run(&lab, &self)?,
                Part::Calibration => calibration::run(&lab, &self)?,
                Part::Bursts => bursts::run(&lab, &self)?,
                Part::Batching => batching::run(&lab, &self)?,
                Part::Changelog => changelog::run(&lab, &self)?,
            };
        }
        Ok(good)
    }

    /// Objects of this size in a run of the first part.
    fn objects_of(&self, size_bytes: u64) -> u64 {
        match size_bytes {
            ..=MANY_UP_TO_BYTES => self.objects,
            _ => (self.objects / 16).max(1),
        }
    }
}
