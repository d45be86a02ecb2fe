//! What turns a key's data into its features.
//!
//! **In:** the events that arrived for one key since its last update, and the state the function kept. **Out:** the features,
//! and the state to keep. **Never:** (of the built-in ones) IO, a clock, randomness: the same events and state
//! give the same features.

mod aggregate;
mod mean;
mod python;
mod ridge;
mod series;
mod stl;

pub use aggregate::{Aggregate, WindowAggregates};
pub use mean::ExponentialMean;
pub use python::PythonFunction;
pub use ridge::{Normal, RidgeEmbedding, solve};
pub use stl::{Decomposition, StlForecast};

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use skyfresh_sky::Kind;

/// One record of data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened, milliseconds since 1970.
    pub at_ms: i64,
    /// Its columns.
    pub columns: Map<String, Value>,
}

impl Event {
    /// A column that is a number; `None` where it is absent, null or something else.
    pub fn number(&self, column: &str) -> Option<f64> {
        self.columns.get(column)?.as_f64()
    }

    /// A column that is a list of numbers.
    pub fn vector(&self, column: &str) -> Option<Vec<f64>> {
        let values = self.columns.get(column)?.as_array()?;
        values.iter().map(Value::as_f64).collect()
    }
}

/// Features by name; `null` where there is none.
pub type Features = Map<String, Value>;

/// What a function gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The features.
    pub features: Features,
    /// What the function wants to see again at the key's next update.
    pub state: Value,
}

/// Turns data into features, key by key.
pub trait Function: std::fmt::Debug + Send + Sync {
    /// The names of the features it gives.
    fn features(&self) -> Vec<String>;

    /// Takes a key's new events, in order of their arrival, and the state that it kept (`null` the first time).
    ///
    /// # Errors
    /// The state is not this function's own. Events without the columns it reads are passed over: one bad record must not stop
    /// a key for ever.
    fn on_events(&self, key: &str, events: &[Event], state: &Value) -> Result<Update>;

    /// Several keys at once, in their order; one after the other unless the function knows better. A panic is the failure of its
    /// key.
    fn on_batch(&self, items: &[Item<'_>]) -> Vec<Result<Update>> {
        let one = |item: &Item<'_>| {
            let call = || self.on_events(item.key, item.events, item.state);
            // Functions take nothing by reference that a panic could leave half changed.
            let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
            ran.unwrap_or_else(|_| {
                let why = "the function panicked; see the log above";
                Err(Error::new(
                    Kind::Internal,
                    "compute features",
                    item.key,
                    why,
                ))
            })
        };
        items.iter().map(one).collect()
    }
}

/// A key's data, for one update.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The key.
    pub key: &'a str,
    /// Its new events, in order of their arrival.
    pub events: &'a [Event],
    /// The state that the function kept; null the first time.
    pub state: &'a Value,
}

/// How wrong a feature proved to be once the next data came, so that regret works without any client that reports errors.
pub trait Evaluator: std::fmt::Debug + Send + Sync {
    /// The error of the prediction that the feature made for this event; `None` where it made none.
    fn error(&self, features: &Features, event: &Event) -> Option<f64>;
}

/// A built-in function, as a configuration names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FunctionSpec {
    /// Counts, sums, means, extremes over a window of time.
    WindowAggregates(WindowAggregates),
    /// A mean in which old values count less.
    ExponentialMean(ExponentialMean),
    /// Trend, season and remainder of a series, and a forecast.
    StlForecast(StlForecast),
    /// The vector that explains ratings of items best.
    RidgeEmbedding(RidgeEmbedding),
    /// A function in Python.
    Python(PythonFunction),
}

impl FunctionSpec {
    /// The function.
    ///
    /// # Errors
    /// A parameter is out of range.
    pub fn function(&self) -> Result<Box<dyn Function>> {
        Ok(match self.clone() {
            FunctionSpec::WindowAggregates(function) => Box::new(function.checked()?),
            FunctionSpec::ExponentialMean(function) => Box::new(function.checked()?),
            FunctionSpec::StlForecast(function) => Box::new(function.checked()?),
            FunctionSpec::RidgeEmbedding(function) => Box::new(function.checked()?),
            FunctionSpec::Python(function) => Box::new(function.checked()?),
        })
    }

    /// The function's own way to tell how wrong it was, where it predicts what comes.
    pub fn evaluator(&self) -> Option<Box<dyn Evaluator>> {
        match self.clone() {
            FunctionSpec::WindowAggregates(_) | FunctionSpec::Python(_) => None,
            FunctionSpec::ExponentialMean(function) => Some(Box::new(function)),
            FunctionSpec::StlForecast(function) => Some(Box::new(function)),
            FunctionSpec::RidgeEmbedding(function) => Some(Box::new(function)),
        }
    }
}

fn parameter(name: &str, why: &str) -> Error {
    Error::invalid("set up function", name, why)
}

/// The state a function kept; its default where there is none yet.
fn kept<T: serde::de::DeserializeOwned + Default>(key: &str, state: &Value) -> Result<T> {
    if state.is_null() {
        return Ok(T::default());
    }
    serde::Deserialize::deserialize(state).map_err(|error| {
        Error::new(
            Kind::Corrupt,
            "read function state",
            key,
            "the state is not this function's: was the view's function changed? Give the view another name",
        )
        .with_source(error)
    })
}

fn keep(state: &impl Serialize) -> Value {
    // Plain structs of numbers always become JSON.
    serde_json::to_value(state).unwrap_or(Value::Null)
}

/// A number as JSON; null for what JSON has no number for.
fn json(number: f64) -> Value {
    serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number)
}
