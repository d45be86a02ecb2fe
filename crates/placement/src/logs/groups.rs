//! A tally as workloads: each object, each prefix, or all objects that the same regions use.

use super::tally::{Tally, Use, prefix_of};
use crate::model::Scenario;
use crate::workload::{Fault, Workload};
use skyfresh_sky::Invalid;
use std::collections::BTreeMap;

const BYTES_PER_GB: u128 = 1_000_000_000;
/// A month of 730 hours, as prices have it.
const MONTH_S: u128 = 730 * 3600;
/// Regions that the name of an access set names.
const NAMED_REGIONS: usize = 6;

/// What is placed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// Each object by itself.
    Object,
    /// Objects whose names begin alike: the bucket, and so many names behind it.
    Prefix(usize),
    /// Objects that the same regions read and the same regions write.
    AccessSet,
}

/// Objects that are placed together.
#[derive(Clone, Debug)]
pub struct Group {
    /// The object's name, the prefix with its `/`, or the regions that use it.
    pub name: String,
    /// How many.
    pub objects: u64,
    /// Bytes stored.
    pub bytes: u128,
    /// Requests and bytes of a month, all added up.
    pub workload: Workload,
    /// Of objects beyond the limit, which are known by their prefix alone.
    pub folded: bool,
}

impl Group {
    /// What the numbers of its workload are to be divided by: the same for all groups of one tally.
    pub fn denominator(&self) -> u128 {
        self.workload.denominator
    }
}

/// Sums of several objects.
#[derive(Clone, Debug, Default)]
struct Sum {
    objects: u64,
    bytes: u128,
    puts: u128,
    /// By region: gets, bytes read, bytes written.
    regions: BTreeMap<u16, (u128, u128, u128)>,
}

impl Sum {
    fn add(&mut self, uses: &[Use]) {
        for one in uses {
            self.puts += u128::from(one.puts);
            let region = self.regions.entry(one.region).or_default();
            region.0 += u128::from(one.gets);
            region.1 += u128::from(one.read_bytes);
            region.2 += u128::from(one.written_bytes);
        }
    }

    /// Over the denominator 10⁹ · `period`: `month / period` is how many times the logs' time fits into a month.
    fn workload(&self, scenario: &Scenario, (month, period): (u128, u128)) -> Option<Workload> {
        let times = |number: u128, factor: u128| number.checked_mul(factor);
        let mut ingress = Vec::new();
        let mut reads = Vec::new();
        for (region, (gets, read, written)) in &self.regions {
            let gets = times(*gets, month * BYTES_PER_GB)?;
            reads.push((usize::from(*region), gets, times(*read, month)?));
            ingress.push((usize::from(*region), times(*written, month)?));
        }
        let puts = times(self.puts, month * BYTES_PER_GB)?;
        let denominator = period * BYTES_PER_GB;
        Workload::from_parts(
            scenario,
            denominator,
            (times(self.bytes, period)?, puts),
            ingress,
            reads,
        )
    }
}

/// The regions that read, and those that write, ascending.
fn access_set(uses: &[Use]) -> (Vec<u16>, Vec<u16>) {
    let those = |which: fn(&Use) -> bool| {
        let mut regions: Vec<u16> = uses
            .iter()
            .filter(|one| which(one))
            .map(|one| one.region)
            .collect();
        regions.sort_unstable();
        regions
    };
    (those(|one| one.gets > 0), those(|one| one.puts > 0))
}

fn access_set_name(scenario: &Scenario, (reads, writes): &(Vec<u16>, Vec<u16>)) -> String {
    let named = |regions: &[u16]| {
        let mut names: Vec<String> = regions
            .iter()
            .take(NAMED_REGIONS)
            .map(|region| scenario.regions()[usize::from(*region)].clone())
            .collect();
        if regions.len() > NAMED_REGIONS {
            names.push(format!("{} more", regions.len() - NAMED_REGIONS));
        }
        names.join(", ")
    };
    match (reads.is_empty(), writes.is_empty()) {
        (true, true) => "unused".into(),
        (false, true) => format!("read by {}", named(reads)),
        (true, false) => format!("written by {}", named(writes)),
        (false, false) => format!("read by {}; written by {}", named(reads), named(writes)),
    }
}

impl Tally {
    /// The groups, in the order of their names, with the requests of `period_s` seconds as those of a month.
    ///
    /// # Errors
    /// The period is 0; a group's sums pass 128 bits.
    pub fn groups(
        self,
        scenario: &Scenario,
        grouping: Grouping,
        period_s: u64,
    ) -> Result<Vec<Group>, Fault> {
        let common = crate::exact::gcd(MONTH_S, u128::from(period_s));
        if period_s == 0 {
            return Err(Fault::Invalid(
                "the logs' time is 0 seconds: say how long they are of".into(),
            ));
        }
        let scale = (MONTH_S / common, u128::from(period_s) / common);
        let sampled = self.sizes.totals(self.folded.len());
        let mut named: BTreeMap<String, Sum> = BTreeMap::new();
        let mut sets: BTreeMap<(Vec<u16>, Vec<u16>), Sum> = BTreeMap::new();
        for (name, object) in self.objects {
            let sum = match grouping {
                Grouping::Object => named.entry(name.into()).or_default(),
                Grouping::Prefix(depth) => {
                    let prefix = prefix_of(&name, depth);
                    if !named.contains_key(prefix) {
                        named.insert(prefix.to_owned(), Sum::default());
                    }
                    match named.get_mut(prefix) {
                        Some(sum) => sum,
                        None => continue,
                    }
                }
                Grouping::AccessSet => sets.entry(access_set(&object.uses)).or_default(),
            };
            sum.objects += 1;
            sum.bytes += u128::from(object.bytes);
            sum.add(&object.uses);
        }
        // Sets whose names are the same, as both name only some regions, are told apart.
        for (set, sum) in sets {
            let name = access_set_name(scenario, &set);
            let mut unique = name.clone();
            let mut number = 1;
            while named.contains_key(&unique) {
                number += 1;
                unique = format!("{name} ({number})");
            }
            named.insert(unique, sum);
        }
        let mut folded: BTreeMap<String, Sum> = BTreeMap::new();
        for (one, (objects, bytes)) in self.folded.iter().zip(sampled) {
            // A prefix is placed as one in any case.
            let (of, name) = match grouping {
                Grouping::Prefix(depth) => (&mut named, prefix_of(&one.name, depth)),
                _ => (&mut folded, &*one.name),
            };
            let sum = of.entry(name.to_owned()).or_default();
            sum.objects = sum.objects.saturating_add(objects);
            sum.bytes += bytes;
            sum.add(&one.uses);
        }
        let all = named.into_iter().map(|(name, sum)| (name, sum, false));
        let folded = folded
            .into_iter()
            .map(|(name, sum)| (format!("{name}…"), sum, true));
        all.chain(folded)
            .map(|(name, sum, folded)| {
                let workload = sum.workload(scenario, scale).ok_or_else(|| {
                    Fault::Overflow(format!("{name}: requests or bytes pass 128 bits"))
                })?;
                Ok(Group {
                    name,
                    objects: sum.objects,
                    bytes: sum.bytes,
                    workload,
                    folded,
                })
            })
            .collect()
    }
}

/// The seconds from the first access to the last, rounded up.
///
/// # Errors
/// Less than an hour, of which a month cannot be told.
pub fn period_s(span_ms: (u64, u64)) -> Result<u64, Invalid> {
    let seconds = (span_ms.1 - span_ms.0).div_ceil(1000);
    if seconds < 3600 {
        let given = format!("{seconds} s between the first and the last access");
        return Err(Invalid::new(
            "the logs' time",
            given,
            "less than an hour says nothing of a month: give more logs, or say how long they are of",
        ));
    }
    Ok(seconds)
}
