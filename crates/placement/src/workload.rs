//! How an object is used, exactly: as one line of JSON, and resolved to the regions of a scenario.

use crate::exact::{Rational, lcm};
use crate::model::Scenario;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Why an object has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was asked cannot be read, or names what there is not.
    Invalid(String),
    /// Quantities beyond 128 bits over their common denominator.
    Overflow(String),
    /// No placement keeps to what is required; names the constraint that binds.
    Infeasible(String),
    /// The solver that was asked gave up: nothing is known of the object.
    Unsolved(String),
}

impl Fault {
    /// A word for machines: `invalid`, `overflow`, `infeasible`, `unsolved`.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Invalid(_) => "invalid",
            Fault::Overflow(_) => "overflow",
            Fault::Infeasible(_) => "infeasible",
            Fault::Unsolved(_) => "unsolved",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Invalid(why)
            | Fault::Overflow(why)
            | Fault::Infeasible(why)
            | Fault::Unsolved(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Fault {}

/// A quantity in JSON: a number, by its decimal text, or a string such as `"153/1000000"`.
struct Quantity(Rational);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let text = if raw.starts_with('"') {
            serde_json::from_str::<String>(raw).map_err(D::Error::custom)?
        } else {
            raw.to_string()
        };
        text.parse().map(Quantity).map_err(D::Error::custom)
    }
}

/// Quantities by region. A region named twice is an error rather than a quantity lost.
fn by_region<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Rational>, D::Error> {
    struct Regions;
    impl<'de> Visitor<'de> for Regions {
        type Value = BTreeMap<String, Rational>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of quantities by region")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = BTreeMap::new();
            while let Some(region) = map.next_key::<String>()? {
                let Quantity(quantity) = map
                    .next_value()
                    .map_err(|error| A::Error::custom(format!("region {region}: {error}")))?;
                if found.contains_key(&region) {
                    return Err(A::Error::custom(format!("region {region} is named twice")));
                }
                found.insert(region, quantity);
            }
            Ok(found)
        }
    }
    deserializer.deserialize_map(Regions)
}

fn some_by_region<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, Rational>>, D::Error> {
    by_region(deserializer).map(Some)
}

fn quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rational, D::Error> {
    Quantity::deserialize(deserializer).map(|Quantity(quantity)| quantity)
}

/// How an object is used in a month, by region names (`Vendor-Region`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// What the object is called in the answer.
    pub id: String,
    /// GB stored.
    #[serde(deserialize_with = "quantity")]
    pub size_gb: Rational,
    /// Put requests.
    #[serde(default, deserialize_with = "by_region")]
    pub puts: BTreeMap<String, Rational>,
    /// Get requests.
    #[serde(default, deserialize_with = "by_region")]
    pub gets: BTreeMap<String, Rational>,
    /// GB written; puts × size in a region that is not given.
    #[serde(default, deserialize_with = "some_by_region")]
    pub ingress_gb: Option<BTreeMap<String, Rational>>,
    /// GB read; gets × size in a region that is not given.
    #[serde(default, deserialize_with = "some_by_region")]
    pub egress_gb: Option<BTreeMap<String, Rational>>,
}

/// A usage in the regions of a scenario: whole numbers over one denominator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// What all numbers below are to be divided by, at least 1.
    pub(crate) denominator: u128,
    /// GB stored.
    pub(crate) size: u128,
    /// Put requests of all regions together: a put goes to every copy.
    pub(crate) puts: u128,
    /// GB written, by region, where not 0.
    pub(crate) ingress: Vec<(usize, u128)>,
    /// Get requests and GB read, by region, where not both 0.
    pub(crate) reads: Vec<(usize, u128, u128)>,
}

impl Workload {
    /// Whole numbers over `denominator`: GB stored, puts, GB written by region index, gets and GB read by region index. `None` where
    /// the denominator is 0, or a region is no region of `scenario` or given twice.
    pub fn from_parts(
        scenario: &Scenario,
        denominator: u128,
        (size, puts): (u128, u128),
        mut ingress: Vec<(usize, u128)>,
        mut reads: Vec<(usize, u128, u128)>,
    ) -> Option<Workload> {
        ingress.sort_unstable();
        reads.sort_unstable();
        let known = |region: &usize| *region < scenario.regions().len();
        let fine = denominator > 0
            && ingress.iter().all(|(region, _)| known(region))
            && reads.iter().all(|(region, ..)| known(region))
            && ingress.is_sorted_by(|one, other| one.0 < other.0)
            && reads.is_sorted_by(|one, other| one.0 < other.0);
        ingress.retain(|(_, gb)| *gb > 0);
        reads.retain(|(_, gets, gb)| *gets > 0 || *gb > 0);
        fine.then_some(Workload {
            denominator,
            size,
            puts,
            ingress,
            reads,
        })
    }

    /// The sum of two workloads over one denominator; `None` where the denominators differ or 128 bits do not hold it.
    pub fn plus(&self, other: &Workload) -> Option<Workload> {
        if self.denominator != other.denominator {
            return None;
        }
        let mut ingress: BTreeMap<usize, u128> = self.ingress.iter().copied().collect();
        for (region, gb) in &other.ingress {
            let sum = ingress.entry(*region).or_default();
            *sum = sum.checked_add(*gb)?;
        }
        let mut reads: BTreeMap<usize, (u128, u128)> = self
            .reads
            .iter()
            .map(|(region, gets, gb)| (*region, (*gets, *gb)))
            .collect();
        for (region, gets, gb) in &other.reads {
            let sum = reads.entry(*region).or_default();
            *sum = (sum.0.checked_add(*gets)?, sum.1.checked_add(*gb)?);
        }
        Some(Workload {
            denominator: self.denominator,
            size: self.size.checked_add(other.size)?,
            puts: self.puts.checked_add(other.puts)?,
            ingress: ingress.into_iter().collect(),
            reads: reads
                .into_iter()
                .map(|(region, (gets, gb))| (region, gets, gb))
                .collect(),
        })
    }

    /// The same, never read.
    pub fn without_reads(&self) -> Workload {
        Workload {
            reads: Vec::new(),
            ..self.clone()
        }
    }

    /// The reads of each region that reads, and nothing else.
    pub fn reads_alone(&self) -> Vec<Workload> {
        let alone = |read: &(usize, u128, u128)| Workload {
            denominator: self.denominator,
            size: 0,
            puts: 0,
            ingress: Vec::new(),
            reads: vec![*read],
        };
        self.reads.iter().map(alone).collect()
    }

    /// Whether reads are of one size in all regions: GB read over gets.
    pub(crate) fn reads_are_of_one_size(&self) -> bool {
        let Some((_, first_gets, first_gb)) = self.reads.first() else {
            return true;
        };
        self.reads.iter().all(|(_, gets, gb)| {
            *gets > 0 && wide_product(*gb, *first_gets) == wide_product(*gets, *first_gb)
        })
    }
}

/// The product, as its upper and lower 128 bits.
fn wide_product(left: u128, right: u128) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    let (left_high, left_low) = (left >> 64, left & LOW);
    let (right_high, right_low) = (right >> 64, right & LOW);
    let low = left_low * right_low;
    let middle = left_high * right_low + (low >> 64);
    let other = left_low * right_high + (middle & LOW);
    let high = left_high * right_high + (middle >> 64) + (other >> 64);
    (high, other << 64 | low & LOW)
}

impl Usage {
    /// In the regions of `scenario`. Faults: a region that is not among them; quantities beyond 128 bits.
    pub fn resolve(&self, scenario: &Scenario) -> Result<Workload, Fault> {
        let ingress = self.transferred(&self.ingress_gb, &self.puts)?;
        let egress = self.transferred(&self.egress_gb, &self.gets)?;
        let quantities = [&self.puts, &self.gets, &ingress, &egress];
        let mut denominator = self.size_gb.denominator;
        for quantity in quantities.iter().flat_map(|map| map.values()) {
            denominator = lcm(denominator, quantity.denominator)
                .ok_or_else(|| overflow("the common denominator of all quantities"))?;
        }
        let over = |quantity: Rational, what: &str| {
            quantity.over(denominator).ok_or_else(|| overflow(what))
        };
        let find = |region: &str| {
            scenario.region(region).ok_or_else(|| {
                Fault::Invalid(format!("region {region:?} is not among the {} of the scenario; names are Vendor-Region, e.g. {}", scenario.regions().len(), scenario.regions()[0]))
            })
        };
        let mut puts: u128 = 0;
        for (region, quantity) in &self.puts {
            find(region)?;
            puts = puts
                .checked_add(over(*quantity, "puts")?)
                .ok_or_else(|| overflow("puts"))?;
        }
        let mut written = Vec::with_capacity(ingress.len());
        for (region, quantity) in &ingress {
            written.push((find(region)?, over(*quantity, "GB written")?));
        }
        written.retain(|(_, quantity)| *quantity > 0);
        let mut reads = vec![(0, 0); scenario.regions().len()];
        for (region, quantity) in &self.gets {
            reads[find(region)?].0 = over(*quantity, "gets")?;
        }
        for (region, quantity) in &egress {
            reads[find(region)?].1 = over(*quantity, "GB read")?;
        }
        Ok(Workload {
            denominator,
            size: over(self.size_gb, "the size")?,
            puts,
            ingress: written,
            reads: reads
                .into_iter()
                .enumerate()
                .filter(|(_, (gets, gb))| *gets > 0 || *gb > 0)
                .map(|(region, (gets, gb))| (region, gets, gb))
                .collect(),
        })
    }

    /// GB moved by region: as given, and where not given each request a whole object.
    fn transferred(
        &self,
        given: &Option<BTreeMap<String, Rational>>,
        requests: &BTreeMap<String, Rational>,
    ) -> Result<BTreeMap<String, Rational>, Fault> {
        let mut moved = given.clone().unwrap_or_default();
        for (region, count) in requests {
            if !moved.contains_key(region) {
                let gb = count
                    .times(self.size_gb)
                    .ok_or_else(|| overflow("requests × size"))?;
                moved.insert(region.clone(), gb);
            }
        }
        Ok(moved)
    }
}

fn overflow(what: &str) -> Fault {
    Fault::Overflow(format!(
        "{what}: more than 128 bits over the common denominator; give quantities with fewer digits"
    ))
}
