//! `skyfresh status`: how fresh, how far behind, what fails, what it costs.

use super::api::{ServerArgs, encode};
use crate::client::ApiClient;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::printable;
use crate::render;
use serde::Deserialize;
use skyfresh_engine::RuleStatus;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often --watch looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Show lag, backlog, SLO attainment, failures with reasons, and spend
///
/// EQUAL AS OF is the proved watermark: a complete comparison of listings has shown that everything written before it is
/// at the destination. A + behind SPEND means that the catalogue has no price for this pair of regions.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh status
  skyfresh status models --watch
  skyfresh status --json | jq '.[].destinations[].lag.p99_s'")]
pub(crate) struct Args {
    /// Only this rule
    #[arg(value_name = "RULE")]
    rule: Option<String>,
    /// Show it again and again until Ctrl-C
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let client = args.server.client(context)?;
    let output = &context.output;
    loop {
        let rules = fetch(&client, args.rule.as_deref()).await?;
        let refused = match output.json {
            true => None,
            false => refused(&client).await?,
        };
        let text = || text(&rules, refused.as_deref(), context);
        if output.json {
            output.json_line(&rules)?;
        } else if args.watch && output.is_live() {
            output.frame(&text());
        } else {
            output.line(text().trim_end());
        }
        if !args.watch {
            return Ok(Exit::Ok);
        }
        tokio::select! {
            () = context.stop.cancelled() => return Ok(Exit::Ok),
            () = context.clock.sleep(LOOK_EVERY) => {}
        }
    }
}

async fn fetch(client: &ApiClient, rule: Option<&str>) -> anyhow::Result<Vec<RuleStatus>> {
    Ok(match rule {
        None => client.get("/v1/status").await?,
        Some(rule) => vec![client.get(&format!("/v1/status/{}", encode(rule))).await?],
    })
}

/// What of `/v1/channels` no rule's status has.
#[derive(Deserialize)]
struct Intake {
    notifications: Notifications,
}

#[derive(Deserialize)]
struct Notifications {
    refused: BTreeMap<String, u64>,
}

/// Pushed notifications that were refused, in words.
async fn refused(client: &ApiClient) -> anyhow::Result<Option<String>> {
    let intake: Intake = client.get("/v1/channels").await?;
    let refused = intake.notifications.refused;
    if refused.is_empty() {
        return Ok(None);
    }
    let reasons: Vec<String> = refused
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    Ok(Some(format!(
        "notifications refused: {}",
        reasons.join(", ")
    )))
}

fn text(rules: &[RuleStatus], refused: Option<&str>, context: &Context) -> String {
    if rules.is_empty() {
        return "no rules".into();
    }
    let now = context.clock.now();
    let rules: Vec<String> = rules
        .iter()
        .map(|rule| render::rule(&context.output, rule, now))
        .chain(refused.map(|refused| format!("{}\n", printable(refused, false))))
        .collect();
    rules.join("\n")
}
