//! `skyfresh sweep`.

use super::api::{ServerArgs, encode};
use crate::context::Context;
use crate::exit::Exit;
use serde_json::Value;
use std::time::Duration;

/// Ask for a comparison of listings now, instead of at the rule's next sweep
///
/// Returns at once; `skyfresh wait RULE --until now` waits until what it finds is done.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh sweep models
  skyfresh sweep models && skyfresh wait models --until now
  skyfresh sweep models --json")]
pub(crate) struct Args {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let client = args.server.client(context)?;
    let path = format!("/v1/rules/{}/sweep", encode(&args.rule));
    let answer: Value = client.post(&path, Duration::ZERO).await?;
    match context.output.json {
        true => context.output.json_line(&answer)?,
        false => context.output.line(format_args!(
            "{}: sweep asked for; `skyfresh status` shows its result",
            args.rule
        )),
    }
    Ok(Exit::Ok)
}
