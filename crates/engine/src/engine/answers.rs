//! What the engine answers: how it stands, what became of a key, when a time is reached.

use super::Engine;
use crate::Result;
use crate::lane::Lane;
use crate::rule::Rule;
use crate::status::{
    DestinationStatus, Explanation, RuleStatus, WaitOutcome, explain_task, watermark,
};
use skyfresh_sky::{ObjectKey, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// How often a wait looks whether its time has come.
const WAIT_LOOK: Duration = Duration::from_millis(50);
/// Failing keys listed in a status.
const FAILING_SHOWN: usize = 10;
/// Receipts listed in an explanation.
const RECEIPTS_SHOWN: usize = 10;

impl Engine {
    /// The status of all rules, or of one.
    ///
    /// # Errors
    /// No such rule, or the ledger failed.
    pub async fn status(&self, rule: Option<&str>) -> Result<Vec<RuleStatus>> {
        let rules: Vec<(Arc<Rule>, Vec<Arc<Lane>>)> = match rule {
            Some(name) => vec![(Arc::clone(&self.lanes(name)?[0].rule), self.lanes(name)?)],
            None => self
                .read()
                .values()
                .map(|running| (Arc::clone(&running.rule), running.lanes.clone()))
                .collect(),
        };
        let mut all = Vec::new();
        for (rule, lanes) in rules {
            let mut destinations = Vec::new();
            for lane in &lanes {
                destinations.push(self.lane_status(lane).await?);
            }
            all.push(RuleStatus {
                rule: rule.name.clone(),
                source: rule.source.to_string(),
                slo: rule.slo.to_string(),
                paused: lanes.iter().all(|lane| lane.is_paused()),
                budget: lanes[0].account.status(self.shared.clock.now()),
                channels: self.channels_of(&rule.name).await?,
                destinations,
            });
        }
        Ok(all)
    }

    async fn lane_status(&self, lane: &Lane) -> Result<DestinationStatus> {
        let (rule, destination) = (lane.rule.name.as_str(), lane.destination.name.as_str());
        let ledger = &self.shared.ledger;
        // The clock first: what arrives while we look must not be covered by the watermark.
        let now = self.shared.clock.now();
        let (sweep, sweep_error) = lane.meter.sweep();
        let backlog = ledger.backlog(rule, destination).await?;
        let (watermark, proven) = watermark(now, &backlog, sweep.as_ref());
        let failing = match backlog.failing.is_empty() {
            true => Vec::new(),
            false => ledger
                .failing(rule, destination, FAILING_SHOWN)
                .await?
                .into_iter()
                .map(Into::into)
                .collect(),
        };
        let (state, trouble, in_flight) = lane.meter.lane_state();
        let price = self
            .shared
            .catalog
            .egress_usd_per_gb(&lane.source_region, &lane.target_region);
        Ok(DestinationStatus {
            destination: destination.into(),
            location: lane.destination.location.to_string(),
            state,
            trouble,
            backlog,
            in_flight,
            lag: lane.meter.lag_window(now),
            watermark,
            proven,
            totals: lane.meter.totals(),
            failing,
            sweep,
            sweep_error,
            egress_priced: price.is_some(),
        })
    }

    /// One key's story at every destination of a rule.
    ///
    /// # Errors
    /// No such rule, or the ledger failed.
    pub async fn explain(&self, rule: &str, key: &ObjectKey) -> Result<Vec<Explanation>> {
        let mut all = Vec::new();
        for lane in self.lanes(rule)? {
            let task = lane.task_key(key.clone());
            let ledger = &self.shared.ledger;
            let pending = ledger
                .task(&task)
                .await?
                .map(|task| explain_task(task, self.shared.clock.now()));
            all.push(Explanation {
                destination: lane.destination.name.clone(),
                pending,
                receipts: ledger.receipts_by_key(&task, RECEIPTS_SHOWN).await?,
                tombstone: ledger.tombstone(&task).await?,
                in_scope: lane.scope.covers(key),
            });
        }
        Ok(all)
    }

    /// Waits until everything written before `until` is proved to be at every destination: sweeps as often as it takes.
    ///
    /// # Errors
    /// No such rule, or the ledger failed.
    pub async fn wait(&self, rule: &str, until: Timestamp, limit: Duration) -> Result<WaitOutcome> {
        let lanes = self.lanes(rule)?;
        let deadline = self.shared.clock.now().after(limit);
        // The sweep that was last when a new one was asked for, so that each is asked for once.
        let mut asked: Vec<Option<Option<Timestamp>>> = vec![None; lanes.len()];
        loop {
            let mut reached = true;
            for (lane, asked) in lanes.iter().zip(&mut asked) {
                let last = lane.meter.sweep().0.map(|sweep| sweep.started);
                let status = self.lane_status(lane).await?;
                if status.proven.is_some_and(|proven| proven >= until) {
                    continue;
                }
                reached = false;
                let due =
                    self.shared.clock.now() >= until && last.is_none_or(|started| started < until);
                if due && *asked != Some(last) && !lane.meter.will_have_swept(until) {
                    *asked = Some(last);
                    lane.sweep_now.notify_one();
                }
            }
            if reached {
                return Ok(WaitOutcome::Reached);
            }
            if self.shared.clock.now() >= deadline {
                return Ok(WaitOutcome::TimedOut);
            }
            let look = self.shared.ledger.poll_every().unwrap_or(WAIT_LOOK);
            self.shared.clock.sleep(look).await;
        }
    }
}
