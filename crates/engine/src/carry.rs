//! Carries one claim from what the stores say to what must be recorded: looks, decides, copies, finishes.
//!
//! In: a claim. Out: how it ended. Never: acts on anything but what it has just read from both stores.

use crate::attempt::{copy_in_parts, forget_attempt};
use crate::changelog::{self, Heads};
use crate::copy::copy_inline;
use crate::decide::{Decision, Known, Plan, Strategy, decide_with};
use crate::finish::Ended;
use crate::lane::Lane;
use crate::planning::course;
use crate::planning::relay::{self, Offers};
use crate::planning::relayed;
use crate::planning::{Lesson, NoPlan};
use crate::server_copy::{self, ServerCopy};
use crate::usage::Usage;
use crate::{Error, Result};
use futures::StreamExt;
use skyfresh_ledger::{Attempt, Claim, Expected, Outcome};
use skyfresh_sky::{Kind, Mutant, ObjectKey, ObjectVersion, Timestamp};
use skyfresh_store::{GetOptions, GetResult, ObjectHead, Precondition};
use std::sync::Arc;
use std::time::Duration;

/// Objects up to this size are read at once instead of asking for their head first: one round trip less.
pub(crate) const READ_AT_ONCE_BYTES: u64 = 256 << 10;
/// How often an attempt is started again at once because the source or the destination changed under it.
const ROUNDS: u32 = 4;
/// What came of a claim.
pub(crate) enum Carried {
    /// It has ended.
    Ended(Box<Ended>, Arc<Usage>),
    /// Nothing was done, and nothing should be before this time.
    PutOff(Timestamp),
}

/// What came of one look at both stores.
enum Round {
    Ended(Box<Ended>),
    PutOff(Timestamp),
}

/// Ways that a claim tries once: where they fail, the next round transfers from the source.
struct Shortcuts {
    /// Another destination may be read.
    relay: bool,
    server_copy: ServerCopy,
}

/// Carries a claim, starting again from the newest version when something changed underneath.
pub(crate) async fn carry(lane: &Lane, claim: &Claim) -> Result<Carried> {
    let usage = Arc::new(Usage::default());
    if !lane.scope.covers(&claim.task.task.key) {
        let ended = plain(Outcome::OutOfScope, None, None, 0);
        return Ok(Carried::Ended(Box::new(ended), usage));
    }
    let mut previous = claim.task.attempt.clone();
    let mut shortcuts = Shortcuts {
        relay: true,
        server_copy: ServerCopy::default(),
    };
    for round in 1.. {
        let before = previous.take();
        let once = once(lane, claim, before, &mut shortcuts, &usage).await;
        // Who was read instead of the source may be what changed.
        shortcuts.relay = false;
        match once {
            Err(error) if error.kind == Kind::Precondition && !error.fenced && round < ROUNDS => {
                tracing::debug!(task = %claim.task.task, %error, round, "changed underneath; deciding again");
                lane.shared
                    .clock
                    .sleep(Duration::from_millis(20 << round))
                    .await;
            }
            Ok(Round::Ended(ended)) => return Ok(Carried::Ended(ended, usage)),
            Ok(Round::PutOff(until)) => return Ok(Carried::PutOff(until)),
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(
        Kind::Internal,
        "carry",
        claim.task.task.to_string(),
        "the loop above ends by itself",
    ))
}

fn plain(
    outcome: Outcome,
    source: Option<ObjectVersion>,
    destination: Option<ObjectVersion>,
    size: u64,
) -> Ended {
    Ended {
        outcome,
        source,
        destination,
        crc64: None,
        size,
        strategy: "none".into(),
        unkept: Vec::new(),
        via: None,
        expected: None,
    }
}

/// What the source holds, and a read of it if one was begun.
struct Seen {
    head: Option<ObjectHead>,
    opened: Option<GetResult>,
}

async fn once(
    lane: &Lane,
    claim: &Claim,
    previous: Option<Attempt>,
    shortcuts: &mut Shortcuts,
    usage: &Arc<Usage>,
) -> Result<Round> {
    let key = &claim.task.task.key;
    let looked = lane.shared.clock.now();
    let source = look_at_source(lane, claim, usage);
    let target = look_at_target(lane, key, usage);
    let (seen, target) = match lane.shared.inline.is_short() {
        // A read that has begun takes its share of the network, also while it waits for the destination's answer.
        true => {
            let target = target.await;
            (source.await, target)
        }
        false => futures::join!(source, target),
    };
    let (seen, target) = (seen?, target?);
    let mark = match &target {
        Some(_) => {
            let keys = std::slice::from_ref(key);
            lane.shared
                .ledger
                .marks(&lane.rule.name, &lane.destination.name, keys)
                .await?
                .into_iter()
                .next()
                .flatten()
        }
        None => None,
    };
    let known = Known {
        rule: &lane.rule,
        destination: &lane.destination,
        source: seen.head.as_ref(),
        target: target.as_ref(),
        mark,
        capabilities: &lane.target.capabilities(),
    };
    let offers = match &seen.head {
        Some(head) if shortcuts.relay => relay::offers(lane, key, head).await?,
        _ => Offers::default(),
    };
    let spare = lane
        .rule
        .slo
        .delay
        .saturating_sub(course::elapsed(claim, looked));
    let by_relays = match &seen.head {
        // What another destination holds already is read from there.
        Some(head) if offers.fresh.is_empty() => relayed::relayed(lane, claim, head, spare).await?,
        _ => None,
    };
    // Relays carry to all that lack it at once: nobody waits for another to have it first.
    let joined = by_relays
        .as_ref()
        .is_some_and(|by| !by.order.mates.is_empty());
    let coming = offers.coming && !joined;
    let small_parts = match &seen.head {
        Some(head) if lane.shared.brain.is_some() => {
            changelog::remembers(lane, key, head.size).await
        }
        _ => false,
    };
    let heads = Heads::of(seen.head.as_ref(), target.as_ref());
    let server_copy = &mut shortcuts.server_copy;
    let recipe = server_copy.recipe(lane, key, heads);
    let here = course::Known {
        fresh: offers.fresh,
        relayed: by_relays.clone(),
        small_parts,
        server_copy: recipe.as_ref().map(server_copy::store_copy),
    };
    let (mut lesson, mut by_store) = (None, false);
    let decided = decide_with(known, |head| {
        let chosen = course::course(lane, claim, head, previous.as_ref(), here, looked);
        chosen.map(|(course, learns)| {
            (lesson, by_store) = (learns, course.by_store);
            course
        })
    });
    let decision = match decided {
        Ok(decision) => decision,
        Err(NoPlan::Impossible(why)) => Decision::Impossible(why),
        Err(NoPlan::Later(why)) => {
            return Err(Error::new(Kind::RetryAfter, "plan", key.as_str(), why));
        }
        Err(NoPlan::Paused) => return Ok(Round::PutOff(lane.account.renewed(looked))),
    };
    let in_parts = matches!(&decision, Decision::Copy(plan) if plan.strategy != Strategy::Inline);
    if !in_parts {
        forget_attempt(lane, claim, previous.as_ref()).await?;
    }
    let (source_version, size) = match &seen.head {
        Some(head) => (Some(head.version.clone()), head.size),
        None => (None, 0),
    };
    let ended = match decision {
        Decision::AlreadyEqual => {
            drain(seen.opened).await;
            Ok(plain(
                Outcome::AlreadyEqual,
                source_version,
                target.map(|head| head.version),
                size,
            ))
        }
        Decision::Absent => Ok(plain(
            Outcome::Absent,
            None,
            target.map(|head| head.version),
            0,
        )),
        Decision::Impossible(why) => Err(Error::new(Kind::Invalid, "decide", key.as_str(), why)),
        Decision::Delete(version) => {
            changelog::hold_delete(lane, key).await?;
            delete(lane, key, version, usage).await
        }
        Decision::Copy(plan) => {
            let mut previous = previous.filter(|_| in_parts);
            let mut made =
                changelog::apply(lane, claim, &plan, heads, &mut previous, usage).await?;
            if made.is_none()
                && coming
                && plan.via.is_none()
                && let Some(until) = wait_for_relay(&plan, looked)
            {
                drain(seen.opened).await;
                return Ok(Round::PutOff(until));
            }
            let mut expected = None;
            if let (None, Some(recipe), Some(source)) =
                (&made, recipe.filter(|_| by_store), heads.source)
            {
                let making = server_copy::making(lane, claim, &plan, source, &recipe, usage);
                made = server_copy.take(making, previous.take()).await?;
                // Of a copy that was not made there is nothing to learn.
                let lesson = lesson.take().filter(|_| made.is_some());
                expected = came_true(lane, plan.expected.clone(), lesson, looked);
            }
            let ended = match made {
                Some(made) => Ended {
                    outcome: Outcome::Copied,
                    source: source_version,
                    destination: Some(made.published.version),
                    crc64: made.published.crc64,
                    size: plan.size,
                    strategy: made.strategy,
                    unkept: plan.unkept,
                    via: None,
                    expected,
                },
                None => {
                    let published = match plan.strategy {
                        Strategy::Inline => {
                            copy_inline(lane, claim, &plan, seen.opened, usage).await
                        }
                        Strategy::Multipart { .. } => {
                            let relays = match plan.via {
                                Some(_) => relayed::from_sibling(lane, &plan, spare),
                                None => by_relays
                                    .map(|by| by.order)
                                    .or_else(|| relayed::alone(lane, spare)),
                            };
                            copy_in_parts(lane, claim, &plan, previous, relays, usage).await
                        }
                    };
                    let published = published.map_err(|error| without_relay(&plan, error))?;
                    // What did not have to move, or went by relays, teaches nothing about how long the planned way takes.
                    let planned = usage.savings.bytes() == 0 && usage.relayed_bytes() == 0;
                    let lesson = lesson.filter(|_| planned);
                    Ended {
                        outcome: Outcome::Copied,
                        source: source_version,
                        destination: Some(published.version),
                        crc64: published.crc64,
                        size: plan.size,
                        strategy: std::mem::take(server_copy)
                            .told(changelog::strategy(&plan, usage)),
                        expected: came_true(lane, plan.expected, lesson, looked),
                        unkept: plan.unkept,
                        via: plan.via.map(|via| via.destination),
                    }
                }
            };
            copy_tags(lane, key, seen.head.as_ref(), usage).await?;
            Ok(ended)
        }
    };
    ended.map(|ended| Round::Ended(Box::new(ended)))
}

/// Until when a destination waits for another that it could read from, instead of the source.
fn wait_for_relay(plan: &Plan, now: Timestamp) -> Option<Timestamp> {
    let expected = plan.expected.as_ref()?;
    let ms = Duration::from_millis;
    let (left, direct) = (ms(expected.left_ms), ms(expected.at_slo_ms));
    relay::wait(now, left, direct, ms(expected.p50_ms))
}

/// Where another destination was read instead of the source, whatever is wrong there is no reason to give up: the next round
/// reads the source.
fn without_relay(plan: &Plan, error: Error) -> Error {
    match plan.via {
        Some(_) if !error.fenced => Error {
            kind: Kind::Precondition,
            ..error
        },
        _ => error,
    }
}

/// What was expected, with what came of it; and learns from it. Rounds that were lost because the source changed do not count: a
/// hot key would teach that its whole route is slow.
fn came_true(
    lane: &Lane,
    expected: Option<Expected>,
    lesson: Option<Lesson>,
    looked: Timestamp,
) -> Option<Expected> {
    let Some(lesson) = lesson else {
        return expected;
    };
    let took = lane.shared.clock.now().since(looked);
    if let Some(brain) = &lane.shared.brain {
        brain.learn(&lesson, took);
    }
    expected.map(|expected| Expected {
        took_ms: Some(took.as_millis() as u64),
        ..expected
    })
}

/// Only the object's absence counts as absence: a missing bucket is trouble, whatever the rule says about deletes.
fn absent(error: &skyfresh_store::Error) -> bool {
    let any_missing = Mutant::MissingBucketIsMissingKey.is_on();
    error.kind == Kind::Missing && (!error.is_missing_bucket() || any_missing)
}

async fn look_at_source(lane: &Lane, claim: &Claim, usage: &Usage) -> Result<Seen> {
    let key = &claim.task.task.key;
    usage.source_read();
    let small = claim
        .task
        .signal
        .size
        .is_some_and(|size| size <= READ_AT_ONCE_BYTES)
        && claim.task.attempt.is_none();
    let seen = if small {
        lane.source
            .get(key, GetOptions::default())
            .await
            .map(|read| Seen {
                head: Some(read.head.clone()),
                opened: Some(read),
            })
    } else {
        lane.source.head(key).await.map(|head| Seen {
            head: Some(head),
            opened: None,
        })
    };
    match seen {
        Err(error) if absent(&error) => Ok(Seen {
            head: None,
            opened: None,
        }),
        seen => Ok(seen?),
    }
}

async fn look_at_target(lane: &Lane, key: &ObjectKey, usage: &Usage) -> Result<Option<ObjectHead>> {
    usage.target_read();
    match lane.target.head(key).await {
        Ok(head) => Ok(Some(head)),
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads a small body to its end, so that its connection can be used again.
async fn drain(opened: Option<GetResult>) {
    if let Some(mut opened) = opened.filter(|read| read.head.size <= READ_AT_ONCE_BYTES) {
        while let Some(Ok(_)) = opened.body.next().await {}
    }
}

async fn delete(
    lane: &Lane,
    key: &ObjectKey,
    version: ObjectVersion,
    usage: &Usage,
) -> Result<Ended> {
    if !lane.deletes.allow(lane.shared.clock.now()) {
        let why = format!(
            "held for safety: more than {} deletes within an hour at {}; raise max_deletes in the rule if they are meant",
            lane.rule.max_deletes,
            lane.name()
        );
        return Err(Error::new(Kind::Denied, "delete", key.as_str(), why));
    }
    let precondition = if lane.target.capabilities().delete_if_version.enforced() {
        Precondition::Version(version.clone())
    } else {
        Precondition::None
    };
    usage.target_delete();
    lane.target.delete(key, &precondition).await?;
    Ok(plain(Outcome::Deleted, None, Some(version), 0))
}

async fn copy_tags(
    lane: &Lane,
    key: &ObjectKey,
    source: Option<&ObjectHead>,
    usage: &Usage,
) -> Result<()> {
    let tagged = source.is_some_and(|head| head.tag_count > 0);
    if !lane.rule.tags || !tagged || !lane.target.capabilities().tags {
        return Ok(());
    }
    usage.source_read();
    usage.target_write();
    let tags = lane.source.tags(key).await?;
    Ok(lane.target.set_tags(key, &tags).await?)
}
