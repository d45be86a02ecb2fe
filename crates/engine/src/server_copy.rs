//! **server copy**: the destination's store takes an object from the source's store by itself, where its rule allows that.
//!
//! In: a rule's word that the destination's credentials may read the source, both heads. Out: the object, published over the
//! version that was seen and proved by a checksum that both sides state; or why not, for the receipt, and the transfer goes its
//! ordinary way. Never: tried twice in one claim; faster from the source than the rule allows; believed.

use crate::attempt::forget_attempt;
use crate::changelog::{Heads, Made, Making, Origin, Reason, Recipe, Transfer, Way, of_source};
use crate::decide::Plan;
use crate::lane::Lane;
use crate::rule::{Destination, Rule};
use crate::usage::Usage;
use crate::{Error, Result};
use skyfresh_ledger::{Attempt, Claim};
use skyfresh_plan::replicate::StoreCopy;
use skyfresh_sky::{Kind, Location, ObjectKey, Scheme, Timestamp, Usd};
use skyfresh_store::ObjectHead;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A destination whose store may not read the source, or does not show what it made of it, is asked again after this: somebody
/// may have set its rights meanwhile. Until then every object would cost a request, or a whole copy, for nothing.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// Whether a rule may have this destination's store read its source at all.
///
/// # Errors
/// Why not, and what to do about it.
pub(crate) fn check(rule: &Rule, destination: &Destination) -> Result<(), Reason> {
    if !destination.server_copy {
        return Ok(());
    }
    let (source, target) = (&rule.source, &destination.location);
    let why = match one_service(source, target) {
        Err(why) => why,
        Ok(()) if rule.bandwidth.is_some() => {
            "nothing can hold a store's own copies to the rule's bandwidth".to_owned()
        }
        Ok(()) => return Ok(()),
    };
    let name = &destination.name;
    Err(format!(
        "destination {name:?}: server_copy is set, but {why}; leave server_copy out"
    ))
}

/// Whether two locations are of one service, whose stores can read each other.
fn one_service(source: &Location, target: &Location) -> Result<(), Reason> {
    let (a, b) = (source.scheme.as_str(), target.scheme.as_str());
    if a != b {
        return Err(format!("the source is {a}://, the destination {b}://"));
    }
    if source.option("endpoint") != target.option("endpoint") {
        return Err("source and destination have different endpoints".into());
    }
    let account = |location: &Location| {
        let container = location.azure_container();
        container.map(|(account, _)| account.to_owned())
    };
    if source.scheme == Scheme::Azure && account(source) != account(target) {
        return Err("source and destination are in different storage accounts".into());
    }
    Ok(())
}

/// Since when a lane's store is not asked, and why.
#[derive(Debug, Default)]
pub(crate) struct Refusal(Mutex<Option<(Timestamp, Reason)>>);

impl Refusal {
    fn set(&self, now: Timestamp, why: Reason) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, why));
    }

    /// Why the store is not asked now.
    fn holds(&self, now: Timestamp) -> Option<Reason> {
        let mut refusal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.take_if(|(since, _)| now.since(*since) >= ASKED_AGAIN_AFTER);
        refusal.as_ref().map(|(_, why)| why.clone())
    }
}

/// What a claim knows of its object's server-side copy.
#[derive(Debug, Default)]
pub(crate) struct ServerCopy {
    /// Why there is none, for the receipt; nothing where none was asked for.
    why_not: Option<Reason>,
    /// It was tried.
    over: bool,
}

impl ServerCopy {
    /// How the object could be copied so, as the planner asks for it.
    pub(crate) fn recipe(
        &mut self,
        lane: &Lane,
        key: &ObjectKey,
        heads: Heads<'_>,
    ) -> Option<Recipe> {
        let source = heads.source?;
        let small = source.size < lane.shared.config.server_copy_least_bytes;
        if !lane.destination.server_copy || small || self.over {
            return None;
        }
        let found = match lane.server_copies.holds(lane.shared.clock.now()) {
            Some(why) => Err(why),
            None => of_source(key, source, heads.target, &lane.target.capabilities()),
        };
        let (recipe, why_not) = match found {
            Ok(recipe) => (Some(recipe), None),
            Err(why) => (None, Some(why)),
        };
        self.why_not = why_not;
        recipe
    }

    /// How a transfer went, with why it had to be one.
    pub(crate) fn told(self, strategy: String) -> String {
        match self.why_not {
            Some(why) => format!("{strategy} (no server-side copy: {why})"),
            None => strategy,
        }
    }

    /// Lets the store copy. `None`: it refused, and the plan is to be carried out as it is.
    ///
    /// # Errors
    /// [`Kind::Precondition`]: something changed, or is there now without being proved, or may be: look again, and transfer. The
    /// lease is lost, or the ledger could not forget `previous`.
    pub(crate) async fn take(
        &mut self,
        making: Making<'_>,
        previous: Option<Attempt>,
    ) -> Result<Option<Made>> {
        self.over = true;
        let Making {
            lane, claim, plan, ..
        } = making;
        forget_attempt(lane, claim, previous.as_ref()).await?;
        let before = price(lane, making.usage);
        let error = match making.make().await {
            Ok(made) => {
                let spent = price(lane, making.usage).units() - before.units();
                let transfer = Transfer::of(plan.strategy, plan.size);
                let saved = transfer.saved(lane, Usd::from_units(spent));
                making.usage.savings.add(plan.size, saved, 0);
                return Ok(Some(made));
            }
            Err(error) if error.fenced => return Err(error),
            Err(error) => error,
        };
        tracing::debug!(task = %claim.task.task, %error, "not copied by the destination's store");
        let why = error.to_string();
        // Neither passes by itself; whatever else went wrong may be different for the next object.
        if matches!(error.kind, Kind::Denied | Kind::Unsupported | Kind::Corrupt) {
            tracing::warn!(lane = lane.name(), %error, "the destination's store is not asked to copy from the source for an hour");
            lane.server_copies.set(lane.shared.clock.now(), why.clone());
        }
        self.why_not = Some(why);
        match error.kind {
            Kind::Denied | Kind::Unsupported | Kind::Invalid => Ok(None),
            // What is at the destination may no longer be what the plan's condition names: that must not show only when
            // everything has been sent.
            _ => Err(Error {
                kind: Kind::Precondition,
                ..error
            }),
        }
    }
}

/// What a claim has cost so far.
fn price(lane: &Lane, usage: &Usage) -> Usd {
    let (source, target) = (&lane.source_region, &lane.target_region);
    usage.price(&lane.shared.catalog, source, target)
}

/// A recipe as the planner prices it.
pub(crate) fn store_copy(recipe: &Recipe) -> StoreCopy {
    match &recipe.way {
        Way::Copy(_) => StoreCopy::Whole,
        Way::Assemble(pieces) => StoreCopy::Parts(pieces.len() as u64),
    }
}

/// Everything that a recipe of the source needs to be carried out.
pub(crate) fn making<'a>(
    lane: &'a Lane,
    claim: &'a Claim,
    plan: &'a Plan,
    source: &'a ObjectHead,
    recipe: &'a Recipe,
    usage: &'a Usage,
) -> Making<'a> {
    Making {
        lane,
        claim,
        plan,
        source,
        recipe,
        from: Origin::Source,
        usage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(source: &str, target: &str) -> Rule {
        let locations = [source, target].map(|text| text.parse::<Location>().unwrap());
        let [source, target] = locations;
        let mut rule = Rule::new("r", source, vec![target]);
        rule.destinations[0].server_copy = true;
        rule
    }

    #[test]
    fn only_stores_of_one_service_read_each_other() {
        for (source, target) in [
            (
                "s3://a/?region=us-east-1",
                "s3://b/?region=eu-west-1&profile=eu",
            ),
            ("s3://a/?endpoint=minio", "s3://b/?endpoint=minio"),
            ("gs://a/", "gs://b/"),
            ("az://account/a/", "az://account/b/"),
            ("file:///a", "file:///b"),
        ] {
            assert!(rule(source, target).check().is_ok(), "{source} {target}");
        }
        for (source, target, why) in [
            ("s3://a/", "gs://b/", "the source is s3://"),
            ("s3://a/", "s3://b/?endpoint=minio", "different endpoints"),
            ("az://one/a/", "az://two/b/", "different storage accounts"),
        ] {
            let error = rule(source, target).check().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let limited = Rule {
            bandwidth: Some("20MB".to_owned().try_into().unwrap()),
            ..rule("s3://a/", "s3://b/")
        };
        let error = limited.check().unwrap_err().to_string();
        assert!(error.contains("bandwidth"), "{error}");
    }

    #[test]
    fn a_refusal_passes() {
        let (refusal, start) = (Refusal::default(), Timestamp::from_unix_ms(1_000));
        assert_eq!(refusal.holds(start), None);
        refusal.set(start, "no rights".into());
        let almost = start.after(ASKED_AGAIN_AFTER - Duration::from_millis(1));
        assert_eq!(refusal.holds(almost), Some("no rights".into()));
        assert_eq!(refusal.holds(start.after(ASKED_AGAIN_AFTER)), None);
        assert_eq!(refusal.holds(start), None, "it is forgotten");
    }
}
