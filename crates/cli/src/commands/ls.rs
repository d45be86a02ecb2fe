//! `skyfresh ls`: what is in a bucket or a directory.

use crate::commands::Filters;
use crate::context::Context;
use crate::exit::{Exit, Failures, Told};
use crate::listing::{Entry, Level, Named, Page, Place};
use crate::objects::Which;
use crate::output::{Style, printable};
use crate::render::{size, to_the_second};
use futures::TryStreamExt as _;
use serde::Serialize;
use skyfresh_engine::Globs;
use skyfresh_sky::Timestamp;
use skyfresh_store::ListedObject;

/// List objects: size, time and key
///
/// Shows one level: objects, and with `PRE` in place of a size the common prefixes of what lies deeper. With -r, or for a glob,
/// shows everything below. Keys are shown from what was named on; control characters in them are escaped. With --json each line
/// has the whole key, the entity tag, and a URI that other commands take.
///
/// Filters see the same keys; at one level they see a common prefix with its / at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh ls s3://models/
  skyfresh ls -r --human gs://models/llama/ --include '*.safetensors'
  skyfresh ls 's3://logs/2026-1*/*.gz?region=eu-west-1' --json
  skyfresh ls az://account/container/ --limit 20")]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    /// Everything below, not one level
    #[arg(short, long)]
    recursive: bool,
    /// Sizes in KiB, MiB, …
    #[arg(long)]
    human: bool,
    /// At most so many lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    #[command(flatten)]
    filters: Filters,
}

/// An object, as JSON.
#[derive(Serialize)]
struct ObjectLine<'a> {
    uri: String,
    key: &'a str,
    size: u64,
    etag: &'a str,
    modified: Timestamp,
}

/// A common prefix, as JSON.
#[derive(Serialize)]
struct PrefixLine<'a> {
    uri: String,
    prefix: &'a str,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let opener = args.named.opener(context)?;
    let places = args.named.open(&opener, false)?;
    let several = places.len() > 1;
    let mut listing = Listing {
        globs: args.filters.globs()?,
        left: args.limit.unwrap_or(u64::MAX),
        args: &args,
        context,
    };
    let mut failures = Failures::default();
    let all = async {
        for (index, place) in places.into_iter().enumerate() {
            if several && !context.output.json {
                let gap = if index == 0 { "" } else { "\n" };
                let named = printable(&place.described(), false);
                context.output.line(format_args!("{gap}{named}:"));
            }
            let listed = match place.or_below(&opener).await {
                Ok(place) => listing.list(&place).await,
                Err(error) => Err(error),
            };
            if let Err(error) = listed {
                failures.tell(&context.output, &error);
            }
        }
    };
    tokio::select! {
        () = all => {}
        () = context.stop.cancelled() => return Ok(Exit::Interrupted),
    }
    Ok(failures.exit())
}

/// What is shown, and how much of it.
struct Listing<'a> {
    args: &'a Args,
    context: &'a Context,
    globs: Globs,
    /// Lines that may still be printed.
    left: u64,
}

impl Listing<'_> {
    fn is_over(&self) -> bool {
        self.left == 0 || self.context.output.is_cut()
    }

    async fn list(&mut self, place: &Place) -> anyhow::Result<()> {
        let before = self.left;
        if matches!(place.which(), Which::All) && !self.args.recursive {
            let mut level = Level::new(place);
            while !self.is_over()
                && let Some(mut entries) = level.next().await?
            {
                entries.retain(|entry| self.globs.admit(place.name(entry.key())));
                self.show(place, &entries)?;
            }
        } else {
            let mut pages = place.pages(&self.globs);
            while !self.is_over()
                && let Some(Page { objects, unusable }) = pages.try_next().await?
            {
                let objects = objects.into_iter().map(Entry::Object);
                let unusable = unusable.into_iter().map(Entry::Unusable);
                self.show(place, &objects.chain(unusable).collect::<Vec<_>>())?;
            }
        }
        match self.left == before && before > 0 {
            true => self.nothing(place),
            false => Ok(()),
        }
    }

    /// An empty bucket is one; of a prefix that nothing begins with nobody can say that it is there.
    fn nothing(&self, place: &Place) -> anyhow::Result<()> {
        let nothing = format!("there is nothing at {}", place.described());
        if place.is_whole() || self.args.filters.are_given() {
            let nothing = printable(&nothing, false);
            self.context.output.note(format_args!("note: {nothing}"));
            return Ok(());
        }
        Err(Told::new(Exit::Failed, nothing).hint(place.around()).into())
    }

    fn show(&mut self, place: &Place, entries: &[Entry]) -> anyhow::Result<()> {
        let mut text = String::new();
        for entry in entries {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            match self.context.output.json {
                true => text.push_str(&json_line(place, entry)?),
                false => text.push_str(&self.line(place, entry)),
            }
            text.push('\n');
        }
        self.context.output.text(&text);
        Ok(())
    }

    fn line(&self, place: &Place, entry: &Entry) -> String {
        let output = &self.context.output;
        let name = printable(place.name(entry.key()), false);
        match entry {
            Entry::Prefix(_) => {
                format!(
                    "{:>14}  {:20}  {}",
                    "PRE",
                    "",
                    output.paint(Style::Bold, name)
                )
            }
            Entry::Unusable(_) => {
                let remark = output.paint(Style::Yellow, "cannot be an object");
                format!("{:>14}  {:20}  {name}  ({remark})", "-", "")
            }
            Entry::Object(object) => {
                let (size, time) = (
                    size(object.size, self.args.human),
                    to_the_second(object.modified),
                );
                format!("{size:>14}  {time:20}  {name}")
            }
        }
    }
}

fn json_line(place: &Place, entry: &Entry) -> serde_json::Result<String> {
    let uri = place.uri(entry.key());
    match entry {
        Entry::Prefix(prefix) => serde_json::to_string(&PrefixLine { uri, prefix }),
        Entry::Unusable(key) => {
            serde_json::to_string(&serde_json::json!({"uri": uri, "key": key, "unusable": true}))
        }
        Entry::Object(object) => {
            let ListedObject {
                key,
                size,
                etag,
                modified,
            } = object;
            serde_json::to_string(&ObjectLine {
                uri,
                key: key.as_str(),
                size: *size,
                etag,
                modified: *modified,
            })
        }
    }
}
