//! What a rule has spent in the period of its budget.
//!
//! In: receipts, this process's and those of others on the same ledger. Out: what the budget allows now, and how it stands.
//! Never: forgets what was spent when the process starts again: the ledger's receipts say it, and a checkpoint what older ones
//! said that are gone.

use crate::Result;
use serde::{Deserialize, Serialize};
use skyfresh_ledger::{Ledger, Receipt};
use skyfresh_plan::replicate::{Budget, OnCap, Period, Spending};
use skyfresh_sky::{Timestamp, Usd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Receipts read at once.
const PAGE: usize = 10_000;

/// How a budget stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BudgetStatus {
    /// The budget.
    pub budget: Budget,
    /// Dollars spent in this period.
    pub spent: Usd,
    /// Spending per time as a multiple of what the budget lasts for: 2 means gone in half the period.
    pub burn: f64,
    /// What it allows now.
    pub spending: Spending,
    /// When the next period begins.
    pub renewed: Timestamp,
}

impl BudgetStatus {
    /// What a person should know; `None` where all is well.
    pub fn trouble(&self) -> Option<String> {
        let per = match self.budget.per {
            Period::Hour => "an hour",
            Period::Month => "a month",
        };
        let (spent, usd, renewed) = (self.spent, self.budget.usd, self.renewed);
        Some(match (self.spending, self.budget.on_cap) {
            (Spending::Normal, _) => return None,
            (Spending::Fast, OnCap::Degrade) => format!(
                "the budget of {usd} {per} is spent {:.1} times as fast as it lasts; once it is, only the cheapest plans are taken, until {renewed}",
                self.burn
            ),
            (Spending::Fast, OnCap::Pause) => format!(
                "the budget of {usd} {per} is spent {:.1} times as fast as it lasts; once it is, nothing is copied until {renewed}",
                self.burn
            ),
            (Spending::Degraded, _) => format!(
                "the budget of {usd} {per} is spent ({spent}): until {renewed} the cheapest plans are taken, late or not"
            ),
            (Spending::Paused, _) => format!(
                "the budget of {usd} {per} is spent ({spent}): nothing is copied until {renewed}"
            ),
        })
    }
}

/// What was spent from the period's beginning until a time; kept in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Checkpoint {
    began: Timestamp,
    until: Timestamp,
    spent: Usd,
}

/// The account of one rule.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Option<Budget>,
    state: Mutex<Spent>,
}

#[derive(Debug, Default)]
struct Spent {
    began: Timestamp,
    spent: Usd,
    /// Everything that others published before this is in `spent` already.
    loaded: Timestamp,
}

impl Account {
    pub(crate) fn new(budget: Option<Budget>) -> Self {
        Account {
            budget,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Spent> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up a receipt of another process, which may have been there when this one began.
    pub(crate) fn remember(&self, receipt: &Receipt) {
        if receipt.published >= self.state().loaded {
            self.spend(receipt);
        }
    }

    /// Takes up what a receipt says, if it is of the period at hand or of a newer one.
    pub(crate) fn spend(&self, receipt: &Receipt) {
        if let Some(budget) = self.budget {
            let began = begin(budget.per, receipt.published);
            let mut state = self.state();
            if began > state.began {
                (state.began, state.spent) = (began, Usd::ZERO);
            }
            if began == state.began {
                state.spent += receipt.spend;
            }
        }
    }

    fn spent(&self, budget: Budget, now: Timestamp) -> (Timestamp, Usd) {
        let began = begin(budget.per, now);
        let state = self.state();
        let spent = if state.began == began {
            state.spent
        } else {
            Usd::ZERO
        };
        (began, spent)
    }

    /// What may be done, if the cheapest way costs `next`.
    pub(crate) fn spending(&self, next: Usd, now: Timestamp) -> Spending {
        let Some(budget) = self.budget else {
            return Spending::Normal;
        };
        let (began, spent) = self.spent(budget, now);
        budget.spending(spent, next, now.since(began))
    }

    /// When the period at hand ends.
    pub(crate) fn renewed(&self, now: Timestamp) -> Timestamp {
        self.budget
            .map_or(now, |budget| end(budget.per, begin(budget.per, now)))
    }

    /// How it stands; `None` without a budget.
    pub(crate) fn status(&self, now: Timestamp) -> Option<BudgetStatus> {
        let budget = self.budget?;
        let (began, spent) = self.spent(budget, now);
        // The smallest sum there is: the state after the last dollar, not before the first transfer of the next.
        let spending = budget.spending(spent, Usd::from_units(1), now.since(began));
        Some(BudgetStatus {
            budget,
            spent,
            burn: budget.burn(spent, now.since(began)),
            spending,
            renewed: end(budget.per, began),
        })
    }

    /// Reads back what was spent before this process began.
    ///
    /// # Errors
    /// The ledger failed.
    pub(crate) async fn load(&self, rule: &str, ledger: &dyn Ledger, now: Timestamp) -> Result<()> {
        let Some(budget) = self.budget else {
            return Ok(());
        };
        let began = begin(budget.per, now);
        let kept = kept(rule, ledger, began).await?;
        let spent = spent_since(rule, ledger, kept, Timestamp::MAX).await?;
        *self.state() = Spent {
            began,
            spent,
            loaded: now,
        };
        Ok(())
    }

    /// Keeps what was spent before `until`, of which receipts may be removed from now on.
    ///
    /// # Errors
    /// The ledger failed.
    pub(crate) async fn keep(
        &self,
        rule: &str,
        ledger: &dyn Ledger,
        until: Timestamp,
    ) -> Result<()> {
        let Some(budget) = self.budget else {
            return Ok(());
        };
        let began = begin(budget.per, until);
        let kept = kept(rule, ledger, began).await?;
        if kept.until >= until {
            // Another process has kept more, or the period has just begun.
            return Ok(());
        }
        let spent = spent_since(rule, ledger, kept, until).await?;
        let checkpoint = Checkpoint {
            began,
            until,
            spent,
        };
        let value = serde_json::to_value(checkpoint).ok();
        Ok(ledger.set_cursor(&name(rule), value).await?)
    }
}

/// What is kept of the period that began then; nothing spent until its beginning where nothing is.
async fn kept(rule: &str, ledger: &dyn Ledger, began: Timestamp) -> Result<Checkpoint> {
    let kept = ledger.cursor(&name(rule)).await?;
    let kept = kept.and_then(|value| serde_json::from_value::<Checkpoint>(value).ok());
    Ok(kept
        .filter(|kept| kept.began == began)
        .unwrap_or(Checkpoint {
            began,
            until: began,
            spent: Usd::ZERO,
        }))
}

/// What was spent in all before `until`: what is kept, and what receipts say from there on.
async fn spent_since(
    rule: &str,
    ledger: &dyn Ledger,
    kept: Checkpoint,
    until: Timestamp,
) -> Result<Usd> {
    let (mut from, mut spent) = (kept.until, kept.spent);
    while from < until {
        let receipts = ledger.receipts_by_time(rule, from, PAGE).await?;
        let last = receipts.last().map(|receipt| receipt.published);
        let full = receipts.len() == PAGE;
        // Receipts of the last millisecond of a full page come again with the next one.
        let next = last.filter(|last| full && *last > from);
        let to = next.map_or(until, |next| next.min(until));
        spent = receipts
            .iter()
            .filter(|receipt| receipt.published < to)
            .fold(spent, |sum, receipt| sum + receipt.spend);
        from = to;
    }
    Ok(spent)
}

fn name(rule: &str) -> String {
    format!("budget/{rule}")
}

/// When the period began that this time lies in: the full hour, the first of the month, UTC.
fn begin(per: Period, at: Timestamp) -> Timestamp {
    match per {
        Period::Hour => {
            let hour_ms = per.length().as_millis() as u64;
            Timestamp::from_unix_ms(at.unix_ms() / hour_ms * hour_ms)
        }
        Period::Month => month_began(at),
    }
}

/// The first of the month, by the calendar of RFC 3339: what comes before the day stays.
fn month_began(at: Timestamp) -> Timestamp {
    let text = at.to_string();
    let month = text.get(..7).map(|month| format!("{month}-01T00:00:00Z"));
    month
        .and_then(|text| Timestamp::parse(&text).ok())
        .unwrap_or(at)
}

fn end(per: Period, began: Timestamp) -> Timestamp {
    match per {
        Period::Hour => began.after(per.length()),
        // 32 days later it is the next month, whichever it is.
        Period::Month => month_began(began.after(std::time::Duration::from_secs(32 * 86_400))),
    }
}

#[cfg(test)]
mod tests;
