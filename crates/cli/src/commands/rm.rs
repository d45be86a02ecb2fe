//! `skyfresh rm`: deletes objects.

mod consent;
mod delete;

use crate::commands::Filters;
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::listing::{Named, Place};
use crate::objects::Which;
use crate::render::objects;
use consent::Consent;
use futures::TryStreamExt as _;
use skyfresh_engine::Globs;
use skyfresh_sky::format_bytes;
use skyfresh_store::ListedObject;
use std::collections::HashSet;
use std::sync::Arc;

/// Delete objects
///
/// Deletes one object, with a glob those that match, with -r everything below. Lists all of it first, and deletes nothing where that
/// cannot be done, where it is more than --max-delete, or where nobody agreed: on a terminal you are asked, elsewhere more than one
/// object needs -y. Each object is deleted only as the version that was listed: what was written since stays, and is reported (where
/// the store has conditional deletes, docs/stores.md; entity tags of S3 are those of contents).
///
/// Older versions in a bucket that keeps them stay, as do directories on disk that were named.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh rm s3://models/old.bin
  skyfresh rm -r s3://models/2024/ --dry-run
  skyfresh rm 'gs://logs/2024-*/*.tmp' -y --max-delete 50000
  skyfresh rm -r ./cache --exclude '*.keep' -y --json")]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    /// Everything below a prefix or a directory
    #[arg(short, long)]
    recursive: bool,
    /// Show what would be deleted, and delete nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Delete nothing where it would be more objects than this
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_delete: u64,
    #[command(flatten)]
    filters: Filters,
}

/// What is to be deleted.
#[derive(Default)]
struct Choice {
    objects: Vec<(Arc<Place>, ListedObject)>,
    /// Names that are meant and cannot be deleted, as people write them.
    unusable: Vec<String>,
    bytes: u64,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let choice = tokio::select! {
        choice = choose(&args, context) => choice?,
        () = context.stop.cancelled() => return Ok(Exit::Interrupted),
    };
    delete::all(choice, args.dry_run, context).await
}

/// What is to be deleted, where there is consent to delete it.
async fn choose(args: &Args, context: &Context) -> anyhow::Result<Choice> {
    let globs = args.filters.globs()?;
    let places = args
        .named
        .open(&args.named.opener(context)?, args.recursive)?;
    for place in &places {
        if matches!(place.which(), Which::All) && !args.recursive {
            let all = format!(
                "{} is no object but all that is below it",
                place.described()
            );
            return Err(Told::new(Exit::Usage, all)
                .hint("add -r to delete all of it")
                .into());
        }
    }
    let named: Vec<String> = places.iter().map(Place::described).collect();
    let named = named.join(" and ");
    let choice = list(args, places, &globs).await?;
    let count = choice.objects.len() as u64;
    if count == 0 && choice.unusable.is_empty() {
        context.output.note("note: there is nothing to delete");
    }
    if args.dry_run || count == 0 {
        return Ok(choice);
    }
    let what = format!(
        "delete {} ({}) at {named}",
        objects(count),
        format_bytes(choice.bytes)
    );
    match consent::ask(count, args.yes, &what, &context.output).await? {
        Consent::Given => Ok(choice),
        Consent::Withheld => Err(Told::new(Exit::Refused, "nothing was deleted").into()),
        Consent::NobodyToAsk => {
            let told = Told::new(
                Exit::Refused,
                format!("refused to {what}: nobody was there to ask"),
            );
            Err(told.hint("look at it with --dry-run, then say -y").into())
        }
    }
}

/// Lists all of it, but no further than the limit: whatever goes wrong here, nothing has been deleted.
async fn list(args: &Args, places: Vec<Place>, globs: &Globs) -> anyhow::Result<Choice> {
    let mut choice = Choice::default();
    // What is named twice is deleted once.
    let mut seen = HashSet::new();
    for place in places {
        let place = Arc::new(place);
        let mut pages = place.pages(globs);
        while let Some(page) = pages.try_next().await? {
            for object in page.objects {
                if !seen.insert(place.uri(object.key.as_str())) {
                    continue;
                }
                choice.bytes += object.size;
                choice.objects.push((Arc::clone(&place), object));
            }
            let unusable = page.unusable.iter().map(|key| place.shown(key));
            choice.unusable.extend(unusable);
            if choice.objects.len() as u64 > args.max_delete {
                return Err(too_many(args.max_delete, &place).into());
            }
        }
    }
    Ok(choice)
}

fn too_many(limit: u64, place: &Place) -> Told {
    let named = place.described();
    Told::new(
        Exit::Refused,
        format!(
            "refused to delete more than {}, as there are at {named}; nothing was deleted",
            objects(limit)
        ),
    )
    .hint(format!(
        "`skyfresh du` counts them; where all of them are to go, say --max-delete N (it is {limit})"
    ))
}
