//! What a planner has learnt, small enough to be kept elsewhere and taken up again by another one.
//!
//! In: what receipts have taught of routes. Out: the same as a value, and back. Never: takes up what is no such value, not even in
//! part.

use super::planner::{Planner, Taught};
use crate::predict::{KeptSketch, Residuals, Site};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Invalid, Region};

/// What receipts have taught of one route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learnt {
    /// Read there.
    pub from: Region,
    /// Written there.
    pub to: Region,
    /// By workers there.
    pub site: Site,
    /// Of objects in one piece; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<KeptSketch>,
    /// Of objects in parts; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<KeptSketch>,
    /// Of copies that stores made by themselves; `None` before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<KeptSketch>,
}

impl Learnt {
    /// Receipts that taught it.
    pub fn receipts(&self) -> u64 {
        let all = self.inline.iter().chain(&self.parts).chain(&self.copies);
        all.fold(0, |sum, kept| sum.saturating_add(kept.count))
    }
}

impl Planner {
    /// What was learnt of the routes that are asked for, by where they read and where they write; those of the most receipts
    /// first.
    pub fn learnt(&self, wanted: impl Fn(&Region, &Region) -> bool) -> Vec<Learnt> {
        let of_these = self
            .taught
            .iter()
            .filter(|((from, to, _), _)| wanted(from, to));
        let mut learnt: Vec<Learnt> = of_these
            .map(|((from, to, site), taught)| Learnt {
                from: from.clone(),
                to: to.clone(),
                site: site.clone(),
                inline: taught.inline.keep(),
                parts: taught.parts.keep(),
                copies: taught.copies.keep(),
            })
            .collect();
        learnt.sort_by(|a, b| {
            let place = |it: &Learnt| (it.from.clone(), it.to.clone(), it.site.clone());
            let most_first = b.receipts().cmp(&a.receipts());
            most_first.then_with(|| place(a).cmp(&place(b)))
        });
        learnt
    }

    /// Takes up what another planner has learnt, of routes that nothing was learnt of yet. How many they were.
    ///
    /// # Errors
    /// One of them is not what a planner can have learnt: nothing is taken up then.
    pub fn take_up(&mut self, learnt: &[Learnt]) -> Result<usize, Invalid> {
        let residuals = |kept: &Option<KeptSketch>| match kept {
            Some(kept) => Residuals::restore(kept),
            None => Ok(Residuals::default()),
        };
        let mut routes = Vec::with_capacity(learnt.len());
        for it in learnt {
            let taught = Taught {
                inline: residuals(&it.inline)?,
                parts: residuals(&it.parts)?,
                copies: residuals(&it.copies)?,
            };
            let route = (it.from.clone(), it.to.clone(), it.site.clone());
            routes.push((route, taught));
        }
        let before = self.taught.len();
        for (route, taught) in routes {
            self.taught.entry(route).or_insert(taught);
        }
        Ok(self.taught.len() - before)
    }
}
