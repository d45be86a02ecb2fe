//! `skyfresh resume`.

use super::api::{ServerArgs, encode};
use crate::context::Context;
use crate::exit::Exit;
use serde_json::Value;
use std::time::Duration;

/// Resume a paused rule
///
/// What has waited is worked on at once, and listings are compared.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh resume models
  skyfresh resume models --json
  skyfresh resume models --server http://10.0.0.7:7070")]
pub(crate) struct Args {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let client = args.server.client(context)?;
    let path = format!("/v1/rules/{}/resume", encode(&args.rule));
    let answer: Value = client.post(&path, Duration::ZERO).await?;
    match context.output.json {
        true => context.output.json_line(&answer)?,
        false => context.output.line(format_args!("{}: resumed", args.rule)),
    }
    Ok(Exit::Ok)
}
