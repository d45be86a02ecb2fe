//! The body of `POST /get-online-features`. Clients ask for the same list of features again and again: it is not read, but looked up by
//! its text.

use super::plan::Plan;
use super::refused::{FeastError, Refused};
use super::views::Service;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;

/// What must be there.
const FIELDS: [&str; 1] = ["entities"];

/// Text that is not copied where it has no escapes.
#[derive(Debug, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Columns of keys, in the order of the request: it is the answer's.
#[derive(Debug)]
pub(super) struct Entities<'a>(pub(super) Vec<(Text<'a>, Vec<Value>)>);

/// The request, with its list of features as `F`.
#[derive(Debug, Deserialize)]
struct Asked<'a, F> {
    features: Option<F>,
    #[serde(borrow, default)]
    feature_service: Option<Text<'a>>,
    #[serde(borrow)]
    entities: Entities<'a>,
    #[serde(default)]
    full_feature_names: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entities<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;
        impl<'de> Visitor<'de> for Columns {
            type Value = Entities<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("lists by entity")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut columns = Vec::with_capacity(1);
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Entities(columns))
            }
        }
        deserializer.deserialize_map(Columns)
    }
}

impl Service {
    /// What is asked for: which columns, of which keys.
    pub(super) fn read_request<'a>(
        &self,
        body: &'a [u8],
    ) -> Result<(Arc<Plan>, Entities<'a>), Refused> {
        if let Ok(asked) = serde_json::from_slice::<Asked<'a, &'a RawValue>>(body)
            && let (Some(list), None) = (asked.features, &asked.feature_service)
            && let Some(plan) = self.plans.of_list(list.get(), asked.full_feature_names)
        {
            return Ok((plan, asked.entities));
        }
        // Whatever is new or wrong is read as a whole, so that errors do not depend on what was asked for before.
        let asked: Asked<'a, Vec<Text<'a>>> = serde_json::from_slice(body)
            .map_err(|error| Refused::malformed(body, &error, &FIELDS))?;
        let full = asked.full_feature_names;
        let plan = match (&asked.feature_service, asked.features.as_deref()) {
            (Some(Text(name)), _) => self.plan_of_service(name, full)?,
            (None, None | Some([])) => {
                return Err(Refused::text(500, "No features specified for retrieval"));
            }
            (None, Some(features)) => {
                let names = features.iter().map(|name| &*name.0);
                let plan = Arc::new(Plan::new(self, names, full)?);
                let text = serde_json::from_slice::<Asked<'a, &'a RawValue>>(body);
                if let Some(list) = text.ok().and_then(|asked| asked.features) {
                    self.plans.keep_list(list.get(), full, &plan);
                }
                plan
            }
        };
        Ok((plan, asked.entities))
    }

    fn plan_of_service(&self, name: &str, full: bool) -> Result<Arc<Plan>, Refused> {
        if let Some(plan) = self.plans.of_service(name, full) {
            return Ok(plan);
        }
        let services = &self.config.feature_services;
        let found = services.iter().find(|service| service.name == *name);
        let missing = || FeastError::no_service(name, &self.config.project);
        let features = &found.ok_or_else(missing)?.features;
        let plan = Arc::new(Plan::new(self, features.iter().map(String::as_str), full)?);
        self.plans.keep_service(name, full, &plan);
        Ok(plan)
    }
}
