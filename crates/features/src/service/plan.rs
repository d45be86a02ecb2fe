//! What a list of features means: which column of which view each is. Made once for each list, not with each request.

use super::refused::{FeastError, Refused};
use super::view::View;
use super::views::Service;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Lists that are remembered at most.
const MOST_PLANS: usize = 1_000;
/// And the bytes of their texts.
const MOST_TEXT_BYTES: usize = 8 << 20;

/// A list of features, looked up.
#[derive(Debug)]
pub(super) struct Plan {
    /// The views, each once, in the order of their first feature.
    pub(super) views: Vec<Arc<View>>,
    /// For each answered column, its view's place above and its feature's in the view.
    pub(super) columns: Vec<(usize, usize)>,
    /// The columns' names as JSON, each after a comma.
    pub(super) names: Vec<u8>,
}

/// What was asked for before: lists by their text in the request, services by their name; each with short names and with full ones.
#[derive(Debug, Default)]
pub(super) struct Plans {
    lists: [RwLock<Known>; 2],
    services: [RwLock<Known>; 2],
}

#[derive(Debug, Default)]
struct Known {
    plans: HashMap<Box<str>, Arc<Plan>>,
    text_bytes: usize,
}

impl Plans {
    pub(super) fn of_list(&self, text: &str, full_feature_names: bool) -> Option<Arc<Plan>> {
        get(&self.lists[usize::from(full_feature_names)], text)
    }

    pub(super) fn of_service(&self, name: &str, full_feature_names: bool) -> Option<Arc<Plan>> {
        get(&self.services[usize::from(full_feature_names)], name)
    }

    pub(super) fn keep_list(&self, text: &str, full_feature_names: bool, plan: &Arc<Plan>) {
        keep(&self.lists[usize::from(full_feature_names)], text, plan);
    }

    pub(super) fn keep_service(&self, name: &str, full_feature_names: bool, plan: &Arc<Plan>) {
        keep(&self.services[usize::from(full_feature_names)], name, plan);
    }
}

fn get(known: &RwLock<Known>, text: &str) -> Option<Arc<Plan>> {
    let known = known.read().unwrap_or_else(PoisonError::into_inner);
    known.plans.get(text).map(Arc::clone)
}

/// Keeps a plan. A text can be long though its list is short, as it has the request's spaces.
fn keep(known: &RwLock<Known>, text: &str, plan: &Arc<Plan>) {
    if text.len() > MOST_TEXT_BYTES / 8 {
        return;
    }
    let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
    if known.plans.len() >= MOST_PLANS || known.text_bytes + text.len() > MOST_TEXT_BYTES {
        *known = Known::default();
    }
    if known.plans.insert(text.into(), Arc::clone(plan)).is_none() {
        known.text_bytes += text.len();
    }
}

impl Plan {
    /// The plan of a list of `view:feature`.
    pub(super) fn new<'a>(
        service: &Service,
        features: impl Iterator<Item = &'a str>,
        full_feature_names: bool,
    ) -> Result<Self, Refused> {
        let mut plan = Plan {
            views: Vec::new(),
            columns: Vec::new(),
            names: Vec::new(),
        };
        // As Feast does: the columns of one view stand together, views in the order of their first feature.
        let mut asked: Vec<(Arc<View>, Vec<usize>)> = Vec::new();
        for name in features {
            let (view, feature) = service.find(name)?;
            match asked
                .iter_mut()
                .find(|(known, _)| Arc::ptr_eq(known, &view))
            {
                Some((_, features)) => features.push(feature),
                None => asked.push((view, vec![feature])),
            }
        }
        let mut names: Vec<String> = Vec::new();
        for (place, (view, features)) in asked.into_iter().enumerate() {
            for feature in features {
                plan.columns.push((place, feature));
                let name = &view.features[feature];
                names.push(match full_feature_names {
                    true => format!("{}__{name}", view.spec.name),
                    false => name.clone(),
                });
            }
            plan.views.push(view);
        }
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                return Err(FeastError::collision(name, full_feature_names).into());
            }
            plan.names.push(b',');
            // Text always becomes JSON.
            let _ = serde_json::to_writer(&mut plan.names, name);
        }
        Ok(plan)
    }
}
