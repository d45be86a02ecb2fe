//! Functions in Python, each call in a process of its own that may crash or hang.
//!
//! **In:** batches of keys with their events and states. **Out:** their features, or why not, key by key. **Never:** takes a
//! process's crash, hang or nonsense for more than the failure of the keys that caused it; holds more than one batch a process.
//!
//! A pool of processes speaks lines of JSON over standard input and output (`python/skyfresh`, which is part of this program). A
//! process that ends, answers nonsense or exceeds its time is killed and started anew, and gets the keys of the batch one by one.
//! A worker waits for its batch, so that what a slow function cannot take waits in the scheduler.

mod process;

use super::{Function, Item, Update, parameter};
use crate::{Error, Result};
use process::Process;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use skyfresh_sky::Kind;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A function of a Python file that `@skyfresh.transform` marks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PythonFunction {
    /// The file.
    pub file: String,
    /// The function's name.
    pub function: String,
    /// The features that it gives; others are left out, and what is missing is null.
    pub features: Vec<String>,
    /// Processes that run it.
    #[serde(default = "processes")]
    pub processes: usize,
    /// Seconds that a batch of keys may take.
    #[serde(default = "timeout_s")]
    pub timeout_s: f64,
    /// The interpreter.
    #[serde(default = "python")]
    pub python: String,
}

fn processes() -> usize {
    2
}

fn timeout_s() -> f64 {
    10.0
}

fn python() -> String {
    "python3".into()
}

/// Keys given to a process at once.
const BATCH: usize = 64;

/// The function with its processes, which start with the first call.
#[derive(Debug)]
pub(super) struct PythonPool {
    spec: PythonFunction,
    /// One a process; empty where it is not running.
    places: Vec<Mutex<Option<Process>>>,
}

impl PythonFunction {
    pub(super) fn checked(self) -> Result<PythonPool> {
        let positive = self.timeout_s > 0.0 && self.timeout_s.is_finite();
        if !positive || self.processes == 0 || self.processes > 256 || self.features.is_empty() {
            let why = "timeout_s must be above 0, processes from 1 to 256, and features must name at least one";
            return Err(parameter("python", why));
        }
        Ok(PythonPool {
            places: (0..self.processes).map(|_| Mutex::new(None)).collect(),
            spec: self,
        })
    }
}

impl PythonPool {
    fn failed(&self, key: &str, why: impl Into<String>) -> Error {
        let target = format!("{} of {} for {key:?}", self.spec.function, self.spec.file);
        Error::new(Kind::Internal, "compute features", target, why)
    }

    /// The answers for some keys, by one process. `Err` where the process was lost with all of them.
    fn ask(
        &self,
        place: &Mutex<Option<Process>>,
        items: &[Item<'_>],
    ) -> Result<Vec<Value>, String> {
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let timeout = Duration::from_secs_f64(self.spec.timeout_s);
        if place.is_none() {
            *place = Some(Process::start(&self.spec, timeout)?);
        }
        let Some(process) = place.as_mut() else {
            return Err("no process".into());
        };
        let answers = process.ask(items, timeout).and_then(|line| {
            let answers: Vec<Value> = serde_json::from_str(&line)
                .map_err(|error| format!("its answer is no JSON: {error}"))?;
            match answers.len() == items.len() {
                true => Ok(answers),
                false => Err(format!(
                    "it answered {} keys, not {}",
                    answers.len(),
                    items.len()
                )),
            }
        });
        if answers.is_err() {
            // Whatever it does now is of no use to anyone.
            *place = None;
        }
        answers
    }

    /// The updates of some keys. Where a process is lost with them, each is asked for alone, so that one key spoils no other.
    fn updates(
        &self,
        place: &Mutex<Option<Process>>,
        items: &[Item<'_>],
        updates: &mut Vec<Result<Update>>,
    ) {
        match self.ask(place, items) {
            Ok(answers) => {
                let told = items.iter().zip(answers);
                updates.extend(told.map(|(item, answer)| self.update(item.key, answer)));
            }
            Err(why) if items.len() <= 1 => {
                let failed = |item: &Item<'_>| Err(self.failed(item.key, why.clone()));
                updates.extend(items.iter().map(failed));
            }
            Err(_) => {
                let each = items.chunks(1);
                each.for_each(|item| self.updates(place, item, updates));
            }
        }
    }

    fn update(&self, key: &str, mut answer: Value) -> Result<Update> {
        if let Some(why) = answer.get("error") {
            return Err(self.failed(key, why.as_str().unwrap_or("it failed").trim()));
        }
        let mut given = match answer["features"].take() {
            Value::Object(given) => given,
            _ => return Err(self.failed(key, "it gave no features")),
        };
        let features = self.spec.features.iter().map(|name| {
            let value = given.remove(name).unwrap_or(Value::Null);
            (name.clone(), value)
        });
        Ok(Update {
            features: features.collect(),
            state: answer["state"].take(),
        })
    }
}

impl Function for PythonPool {
    fn features(&self) -> Vec<String> {
        self.spec.features.clone()
    }

    fn on_events(&self, key: &str, events: &[super::Event], state: &Value) -> Result<Update> {
        let one = Item { key, events, state };
        let mut updates = self.on_batch(&[one]);
        updates
            .pop()
            .unwrap_or_else(|| Err(self.failed(key, "no answer")))
    }

    fn on_batch(&self, items: &[Item<'_>]) -> Vec<Result<Update>> {
        // Enough chunks for all processes, none larger than a batch, in the order of the items.
        let each = items.len().div_ceil(self.places.len()).clamp(1, BATCH);
        let mut by_place: Vec<Vec<(usize, &[Item<'_>])>> = vec![Vec::new(); self.places.len()];
        for (number, chunk) in items.chunks(each).enumerate() {
            by_place[number % self.places.len()].push((number, chunk));
        }
        let run = |place: usize, chunks: Vec<(usize, &[Item<'_>])>| {
            let told = chunks.into_iter().map(|(number, chunk)| {
                let mut updates = Vec::with_capacity(chunk.len());
                self.updates(&self.places[place], chunk, &mut updates);
                (number, updates)
            });
            told.collect::<Vec<_>>()
        };
        let mut told: Vec<(usize, Vec<Result<Update>>)> = std::thread::scope(|scope| {
            let busy = by_place
                .into_iter()
                .enumerate()
                .filter(|(_, chunks)| !chunks.is_empty());
            let handles: Vec<_> = busy
                .map(|(place, chunks)| scope.spawn(move || run(place, chunks)))
                .collect();
            let joined = handles.into_iter().flat_map(|handle| {
                handle
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined.collect()
        });
        told.sort_unstable_by_key(|(number, _)| *number);
        told.into_iter().flat_map(|(_, updates)| updates).collect()
    }
}

#[cfg(test)]
mod tests;
