//! The command line.

use crate::commands;
use crate::output::ColorChoice;
use clap::{Args, Parser, Subcommand};

/// Three things people do.
const EXAMPLES: &str = "\
Examples:
  See it work, on this machine alone:
    skyfresh demo
  Keep a directory fresh in a bucket, deletes included, until Ctrl-C:
    skyfresh replicate ./models s3://models-eu/ --slo 60s --delete
  Copy what differs between two buckets of different providers, prove it, and exit:
    skyfresh replicate s3://data/a/ 's3://backup/a/?endpoint=https://storage.example.com' --once
  Run the daemon, then wait until everything written so far has arrived everywhere:
    skyfresh serve -c skyfresh.toml
    skyfresh wait models --until now --timeout 10m

Exit codes: 0 done and verified, 1 some failed or differ, 2 usage or configuration, 3 refused for safety,
4 cannot reach or not permitted, 5 timed out, 130 interrupted.";

/// Keeps data fresh across clouds and regions: says how far behind, and proves it.
#[derive(Debug, Parser)]
#[command(name = "skyfresh", version, after_help = EXAMPLES, propagate_version = true)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Print results as JSON, one value a line
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Say more on standard error: -v what happens, -vv why, -vvv everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
    /// Say nothing but results and errors
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Global options"
    )]
    pub(crate) quiet: bool,
    /// When to use colours; NO_COLOR is respected
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(crate) color: ColorChoice,
}

/// One command, one file below `commands/`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(commands::demo::Args),
    Cp(commands::cp::Args),
    Sync(commands::sync::Args),
    Replicate(commands::replicate::Args),
    Serve(commands::serve::Args),
    Status(commands::status::Args),
    Wait(commands::wait::Args),
    Explain(commands::explain::Args),
    Verify(commands::verify::Args),
    Ls(commands::ls::Args),
    Du(commands::du::Args),
    Cat(commands::cat::Args),
    Head(commands::head::Args),
    Rm(commands::rm::Args),
    Doctor(commands::doctor::Args),
    Profile(commands::profile::Args),
    Wire(commands::wire::Args),
    Unwire(commands::unwire::Args),
    Rules(commands::rules::Args),
    Pause(commands::pause::Args),
    Resume(commands::resume::Args),
    Sweep(commands::sweep::Args),
    Weights(commands::weights::Args),
    Changelog(commands::changelog::Args),
    Reload(commands::reload::Args),
    Localsky(commands::localsky::Args),
    Relay(commands::relay::Args),
    Plan(Box<commands::plan::Args>),
    Place(commands::place::Args),
    Sim(commands::sim::Args),
    Features(commands::features::Args),
    Catalog(commands::catalog::Args),
    Completions(commands::completions::Args),
}
