//! `skyfresh weights`: what stale reads cost.

use super::api::{ServerArgs, encode};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, Table};
use skyfresh_engine::Weight;

/// Say, or show, what stale reads of a rule's keys cost
///
/// Where workers are short, what can be in time goes first, by its deadline; of what cannot, that with the most regret per dollar. A
/// WEIGHT is the regret for each second that a key is stale: what a stale read counts, times reads a second. Of several prefixes of
/// a key the longest counts; a key without one weighs 1. What is given takes the place of all weights the rule had, survives
/// restarts, and counts for what is begun from now on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh weights models
  skyfresh weights models prod/=12.5 prod/search/=40 experiments/=0.1
  skyfresh weights models --clear")]
pub(crate) struct Args {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    /// Weights by prefix of keys; none shows those there are. `=2` is for all keys
    #[arg(value_name = "PREFIX=WEIGHT", value_parser = parse_weight)]
    weights: Vec<Weight>,
    /// Forget all weights: every key weighs 1
    #[arg(long, conflicts_with = "weights")]
    clear: bool,
    #[command(flatten)]
    server: ServerArgs,
}

fn parse_weight(text: &str) -> Result<Weight, String> {
    // A prefix may have an equals sign in it, a number has none.
    let parts = text.rsplit_once('=');
    let (prefix, weight) = parts.ok_or("expected PREFIX=WEIGHT, e.g. models/=12.5")?;
    let weight = weight
        .parse()
        .ok()
        .filter(|weight: &f64| weight.is_finite() && *weight >= 0.0);
    Ok(Weight {
        prefix: prefix.to_owned(),
        regret_per_s: weight.ok_or("a weight is a number of 0 or more")?,
    })
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let client = args.server.client(context)?;
    let path = format!("/v1/rules/{}/weights", encode(&args.rule));
    let weights: Vec<Weight> = match args.clear || !args.weights.is_empty() {
        true => client.put(&path, &args.weights).await?,
        false => client.get(&path).await?,
    };
    let output = &context.output;
    if output.json {
        output.json_line(&weights)?;
        return Ok(Exit::Ok);
    }
    if weights.is_empty() {
        output.line(format_args!("{}: every key weighs 1", args.rule));
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["PREFIX", "WEIGHT"]);
    for weight in &weights {
        let (style, prefix) = match weight.prefix.as_str() {
            "" => (Style::Dim, "(all keys)"),
            prefix => (Style::Bold, prefix),
        };
        table.row(vec![
            (style, prefix.to_owned()),
            (Style::Plain, weight.regret_per_s.to_string()),
        ]);
    }
    output.line(table.render(output, 0).trim_end());
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_from_the_last_equals_sign() {
        let read = |text| parse_weight(text).map(|it| (it.prefix, it.regret_per_s));
        assert_eq!(read("a/=2.5"), Ok(("a/".into(), 2.5)));
        assert_eq!(read("day=1/=0"), Ok(("day=1/".into(), 0.0)));
        assert_eq!(read("=3"), Ok((String::new(), 3.0)));
        for bad in ["a", "a=", "a=x", "a=-1", "a=NaN", "a=inf"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
