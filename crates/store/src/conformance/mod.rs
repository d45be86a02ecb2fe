//! What every object store must do: one suite, run on every backend, chosen by what the backend says it can do.
//!
//! **In:** a [`Backend`] that opens stores at empty places. **Out:** a [`Report`], a table of cases.
//! **Never:** passes a case silently. A capability that is not there is reported as "not supported" after checking, where
//! that can be checked, that the store really lacks it; a case that is skipped carries the reason it was given.
//!
//! # Writing a new backend
//!
//! 1. Implement [`ObjectStore`]. Its documentation says what each operation promises; the shape of an
//!    existing backend says how: decisions in pure functions, IO at the edge.
//! 2. Start [`Capabilities`] from what the protocol documents, and let [`ObjectStore::probe`] find out the rest. Where a
//!    condition is not enforced say so: the engine then takes its documented fallback. A wrong "enforced" loses data.
//! 3. Add a file under `tests/` with a [`Backend`] and a call of [`run_all`], some 20 lines: see `conformance_memory.rs`.
//! 4. Skip a case only for a server that nobody here can mend, and say in the reason what it does instead.
//!
//! The suite writes only below the places it is given and leaves them empty where a case passes.

mod cases;
mod report;
mod subject;

pub use report::{Outcome, Report, Row};

use crate::{Capabilities, ObjectStore, Result};
use async_trait::async_trait;
use futures::StreamExt;
use futures::future::BoxFuture;
use skyfresh_sky::{Attributes, Location, SystemClock};
use std::sync::Arc;
use std::time::Duration;
use subject::Subject;

/// How the suite gets at stores.
#[async_trait]
pub trait Backend: Send + Sync {
    /// What to call it in the report.
    fn name(&self) -> String;

    /// An empty place, existing and used by nobody else; `case` differs between calls. Where locations have a prefix,
    /// it ends with `/` and is at most 100 bytes long.
    fn place(&self, case: &str) -> Location;

    /// A place in a bucket (or directory) that does not exist.
    fn missing_place(&self) -> Location;

    /// Whether the store refuses this full key, as one that it could not give back as it was written. The suite checks that it
    /// does so with [`Kind::Invalid`](skyfresh_sky::Kind::Invalid).
    fn refuses_key(&self, _full_key: &str) -> bool {
        false
    }

    /// What the store keeps of these attributes: all of them, unless the protocol has no place for some.
    fn keeps(&self, asked: Attributes) -> Attributes {
        asked
    }

    /// A new handle, sharing no state with an earlier one but through the store itself.
    async fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>>;
}

/// Why a case failed.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        Failure(format!("unexpected error ({}): {error}", error.kind))
    }
}

/// How a case ended that did not fail.
pub(crate) enum Verdict {
    Passed,
    /// The store does not offer what the case is about, as its record says.
    NotSupported(&'static str),
}

pub(crate) type CaseResult = std::result::Result<Verdict, Failure>;

/// One case of the suite.
struct Case {
    name: &'static str,
    run: for<'a> fn(&'a Subject<'a>) -> BoxFuture<'a, CaseResult>,
}

/// Fails the case unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Failure(format!($($why)+)));
        }
    };
}
pub(crate) use ensure;

/// A case that takes longer than this hangs.
const CASE_LIMIT: Duration = Duration::from_secs(180);
/// Cases under way at once; each has a place of its own.
const CASES_AT_ONCE: usize = 4;

/// The names of all cases, in the order of the report.
pub fn case_names() -> Vec<&'static str> {
    cases::CASES.iter().map(|case| case.name).collect()
}

/// Runs every case but those in `skip`, each named with the reason why.
pub async fn run_all(backend: &dyn Backend, skip: &[(&str, &str)]) -> Report {
    let unknown = skip
        .iter()
        .filter(|(name, _)| !cases::CASES.iter().any(|case| case.name == *name))
        .map(|(name, _)| Row {
            case: (*name).to_owned(),
            outcome: Outcome::Failed("asked to be skipped, but there is no such case".to_owned()),
        })
        .collect::<Vec<_>>();
    let capabilities = match probe(backend).await {
        Ok(capabilities) => capabilities,
        Err(error) => {
            let outcome = Outcome::Failed(format!("({}) {error}", error.kind));
            return Report {
                backend: backend.name(),
                capabilities: None,
                rows: vec![Row {
                    case: "probe".into(),
                    outcome,
                }],
            };
        }
    };
    let rows: Vec<Row> = futures::stream::iter(cases::CASES)
        .map(|case| {
            let reason = skip
                .iter()
                .find(|(name, _)| *name == case.name)
                .map(|(_, reason)| *reason);
            let capabilities = capabilities.clone();
            async move {
                let outcome = match reason {
                    Some(reason) => Outcome::Skipped(reason.to_owned()),
                    None => run_case(backend, case, capabilities).await,
                };
                Row {
                    case: case.name.to_owned(),
                    outcome,
                }
            }
        })
        .buffered(CASES_AT_ONCE)
        .collect()
        .await;
    let report = Report {
        backend: backend.name(),
        capabilities: Some(capabilities),
        rows: rows.into_iter().chain(unknown).collect(),
    };
    publish(&report);
    report
}

/// Keeps a report for `cargo xtask eval stores`, where that asks for it.
#[expect(
    clippy::disallowed_methods,
    reason = "test support: the table of stores is asked for through the environment"
)]
fn publish(report: &Report) {
    if let Ok(directory) = std::env::var(REPORTS)
        && let Err(error) = report.save(directory.as_ref())
    {
        tracing::error!(directory, %error, "cannot keep the report");
    }
}

/// Names the directory that reports are kept in.
const REPORTS: &str = "SKYFRESH_TEST_REPORTS";

async fn probe(backend: &dyn Backend) -> Result<Capabilities> {
    backend
        .open(&backend.place("probe"))
        .await?
        .probe("conformance")
        .await
}

async fn run_case(backend: &dyn Backend, case: &Case, capabilities: Capabilities) -> Outcome {
    let place = backend.place(case.name);
    let store = match backend.open(&place).await {
        Ok(store) => store,
        Err(error) => return Outcome::Failed(format!("cannot open {place}: {error}")),
    };
    let subject = Subject {
        backend,
        store,
        place,
        capabilities,
    };
    match skyfresh_sky::timeout(&SystemClock, CASE_LIMIT, (case.run)(&subject)).await {
        None => Outcome::Failed(format!("not done after {} s", CASE_LIMIT.as_secs())),
        Some(Err(Failure(why))) => Outcome::Failed(why),
        Some(Ok(verdict)) => match subject.clear().await {
            Err(error) => {
                Outcome::Failed(format!("passed, but clearing its place failed: {error}"))
            }
            Ok(()) => match verdict {
                Verdict::Passed => Outcome::Passed,
                Verdict::NotSupported(what) => Outcome::NotSupported(what.to_owned()),
            },
        },
    }
}
