//! **status**: what people and monitors are told. Derived from receipts and the ledger's counters, never from hopes.
//!
//! In: receipts, failures, sweep reports, the backlog. Out: lag quantiles, watermark, SLO attainment, spend. Never: says
//! "done" of anything that has no receipt.

mod meter;
mod model;

pub(crate) use meter::LaneMeter;
pub use model::{
    Attempted, DestinationStatus, Explanation, FailingKey, Lag, LaneState, PendingState,
    Predictions, RuleStatus, Totals, WaitOutcome,
};
pub(crate) use model::{explain_task, watermark};
