//! What is named on the command line, and the keys that it stands for.

use super::Place;
use crate::commands::with_config;
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::objects::{Objects, Reading};
use crate::open::Opener;
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use skyfresh_engine::Globs;
use skyfresh_sky::ObjectKey;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is named on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// What is meant: s3://bucket/key, a prefix that ends in /, or a glob with *; also gs://, az://, and paths such as ./models
    #[arg(value_name = "URI", required = true)]
    uris: Vec<String>,
    /// Take * for a character like any other
    #[arg(long)]
    literal: bool,
    /// Configuration to take [endpoint.NAME] sections and the catalogue's file from
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl Named {
    /// What opens stores as the configuration says.
    ///
    /// # Errors
    /// The configuration cannot be read.
    pub(crate) fn opener(&self, context: &Context) -> anyhow::Result<Opener> {
        Ok(with_config(self.config.as_deref(), context)?.without_watching())
    }

    /// Everything that is named, opened. Nothing is sent yet.
    ///
    /// # Errors
    /// One cannot be read or opened: then none is.
    pub(crate) fn open(&self, opener: &Opener, recursive: bool) -> anyhow::Result<Vec<Place>> {
        let reading = Reading {
            recursive,
            literal: self.literal,
        };
        let open = |uri: &String| Place::open(opener, Objects::read(uri, reading)?);
        self.uris.iter().map(open).collect()
    }
}

/// The keys that are named, in order, with where each is. An object that is named by itself is not asked for. Goes on with the next
/// place after an error; a glob that nothing matches is one.
pub(crate) fn keys(
    places: Vec<Place>,
) -> impl Stream<Item = anyhow::Result<(Arc<Place>, ObjectKey)>> {
    stream::iter(places).flat_map(|place| {
        let place = Arc::new(place);
        if let Some(key) = place.single() {
            return stream::once(async { Ok((place, key)) }).boxed();
        }
        let any = Arc::new(AtomicBool::new(false));
        let (some, about) = (Arc::clone(&any), Arc::clone(&place));
        let none = stream::once(async move {
            let nothing = || {
                Told::new(
                    Exit::Failed,
                    format!("nothing matches {}", about.described()),
                )
            };
            (!some.load(Ordering::Relaxed)).then(|| Err(nothing().hint(about.around()).into()))
        });
        place
            .pages(&Globs::default())
            .map_ok(move |page| {
                let place = Arc::clone(&place);
                let keys = page.objects.into_iter().map(|object| object.key);
                stream::iter(keys.map(move |key| Ok((Arc::clone(&place), key))))
            })
            .try_flatten()
            // An error says more than that nothing was found.
            .inspect(move |_| any.store(true, Ordering::Relaxed))
            .chain(none.filter_map(std::future::ready))
            .boxed()
    })
}
