//! `skyfresh doctor`: who we are at every side, what works, what does not, and the policy to paste.

mod abilities;
mod identity;
mod notifications;
mod permission;
mod policy;
mod report;
mod side;
mod tell;

use crate::commands::with_config;
use crate::config::{ChannelAddress, ChannelSection, Config};
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::locations::parse_location;
use side::{Needs, Role, RuleOfSide, Side};
use skyfresh_sky::Location;
use std::path::PathBuf;

/// Check identity, permissions and abilities of every side, and print the policy each needs
///
/// Sources are only read. At destinations probe objects named .skyfresh-probe-… are written and removed again, since some
/// stores silently ignore conditions: what they really do decides which guarantees hold, and that is told. Exits with 0
/// if everything needed works.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh doctor s3://models/ s3://models-eu/
  skyfresh doctor -c skyfresh.toml
  skyfresh doctor s3://a/ s3://b/ --delete --json | jq '.sides[1].policy.run.documents[0].content' > policy.json")]
pub(crate) struct Args {
    /// Where objects come from; with -c alone, every rule of the configuration is checked
    #[arg(value_name = "SRC", value_parser = parse_location, required_unless_present = "config")]
    source: Option<Location>,
    /// Where they go
    #[arg(value_name = "DST", value_parser = parse_location)]
    destinations: Vec<Location>,
    /// The rule will delete
    #[arg(long)]
    delete: bool,
    /// The rule will copy tags
    #[arg(long)]
    tags: bool,
    /// Configuration to check, or to take [endpoint.NAME] sections from
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let opener = with_config(args.config.as_deref(), context)?;
    let sides = sides(&args, context)?;
    let mut reports = Vec::new();
    for side in &sides {
        // Only between sides: a probe that is cut off would leave its objects behind.
        if context.stop.is_cancelled() {
            return Ok(Exit::Interrupted);
        }
        let report = report::examine(side, &opener, context).await;
        if !context.output.json {
            report.tell(context);
        }
        reports.push(report);
    }
    let problems = reports.iter().filter(|report| !report.works()).count();
    if context.output.json {
        context
            .output
            .json_line(&serde_json::json!({ "works": problems == 0, "sides": reports }))?;
    }
    match problems {
        0 => Ok(Exit::Ok),
        _ => Err(Told::new(
            Exit::Unreachable,
            format!("{problems} of {} sides do not work", reports.len()),
        )
        .hint("mend what is marked above and run it again")
        .into()),
    }
}

/// What is to be examined: each location once in each role.
fn sides(args: &Args, context: &Context) -> anyhow::Result<Vec<Side>> {
    let mut sides: Vec<Side> = Vec::new();
    if let Some(source) = &args.source {
        let needs = Needs {
            delete: args.delete,
            tags: args.tags,
        };
        add(&mut sides, Side::new(Role::Source, source.clone(), needs));
        for destination in &args.destinations {
            add(
                &mut sides,
                Side::new(Role::Destination, destination.clone(), needs).holding(source),
            );
        }
        return Ok(sides);
    }
    let path = args
        .config
        .as_deref()
        .unwrap_or(std::path::Path::new("skyfresh.toml"));
    let config = Config::read(path, &context.environment)?;
    for rule in &config.rules {
        let needs = Needs {
            delete: rule.delete,
            tags: rule.tags,
        };
        let mut source = Side::new(Role::Source, rule.source.clone(), needs);
        source.rules = vec![RuleOfSide {
            name: rule.name.clone(),
            sweep_every: rule.sweep_every,
            channels: channels_of(&config, &rule.name),
            wired: crate::wiring::Records::beside(&config.ledger.path).read(&rule.name)?,
        }];
        add(&mut sides, source);
        for destination in &rule.destinations {
            let location = destination.location.clone();
            let side = Side::new(Role::Destination, location, needs);
            add(&mut sides, side.holding(&rule.source));
        }
    }
    match sides.is_empty() {
        true => Err(Told::new(
            Exit::Usage,
            format!("{} has no rules to check", path.display()),
        )
        .into()),
        false => Ok(sides),
    }
}

/// The channels that are pulled for a rule, by the last part of their address: what providers call queue or subscription.
fn channels_of(config: &Config, rule: &str) -> Vec<String> {
    let meant = |channel: &&ChannelSection| {
        channel.rules.is_empty() || channel.rules.iter().any(|name| name == rule)
    };
    let channels = config.channels.iter().filter(meant);
    channels
        .map(|channel| match &channel.address {
            ChannelAddress::Sqs(address)
            | ChannelAddress::Pubsub(address)
            | ChannelAddress::AzureQueue(address) => address,
        })
        .map(|address| {
            address
                .trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

fn add(sides: &mut Vec<Side>, side: Side) {
    let known = sides
        .iter_mut()
        .find(|known| known.role == side.role && known.location == side.location);
    match known {
        Some(known) => {
            known.needs = known.needs.and(side.needs);
            known.rules.extend(side.rules);
            known.sources.extend(side.sources);
        }
        None => sides.push(side),
    }
}
