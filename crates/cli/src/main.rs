//! The `skyfresh` binary: reads the command line, the environment and the configuration, runs one command, prints.
//!
//! In: arguments, environment variables, `skyfresh.toml`. Out: results on standard output, remarks and errors on standard
//! error, an exit code (`exit`). Never: decides what to copy; prints a secret; does anything nobody asked for.

mod args;
mod bulk;
mod catalog_file;
mod channels;
mod client;
mod commands;
mod config;
mod context;
mod environment;
mod exit;
mod hint;
mod listing;
mod locations;
mod logging;
mod objects;
mod open;
mod output;
#[cfg(test)]
mod reference;
mod render;
mod rented;
mod signals;
mod watch;
mod wiring;

use args::Cli;
use clap::Parser;
use context::Context;
use environment::Environment;
use exit::Exit;
use output::Output;
use skyfresh_sky::{Rng, SystemClock};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Threads that run tasks. The work is waiting for networks and disks; two keep up with it and cost little memory.
const WORKER_THREADS: usize = 2;
/// How long tasks that block a thread may go on after the command is done.
const LINGER: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment = Environment::capture();
    let global = &cli.global;
    let output = Output::new(
        global.json,
        global.quiet,
        global.color,
        environment.no_color(),
    );
    logging::start(
        global,
        &environment,
        cli.command.default_level(),
        output.error_color(),
    );
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&output, &anyhow::Error::new(error).context("cannot start")),
    };
    let (output, ended) = runtime.block_on(async {
        let stop = match signals::stop_on_signals() {
            Ok(stop) => stop,
            Err(error) => {
                return (
                    output,
                    Err(anyhow::Error::new(error).context("cannot listen for signals")),
                );
            }
        };
        let context = Context {
            environment,
            output,
            clock: Arc::new(SystemClock),
            rng: Rng::from_entropy(),
            stop,
        };
        let ended = commands::run(cli.command, &context).await;
        (context.output, ended)
    });
    runtime.shutdown_timeout(LINGER);
    match ended {
        Err(error) => fail(&output, &error),
        Ok(exit) => match output.write_failure() {
            None => exit.into(),
            Some(error) => fail(
                &output,
                &anyhow::Error::new(error).context("cannot write the results"),
            ),
        },
    }
}

fn fail(output: &Output, error: &anyhow::Error) -> ExitCode {
    let exit: Exit = exit::of(error);
    output.error(error, &hint::of(error));
    exit.into()
}
