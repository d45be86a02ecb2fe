//! What a list of features means: which column of which view each is. Made once for each list, not with each request.

use super::refused::{FeastError, Refused};
use super::view::View;
use super::views::Service;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Lists that are remembered at most.
const MOST_PLANS: usize = 1_000;

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

/// Lists that were asked for before.
#[derive(Debug, Default)]
pub(super) struct Plans(RwLock<HashMap<Box<str>, Arc<Plan>>>);

/// The text that stands for a list.
fn key<'a>(features: impl Iterator<Item = &'a str>, full_feature_names: bool) -> String {
    let mut key = String::with_capacity(1_024);
    key.push(if full_feature_names { 'f' } else { 's' });
    for feature in features {
        key.push('\n');
        key.push_str(feature);
    }
    key
}

impl Plans {
    /// The plan of a list of `view:feature`.
    pub(super) fn get<'a>(
        &self,
        service: &Service,
        features: impl Iterator<Item = &'a str> + Clone,
        full_feature_names: bool,
    ) -> Result<Arc<Plan>, Refused> {
        let key = key(features.clone(), full_feature_names);
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = known.get(key.as_str()) {
            return Ok(Arc::clone(plan));
        }
        drop(known);
        let plan = Arc::new(Plan::new(service, features, full_feature_names)?);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_PLANS {
            known.clear();
        }
        known.insert(key.into_boxed_str(), Arc::clone(&plan));
        Ok(plan)
    }
}

impl Plan {
    fn new<'a>(
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
