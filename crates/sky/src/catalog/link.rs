//! What is known of the way from one region to another, and where each figure comes from.

use crate::Usd;
use serde::Serialize;

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Measured, or on a price list: the head of the table names source and date.
    Listed,
    /// As [`Origin::Listed`], but doubted: the head of the table says why.
    Doubted,
    /// Nobody measured it: estimated from pairs that were (`docs/catalogue.md` states how, and the error).
    Estimated,
    /// From the user's own table.
    Override,
}

impl Origin {
    /// The name in JSON and on a terminal.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Listed => "listed",
            Origin::Doubted => "doubted",
            Origin::Estimated => "estimated",
            Origin::Override => "override",
        }
    }
}

/// A figure and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figure<T> {
    /// The figure.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

impl<T> Figure<T> {
    pub(super) fn new(value: T, origin: Origin) -> Self {
        Figure { value, origin }
    }

    fn is_estimated(&self) -> bool {
        self.origin == Origin::Estimated
    }
}

/// What is known of the way from one region to another; `None` where nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Egress price per GB (10⁹ bytes), list price of the first 10 TB a month.
    pub egress_usd_per_gb: Option<Figure<Usd>>,
    /// Goodput of one VM pair over 64 connections, in Gbit/s.
    pub throughput_gbps: Option<Figure<f64>>,
    /// Mean round-trip time in milliseconds.
    pub rtt_ms: Option<Figure<f64>>,
}

impl Figures {
    /// All three, where all three are known.
    pub fn link(&self) -> Option<Link> {
        let (price, throughput, rtt) =
            (self.egress_usd_per_gb?, self.throughput_gbps?, self.rtt_ms?);
        Some(Link {
            egress_usd_per_gb: price.value,
            throughput_gbps: throughput.value,
            rtt_ms: rtt.value,
            estimated: Estimates {
                price: price.is_estimated(),
                throughput: throughput.is_estimated(),
                rtt: rtt.is_estimated(),
            },
        })
    }
}

/// The way from one region to another, all of whose figures are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Egress price per GB (10⁹ bytes), list price of the first 10 TB a month.
    pub egress_usd_per_gb: Usd,
    /// Goodput of one VM pair over 64 connections, in Gbit/s.
    pub throughput_gbps: f64,
    /// Mean round-trip time in milliseconds.
    pub rtt_ms: f64,
    /// Which of the three nobody measured.
    pub estimated: Estimates,
}

/// Which figures of a link are estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Estimates {
    /// The price.
    pub price: bool,
    /// The throughput.
    pub throughput: bool,
    /// The round-trip time.
    pub rtt: bool,
}
