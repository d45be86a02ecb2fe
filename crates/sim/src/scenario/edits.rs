//! Users that make objects from others: copies, joins and appends, as a changelog is for.
//!
//! In: how many objects of which size, how many edits. Out: the edits made at the source by its own operations, told by
//! notifications like any other change; joins are told to the changelog too, since nothing shows them. Never: an edit of an object that is not there.

use super::build::RULE;
use super::run::Users;
use crate::world::Process;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use skyfresh_engine::{ChangelogEntry, ChangelogInput, ChangelogOperation};
use skyfresh_sky::{Attributes, Clock, ObjectKey};
use skyfresh_store::{CompletedPart, CopySource, ObjectStore, PartReceipt, Precondition, Result};
use std::sync::Arc;
use std::time::Duration;

/// What users do with what they have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditSettings {
    /// Objects that are written first, whole, in parts.
    pub objects: u32,
    /// Bytes of each of them.
    pub object_bytes: u64,
    /// Then so many edits: a copy, a join of four, an append, in turn.
    pub edits: u32,
    /// Time between two of them, ms.
    pub every_ms: u64,
    /// Bytes that an append adds.
    pub append_bytes: u64,
}

/// Parts of what users upload: twice the usual least, as their tools choose it.
const PART_BYTES: u64 = 8 << 20;
/// Objects that one join takes.
const JOINED: u32 = 4;

/// Bytes that end up in a part: new ones, or those of an object's range.
enum Piece {
    New(u64),
    Of(ObjectKey, std::ops::Range<u64>),
}

/// Ranges of at most a part each.
fn ranges(bytes: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    (0..bytes.div_ceil(PART_BYTES))
        .map(move |part| part * PART_BYTES..((part + 1) * PART_BYTES).min(bytes))
}

/// Writes the objects, then edits them.
pub(super) async fn make(users: &mut Users, settings: &EditSettings, processes: &[Arc<Process>]) {
    let every = Duration::from_millis(settings.every_ms);
    let mut sizes = vec![settings.object_bytes; settings.objects as usize];
    for number in 0..settings.objects {
        let pieces = ranges(settings.object_bytes).map(|range| Piece::New(range.end - range.start));
        upload(users, &key("base", number), pieces.collect()).await;
        users.sim.clock.sleep(every).await;
    }
    for edit in 0..settings.edits {
        let from = edit % settings.objects.max(1);
        let size = |number: u32| sizes[number as usize % sizes.len()];
        match edit % 3 {
            0 => copy(users, &key("base", from), &key("copy", edit), size(from)).await,
            1 => {
                let inputs: Vec<u32> = (0..JOINED)
                    .map(|input| (from + input) % settings.objects.max(1))
                    .collect();
                let pieces = inputs.iter().flat_map(|number| {
                    let of = key("base", *number);
                    ranges(size(*number)).map(move |range| Piece::Of(of.clone(), range))
                });
                let joined = key("joined", edit);
                upload(users, &joined, pieces.collect()).await;
                let inputs = inputs.iter().map(|number| key("base", *number)).collect();
                tell_changelog(processes, joined, inputs).await;
            }
            _ => {
                let (base, old) = (key("base", from), size(from));
                // Stores take no short part but the last: what was that is sent again with what is added.
                let whole = old / PART_BYTES * PART_BYTES;
                let kept = ranges(whole).map(|range| Piece::Of(base.clone(), range));
                let added = ranges(old - whole + settings.append_bytes);
                let added = added.map(|range| Piece::New(range.end - range.start));
                upload(users, &base, kept.chain(added).collect()).await;
                let count = sizes.len();
                sizes[from as usize % count] += settings.append_bytes;
            }
        }
        users.sim.clock.sleep(every).await;
    }
}

fn key(what: &str, number: u32) -> ObjectKey {
    #[expect(clippy::expect_used, reason = "a word and a number are a key")]
    ObjectKey::new(format!("{what}-{number:05}")).expect("a key")
}

async fn copy(users: &mut Users, from: &ObjectKey, to: &ObjectKey, size: u64) {
    let source = CopySource {
        bucket: None,
        full_key: from.to_string(),
        version: None,
    };
    let copied = users.source.copy(to, &source, None, &Precondition::None);
    match copied.await {
        Ok(_) => users.tell(to, Some(size)),
        Err(_) => users.skipped += 1,
    }
}

async fn upload(users: &mut Users, key: &ObjectKey, pieces: Vec<Piece>) {
    match in_parts(users, key, pieces).await {
        Ok(size) => users.tell(key, Some(size)),
        Err(_) => users.skipped += 1,
    }
}

async fn in_parts(users: &mut Users, key: &ObjectKey, pieces: Vec<Piece>) -> Result<u64> {
    let source = Arc::clone(&users.source);
    let upload = source.create_upload(key, &Attributes::default()).await?;
    let (mut parts, mut size) = (Vec::new(), 0);
    for (piece, number) in pieces.into_iter().zip(1..) {
        let (bytes, PartReceipt { etag, crc64 }) = match piece {
            Piece::New(bytes) => {
                users.writes += 1;
                let content = users.pattern.content(users.writes, bytes);
                let body = futures::stream::iter(content.into_iter().map(Ok)).boxed();
                let part = source.upload_part(key, &upload, number, bytes, body);
                (bytes, part.await?)
            }
            Piece::Of(of, range) => {
                let bytes = range.end - range.start;
                let from = CopySource {
                    bucket: None,
                    full_key: of.to_string(),
                    version: None,
                };
                let part = source.copy_part(key, &upload, number, &from, range);
                (bytes, part.await?)
            }
        };
        size += bytes;
        parts.push(CompletedPart {
            number,
            etag,
            size: bytes,
            crc64,
        });
    }
    source
        .complete_upload(key, &upload, &parts, &Precondition::None)
        .await?;
    Ok(size)
}

/// Tells the first process that takes it. Where none does, the notification tells of the change all the same.
async fn tell_changelog(processes: &[Arc<Process>], output: ObjectKey, inputs: Vec<ObjectKey>) {
    let input = |key| ChangelogInput { key, version: None };
    let entry = ChangelogEntry {
        output,
        operation: ChangelogOperation::Concat {
            inputs: inputs.into_iter().map(input).collect(),
        },
    };
    for process in processes {
        let entry = entry.clone();
        let added = process
            .ask(|engine| async move { engine.add_changelog(RULE, entry).await.is_ok() })
            .await;
        if added == Some(true) {
            return;
        }
    }
}
