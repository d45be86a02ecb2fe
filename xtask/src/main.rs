//! The project's own commands, as `cargo xtask <command>`.
//!
//! **In:** a command line; the workspace this was built from; tools of the machine (cargo, Python).
//! **Out:** test servers, test runs, checks and benchmarks, and an exit code: 0 where everything asked for was done.
//! **Never:** installs anything outside `target/`, but for the cargo subcommands it names as it does so; leaves a process
//! running that it started; opens a port on any address but 127.0.0.1.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a development tool: it talks to a person, reads the environment, and measures in real time"
)]

mod bench;
mod cargo;
mod ci;
mod debian;
mod eval;
mod process;
mod python;
mod report;
mod runner;
mod servers;
mod skips;
mod soak;
mod test;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Test(test::Test),
    Ci(ci::Ci),
    Bench(bench::Bench),
    Eval(eval::Eval),
    Soak(soak::Soak),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = process::stop_children_on_interrupt().and_then(|()| match arguments.command {
        Command::Test(command) => command.run(),
        Command::Ci(command) => command.run(),
        Command::Bench(command) => command.run(),
        Command::Eval(command) => command.run(),
        Command::Soak(command) => command.run(),
    });
    if process::interrupted() {
        return ExitCode::from(process::INTERRUPTED_EXIT_CODE);
    }
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
