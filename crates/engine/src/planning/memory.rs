//! What receipts have taught the planner, kept in the ledger: a process that starts again need not begin with the catalogue's
//! figures.
//!
//! In: what the planner has learnt of a lane's routes. Out: a small record for each lane, written once in a period of the janitor
//! where there is something new, and when the lane stops; read when it comes up. Never: fails a lane: what cannot be read, is
//! of another layout, too old or no such record is told in the log and left; larger than [`LIMIT_BYTES`].
//!
//! Processes that share a ledger share the records: whoever writes last is kept, which is right within what receipts vary.

use crate::lane::Lane;
use serde::{Deserialize, Serialize};
use skyfresh_plan::replicate::Learnt;
use skyfresh_sky::{Invalid, Timestamp};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The layout of a record. Another one is not read.
const LAYOUT: u32 = 1;
/// The JSON of a record is at most this long: routes of the fewest receipts are left out where it would be longer. A route
/// takes 1 to 3 kB; the services of ledgers take 390 kB and more.
const LIMIT_BYTES: usize = 64 << 10;
/// What is older says nothing of links as they are today.
const OLDEST: Duration = Duration::from_secs(30 * 86_400);

/// What is kept of a lane.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    layout: u32,
    /// When it was written.
    kept: Timestamp,
    /// Those of the most receipts first.
    routes: Vec<Learnt>,
}

/// The ledger's name of a lane's record.
fn name(lane: &Lane) -> String {
    format!("learnt/{}", lane.name())
}

/// What was learnt of ways to the lane's destination, from its source or from another destination.
fn learnt(lane: &Lane) -> Vec<Learnt> {
    let Some(brain) = &lane.shared.brain else {
        return Vec::new();
    };
    brain.learnt(|from, to| {
        let read = *from == lane.source_region || lane.siblings.iter().any(|it| it.region == *from);
        read && *to == lane.target_region
    })
}

/// Takes up what is kept.
pub(crate) async fn load(lane: &Lane) {
    let Some(brain) = &lane.shared.brain else {
        return;
    };
    let kept = match lane.shared.ledger.cursor(&name(lane)).await {
        Ok(None) => return,
        Ok(Some(value)) => read(value, lane.shared.clock.now()),
        Err(error) => Err(error.to_string()),
    };
    let taken = kept.and_then(|routes| brain.take_up(&routes).map_err(|error| error.to_string()));
    match taken {
        Ok(routes) => {
            tracing::debug!(
                lane = lane.name(),
                routes,
                "goes on with what was learnt before"
            );
            lane.kept_receipts
                .store(receipts(&learnt(lane)), Ordering::Relaxed);
        }
        Err(why) => tracing::warn!(
            lane = lane.name(),
            why,
            "what was learnt before is left: predictions begin with the catalogue's figures, and learn from receipts"
        ),
    }
}

/// Keeps what was learnt, if there is more of it than when it was last kept.
pub(crate) async fn keep(lane: &Lane) {
    let routes = learnt(lane);
    let receipts = receipts(&routes);
    if receipts <= lane.kept_receipts.load(Ordering::Relaxed) {
        return;
    }
    let written = match value(routes, lane.shared.clock.now()) {
        Ok(value) => {
            let ledger = &lane.shared.ledger;
            let written = ledger.set_cursor(&name(lane), Some(value)).await;
            written.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    match written {
        Ok(()) => lane.kept_receipts.store(receipts, Ordering::Relaxed),
        Err(why) => tracing::warn!(
            lane = lane.name(),
            why,
            "what was learnt is not kept; trying again later"
        ),
    }
}

fn receipts(routes: &[Learnt]) -> u64 {
    routes.iter().map(Learnt::receipts).sum()
}

/// A record of what fits of these.
fn value(mut routes: Vec<Learnt>, now: Timestamp) -> serde_json::Result<serde_json::Value> {
    let mut bytes = 0;
    let mut fits = 0;
    for route in &routes {
        bytes += serde_json::to_vec(route)?.len() + 1;
        // Half a kilobyte is more than what stands around them.
        if bytes + 512 > LIMIT_BYTES {
            break;
        }
        fits += 1;
    }
    routes.truncate(fits);
    serde_json::to_value(Record {
        layout: LAYOUT,
        kept: now,
        routes,
    })
}

/// What a record says, or why it is left.
fn read(value: serde_json::Value, now: Timestamp) -> Result<Vec<Learnt>, String> {
    // First the layout: the rest of another one may be anything.
    let layout = value.get("layout").and_then(serde_json::Value::as_u64);
    if layout != Some(u64::from(LAYOUT)) {
        return Err(format!(
            "its layout is {layout:?}, and {LAYOUT} is what this release reads"
        ));
    }
    let record: Record = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let age = now.since(record.kept);
    match age > OLDEST {
        true => Err(format!("it is {} days old", age.as_secs() / 86_400)),
        false => Ok(record.routes),
    }
}

impl super::Brain {
    fn learnt(
        &self,
        wanted: impl Fn(&skyfresh_sky::Region, &skyfresh_sky::Region) -> bool,
    ) -> Vec<Learnt> {
        self.planner().learnt(wanted)
    }

    fn take_up(&self, learnt: &[Learnt]) -> Result<usize, Invalid> {
        self.planner().take_up(learnt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_plan::predict::{KeptSketch, Site};

    fn route(number: usize, buckets: u16) -> Learnt {
        let region: skyfresh_sky::Region = format!("aws:region-{number}").parse().unwrap();
        Learnt {
            from: region.clone(),
            to: region.clone(),
            site: Site::process(region),
            inline: None,
            copies: None,
            parts: Some(KeptSketch {
                count: 1_000,
                weight: 100.0,
                buckets: (0..buckets).map(|n| (n, 1_000)).collect(),
            }),
        }
    }

    #[test]
    fn a_record_is_read_back_and_never_too_large() {
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        let routes = vec![route(1, 100), route(2, 100)];
        let small = value(routes.clone(), now).unwrap();
        assert_eq!(read(small, now.after(OLDEST)), Ok(routes));
        // As many as nobody has, each as large as can be.
        let huge: Vec<_> = (0..200).map(|number| route(number, 1_300)).collect();
        let cut = value(huge.clone(), now).unwrap();
        assert!(cut.to_string().len() <= LIMIT_BYTES);
        let kept = read(cut, now).unwrap();
        assert!(kept.len() > 2 && huge.starts_with(&kept), "{}", kept.len());
    }

    #[test]
    fn what_is_no_record_is_left_and_says_why() {
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        let good = value(vec![route(1, 10)], now).unwrap();
        let why = |value: serde_json::Value, at: Timestamp| read(value, at).unwrap_err();
        let later = now.after(OLDEST + Duration::from_secs(86_400));
        assert!(why(good.clone(), later).contains("31 days old"));
        let mut newer = good.clone();
        newer["layout"] = 2.into();
        assert!(why(newer, now).contains("layout"));
        let mut other = good;
        other["routes"] = "all of them".into();
        assert!(why(other, now).contains("all of them"));
        assert!(why(serde_json::Value::Null, now).contains("layout"));
    }
}
