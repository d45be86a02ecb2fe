//! `skyfresh pause`.

use super::api::{ServerArgs, encode};
use crate::context::Context;
use crate::exit::Exit;
use serde_json::Value;
use std::time::Duration;

/// Pause a rule; survives restarts of the daemon
///
/// What is being copied is finished. Changes are still taken in, and wait.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh pause models
  skyfresh pause models --json
  skyfresh pause models --server http://10.0.0.7:7070")]
pub(crate) struct Args {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let client = args.server.client(context)?;
    let path = format!("/v1/rules/{}/pause", encode(&args.rule));
    let answer: Value = client.post(&path, Duration::ZERO).await?;
    match context.output.json {
        true => context.output.json_line(&answer)?,
        false => context.output.line(format_args!(
            "{}: paused; changes are still taken in",
            args.rule
        )),
    }
    Ok(Exit::Ok)
}
