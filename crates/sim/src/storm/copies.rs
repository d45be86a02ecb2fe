//! Users copy objects, and may tell the changelog of it.

use super::run::RULE;
use super::settle::Storm;
use futures::StreamExt;
use skyfresh_engine::{ChangelogEntry, ChangelogInput, ChangelogOperation};
use skyfresh_sky::{Attributes, ObjectKey};
use skyfresh_store::memory::MemoryStore;
use skyfresh_store::{GetOptions, ObjectStore, Precondition, PutOptions, single_chunk};

/// Copies an object at the source; its size, where there was one that could be copied.
pub(super) async fn copy(
    storm: &Storm,
    source: &MemoryStore,
    key: ObjectKey,
    from: ObjectKey,
    told: bool,
) -> Option<u64> {
    let mut read = source.get(&from, GetOptions::default()).await.ok()?;
    let mut bytes = Vec::new();
    while let Some(chunk) = read.body.next().await {
        bytes.extend_from_slice(&chunk.ok()?);
    }
    if !storm.sim.contents.may_copy(key.as_str(), &bytes) {
        return None;
    }
    let size = bytes.len() as u64;
    let options = PutOptions {
        size,
        attributes: Attributes::default(),
        precondition: Precondition::None,
    };
    let put = source.put(&key, options, single_chunk(bytes)).await;
    put.ok()?;
    if told {
        let entry = ChangelogEntry {
            output: key,
            operation: ChangelogOperation::Copy {
                input: ChangelogInput {
                    key: from,
                    version: None,
                },
            },
        };
        for process in &storm.processes {
            let entry = entry.clone();
            // Where it is dead, or its ledger fails, the notification tells of the change all the same.
            let added = process
                .ask(|engine| async move { engine.add_changelog(RULE, entry).await.is_ok() })
                .await;
            if added == Some(true) {
                break;
            }
        }
    }
    Some(size)
}
