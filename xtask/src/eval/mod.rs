//! `cargo xtask eval`: what the product can do, found out by its own suites and written to `docs/`.
//!
//! **In:** the suites and the servers they need. **Out:** tables in `docs/`. **Never:** a line that no run has made.

mod families;
mod features;
mod mutants;
mod overlay;
mod placement;
mod plot;
mod reference;
mod replica;
mod stores;

use anyhow::Result;
use clap::Subcommand;

/// Find out what the product can do, and write it to docs/.
#[derive(clap::Args)]
pub(crate) struct Eval {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    Families(families::Families),
    Features(features::Features),
    Mutants(mutants::Mutants),
    Overlay(overlay::Overlay),
    Placement(placement::Placement),
    Replica(replica::Replica),
    Stores(stores::Stores),
}

impl Eval {
    /// Runs it; true where everything was as it must be.
    pub(crate) fn run(self) -> Result<bool> {
        match self.subject {
            Subject::Families(subject) => subject.run(),
            Subject::Features(subject) => subject.run(),
            Subject::Mutants(subject) => subject.run(),
            Subject::Overlay(subject) => subject.run(),
            Subject::Placement(subject) => subject.run(),
            Subject::Replica(subject) => subject.run(),
            Subject::Stores(subject) => subject.run(),
        }
    }
}
