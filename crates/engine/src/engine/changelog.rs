//! Entries of the changelog, taken in.
//!
//! In: an entry from a user. Out: a row for every destination, then an event, both in the ledger before it is acknowledged.
//! Never: writes to the source; takes an entry of keys that the rule does not cover.

use super::Engine;
use crate::changelog::{ChangelogEntry, EntryRow, entry_name};
use crate::intake::submissions;
use crate::lane::Lane;
use crate::{Error, ObjectEvent, Result};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion};

/// Heads of inputs asked for at once.
const AT_ONCE: usize = 8;

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangelogAdded {
    /// The entry as it was taken: with the versions that its inputs have at the source, where none were given.
    pub entry: ChangelogEntry,
    /// Submissions made of it, over all destinations.
    pub submissions: usize,
}

impl Engine {
    /// Takes in how an object of a rule's source was made, and that it has changed. Durable when it returns.
    ///
    /// # Errors
    /// No such rule; [`Kind::Invalid`] where the entry is beyond its bounds or names keys that the rule does not cover; the
    /// source cannot be asked, or the ledger failed: the sender must send again.
    pub async fn add_changelog(&self, rule: &str, entry: ChangelogEntry) -> Result<ChangelogAdded> {
        entry.check()?;
        let lanes = self.lanes(rule)?;
        let Some(first) = lanes.first() else {
            // A rule has at least one destination.
            return Ok(ChangelogAdded {
                entry,
                submissions: 0,
            });
        };
        let mut keys = entry.inputs().iter().map(|input| &input.key);
        let outside = std::iter::once(&entry.output)
            .chain(&mut keys)
            .find(|key| !first.scope.covers(key));
        if let Some(key) = outside {
            let why = format!("the rule does not cover {key}");
            let output = entry.output.as_str();
            return Err(Error::new(
                Kind::Invalid,
                "add changelog entry",
                output,
                why,
            ));
        }
        let entry = with_versions(first, entry).await?;
        let now = self.shared.clock.now();
        let row = EntryRow {
            id: self.shared.rng.token(),
            added: now,
            entry,
        };
        let json = row.to_json()?;
        for lane in &lanes {
            let name = entry_name(rule, &lane.destination.name, &row.entry.output);
            let value = Some(json.clone());
            self.shared.ledger.set_cursor(&name, value).await?;
            lane.changelog.owe(&row);
        }
        let events: Vec<ObjectEvent> = std::iter::once(&row.entry.output)
            .chain(row.entry.renamed_from())
            .map(|key| ObjectEvent {
                key: key.clone(),
                changed: None,
                size: None,
            })
            .collect();
        let all: Vec<_> = lanes
            .iter()
            .flat_map(|lane| submissions(lane, &events, now))
            .collect();
        let submissions = all.len();
        self.shared.ledger.submit(all).await?;
        Ok(ChangelogAdded {
            entry: row.entry,
            submissions,
        })
    }
}

/// Fills in the versions that the inputs have at the source. One that is gone already (renamed) is left open, as is the output
/// where it is appended to: what the source has of it now is the result.
async fn with_versions(lane: &Lane, mut entry: ChangelogEntry) -> Result<ChangelogEntry> {
    let output = entry.output.clone();
    let looks: Vec<_> = entry
        .inputs()
        .iter()
        .map(|input| {
            let known = input.version.clone();
            let ask = known.is_none() && input.key != output;
            let key = input.key.clone();
            async move {
                match ask {
                    true => version_of(lane, &key).await,
                    false => Ok(known),
                }
            }
            .boxed()
        })
        .collect();
    let versions: Vec<Option<ObjectVersion>> =
        stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
    for (input, version) in entry.inputs_mut().iter_mut().zip(versions) {
        input.version = version;
    }
    Ok(entry)
}

async fn version_of(lane: &Lane, key: &ObjectKey) -> Result<Option<ObjectVersion>> {
    match lane.source.head(key).await {
        Ok(head) => Ok(Some(head.version)),
        Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => Ok(None),
        Err(error) => Err(error.into()),
    }
}
