//! What the server itself counts.

use super::text::{Exposition, Type};
use crate::notifications::REASONS;
use crate::routes::Route;
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters since the server began.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    accepted: AtomicU64,
    /// By reason.
    refused: Mutex<BTreeMap<&'static str, u64>>,
    under_way: AtomicU64,
    /// By method, route and status: bounded by the routes, never by what clients ask for.
    answers: Mutex<BTreeMap<(&'static str, &'static str, u16), u64>>,
}

/// One request under way, until dropped.
#[derive(Debug)]
pub(crate) struct UnderWay<'a> {
    counters: &'a Counters,
    route: &'static Route,
}

impl Counters {
    /// Counts a request as under way until the guard is dropped, also when its client has gone.
    pub(crate) fn begin(&self, route: &'static Route) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay {
            counters: self,
            route,
        }
    }

    /// Counts a notification that is durable.
    pub(crate) fn notification_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a notification that was refused, by reason.
    pub(crate) fn notification_refused(&self, reason: &'static str) {
        *self
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(reason)
            .or_default() += 1;
    }

    /// Notifications that are durable.
    pub(crate) fn notifications_accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Notifications that were refused, by reason.
    pub(crate) fn notifications_refused(&self) -> BTreeMap<&'static str, u64> {
        let refused = self.refused.lock();
        refused.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes them.
    pub(super) fn write(&self, page: &mut Exposition) {
        let refused = self.notifications_refused();
        page.family(
            "skyfresh_notifications_total",
            Type::Counter,
            "Notifications received, by result.",
        )
        .sample(
            &[("result", "accepted")],
            self.accepted.load(Ordering::Relaxed) as f64,
        )
        .sample(
            &[("result", "refused")],
            refused.values().sum::<u64>() as f64,
        );
        let mut by_reason = page.family(
            "skyfresh_notifications_refused_total",
            Type::Counter,
            "Notifications refused, by reason; the sender was told to keep them only where the reason is ledger.",
        );
        for reason in REASONS {
            by_reason.sample(
                &[("reason", reason)],
                refused.get(reason).copied().unwrap_or(0) as f64,
            );
        }
        page.family(
            "skyfresh_http_requests_in_flight",
            Type::Gauge,
            "Requests being answered, this one included.",
        )
        .sample(&[], self.under_way.load(Ordering::Relaxed) as f64);
        let mut answers = page.family(
            "skyfresh_http_requests_total",
            Type::Counter,
            "Requests answered, by route and status.",
        );
        for ((method, route, status), count) in self
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            answers.sample(
                &[
                    ("method", method),
                    ("route", route),
                    ("status", &status.to_string()),
                ],
                *count as f64,
            );
        }
    }
}

impl UnderWay<'_> {
    /// Counts the answer.
    pub(crate) fn answered(self, status: StatusCode) {
        let key = (self.route.method, self.route.path, status.as_u16());
        *self
            .counters
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(key)
            .or_default() += 1;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.counters.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
