//! Faults on purpose: which requests fail, how, and how often. Adjustable while the sky runs.

use serde::{Deserialize, Serialize};
use skyfresh_sky::{Region, Rng};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Which operations a fault hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationClass {
    /// Every operation.
    #[default]
    Any,
    /// GET and HEAD of objects.
    Read,
    /// PUT, POST and DELETE.
    Write,
    /// Listings.
    List,
}

/// What happens to a request that a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// 503 `SlowDown` (Google: 429 `rateLimitExceeded`), before anything is done.
    SlowDown,
    /// 500 `InternalError` (Google: 503 `backendError`), before anything is done.
    InternalError,
    /// The TCP connection is reset, before anything is done.
    ConnectionReset,
    /// The request is done, then the connection is reset instead of an answer.
    ResetAfterDone,
    /// The request waits before it is begun.
    Delay {
        /// How long, in milliseconds.
        delay_ms: u64,
    },
    /// The request waits before it is begun, until the rules are next replaced or cleared.
    Hold,
    /// The response's body breaks off (GET of an object only).
    TruncatedBody {
        /// After this many bytes.
        after_bytes: u64,
    },
    /// This page of a listing answers 500 `InternalError` (listings only).
    ListPageFails {
        /// Counted from 1. Where the protocol's marker does not tell (ListObjects, versions, uploads), every page but the
        /// first counts as page 2.
        page: u32,
    },
}

/// A fault, where it strikes and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Only this region's store; any where absent.
    #[serde(default)]
    pub region: Option<Region>,
    /// Only these operations.
    #[serde(default)]
    pub operations: OperationClass,
    /// Only requests whose path (percent-encoded; S3: `/bucket/key`, Google: `/storage/v1/b/bucket/o/key` and others)
    /// starts with this.
    #[serde(default)]
    pub path_prefix: String,
    /// Only requests of this method, as `POST`; any where absent.
    #[serde(default)]
    pub method: Option<String>,
    /// Only requests whose query has this parameter, named (`uploadId`) or with its value (`partNumber=2`), percent-encoded.
    #[serde(default)]
    pub parameter: Option<String>,
    /// What happens.
    pub fault: Fault,
    /// The chance that a request is hit, in [0, 1].
    #[serde(default = "always")]
    pub probability: f64,
    /// Strikes this many times and is then spent; for ever where absent.
    #[serde(default)]
    pub next: Option<u64>,
}

fn always() -> f64 {
    1.0
}

impl FaultRule {
    /// A fault that hits every request of every region.
    pub fn new(fault: Fault) -> Self {
        FaultRule {
            region: None,
            operations: OperationClass::Any,
            path_prefix: String::new(),
            method: None,
            parameter: None,
            fault,
            probability: 1.0,
            next: None,
        }
    }
}

/// A request as faults see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestTraits<'a> {
    pub(crate) region: &'a Region,
    pub(crate) operations: OperationClass,
    pub(crate) path: &'a str,
    pub(crate) method: &'a str,
    /// Percent-encoded.
    pub(crate) query: &'a str,
    /// GET of an object.
    pub(crate) has_object_body: bool,
    /// Of a listing, counted from 1.
    pub(crate) list_page: Option<u32>,
}

/// The faults in force. Clones share them.
#[derive(Clone, Debug)]
pub struct Faults {
    rules: Arc<Mutex<Vec<FaultRule>>>,
    replaced: Arc<watch::Sender<()>>,
    rng: Rng,
}

impl Faults {
    pub(crate) fn new(rules: Vec<FaultRule>, rng: Rng) -> Self {
        Faults {
            rules: Arc::new(Mutex::new(rules)),
            replaced: Arc::default(),
            rng,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<FaultRule>) -> T) -> T {
        act(&mut self.rules.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces all rules, and lets go what they held.
    pub fn set(&self, rules: Vec<FaultRule>) {
        self.with(|all| *all = rules);
        self.replaced.send_replace(());
    }

    /// Adds a rule behind the others.
    pub fn add(&self, rule: FaultRule) {
        self.with(|all| all.push(rule));
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.set(Vec::new());
    }

    /// The rules in force, with what is left of their counts.
    pub fn rules(&self) -> Vec<FaultRule> {
        self.with(|all| all.clone())
    }

    /// Tells when the rules are replaced the next time. To be asked for before faults are drawn, so that none is missed.
    pub(crate) fn replacement(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// The faults that hit this request, in the order of their rules.
    pub(crate) fn draw(&self, request: RequestTraits<'_>) -> Vec<Fault> {
        self.with(|rules| {
            let mut hits = Vec::new();
            for rule in rules.iter_mut().filter(|rule| applies(rule, request)) {
                if rule.probability >= 1.0 || self.rng.chance(rule.probability) {
                    if let Some(next) = &mut rule.next {
                        *next -= 1;
                    }
                    hits.push(rule.fault);
                }
            }
            if !hits.is_empty() {
                rules.retain(|rule| rule.next != Some(0));
            }
            hits
        })
    }
}

fn applies(rule: &FaultRule, request: RequestTraits<'_>) -> bool {
    rule.next != Some(0)
        && rule
            .region
            .as_ref()
            .is_none_or(|region| region == request.region)
        && (rule.operations == OperationClass::Any || rule.operations == request.operations)
        && request.path.starts_with(&rule.path_prefix)
        && rule
            .method
            .as_ref()
            .is_none_or(|method| method == request.method)
        && rule
            .parameter
            .as_ref()
            .is_none_or(|parameter| has_parameter(request.query, parameter))
        && match rule.fault {
            Fault::TruncatedBody { .. } => request.has_object_body,
            Fault::ListPageFails { page } => request.list_page == Some(page),
            _ => true,
        }
}

fn has_parameter(query: &str, wanted: &str) -> bool {
    let mut pairs = query.split('&');
    pairs.any(|pair| pair == wanted || pair.split('=').next() == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(region: &Region, operations: OperationClass) -> RequestTraits<'_> {
        RequestTraits {
            region,
            operations,
            path: "/bucket/key",
            method: "PUT",
            query: "uploadId=u&partNumber=12",
            has_object_body: false,
            list_page: None,
        }
    }

    #[test]
    fn a_counted_fault_strikes_that_often_where_it_applies() {
        let (east, local): (Region, Region) = ("aws:us-east-1".parse().unwrap(), Region::local());
        let faults = Faults::new(Vec::new(), Rng::seeded(1));
        let rule = FaultRule {
            region: Some(east.clone()),
            operations: OperationClass::Write,
            next: Some(2),
            ..FaultRule::new(Fault::SlowDown)
        };
        faults.add(rule);
        assert!(
            faults
                .draw(request(&local, OperationClass::Write))
                .is_empty()
        );
        assert!(faults.draw(request(&east, OperationClass::Read)).is_empty());
        for _ in 0..2 {
            assert_eq!(
                faults.draw(request(&east, OperationClass::Write)),
                [Fault::SlowDown]
            );
        }
        assert!(
            faults
                .draw(request(&east, OperationClass::Write))
                .is_empty()
        );
        assert!(faults.rules().is_empty());
    }

    #[test]
    fn one_step_of_an_upload_can_be_meant() {
        let (faults, local) = (Faults::new(Vec::new(), Rng::seeded(1)), Region::local());
        let hits = |method: &str, parameter: &str| {
            faults.set(vec![FaultRule {
                method: Some(method.into()),
                parameter: Some(parameter.into()),
                ..FaultRule::new(Fault::Hold)
            }]);
            !faults
                .draw(request(&local, OperationClass::Write))
                .is_empty()
        };
        assert!(hits("PUT", "uploadId") && hits("PUT", "partNumber=12"));
        assert!(!hits("POST", "uploadId") && !hits("PUT", "partNumber=1"));
        assert!(!hits("PUT", "part") && !hits("PUT", "uploads"));
    }

    #[test]
    fn a_chance_is_roughly_kept() {
        let faults = Faults::new(Vec::new(), Rng::seeded(1));
        faults.add(FaultRule {
            probability: 0.3,
            ..FaultRule::new(Fault::SlowDown)
        });
        let local = Region::local();
        let hits = (0..10_000)
            .filter(|_| {
                !faults
                    .draw(request(&local, OperationClass::Read))
                    .is_empty()
            })
            .count();
        assert!((2_800..3_200).contains(&hits), "{hits}");
    }

    #[test]
    fn rules_read_as_documented() {
        let text = r#"{"operations":"list","fault":{"kind":"list_page_fails","page":2},"next":1}"#;
        let rule: FaultRule = serde_json::from_str(text).unwrap();
        assert_eq!(rule.fault, Fault::ListPageFails { page: 2 });
        assert!(
            serde_json::from_str::<FaultRule>(r#"{"fault":{"kind":"slow_down"},"nxt":1}"#).is_err()
        );
    }
}
