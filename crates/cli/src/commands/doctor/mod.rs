//! `skyfresh doctor`: who we are at every side, what works, what does not, and the policy to paste.

mod policy;
mod report;
mod side;

use crate::commands::with_config;
use crate::config::Config;
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::locations::parse_location;
use crate::open::Opener;
use side::{Needs, Role, Side};
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
  skyfresh doctor s3://a/ s3://b/ --delete --json | jq '.sides[1].policy' > policy.json")]
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
    let mut add = |role, location: &Location, needs: Needs| match sides
        .iter_mut()
        .find(|side| side.role == role && side.location == *location)
    {
        Some(side) => side.needs = side.needs.and(needs),
        None => sides.push(Side {
            role,
            location: location.clone(),
            needs,
        }),
    };
    if let Some(source) = &args.source {
        let needs = Needs {
            delete: args.delete,
            tags: args.tags,
        };
        add(Role::Source, source, needs);
        args.destinations
            .iter()
            .for_each(|destination| add(Role::Destination, destination, needs));
        return Ok(sides);
    }
    let path = args
        .config
        .as_deref()
        .unwrap_or(std::path::Path::new("skyfresh.toml"));
    for rule in Config::read(path, &context.environment)?.rules {
        let needs = Needs {
            delete: rule.delete,
            tags: rule.tags,
        };
        add(Role::Source, &rule.source, needs);
        for destination in &rule.destinations {
            add(Role::Destination, &destination.location, needs);
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

/// Where the credentials of a location come from, in words. `key` is the access key id in use.
fn credential_source(opener: &Opener, location: &Location, key: &str, context: &Context) -> String {
    let section = opener
        .resolve(location)
        .ok()
        .and_then(|(_, section)| section);
    let profile = location.option("profile");
    if profile.is_none() && section.is_some_and(|section| section.keys.is_some()) {
        return format!(
            "[endpoint.{}] of the configuration",
            location.option("endpoint").unwrap_or_default()
        );
    }
    if let Some(profile) = profile.or(section.and_then(|section| section.profile.as_deref())) {
        return format!("profile {profile}");
    }
    if context.environment.get("AWS_ACCESS_KEY_ID") == Some(key) {
        return "environment (AWS_ACCESS_KEY_ID)".into();
    }
    match context.environment.get("AWS_PROFILE") {
        Some(profile) => {
            format!("profile {profile} (AWS_PROFILE), or what follows it in the standard chain")
        }
        None => "standard chain: shared files, web identity, container or instance role".into(),
    }
}

/// An access key id that others can recognise but not use.
fn masked(key: &str) -> String {
    let characters: Vec<char> = key.chars().collect();
    let shown = |range: &[char]| range.iter().collect::<String>();
    match characters.len() {
        0..8 => format!("{}…", shown(&characters[..characters.len().min(2)])),
        length => format!(
            "{}…{}",
            shown(&characters[..4]),
            shown(&characters[length - 4..])
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_key_can_be_recognised_but_not_used() {
        assert_eq!(masked("AKIAIOSFODNN7EXAMPLE"), "AKIA…MPLE");
        assert_eq!(masked("test"), "te…");
        assert_eq!(masked(""), "…");
    }
}
