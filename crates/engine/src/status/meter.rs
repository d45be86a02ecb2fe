//! What one lane has done, in bounded memory: quantiles over the last hour, totals since the process began.

use super::model::{Lag, LaneState, Totals};
use crate::intake::sweep::SweepReport;
use hdrhistogram::Histogram;
use skyfresh_ledger::{Origin, Outcome, Receipt};
use skyfresh_sky::{Kind, Slo, Timestamp};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Quantiles are kept in slices of this length…
const SLICE: Duration = Duration::from_secs(300);
/// …and reported over this many.
const SLICES: usize = 12;
/// Longest lag told apart, in ms: 30 days.
const LONGEST_LAG_MS: u64 = 30 * 86_400_000;
/// Minutes of receipts counted, for the cap on receipts.
const COUNTED_MINUTES: usize = 7 * 24 * 60;

#[derive(Debug)]
struct Slice {
    began: Timestamp,
    /// Lags in ms, two significant digits.
    lags: Histogram<u32>,
    met: u64,
}

#[derive(Debug)]
struct State {
    slices: VecDeque<Slice>,
    totals: Totals,
    receipts_by_minute: VecDeque<(Timestamp, u64)>,
    busy: u64,
    lane: LaneState,
    trouble: Option<String>,
    /// When the sweep under way began.
    sweeping: Option<Timestamp>,
    sweep: Option<SweepReport>,
    sweep_error: Option<String>,
}

/// The measurements of one lane.
#[derive(Debug)]
pub(crate) struct LaneMeter {
    slo: Slo,
    state: Mutex<State>,
}

impl LaneMeter {
    pub(crate) fn new(slo: Slo, now: Timestamp) -> Self {
        let state = State {
            slices: VecDeque::new(),
            totals: Totals {
                since: now,
                ..Totals::default()
            },
            receipts_by_minute: VecDeque::new(),
            busy: 0,
            lane: LaneState::Starting,
            trouble: None,
            sweeping: None,
            sweep: None,
            sweep_error: None,
        };
        LaneMeter {
            slo,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a finished claim.
    pub(crate) fn receipt(&self, receipt: &Receipt) {
        let mut state = self.state();
        let totals = &mut state.totals;
        *totals.outcomes.entry(receipt.outcome).or_default() += 1;
        totals.bytes_moved += receipt.bytes_moved;
        totals.requests += u64::from(receipt.requests);
        totals.spend += receipt.spend;
        if let Some(expected) = &receipt.expected {
            totals.predictions.count(expected);
        }
        totals.bytes_saved += receipt.bytes_saved;
        totals.saved += receipt.saved;
        if matches!(receipt.outcome, Outcome::Copied | Outcome::Deleted) {
            match receipt.origin {
                Origin::Live => totals.told_changes += 1,
                Origin::Repair => totals.untold_changes += 1,
                Origin::Backfill => {}
            }
        }
        self.lag(&mut state, receipt);
        count_minute(&mut state.receipts_by_minute, receipt.published);
    }

    /// Takes up a receipt of an earlier process: for the lag window, not for this process's totals.
    pub(crate) fn remember(&self, receipt: &Receipt) {
        let mut state = self.state();
        self.lag(&mut state, receipt);
        count_minute(&mut state.receipts_by_minute, receipt.published);
    }

    fn lag(&self, state: &mut State, receipt: &Receipt) {
        let counts = receipt.origin != Origin::Backfill
            && matches!(receipt.outcome, Outcome::Copied | Outcome::Deleted);
        if !counts {
            return;
        }
        let began = Timestamp::from_unix_ms(
            receipt.published.unix_ms() / SLICE.as_millis() as u64 * SLICE.as_millis() as u64,
        );
        if state.slices.back().is_none_or(|slice| slice.began < began) {
            let Ok(lags) = Histogram::new_with_bounds(1, LONGEST_LAG_MS, 2) else {
                return;
            };
            state.slices.push_back(Slice {
                began,
                lags,
                met: 0,
            });
            while state.slices.len() > SLICES {
                state.slices.pop_front();
            }
        }
        if let Some(slice) = state.slices.back_mut() {
            let lag = receipt.lag();
            slice
                .lags
                .saturating_record(lag.as_millis().clamp(1, u128::from(LONGEST_LAG_MS)) as u64);
            slice.met += u64::from(lag <= self.slo.delay);
        }
    }

    /// Counts a failed attempt.
    pub(crate) fn failure(&self, kind: Kind) {
        *self.state().totals.failures.entry(kind).or_default() += 1;
    }

    /// Counts a claim that was given back to wait for something better.
    pub(crate) fn put_off(&self) {
        self.state().totals.put_off += 1;
    }

    /// Counts a claim that another owner took over.
    pub(crate) fn lease_lost(&self) {
        self.state().totals.leases_lost += 1;
    }

    /// Counts a claim under way until the guard is dropped.
    pub(crate) fn busy(&self) -> Busy<'_> {
        self.state().busy += 1;
        Busy(self)
    }

    /// Sets the lane's state.
    pub(crate) fn lane(&self, lane: LaneState, trouble: Option<String>) {
        let mut state = self.state();
        state.lane = lane;
        state.trouble = trouble;
    }

    /// Sets or clears what a person should know.
    pub(crate) fn trouble(&self, trouble: Option<String>) {
        self.state().trouble = trouble;
    }

    /// Records that a sweep begins.
    pub(crate) fn sweep_begins(&self, now: Timestamp) {
        self.state().sweeping = Some(now);
    }

    /// Whether a sweep that began at or after `time` is under way, or is the first thing that a starting lane will do.
    pub(crate) fn will_have_swept(&self, time: Timestamp) -> bool {
        let state = self.state();
        state.lane != LaneState::Ready || state.sweeping.is_some_and(|began| began >= time)
    }

    /// Records a complete sweep.
    pub(crate) fn swept(&self, report: SweepReport) {
        let mut state = self.state();
        state.sweeping = None;
        state.totals.lost_notifications += report.lost_notifications;
        state.sweep = Some(report);
        state.sweep_error = None;
    }

    /// Records that a sweep failed.
    pub(crate) fn sweep_failed(&self, why: String) {
        let mut state = self.state();
        state.sweeping = None;
        state.sweep_error = Some(why);
    }

    /// The last complete sweep of this lane, this process's or an earlier one's.
    pub(crate) fn sweep(&self) -> (Option<SweepReport>, Option<String>) {
        let state = self.state();
        (state.sweep.clone(), state.sweep_error.clone())
    }

    /// Takes up a newer sweep of another process on the same ledger.
    pub(crate) fn saw_sweep(&self, report: SweepReport) {
        let mut state = self.state();
        if state
            .sweep
            .as_ref()
            .is_none_or(|known| known.started < report.started)
        {
            state.sweep = Some(report);
            state.sweep_error = None;
        }
    }

    /// Restores the last sweep of an earlier process.
    pub(crate) fn remember_sweep(&self, report: SweepReport) {
        let mut state = self.state();
        state.sweep.get_or_insert(report);
    }

    pub(crate) fn totals(&self) -> Totals {
        self.state().totals.clone()
    }

    pub(crate) fn lane_state(&self) -> (LaneState, Option<String>, u64) {
        let state = self.state();
        (state.lane, state.trouble.clone(), state.busy)
    }

    /// Lag over the window, and the share of changes that met the SLO.
    pub(crate) fn lag_window(&self, now: Timestamp) -> Lag {
        let state = self.state();
        let mut all: Option<Histogram<u32>> = None;
        let mut met = 0;
        let window = SLICE * SLICES as u32;
        for slice in state
            .slices
            .iter()
            .filter(|slice| now.since(slice.began) <= window)
        {
            met += slice.met;
            match &mut all {
                Some(all) => all.add(&slice.lags).unwrap_or(()),
                None => all = Some(slice.lags.clone()),
            }
        }
        let Some(all) = all.filter(|all| !all.is_empty()) else {
            return Lag::default();
        };
        let seconds = |quantile: f64| Some(all.value_at_quantile(quantile) as f64 / 1000.0);
        Lag {
            changes: all.len(),
            p50_s: seconds(0.5),
            p99_s: seconds(0.99),
            max_s: Some(all.max() as f64 / 1000.0),
            slo_attainment: Some(met as f64 / all.len() as f64),
        }
    }

    /// The time before which receipts must go so that at most `most` remain; `None` where there are fewer.
    pub(crate) fn receipt_horizon(&self, most: u64) -> Option<Timestamp> {
        let state = self.state();
        let mut kept = 0;
        for (minute, count) in state.receipts_by_minute.iter().rev() {
            kept += count;
            if kept > most {
                return Some(minute.after(Duration::from_secs(60)));
            }
        }
        None
    }
}

fn count_minute(minutes: &mut VecDeque<(Timestamp, u64)>, at: Timestamp) {
    let minute = Timestamp::from_unix_ms(at.unix_ms() / 60_000 * 60_000);
    match minutes.back_mut() {
        Some((last, count)) if *last >= minute => *count += 1,
        _ => minutes.push_back((minute, 1)),
    }
    while minutes.len() > COUNTED_MINUTES {
        minutes.pop_front();
    }
}

/// A claim under way.
pub(crate) struct Busy<'a>(&'a LaneMeter);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy = state.busy.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples;
    use skyfresh_sky::Usd;

    fn receipt(published_ms: u64, lag_ms: u64, origin: Origin) -> Receipt {
        let published = Timestamp::from_unix_ms(published_ms);
        Receipt {
            origin,
            changed: published.before(Duration::from_millis(lag_ms)),
            notified: published,
            started: published,
            published,
            size: 10,
            bytes_moved: 10,
            requests: 3,
            spend: Usd::from_usd(0.25),
            ..examples::receipt("k")
        }
    }

    #[test]
    fn lag_counts_changes_of_the_last_hour_but_no_backfill() {
        let meter = LaneMeter::new("1s".parse().unwrap(), Timestamp::ZERO);
        let hour = 3_600_000;
        meter.receipt(&receipt(hour, 9_000_000, Origin::Backfill));
        for lag_ms in [100, 200, 300, 5_000] {
            meter.receipt(&receipt(10 * hour, lag_ms, Origin::Live));
        }
        meter.receipt(&receipt(10 * hour, 400, Origin::Repair));
        let lag = meter.lag_window(Timestamp::from_unix_ms(10 * hour + 1));
        assert_eq!(lag.changes, 5);
        assert_eq!(lag.slo_attainment, Some(0.8));
        assert!(
            (lag.p50_s.unwrap() - 0.3).abs() < 0.01 && (lag.max_s.unwrap() - 5.0).abs() < 0.05,
            "{lag:?}"
        );
        assert_eq!(
            meter.lag_window(Timestamp::from_unix_ms(12 * hour)).changes,
            0
        );
        let totals = meter.totals();
        assert_eq!(
            (
                totals.outcomes[&Outcome::Copied],
                totals.bytes_moved,
                totals.spend
            ),
            (6, 60, Usd::from_usd(1.5))
        );
    }

    #[test]
    fn the_horizon_keeps_at_most_so_many_receipts() {
        let meter = LaneMeter::new(Slo::default(), Timestamp::ZERO);
        for minute in 0..10 {
            for _ in 0..10 {
                meter.receipt(&receipt(minute * 60_000, 1, Origin::Live));
            }
        }
        assert_eq!(meter.receipt_horizon(100), None);
        // 25 receipts: minutes 8 and 9 fit, minute 7 would pass the cap.
        assert_eq!(
            meter.receipt_horizon(25),
            Some(Timestamp::from_unix_ms(8 * 60_000))
        );
    }
}
