//! `skyfresh reload`.

use super::api::ServerArgs;
use crate::context::Context;
use crate::exit::Exit;
use skyfresh_engine::Applied;
use std::time::Duration;

/// Make the daemon read the rules of its configuration again
///
/// Only the rules that changed are restarted. Nothing changes if the new configuration is wrong. Changes in other sections
/// need a restart of the daemon, which says so in its log.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh reload
  skyfresh reload --json
  skyfresh reload --server http://10.0.0.7:7070")]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let applied: Applied = args
        .server
        .client(context)?
        .post("/v1/reload", Duration::ZERO)
        .await?;
    let output = &context.output;
    if output.json {
        output.json_line(&applied)?;
        return Ok(Exit::Ok);
    }
    let changes = [
        ("started", &applied.started),
        ("restarted", &applied.restarted),
        ("stopped", &applied.stopped),
    ];
    for (what, rules) in changes {
        if !rules.is_empty() {
            output.line(format_args!("{what}: {}", rules.join(", ")));
        }
    }
    if changes.iter().all(|(_, rules)| rules.is_empty()) {
        output.line("nothing changed");
    }
    Ok(Exit::Ok)
}
