//! `skyfresh changelog`.

use super::api::{ServerArgs, encode};
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::output::printable;
use clap::Subcommand;
use skyfresh_engine::{ChangelogAdded, ChangelogEntry, ChangelogInput, ChangelogOperation};
use skyfresh_sky::ObjectKey;
use std::time::Duration;

/// Tell how an object was made, so that its bytes need not be sent again
///
/// Where the destination holds verified copies of what the object was made from, its store makes the same of them, without a byte
/// leaving the source. Checksums decide whether it may: an entry that is wrong costs a look, and the bytes are sent.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh changelog add models copy models/v1.bin models/v2.bin
  skyfresh changelog add models rename models/tmp.bin models/final.bin
  skyfresh changelog add logs concat day.log 00.log 01.log 02.log")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Add(Add),
}

/// Add an entry: NEW was made from others, and has changed at the source
///
/// Returns once the entry is in the ledger. Inputs are pinned to the versions that the source has of them now.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh changelog add models copy models/v1.bin models/v2.bin
  skyfresh changelog add models concat logs/day.log logs/00.log logs/01.log logs/02.log
  skyfresh changelog add models concat logs/day.log logs/day.log logs/03.log
  skyfresh changelog add models rename models/tmp.bin models/final.bin --json")]
struct Add {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,
    #[command(subcommand)]
    made: Made,
}

#[derive(Debug, Subcommand)]
enum Made {
    /// NEW has the bytes of OLD
    #[command(after_help = "\
Examples:
  skyfresh changelog add models copy a.bin b.bin
  skyfresh changelog add models copy 'with spaces.bin' b.bin
  skyfresh changelog add models copy a.bin b.bin --json")]
    Copy {
        /// The key that was copied
        #[arg(value_name = "OLD")]
        old: String,
        /// The key it was copied to
        #[arg(value_name = "NEW")]
        new: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// NEW has the bytes of OLD, which is gone or about to go
    #[command(after_help = "\
Examples:
  skyfresh changelog add models rename a.bin b.bin
  skyfresh changelog add models rename tmp/a.bin done/a.bin
  skyfresh changelog add models rename a.bin b.bin --json")]
    Rename {
        /// The old key
        #[arg(value_name = "OLD")]
        old: String,
        /// The new key
        #[arg(value_name = "NEW")]
        new: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// NEW has the bytes of all the others, in this order; NEW itself may be among them, which is an append
    #[command(after_help = "\
Examples:
  skyfresh changelog add models concat all.csv 1.csv 2.csv 3.csv
  skyfresh changelog add models concat all.csv all.csv 4.csv
  skyfresh changelog add models concat all.csv 1.csv 2.csv --json")]
    Concat {
        /// The key that was made
        #[arg(value_name = "NEW")]
        new: String,
        /// The keys it was made from
        #[arg(value_name = "INPUT", required = true)]
        inputs: Vec<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let What::Add(add) = args.what;
    let (entry, server) = entry(add.made)?;
    let body = serde_json::to_vec(&entry)?;
    let client = server.client(context)?;
    let path = format!("/v1/rules/{}/changelog", encode(&add.rule));
    let added: ChangelogAdded = client.post_json(&path, body, Duration::ZERO).await?;
    match context.output.json {
        true => context.output.json_line(&added)?,
        false => {
            let output = printable(added.entry.output.as_str(), false);
            context.output.line(format_args!(
                "{}: {output} will be made of {} where its destinations can; `skyfresh explain {} {output}` shows how it went",
                add.rule,
                crate::render::objects(added.entry.inputs().len() as u64),
                add.rule,
            ));
        }
    }
    Ok(Exit::Ok)
}

fn entry(made: Made) -> anyhow::Result<(ChangelogEntry, ServerArgs)> {
    let key = |text: String| {
        ObjectKey::new(text).map_err(|error| Told::new(Exit::Usage, error.to_string()))
    };
    let input = |text: String| {
        Ok::<_, Told>(ChangelogInput {
            key: key(text)?,
            version: None,
        })
    };
    let (output, operation, server) = match made {
        Made::Copy { old, new, server } => {
            let input = input(old)?;
            (new, ChangelogOperation::Copy { input }, server)
        }
        Made::Rename { old, new, server } => {
            let input = input(old)?;
            (new, ChangelogOperation::Rename { input }, server)
        }
        Made::Concat {
            new,
            inputs,
            server,
        } => {
            let inputs = inputs.into_iter().map(input).collect::<Result<_, _>>()?;
            (new, ChangelogOperation::Concat { inputs }, server)
        }
    };
    let output = key(output)?;
    Ok((ChangelogEntry { output, operation }, server))
}
