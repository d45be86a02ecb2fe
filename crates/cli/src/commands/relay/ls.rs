//! `skyfresh relay ls`.

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, Table, printable};
use crate::rented::{MachineLine, Renting};
use std::path::PathBuf;

/// List the machines that are rented for relays
///
/// In all regions of the file, whoever rented them and whether or not their job still runs. A machine is EXPIRED that should have
/// ended by itself and has not. One is STOPPED that has shut down and is kept, as Google and Azure do: its disk is paid, and at Azure
/// its host until Azure takes it off.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh relay ls machines.toml
  skyfresh relay ls machines.toml --all
  skyfresh relay ls machines.toml --json")]
pub(super) struct Args {
    /// The file that says what is rented where, as `--relays rented:FILE` takes it
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Also machines that are gone and still shown by their provider
    #[arg(long)]
    all: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let (machines, complete) = Renting::read(&args.file, None)?.find(context).await?;
    let exit = if complete { Exit::Ok } else { Exit::Failed };
    let machines = machines
        .iter()
        .filter(|machine| args.all || machine.is_there());
    let output = &context.output;
    let now = context.clock.now();
    let lines: Vec<MachineLine> = machines
        .map(|machine| MachineLine::of(machine, now))
        .collect();
    if output.json {
        for line in &lines {
            output.json_line(line)?;
        }
        return Ok(exit);
    }
    if lines.is_empty() && complete {
        output.note("no machine is rented");
        return Ok(exit);
    }
    let mut table = Table::new(&[
        "ID", "REGION", "KIND", "STATE", "JOB", "RELAY", "OWNER", "ENDS",
    ]);
    for line in &lines {
        let (state, style) = match (line.expired, line.state) {
            (true, "stopped") => ("STOPPED", Style::Red),
            (true, _) => ("EXPIRED", Style::Red),
            (false, state) => (state, Style::Plain),
        };
        let plain = |text: &str| (Style::Plain, printable(text, false));
        table.row(vec![
            plain(&line.id),
            plain(&line.region),
            plain(&line.kind),
            (style, state.to_owned()),
            plain(&line.job),
            plain(&line.relay),
            plain(&line.owner),
            plain(&line.ends),
        ]);
    }
    output.line(table.render(output, 0));
    Ok(exit)
}
