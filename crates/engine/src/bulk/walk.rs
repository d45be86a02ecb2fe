//! Lists the source and every target in key order, and passes on what must be copied.
//!
//! In: listings. Out: items, into bounded queues, while listing goes on: the first copy begins after the first page. Never: more
//! than 16 pages a side in memory; a failed listing taken for its end.

use super::judge::{Skip, Verdict, judge};
use super::listing::Listing;
use super::options::{BulkOptions, Walk};
use super::plan_object;
use super::shared::Shared;
use super::tally::{BulkOutcome, BulkRecord, add};
use super::upload::Early;
use crate::Error;
use skyfresh_sky::ObjectKey;
use skyfresh_store::ListedObject;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;

/// One object, and the targets that want it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) listed: ListedObject,
    pub(super) wants: Vec<Want>,
    /// What was begun while it was found out who wants it.
    pub(super) early: Option<Early>,
}

impl Item {
    pub(super) fn new(listed: ListedObject, wants: Vec<Want>) -> Self {
        Item {
            listed,
            wants,
            early: None,
        }
    }
}

/// A target that wants an object.
#[derive(Debug)]
pub(super) struct Want {
    /// Which target.
    pub(super) target: usize,
    /// What it lists under the key.
    pub(super) held: Option<ListedObject>,
    /// Only the heads tell whether it must be copied.
    pub(super) compare_heads: bool,
}

/// Where items go.
pub(super) struct Queues {
    pub(super) small: mpsc::Sender<Item>,
    pub(super) large: mpsc::Sender<Item>,
}

impl Queues {
    /// Puts an item in line. `false` where nobody takes items any more.
    pub(super) async fn push(&self, item: Item) -> bool {
        let queue = match item.listed.size > super::SMALL_BYTES {
            true => &self.large,
            false => &self.small,
        };
        queue.send(item).await.is_ok()
    }
}

/// What a target has and the source does not, as far as it may be deleted.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// One more than may be deleted at most: enough to know that there are too many.
    pub(super) objects: Vec<ListedObject>,
    pub(super) count: u64,
}

struct TargetSide {
    listing: Listing,
    extras: Extras,
    lost: bool,
    /// Its round trip has been told.
    timed: bool,
}

/// Walks to the end, or until nothing can go on. Gives, for each target, what it has beyond the source: `None` where a listing did not
/// come to its end, so that nothing may be deleted.
pub(super) async fn walk(shared: &Arc<Shared>, walk: &Walk, queues: Queues) -> Vec<Option<Extras>> {
    let mut source = Listing::new(
        Arc::clone(&shared.job.source),
        &walk.literal,
        Arc::clone(&shared.clock),
    );
    source.start();
    let mut sides: Vec<TargetSide> = shared
        .job
        .targets
        .iter()
        .map(|target| TargetSide {
            listing: Listing::new(
                Arc::clone(&target.store),
                &walk.literal,
                Arc::clone(&shared.clock),
            ),
            extras: Extras::default(),
            lost: false,
            timed: false,
        })
        .collect();
    sides.iter_mut().for_each(|side| side.listing.start());
    let complete = merge(shared, walk, &queues, &mut source, &mut sides).await;
    let tally = &shared.tally;
    if let Err(error) = &complete {
        tally.source_fails(error.kind, error.to_string());
    }
    tally.source_listed.store(source.listed, Ordering::Relaxed);
    let covered = |full: &&String| {
        let prefix = shared.job.source.location().prefix.as_str();
        walk.covers(full.strip_prefix(prefix).unwrap_or(full))
    };
    let unusable: Vec<String> = source.unusable.iter().filter(covered).cloned().collect();
    tally.add_unusable(&unusable);
    for (side, target) in sides.iter().zip(&tally.targets) {
        target.usage.listed(side.listing.requests());
    }
    tally.targets[0].usage.source_listed(source.requests());
    let all = complete.is_ok_and(|complete| complete);
    tally.source_complete.store(all, Ordering::Relaxed);
    sides
        .into_iter()
        .map(|side| (all && !side.lost).then_some(side.extras))
        .collect()
}

/// `false` where it was stopped.
async fn merge(
    shared: &Arc<Shared>,
    walk: &Walk,
    queues: &Queues,
    source: &mut Listing,
    sides: &mut [TargetSide],
) -> Result<bool, Error> {
    let options = &shared.job.options;
    loop {
        if shared.stop.is_cancelled() {
            return Ok(false);
        }
        let Some(_) = source.peek().await? else { break };
        let Some(listed) = source.take() else { break };
        shared
            .tally
            .source_listed
            .store(source.listed, Ordering::Relaxed);
        let meant = walk.covers(listed.key.as_str());
        let mut wants = Vec::new();
        for (index, side) in sides.iter_mut().enumerate() {
            side.lost |= shared.tally.targets[index].is_closed();
            if side.lost {
                continue;
            }
            let held = match side.find(shared, walk, &listed).await {
                Ok(held) => held,
                Err(error) => {
                    side.lost = true;
                    shared.tally.targets[index].give_up(error.kind, error.to_string());
                    continue;
                }
            };
            if !meant {
                continue;
            }
            let verdict = judge(options, &listed, held.as_ref());
            match verdict {
                Verdict::Skip(skip) => shared.skipped(&listed.key, index, listed.size, skip),
                Verdict::Copy | Verdict::Heads => wants.push(Want {
                    target: index,
                    held,
                    compare_heads: verdict == Verdict::Heads,
                }),
            }
        }
        if meant {
            add(&shared.tally.selected, 1);
        }
        if sides.iter().all(|side| side.lost) {
            return Ok(false);
        }
        if wants.is_empty() {
            continue;
        }
        for want in &wants {
            plan_object(shared, want.target, listed.size);
        }
        if options.dry_run {
            dry(shared, &listed, &wants);
        } else if !queues.push(Item::new(listed, wants)).await {
            return Ok(false);
        }
    }
    if options.delete.is_some() {
        for (side, tally) in sides.iter_mut().zip(&shared.tally.targets) {
            if let Err(error) = side.rest(options, walk).await {
                side.lost = true;
                tally.give_up(error.kind, error.to_string());
            }
        }
    }
    Ok(true)
}

/// Tells what would be copied.
pub(super) fn dry(shared: &Shared, listed: &ListedObject, wants: &[Want]) {
    for want in wants {
        let outcome = BulkOutcome::WouldCopy;
        let mut record = BulkRecord::new(&listed.key, want.target, outcome, listed.size);
        record.why = want
            .compare_heads
            .then(|| "unless their checksums agree".to_owned());
        shared.tell(&record);
    }
}

impl TargetSide {
    /// What the target lists under the source's next key. What it lists before that is extra.
    async fn find(
        &mut self,
        shared: &Shared,
        walk: &Walk,
        wanted: &ListedObject,
    ) -> Result<Option<ListedObject>, Error> {
        let options = &shared.job.options;
        if options.delete.is_none() {
            self.listing.seek(&wanted.key).await?;
        }
        self.listing.peek().await?;
        if !std::mem::replace(&mut self.timed, true)
            && let Some(took_ns) = self.listing.first_page_ns
        {
            shared.round_trip(took_ns);
        }
        loop {
            match self.listing.peek().await? {
                Some(held) if held.key < wanted.key => {
                    if let Some(extra) = self.listing.take() {
                        self.extra(options, walk, extra);
                    }
                }
                Some(held) if held.key == wanted.key => return Ok(self.listing.take()),
                _ => return Ok(None),
            }
        }
    }

    async fn rest(&mut self, options: &BulkOptions, walk: &Walk) -> Result<(), Error> {
        while self.listing.peek().await?.is_some() {
            if let Some(extra) = self.listing.take() {
                self.extra(options, walk, extra);
            }
        }
        Ok(())
    }

    fn extra(&mut self, options: &BulkOptions, walk: &Walk, extra: ListedObject) {
        let Some(limits) = options.delete else { return };
        if !walk.covers(extra.key.as_str()) {
            return;
        }
        self.extras.count += 1;
        if self.extras.count <= limits.most {
            self.extras.objects.push(extra);
        }
    }
}

impl Shared {
    /// Counts and tells that an object is left as it is.
    pub(super) fn skipped(&self, key: &ObjectKey, target: usize, size: u64, skip: Skip) {
        let tally = &self.tally.targets[target];
        add(&tally.skipped, 1);
        match skip {
            Skip::Proved => add(&tally.proved, 1),
            Skip::SameSize => add(&tally.skipped_by_size, 1),
            _ => {}
        }
        if self.listener.is_some() {
            let mut record = BulkRecord::new(key, target, BulkOutcome::Skipped, size);
            record.why = Some(skip.reason().to_owned());
            self.tell(&record);
        }
    }
}
