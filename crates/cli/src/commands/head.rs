//! `skyfresh head`: what an object is.

use crate::context::Context;
use crate::exit::{Exit, Failures};
use crate::listing::{Named, Place, keys};
use crate::output::{Style, printable};
use crate::render::to_the_second;
use futures::StreamExt as _;
use serde::Serialize;
use skyfresh_sky::{Attributes, ObjectKey, Timestamp, format_bytes};
use skyfresh_store::{ObjectHead, PartSum};

/// Heads that are asked for at a time.
const AT_A_TIME: usize = 16;

/// Show what an object is: size, version, checksums, metadata, tags, parts
///
/// Reads no bytes of it; the first bytes are `skyfresh cat --range 0-99`. Checksums are those that the store states; parts are shown
/// where it tells them. With a glob, every object that matches.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh head s3://models/llama/weights.bin
  skyfresh head 'gs://data/2026/*.parquet' --json
  skyfresh head ./models/config.json")]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
}

/// An object, as JSON.
#[derive(Serialize)]
struct Line<'a> {
    uri: String,
    key: &'a str,
    size: u64,
    etag: &'a str,
    version_id: Option<&'a str>,
    modified: Timestamp,
    crc64nvme: Option<String>,
    crc32c: Option<String>,
    md5: Option<String>,
    #[serde(flatten)]
    attributes: &'a Attributes,
    tags: u32,
    parts: &'a [PartSum],
}

/// What the store says.
struct Seen {
    place: std::sync::Arc<Place>,
    key: ObjectKey,
    head: ObjectHead,
    parts: Vec<PartSum>,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let places = args.named.open(&args.named.opener(context)?, false)?;
    for place in &places {
        place.expect_objects()?;
    }
    let seen = keys(places).map(|named| async {
        let (place, key) = named?;
        let head = place.head(&key).await?;
        // It takes a permission of its own, and nothing else depends on it.
        let told = place.store().parts(&key, &head.version).await;
        let told = told.inspect_err(|error| tracing::info!(%error, "parts are not shown"));
        let parts = told.ok().flatten().unwrap_or_default();
        anyhow::Ok(Seen {
            place,
            key,
            head,
            parts,
        })
    });
    let mut failures = Failures::default();
    let all = async {
        let mut seen = std::pin::pin!(seen.buffered(AT_A_TIME));
        while !context.output.is_cut()
            && let Some(seen) = seen.next().await
        {
            let shown = match seen {
                Ok(seen) if context.output.json => context.output.json_line(&line(&seen)),
                Ok(seen) => {
                    context.output.text(&text(&seen, context));
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = shown {
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

fn line(seen: &Seen) -> Line<'_> {
    let head = &seen.head;
    Line {
        uri: seen.place.uri(seen.key.as_str()),
        key: seen.key.as_str(),
        size: head.size,
        etag: &head.version.etag,
        version_id: head.version.version_id.as_deref(),
        modified: head.modified,
        crc64nvme: head.crc64.map(|sum| sum.to_string()),
        crc32c: head.crc32c.map(|sum| sum.to_string()),
        md5: head.md5.map(|sum| sum.to_string()),
        attributes: &head.attributes,
        tags: head.tag_count,
        parts: &seen.parts,
    }
}

fn text(seen: &Seen, context: &Context) -> String {
    let Seen {
        place,
        key,
        head,
        parts,
    } = seen;
    let shown = printable(&place.shown(key.as_str()), false);
    let mut text = context.output.paint(Style::Bold, shown) + "\n";
    let mut value = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let value = printable(&value, false);
            text.push_str(&format!("  {name:20}  {value}\n"));
        }
    };
    let size = match head.size {
        0..1024 => format!("{} bytes", head.size),
        size => format!("{size} bytes ({})", format_bytes(size)),
    };
    value("size", Some(size));
    value("modified", Some(to_the_second(head.modified)));
    value("entity tag", Some(head.version.etag.clone()));
    value("version id", head.version.version_id.clone());
    value("CRC64NVME", head.crc64.map(|sum| sum.to_string()));
    value("CRC32C", head.crc32c.map(|sum| sum.to_string()));
    value("MD5", head.md5.map(|sum| sum.to_string()));
    let attributes = &head.attributes;
    for (name, attribute) in [
        ("content type", &attributes.content_type),
        ("content encoding", &attributes.content_encoding),
        ("content language", &attributes.content_language),
        ("content disposition", &attributes.content_disposition),
        ("cache control", &attributes.cache_control),
        ("expires", &attributes.expires),
        ("website redirect", &attributes.website_redirect),
        ("storage class", &attributes.storage_class),
    ] {
        value(name, attribute.clone());
    }
    for (name, of_user) in &attributes.user {
        value("metadata", Some(format!("{name}: {of_user}")));
    }
    value(
        "tags",
        (head.tag_count > 0).then(|| head.tag_count.to_string()),
    );
    let largest = parts.iter().map(|part| part.size).max();
    value(
        "parts",
        largest.map(|largest| format!("{}, the largest {}", parts.len(), format_bytes(largest))),
    );
    text
}
