//! `skyfresh rules`: what the daemon keeps fresh.

use super::api::ServerArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, Table};
use skyfresh_engine::{Rule, RuleStatus};
use std::collections::BTreeMap;

/// List the rules of a running daemon
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh rules
  skyfresh rules --server http://10.0.0.7:7070
  skyfresh rules --json | jq -r '.[].name'")]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let client = args.server.client(context)?;
    let output = &context.output;
    let rules: Vec<Rule> = client.get("/v1/rules").await?;
    if output.json {
        output.json_line(&rules)?;
        return Ok(Exit::Ok);
    }
    if rules.is_empty() {
        output.line("no rules");
        return Ok(Exit::Ok);
    }
    // Whether a rule is paused now is not in the rule: that is how it starts.
    let status: Vec<RuleStatus> = client.get("/v1/status").await?;
    let paused: BTreeMap<&str, bool> = status
        .iter()
        .map(|rule| (rule.rule.as_str(), rule.paused))
        .collect();
    let mut table = Table::new(&["RULE", "STATE", "SLO", "DELETES", "SOURCE", "DESTINATIONS"]);
    for rule in &rules {
        let destinations: Vec<String> = rule
            .destinations
            .iter()
            .map(|destination| format!("{}={}", destination.name, destination.location))
            .collect();
        let state = match paused.get(rule.name.as_str()) {
            Some(true) => (Style::Yellow, "paused".into()),
            _ => (Style::Green, "running".into()),
        };
        table.row(vec![
            (Style::Bold, rule.name.clone()),
            state,
            (Style::Plain, rule.slo.to_string()),
            (
                Style::Plain,
                if rule.delete {
                    format!("up to {}/h", rule.max_deletes)
                } else {
                    "off".into()
                },
            ),
            (Style::Plain, rule.source.to_string()),
            (Style::Plain, destinations.join(" ")),
        ]);
    }
    output.line(table.render(output, 0).trim_end());
    Ok(Exit::Ok)
}
