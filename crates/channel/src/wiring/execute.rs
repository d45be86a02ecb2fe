//! Plan and record to reality, resource by resource, and back. Every step is written down before and after.

use super::{Entry, Journal, Plan, Record, Resource, State};
use async_trait::async_trait;
use skyfresh_sky::{Clock, Kind};
use skyfresh_store::{Error, Result};
use std::time::Duration;

/// A policy or a new queue takes seconds, seldom a minute, to be known everywhere (IAM user guide, "Changes that I make are not
/// always immediately visible"); what depends on it is refused until then.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(3);

/// What is there where a resource should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// What was planned, under this name.
    AsPlanned(String),
    /// Something else: what differs.
    Different(String),
}

/// The control plane of one cloud.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// Looks, and changes nothing.
    async fn look(&self, resource: &Resource) -> Result<Found>;

    /// Creates a resource that is absent; gives its name at the provider.
    ///
    /// # Errors
    /// [`Kind::RetryAfter`]: what it depends on is not known everywhere yet, or passing trouble.
    async fn create(&self, resource: &Resource) -> Result<String>;

    /// Removes a resource that `look` found as planned. One that is gone is no error.
    async fn remove(&self, resource: &Resource, name: &str) -> Result<()>;
}

/// What became of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Created now.
    Created,
    /// Created by an earlier run, and as it was then.
    Unchanged,
    /// There already, and not ours.
    Found,
}

/// A rule that is wired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wired {
    /// What is recorded now.
    pub record: Record,
    /// What became of each entry of the record.
    pub outcomes: Vec<Outcome>,
}

/// A run that stopped midway.
#[derive(Debug)]
pub struct Stopped {
    /// What is recorded: everything before the failure, and what may have been created by it.
    pub record: Record,
    /// Why.
    pub error: Error,
}

/// Creates what the plan names and is absent. Doing it again changes nothing.
///
/// # Errors
/// [`Stopped`], with a [`Kind::Precondition`] where something is there that differs from the plan, or the record is of another
/// plan. What was done stays, is recorded, and is taken up by the next run or undone by [`unwire`].
pub async fn wire(
    cloud: &dyn Cloud,
    plan: &Plan,
    mut record: Record,
    journal: &dyn Journal,
    clock: &dyn Clock,
) -> Result<Wired, Box<Stopped>> {
    let other = record
        .entries
        .iter()
        .find(|entry| !plan.resources.contains(&entry.resource));
    if let Some(other) = other {
        let why = "the rule was wired with this, which is no longer part of its plan: unwire the rule first";
        let error = Error::new(
            Kind::Precondition,
            "wire",
            format!("{} {}", other.resource.kind(), other.name),
            why,
        )
        .with_code("WiredOtherwise");
        return Err(Box::new(Stopped { record, error }));
    }
    // Everything is looked at before anything is created: what is wrong shows while nothing has happened yet.
    let mut found = Vec::new();
    for resource in &plan.resources {
        match look(cloud, resource).await {
            Ok(there) => found.push((resource, there)),
            Err(error) => return Err(Box::new(Stopped { record, error })),
        }
    }
    let mut outcomes = Vec::new();
    for (resource, there) in found {
        match ensure(cloud, resource, there, &mut record, journal, clock).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => return Err(Box::new(Stopped { record, error })),
        }
    }
    Ok(Wired { record, outcomes })
}

/// The name of what is there as planned, or `None`.
async fn look(cloud: &dyn Cloud, resource: &Resource) -> Result<Option<String>> {
    match cloud.look(resource).await? {
        Found::Absent => Ok(None),
        Found::AsPlanned(name) => Ok(Some(name)),
        Found::Different(why) => Err(Error::new(
            Kind::Precondition,
            "wire",
            format!("{} {}", resource.kind(), resource.name()),
            format!("it is there already, but differs: {why}"),
        )
        .with_code("Different")),
    }
}

async fn ensure(
    cloud: &dyn Cloud,
    resource: &Resource,
    there: Option<String>,
    record: &mut Record,
    journal: &dyn Journal,
    clock: &dyn Clock,
) -> Result<Outcome> {
    let Some(name) = there else {
        record.set(resource, resource.name(), State::Creating);
        save(journal, record)?;
        let name = patiently(clock, || cloud.create(resource)).await?;
        record.set(resource, name, State::Created);
        save(journal, record)?;
        return Ok(Outcome::Created);
    };
    let (state, outcome) = match record.entry(resource).map(|entry| entry.state) {
        Some(State::Created) => (State::Created, Outcome::Unchanged),
        // It was absent when creating it began: what is there now is ours.
        Some(State::Creating) => (State::Created, Outcome::Created),
        Some(State::Found) | None => (State::Found, Outcome::Found),
    };
    record.set(resource, name, state);
    save(journal, record)?;
    Ok(outcome)
}

/// Tries again while the answer is "not yet".
async fn patiently<T, F: Future<Output = Result<T>>>(
    clock: &dyn Clock,
    attempt: impl Fn() -> F,
) -> Result<T> {
    let start_ns = clock.monotonic_ns();
    loop {
        match attempt().await {
            Err(error) if error.kind == Kind::RetryAfter => {
                let waited = Duration::from_nanos(clock.monotonic_ns().saturating_sub(start_ns));
                if waited >= PATIENCE {
                    return Err(error);
                }
                clock
                    .sleep(error.retry_after.unwrap_or(PAUSE).clamp(PAUSE, PATIENCE))
                    .await;
            }
            outcome => return outcome,
        }
    }
}

fn save(journal: &dyn Journal, record: &Record) -> Result<()> {
    journal.save(record).map_err(|error| {
        let why = "what was done could not be written down, so nothing more is done";
        Error::new(Kind::Internal, "record", &*record.rule, why).with_source(error)
    })
}

/// Why a recorded resource was not removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// It was there before us.
    NotOurs,
    /// It is no longer what we created: what differs.
    Changed(String),
}

/// What became of a rule's wiring.
#[derive(Debug, Default)]
pub struct Unwired {
    /// Removed, in this order.
    pub removed: Vec<Entry>,
    /// Recorded as ours, but gone already.
    pub gone: Vec<Entry>,
    /// Left where they are, and why.
    pub left: Vec<(Entry, Left)>,
}

/// Removes what we created, last first, and nothing else. What others changed since is left, and stays on record.
///
/// # Errors
/// [`Stopped`]: the first failure. What was removed before it is off the record; running it again goes on from there.
pub async fn unwire(
    cloud: &dyn Cloud,
    mut record: Record,
    journal: &dyn Journal,
) -> Result<(Unwired, Record), Box<Stopped>> {
    let mut unwired = Unwired::default();
    for entry in record.entries.clone().into_iter().rev() {
        match take_away(cloud, &entry).await {
            Ok(None) => unwired.removed.push(entry.clone()),
            Ok(Some(Gone::Before)) => unwired.gone.push(entry.clone()),
            Ok(Some(Gone::Not(left))) => {
                let changed = matches!(left, Left::Changed(_));
                unwired.left.push((entry.clone(), left));
                if changed {
                    continue;
                }
            }
            Err(error) => return Err(Box::new(Stopped { record, error })),
        }
        record.entries.retain(|kept| *kept != entry);
        if let Err(error) = save(journal, &record) {
            return Err(Box::new(Stopped { record, error }));
        }
    }
    Ok((unwired, record))
}

enum Gone {
    Before,
    Not(Left),
}

async fn take_away(cloud: &dyn Cloud, entry: &Entry) -> Result<Option<Gone>> {
    if entry.state == State::Found {
        return Ok(Some(Gone::Not(Left::NotOurs)));
    }
    match cloud.look(&entry.resource).await? {
        Found::Absent => Ok(Some(Gone::Before)),
        Found::Different(why) => Ok(Some(Gone::Not(Left::Changed(why)))),
        Found::AsPlanned(name) => cloud.remove(&entry.resource, &name).await.map(|()| None),
    }
}

#[cfg(test)]
mod tests;
