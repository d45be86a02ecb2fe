//! `cargo xtask bench`: whole processes under a load, measured from outside.
//!
//! **In:** release builds of the product; a workload.
//! **Out:** quantiles of delay, CPU seconds and peak memory, as a table in `docs/results/` and on the terminal.
//! **Never:** measures with the code under test: requests are signed and sent by a client of its own (`s3`).

pub(crate) mod child;
mod copy;
mod load;
mod plan;
mod quantile;
mod replicate;
mod s3;
pub(crate) mod usage;

use anyhow::Result;
use clap::Subcommand;

/// Measure whole processes and write the figures to docs/results/.
#[derive(clap::Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    Copy(copy::Copy),
    Plan(plan::Plan),
    Replicate(replicate::Replicate),
}

impl Bench {
    /// Runs the scenario; true where everything that was written also arrived.
    pub(crate) fn run(self) -> Result<bool> {
        match self.scenario {
            Scenario::Copy(scenario) => scenario.run(),
            Scenario::Plan(scenario) => scenario.run(),
            Scenario::Replicate(scenario) => scenario.run(),
        }
    }
}
