//! `skyfresh cat`: the bytes of objects.

mod fetch;

use crate::context::Context;
use crate::exit::{Exit, Failures};
use crate::listing::{Named, keys};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fetch::{Fetched, Piece, Source};
use futures::stream::{self, StreamExt as _};
use serde::Serialize;
use skyfresh_sky::Invalid;
use skyfresh_store::checksum::{Running, Sums};
use std::str::FromStr;
use std::sync::Arc;

/// Heads that are asked for at a time: of small objects the next ones are ready when one is written.
const HEADS: usize = 8;
/// Pieces that are on their way at a time: what is in memory is this many, and the one that is written.
const PIECES: usize = 4;

/// Write the bytes of objects to standard output, verified
///
/// Each object is read as the one version it was at the start, in pieces of 8 MiB of which several are on their way, and compared
/// with the strongest checksum that its store states. Where they differ the bytes have been written already: an error says so
/// loudly, and the exit code is 1. A range cannot be compared with the checksum of a whole. -v says what was verified by what.
///
/// Objects come one after the other, those of a glob in the order of their keys. One that fails does not keep back the next.
/// With --json the bytes come as base64, a line for each piece, and a last line for each object says how it was verified.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh cat s3://models/llama/config.json
  skyfresh cat 'gs://logs/2026-11-21/*.gz' | zcat | wc -l
  skyfresh cat --range 0-99 az://account/container/weights.bin | xxd")]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    /// Only these bytes of each, counted from 0, both ends included: 0-99, 100- (to the end), -100 (the last ones)
    #[arg(long, value_name = "START-END", allow_hyphen_values = true)]
    range: Option<Range>,
}

/// Bytes of an object as HTTP names them (RFC 9110, section 14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    From(u64, Option<u64>),
    Last(u64),
}

impl FromStr for Range {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || {
            Invalid::new(
                "range",
                text,
                "expected START-END, START- or -COUNT, in bytes",
            )
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| bad());
        let (start, end) = text.split_once('-').ok_or_else(bad)?;
        Ok(match (start, end) {
            ("", count) => Range::Last(number(count)?),
            (start, "") => Range::From(number(start)?, None),
            (start, end) => {
                let (start, end) = (number(start)?, number(end)?);
                if end < start {
                    return Err(bad());
                }
                Range::From(start, Some(end))
            }
        })
    }
}

impl Range {
    /// Of an object of this size, end exclusive; what lies beyond its end is left out.
    fn within(self, size: u64) -> std::ops::Range<u64> {
        match self {
            Range::From(start, end) => {
                let end = end.map_or(size, |end| size.min(end.saturating_add(1)));
                start.min(size)..end
            }
            Range::Last(count) => size.saturating_sub(count)..size,
        }
    }
}

/// A piece, as JSON.
#[derive(Serialize)]
struct PieceLine {
    uri: String,
    offset: u64,
    base64: String,
}

/// The end of an object, as JSON.
#[derive(Serialize)]
struct EndLine<'a> {
    uri: String,
    etag: &'a str,
    version_id: Option<&'a str>,
    size: u64,
    /// How many were written.
    bytes: u64,
    verified_by: Option<&'static str>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let places = args.named.open(&args.named.opener(context)?, false)?;
    for place in &places {
        place.expect_objects()?;
    }
    let sources = keys(places).map(|named| async {
        let (place, key) = named?;
        let head = place.head(&key).await?;
        let whole = 0..head.size;
        let bounds = args.range.map_or(whole, |range| range.within(head.size));
        Source::new(place, key, head, bounds)
    });
    let pieces = sources
        .buffered(HEADS)
        .flat_map(|source| stream::iter(Piece::all_of(source)))
        .map(|piece| piece.fetch(context.clock.as_ref()))
        .buffered(PIECES);
    let mut failures = Failures::default();
    let all = async {
        let mut pieces = std::pin::pin!(pieces);
        let mut writing = Writing {
            context,
            sums: None,
            given_up: None,
        };
        while !context.output.is_cut()
            && let Some(piece) = pieces.next().await
        {
            if let Err(error) = writing.write(piece) {
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

/// Pieces on their way out, in order.
struct Writing<'a> {
    context: &'a Context,
    /// Of the object that is being written.
    sums: Option<Running>,
    /// The object of which a piece could not be read.
    given_up: Option<Arc<Source>>,
}

impl Writing<'_> {
    fn write(&mut self, fetched: Fetched) -> anyhow::Result<()> {
        match fetched {
            Fetched::Bytes { source, .. }
            | Fetched::End(source)
            | Fetched::Failed(Some(source), _)
                if self.is_given_up(&source) =>
            {
                Ok(())
            }
            Fetched::Failed(source, error) => {
                self.sums = None;
                self.given_up = source;
                Err(error)
            }
            Fetched::Bytes {
                source,
                offset,
                chunks,
            } => {
                let sums = self
                    .sums
                    .get_or_insert_with(|| Running::new(source.wanted()));
                chunks.iter().for_each(|chunk| sums.update(chunk));
                let output = &self.context.output;
                if output.json {
                    return output.json_line(&PieceLine {
                        uri: source.uri(),
                        offset,
                        base64: STANDARD.encode(chunks.concat()),
                    });
                }
                chunks.iter().for_each(|chunk| output.bytes(chunk));
                Ok(())
            }
            Fetched::End(source) => {
                let sums = self.sums.take();
                let sums = sums.unwrap_or_else(|| Running::new(source.wanted()));
                self.end(&source, &sums.finish())
            }
        }
    }

    fn is_given_up(&self, source: &Arc<Source>) -> bool {
        let given_up = self.given_up.as_ref();
        given_up.is_some_and(|given_up| Arc::ptr_eq(given_up, source))
    }

    fn end(&self, source: &Source, sums: &Sums) -> anyhow::Result<()> {
        let verified_by = source.verify(sums)?;
        match verified_by {
            Some(checksum) => tracing::info!("{}: verified by its {checksum}", source.shown()),
            None => tracing::info!("{}: nothing to verify it by", source.shown()),
        }
        if self.context.output.json {
            let head = source.head();
            self.context.output.json_line(&EndLine {
                uri: source.uri(),
                etag: &head.version.etag,
                version_id: head.version.version_id.as_deref(),
                size: head.size,
                bytes: source.bounds().end - source.bounds().start,
                verified_by,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_as_http_has_them() {
        for (text, size, bounds) in [
            ("0-99", 1000, 0..100),
            ("0-0", 1000, 0..1),
            ("0-99", 10, 0..10),
            ("5-", 10, 5..10),
            ("-3", 10, 7..10),
            ("-30", 10, 0..10),
            ("-0", 10, 10..10),
            ("10-20", 10, 10..10),
            ("20-", 10, 10..10),
            ("0-18446744073709551615", 10, 0..10),
        ] {
            let range: Range = text.parse().unwrap();
            assert_eq!(range.within(size), bounds, "{text} of {size}");
        }
        for text in ["", "-", "5", "9-5", "a-b", "1-2-3", "-1-2"] {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
    }
}
