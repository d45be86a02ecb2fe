//! What a lane remembers for its changelog, in bounded memory.
//!
//! In: receipts, entries. Out: which entries a finished claim has used up; which deletes wait for a rename. Never: holds a
//! delete for longer than [`LONGEST_HOLD`].

use super::index::Index;
use super::{EntryRow, entry_name};
use crate::Result;
use crate::lane::Lane;
use skyfresh_ledger::{Finished, Outcome, Receipt};
use skyfresh_sky::{ObjectKey, ObjectVersion};
use skyfresh_store::ObjectHead;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Entries that are remembered; of more, the ledger keeps rows for longer, and deletes do not wait.
const MOST_ENTRIES: usize = 100_000;
/// A rename's delete waits for its copy at most this long: whoever deletes must not wait for what fails.
const LONGEST_HOLD: Duration = Duration::from_secs(30);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
struct Inner {
    index: Index,
    /// By output: ids of entries whose rows are to be removed, and the key that was renamed.
    owed: HashMap<ObjectKey, (String, Option<ObjectKey>)>,
    /// By the old name: the new one. Never more than are owed.
    renames: HashMap<ObjectKey, ObjectKey>,
}

impl Inner {
    fn settle(&mut self, output: &ObjectKey) -> Option<String> {
        let (id, input) = self.owed.remove(output)?;
        if let Some(input) = input
            && self.renames.get(&input) == Some(output)
        {
            self.renames.remove(&input);
        }
        Some(id)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ChangelogState(Mutex<Inner>);

impl ChangelogState {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up a receipt, of this process or another.
    pub(crate) fn note(&self, receipt: &Receipt, least_bytes: u64) {
        self.inner().index.note(receipt, least_bytes);
    }

    /// A key that had this content.
    pub(super) fn find(
        &self,
        output: &ObjectKey,
        source: &ObjectHead,
    ) -> Option<(ObjectKey, ObjectVersion)> {
        self.inner().index.find(output, source)
    }

    /// An entry is in the ledger.
    pub(crate) fn owe(&self, row: &EntryRow) {
        let mut inner = self.inner();
        let (output, input) = (&row.entry.output, row.entry.renamed_from());
        if inner.owed.get(output).is_some_and(|(id, _)| *id == row.id) {
            return;
        }
        // An earlier entry of the same output is replaced.
        inner.settle(output);
        if inner.owed.len() >= MOST_ENTRIES {
            return;
        }
        let owed = (row.id.clone(), input.cloned());
        inner.owed.insert(output.clone(), owed);
        if let Some(input) = input {
            inner.renames.insert(input.clone(), output.clone());
        }
    }

    /// The id of the entry that a key's claim was to use, once.
    fn settle(&self, output: &ObjectKey) -> Option<String> {
        self.inner().settle(output)
    }

    fn renamed_to(&self, key: &ObjectKey) -> Option<ObjectKey> {
        self.inner().renames.get(key).cloned()
    }
}

/// A claim has ended with this receipt: takes it up, and removes the entry it was to use. Not where the key is due again: its
/// next claim may need what was told meanwhile.
pub(crate) async fn finished(lane: &Lane, receipt: &Receipt, finished: Finished) {
    let least_bytes = lane.shared.config.changelog.least_bytes;
    lane.changelog.note(receipt, least_bytes);
    let key = &receipt.task.key;
    if receipt.outcome == Outcome::Deleted
        && let Err(error) = super::parts::forget(lane, key).await
    {
        tracing::debug!(%key, %error, "what was remembered of its parts stays in the ledger");
    }
    if finished == Finished::Again {
        return;
    }
    if let Some(id) = lane.changelog.settle(key)
        && let Err(error) = remove(lane, key, &id).await
    {
        // It is looked at again with the key's next change, and found not to fit.
        tracing::debug!(%key, %error, "a changelog entry that was used stays in the ledger");
    }
}

async fn remove(lane: &Lane, key: &ObjectKey, id: &str) -> Result<()> {
    // Another may have come since.
    match pending(lane, key).await? {
        Some(row) if row.id == id => {
            let name = entry_name(&lane.rule.name, &lane.destination.name, key);
            Ok(lane.shared.ledger.set_cursor(&name, None).await?)
        }
        _ => Ok(()),
    }
}

/// The entry that waits for a key's next claim.
pub(super) async fn pending(lane: &Lane, key: &ObjectKey) -> Result<Option<EntryRow>> {
    let name = entry_name(&lane.rule.name, &lane.destination.name, key);
    let value = lane.shared.ledger.cursor(&name).await?;
    Ok(value.and_then(|value| EntryRow::from_json(value, key)))
}

/// Lets a rename's copy go before the delete of what it copies, which came with it or even before it.
pub(crate) async fn hold_delete(lane: &Lane, key: &ObjectKey) -> Result<()> {
    let clock = &lane.shared.clock;
    let until = clock.now().after(LONGEST_HOLD);
    while let Some(output) = lane.changelog.renamed_to(key) {
        let waits = match pending(lane, &output).await? {
            Some(row) => row.entry.renamed_from() == Some(key),
            None => false,
        };
        if !waits || clock.now() >= until {
            lane.changelog.inner().renames.remove(key);
            break;
        }
        clock.sleep(LOOK).await;
    }
    Ok(())
}
