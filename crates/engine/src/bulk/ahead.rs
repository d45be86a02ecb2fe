//! The pages of a listing that are asked for ahead of its reader, in order.
//!
//! In: pages, in whatever order they come. Out: pages in key order, without a hole and without a key twice. Never: trusts a guess;
//! more than [`MOST_AHEAD`](super::width::MOST_AHEAD) pages and one more, under way or waiting; a failed page taken for an end.
//!
//! ```text
//!  reader ◄─ [waiting](a] [under way](b] [gap](c] [under way](d] … [gap](end
//! ```
//!
//! The queue covers all that comes after the reader, segment by segment; each begins where the one before it ends. Where a segment
//! is asked for and there is room for another page, it is cut at a guessed place ([`Stride`]). A page that ends before its segment
//! does leaves a gap behind; one that reaches beyond takes what it covers from the segments after it.

use super::pivot::Stride;
use super::width::Width;
use crate::{Error, Result};
use skyfresh_sky::{Clock, Kind, Scheme};
use skyfresh_store::{ListPage, ListedObject, ObjectStore};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

/// Keys in a page.
pub(super) const PAGE: usize = 1_000;

/// A page as its reader gets it.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) objects: Vec<ListedObject>,
    /// Full keys that are there but that no key here can name.
    pub(super) unusable: Vec<String>,
    /// How long it took to come, ns.
    pub(super) took_ns: u64,
}

/// The keys after `after`, up to and with `end`; to the end of the listing where that is `None`.
#[derive(Debug)]
struct Segment {
    after: Option<String>,
    end: Option<String>,
    /// It begins at a guessed place.
    guessed: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Gap,
    Coming(AbortHandle),
    Waiting(Chunk),
    Failed(Error),
}

impl Segment {
    /// Whether all of it lies before the end of a page that reaches so far; to the end of the listing where that is `None`.
    fn is_within(&self, reach: Option<&str>) -> bool {
        match (self.end.as_deref(), reach) {
            (_, None) => true,
            (Some(end), Some(reach)) => end <= reach,
            (None, Some(_)) => false,
        }
    }
}

/// What a task gives: a page, and how long it took, ns.
type Answer = (skyfresh_store::Result<ListPage>, u64);

/// See the module.
#[derive(Debug)]
pub(super) struct Ahead {
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    /// Only keys that begin with this.
    literal: String,
    /// Keys asked for at once.
    page: usize,
    queue: VecDeque<Segment>,
    /// Dropped with all that is under way.
    tasks: JoinSet<Answer>,
    width: Width,
    /// What the page furthest ahead tells, and where it ends.
    stride: Option<Stride>,
    learned_at: Option<String>,
    /// Pages asked for.
    pub(super) requests: u64,
}

impl Ahead {
    /// Nothing is asked for yet.
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        literal: &str,
        after: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        // A directory is read anew for every page: several at once cost as much as one after the other, and memory besides.
        let may_be_far = store.location().scheme != Scheme::File;
        let all = Segment {
            after,
            end: None,
            guessed: false,
            state: State::Gap,
        };
        Ahead {
            store,
            clock,
            literal: literal.to_owned(),
            page: PAGE,
            queue: [all].into(),
            tasks: JoinSet::new(),
            width: Width::new(may_be_far),
            stride: None,
            learned_at: None,
            requests: 0,
        }
    }

    /// Smaller pages, so that a test has many of them with few keys.
    #[cfg(test)]
    pub(super) fn set_page(&mut self, keys: usize) {
        self.page = keys;
    }

    /// Pages under way or waiting.
    pub(super) fn held(&self) -> usize {
        let is_page = |segment: &&Segment| !matches!(segment.state, State::Gap);
        self.queue.iter().filter(is_page).count()
    }

    /// Asks for as many pages as may be under way: first for what is nearest to the reader.
    pub(super) fn ask(&mut self) {
        let mut held = self.held();
        let mut index = 0;
        while index < self.queue.len() && (held < self.width.pages() || index == 0) {
            if matches!(self.queue[index].state, State::Gap) {
                self.ask_for(index);
                held += 1;
            }
            if held < self.width.pages() {
                self.cut(index);
            }
            index += 1;
        }
    }

    fn ask_for(&mut self, index: usize) {
        let segment = &mut self.queue[index];
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        let (after, page) = (segment.after.clone(), self.page);
        self.requests += 1;
        segment.state = State::Coming(self.tasks.spawn(async move {
            let began_ns = clock.monotonic_ns();
            let page = store.list(after.as_deref(), page).await;
            (page, clock.monotonic_ns().saturating_sub(began_ns))
        }));
    }

    /// Cuts what is asked for where its page may end, so that the next one can be asked for, too.
    fn cut(&mut self, index: usize) {
        let segment = &self.queue[index];
        let (State::Coming(_), Some(stride)) = (&segment.state, &self.stride) else {
            return;
        };
        let from = segment.after.as_deref();
        let Some(pivot) = from.and_then(|from| stride.after(from)) else {
            return;
        };
        // What is less than two pages is not worth a cut; what lies beyond the literal is not wanted.
        let room = |end: &String| stride.after(&pivot).is_some_and(|next| next <= *end);
        if !pivot.starts_with(&self.literal) || !segment.end.as_ref().is_none_or(room) {
            return;
        }
        let rest = Segment {
            after: Some(pivot.clone()),
            end: self.queue[index].end.replace(pivot),
            guessed: true,
            state: State::Gap,
        };
        self.queue.insert(index + 1, rest);
    }

    /// The next page. `None` at the end. After an error it can be asked for again.
    pub(super) async fn next(&mut self) -> Result<Option<Chunk>> {
        let mut waited = false;
        loop {
            while let Some(done) = self.tasks.try_join_next_with_id() {
                self.take_in(done);
            }
            self.ask();
            let Some(head) = self.queue.front_mut() else {
                return Ok(None);
            };
            match &mut head.state {
                State::Waiting(chunk) => {
                    let chunk = std::mem::take(chunk);
                    self.queue.pop_front();
                    self.width.read(waited, chunk.took_ns);
                    return Ok(Some(chunk));
                }
                State::Failed(_) => {
                    if let State::Failed(error) = std::mem::replace(&mut head.state, State::Gap) {
                        return Err(error);
                    }
                }
                State::Coming(_) | State::Gap => {
                    waited = true;
                    if let Some(done) = self.tasks.join_next_with_id().await {
                        self.take_in(done);
                    }
                }
            }
        }
    }

    /// Drops what lies before the keys after `floor`, without asking for it. What is under way and reaches beyond still comes.
    pub(super) fn skip(&mut self, floor: &str) {
        let below = |segment: &mut Segment| segment.end.as_deref().is_some_and(|end| end <= floor);
        while let Some(dropped) = self.queue.pop_front_if(below) {
            self.discard(dropped);
        }
        if let Some(head) = self.queue.front_mut()
            && matches!(head.state, State::Gap)
            && head.after.as_deref().is_none_or(|after| after < floor)
        {
            head.after = Some(floor.to_owned());
        }
    }

    fn discard(&mut self, segment: Segment) {
        match segment.state {
            State::Coming(task) => {
                task.abort();
                self.width.came(self.page, 0);
            }
            State::Waiting(chunk) => self.width.unread(chunk.objects.len()),
            State::Gap | State::Failed(_) => {}
        }
    }

    /// Takes an answer to its place. Those that nothing waits for any more have none.
    fn take_in(&mut self, done: std::result::Result<(Id, Answer), JoinError>) {
        let id = match &done {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let its =
            |segment: &Segment| matches!(&segment.state, State::Coming(task) if task.id() == id);
        let Some(index) = self.queue.iter().position(its) else {
            return;
        };
        match done {
            Ok((_, (Ok(page), took_ns))) => self.place(index, page, took_ns),
            Ok((_, (Err(error), _))) => self.fail(index, error.into()),
            Err(error) => {
                let what = self.store.location().to_string();
                let error = Error::new(Kind::Internal, "list", what, error.to_string());
                self.fail(index, error);
            }
        }
    }

    /// A guessed page may have failed because it was one too many at once, or because of where it begins: it is asked for once more
    /// when its turn comes.
    fn fail(&mut self, index: usize, error: Error) {
        let segment = &mut self.queue[index];
        if !std::mem::take(&mut segment.guessed) {
            segment.state = State::Failed(error);
            return;
        }
        segment.state = State::Gap;
        self.width.narrow();
        self.join(index);
    }

    /// Makes one of a gap and the gap before it.
    fn join(&mut self, index: usize) {
        let is_gap = |index: usize| {
            let segment = self.queue.get(index);
            segment.is_some_and(|segment| matches!(segment.state, State::Gap))
        };
        if index > 0 && is_gap(index - 1) && is_gap(index) {
            let Some(gap) = self.queue.remove(index) else {
                return;
            };
            self.queue[index - 1].end = gap.end;
        }
    }

    /// Puts a page where it belongs, and makes the segments after it begin where it ends.
    fn place(&mut self, index: usize, page: ListPage, took_ns: u64) {
        let came = page.objects.len() + page.unusable.len();
        self.learn(&page);
        let mut reach = page.next;
        let mut chunk = Chunk {
            objects: page.objects,
            unusable: page.unusable,
            took_ns,
        };
        if self.bound(&mut chunk) {
            reach = None;
        }
        let segment = &self.queue[index];
        let end = if segment.is_within(reach.as_deref()) {
            self.cover(index, reach, &mut chunk)
        } else {
            let rest = Segment {
                after: reach.clone(),
                end: self.queue[index].end.take(),
                guessed: false,
                state: State::Gap,
            };
            self.queue.insert(index + 1, rest);
            self.join(index + 2);
            reach
        };
        let kept = chunk.objects.len() + chunk.unusable.len();
        self.width.came(came, kept);
        let segment = &mut self.queue[index];
        segment.end = end;
        segment.state = State::Waiting(chunk);
    }

    /// A page reaches the end of its segment, and maybe more: takes away what it covers of those after it. Gives where it ends.
    fn cover(&mut self, index: usize, reach: Option<String>, chunk: &mut Chunk) -> Option<String> {
        let mut end = self.queue[index].end.take();
        let covered = |next: &Segment| next.is_within(reach.as_deref());
        while self.queue.get(index + 1).is_some_and(covered) {
            let covered = self.queue.remove(index + 1)?;
            end.clone_from(&covered.end);
            self.discard(covered);
        }
        let next = self.queue.get_mut(index + 1)?;
        if matches!(next.state, State::Gap) {
            // Nothing has been asked for there: it begins where this page ends.
            next.after.clone_from(&reach);
            next.guessed = false;
            return reach;
        }
        self.cut_off(chunk, end.as_deref());
        end
    }

    /// Takes off what another page gives.
    fn cut_off(&self, chunk: &mut Chunk, end: Option<&str>) {
        let Some(end) = end else { return };
        let prefix = &self.store.location().prefix;
        let kept = chunk.objects.partition_point(|it| it.key.as_str() <= end);
        chunk.objects.truncate(kept);
        chunk
            .unusable
            .retain(|full| full.strip_prefix(prefix.as_str()).unwrap_or(full) <= end);
    }

    /// Keeps only what begins with the literal; tells whether the page reaches beyond it.
    fn bound(&self, chunk: &mut Chunk) -> bool {
        let prefix = &self.store.location().prefix;
        chunk.unusable.retain(|full| {
            let relative = full.strip_prefix(prefix.as_str());
            relative.is_some_and(|key| !key.is_empty() && key.starts_with(&self.literal))
        });
        let (literal, all) = (self.literal.as_str(), chunk.objects.len());
        let belongs = |it: &ListedObject| it.key.as_str().starts_with(literal);
        let beyond = chunk
            .objects
            .last()
            .is_some_and(|it| it.key.as_str() > literal && !belongs(it));
        if all > 0 && !literal.is_empty() {
            chunk.objects.retain(belongs);
        }
        beyond
    }

    /// Sees how far a page reaches, where that is of use: over a long way, from the page furthest ahead.
    fn learn(&mut self, page: &ListPage) {
        let Some(last) = page.next.as_ref().filter(|_| self.width.may_widen()) else {
            return;
        };
        if self.learned_at.as_ref().is_none_or(|at| at < last) {
            let keys: Vec<&str> = page.objects.iter().map(|it| it.key.as_str()).collect();
            self.stride = Stride::of(&keys);
            self.learned_at = Some(last.clone());
        }
    }
}

#[cfg(test)]
#[path = "ahead_properties.rs"]
mod properties;
#[cfg(test)]
#[path = "ahead_tests.rs"]
mod tests;
