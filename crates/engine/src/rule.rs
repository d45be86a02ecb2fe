//! Rules: what the user wants kept fresh, as a value.

use crate::{Error, Globs, Result, server_copy};
use serde::{Deserialize, Serialize};
use skyfresh_plan::replicate::Budget;
use skyfresh_sky::{
    Attributes, Kind, Location, ObjectKey, Region, Scheme, Slo, Usd, format_delay, parse_bytes,
    parse_delay,
};
use skyfresh_store::{Fitted, MetadataLimits};
use std::collections::BTreeMap;
use std::time::Duration;

/// One source, its destinations, and how fresh they must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique name: letters, digits, `-`, `_`, `.`; at most 64.
    pub name: String,
    /// Where objects come from.
    pub source: Location,
    /// The source's region, for prices; guessed from the location where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_region: Option<Region>,
    /// Where they must also be.
    #[serde(rename = "destination")]
    pub destinations: Vec<Destination>,
    /// How fresh.
    #[serde(default)]
    pub slo: Slo,
    /// Globs of keys in scope; empty is all. `*` crosses `/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Globs of keys out of scope; wins over `include`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Whether keys absent at the source are deleted at the destinations.
    #[serde(default)]
    pub delete: bool,
    /// Most deletes an hour at one destination, and most that one sweep may find; more are held and reported.
    #[serde(default = "default_max_deletes")]
    pub max_deletes: u64,
    /// Whether a sweep may delete although the source's listing is empty.
    #[serde(default)]
    pub allow_empty_source: bool,
    /// What travels with the bytes.
    #[serde(default)]
    pub metadata: MetadataPolicy,
    /// Whether published objects carry `skyfresh-source` in their user metadata: the source version they equal. Without
    /// it, a lost ledger costs comparisons by checksum, or copying again.
    #[serde(default = "default_true")]
    pub stamp: bool,
    /// Whether an object is refused, and reported, when the destination cannot keep something of its metadata. Otherwise it is
    /// copied, and its receipt says what was lost.
    #[serde(default)]
    pub strict_metadata: bool,
    /// Whether object tags are copied too.
    #[serde(default)]
    pub tags: bool,
    /// Most bytes per second read from the source for this rule, e.g. `50MB`; none is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<Bandwidth>,
    /// How often listings are compared (a first time at start).
    #[serde(default = "default_sweep_every", with = "delay_text")]
    pub sweep_every: Duration,
    /// Whether the rule starts paused.
    #[serde(default)]
    pub paused: bool,
    /// Whether changes of a key that changes often wait for each other as long as the SLO allows, so that they travel as one;
    /// only where that saves dollars.
    #[serde(default = "default_true")]
    pub batching: bool,
    /// Most dollars an hour or a month, and what happens when they are spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// One destination of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Unique within the rule; same characters as a rule's name.
    pub name: String,
    /// Where objects go.
    pub location: Location,
    /// The destination's region, for prices; guessed from the location where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// The storage class at the destination by that at the source; `"*"` is the fallback. Unlisted classes become the
    /// destination bucket's default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_class: BTreeMap<String, String>,
    /// Whether the destination's store may take objects from the source's store by itself, reading it with the destination's
    /// credentials. Both must be of one service; whatever cannot be proved so is transferred.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub server_copy: bool,
}

/// What travels with an object's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataPolicy {
    /// System headers and user metadata.
    #[default]
    Keep,
    /// Only the content type.
    None,
}

/// Bytes per second, written `50MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bandwidth {
    /// At least 1.
    pub bytes_per_second: u64,
}

impl TryFrom<String> for Bandwidth {
    type Error = skyfresh_sky::Invalid;
    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        let bytes_per_second = parse_bytes(text.trim_end_matches("/s"))?;
        if bytes_per_second == 0 {
            return Err(skyfresh_sky::Invalid::new(
                "bandwidth",
                text,
                "must be above zero; leave it out for no limit",
            ));
        }
        Ok(Bandwidth { bytes_per_second })
    }
}

impl From<Bandwidth> for String {
    fn from(bandwidth: Bandwidth) -> String {
        format!("{}B", bandwidth.bytes_per_second)
    }
}

fn default_max_deletes() -> u64 {
    1_000
}

fn default_true() -> bool {
    true
}

fn default_sweep_every() -> Duration {
    Duration::from_secs(15 * 60)
}

mod delay_text {
    use super::{Duration, format_delay, parse_delay};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        delay: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_delay(*delay))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        parse_delay(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Rule {
    /// A rule with defaults, its destinations named after their order (`d1`, `d2`, …).
    pub fn new(name: impl Into<String>, source: Location, destinations: Vec<Location>) -> Self {
        let destinations = destinations
            .into_iter()
            .enumerate()
            .map(|(index, location)| Destination {
                name: format!("d{}", index + 1),
                location,
                region: None,
                storage_class: BTreeMap::new(),
                server_copy: false,
            })
            .collect();
        Rule {
            name: name.into(),
            source,
            source_region: None,
            destinations,
            slo: Slo::default(),
            include: Vec::new(),
            exclude: Vec::new(),
            delete: false,
            max_deletes: default_max_deletes(),
            allow_empty_source: false,
            metadata: MetadataPolicy::default(),
            stamp: true,
            strict_metadata: false,
            tags: false,
            bandwidth: None,
            sweep_every: default_sweep_every(),
            paused: false,
            batching: true,
            budget: None,
        }
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`Kind::Invalid`], naming the rule and the field.
    pub fn check(&self) -> Result<()> {
        let bad = |why: String| Error::new(Kind::Invalid, "check rule", self.name.clone(), why);
        if !is_name(&self.name) {
            return Err(bad("name: 1 to 64 letters, digits, '-', '_' or '.'".into()));
        }
        if self.destinations.is_empty() {
            return Err(bad(
                "destination: at least one is needed ([[rule.destination]])".into(),
            ));
        }
        let mut names = std::collections::BTreeSet::new();
        for destination in &self.destinations {
            if !is_name(&destination.name) {
                return Err(bad(format!(
                    "destination name {:?}: 1 to 64 letters, digits, '-', '_' or '.'",
                    destination.name
                )));
            }
            if !names.insert(&destination.name) {
                return Err(bad(format!(
                    "destination name {:?} is used twice",
                    destination.name
                )));
            }
            if overlaps(&self.source, &destination.location) {
                return Err(bad(format!(
                    "destination {:?} lies inside the source (or around it): it would copy its own copies",
                    destination.name
                )));
            }
            server_copy::check(self, destination).map_err(bad)?;
        }
        if self.budget.is_some_and(|budget| budget.usd <= Usd::ZERO) {
            return Err(bad(
                "budget: more than zero dollars; pause the rule to copy nothing".into(),
            ));
        }
        if self.sweep_every < Duration::from_secs(1) {
            return Err(bad("sweep_every: at least 1s".into()));
        }
        Scope::new(self).map(|_| ())
    }
}

/// The region of a location: as configured, else from its `region` option (a bare name without a custom endpoint is that of
/// the scheme's own cloud), else this machine.
pub fn region_of(location: &Location, configured: Option<&Region>) -> Region {
    if let Some(region) = configured {
        return region.clone();
    }
    let cloud = match location.scheme {
        Scheme::S3 => "aws",
        Scheme::Gcs => "gcp",
        Scheme::Azure => "azure",
        Scheme::File | Scheme::Memory => return Region::local(),
    };
    match location.option("region") {
        Some(name) => name
            .parse()
            .ok()
            .or_else(|| {
                format!("{cloud}:{name}")
                    .parse()
                    .ok()
                    .filter(|_| location.option("endpoint").is_none())
            })
            .unwrap_or_else(Region::local),
        None => Region::local(),
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Whether one place lies inside the other: what is written to the one would be listed at the other.
pub fn overlaps(a: &Location, b: &Location) -> bool {
    let nested = |x: &str, y: &str| x.starts_with(y) || y.starts_with(x);
    match (a.scheme, b.scheme) {
        (Scheme::File, Scheme::File) => {
            let with_slash = |path: &str| format!("{}/", path.trim_end_matches('/'));
            nested(&with_slash(&a.bucket), &with_slash(&b.bucket))
        }
        (x, y) => {
            x == y
                && a.bucket == b.bucket
                && a.option("endpoint") == b.option("endpoint")
                && nested(&a.prefix, &b.prefix)
        }
    }
}

/// The compiled include and exclude globs of a rule.
#[derive(Clone, Debug)]
pub struct Scope(Globs);

impl Scope {
    /// Compiles a rule's globs.
    ///
    /// # Errors
    /// [`Kind::Invalid`], naming the glob.
    pub fn new(rule: &Rule) -> Result<Self> {
        Scope::of_globs(&rule.name, &rule.include, &rule.exclude)
    }

    /// Compiles globs; `whose` they are is said where one cannot be used. No glob to include means everything.
    ///
    /// # Errors
    /// [`Kind::Invalid`], naming the glob.
    pub fn of_globs(whose: &str, include: &[String], exclude: &[String]) -> Result<Self> {
        let globs = Globs::new(include, exclude);
        globs
            .map(Scope)
            .map_err(|error| Error::new(Kind::Invalid, "check globs", whose, error.to_string()))
    }

    /// Whether a key is in scope. Probe objects never are.
    pub fn covers(&self, key: &ObjectKey) -> bool {
        self.covers_name(key.as_str())
    }

    /// The same for a name that need not be a key.
    pub(crate) fn covers_name(&self, key: &str) -> bool {
        self.0.admit(key) && !key.starts_with(PROBE_PREFIX)
    }
}

/// What `probe` names its objects with; excluded from every rule.
pub(crate) const PROBE_PREFIX: &str = ".skyfresh-probe-";

/// The user-metadata name of the stamp.
pub const STAMP: &str = "skyfresh-source";

/// What the destination's object must carry, for a source object with these attributes: policy, storage class, stamp, as
/// far as the destination can keep it. A stamp that would pass the limit of user metadata is left out: the user's metadata
/// comes first.
pub(crate) fn destination_attributes(
    rule: &Rule,
    destination: &Destination,
    source: &Attributes,
    stamp: &str,
    limits: &MetadataLimits,
) -> Fitted {
    let mut attributes = match rule.metadata {
        MetadataPolicy::Keep => source.clone(),
        MetadataPolicy::None => Attributes {
            content_type: source.content_type.clone(),
            ..Attributes::default()
        },
    };
    attributes.user.remove(STAMP);
    let Fitted {
        mut attributes,
        unkept,
    } = limits.fit(attributes);
    let class = source.storage_class.as_deref().unwrap_or("STANDARD");
    attributes.storage_class = destination
        .storage_class
        .get(class)
        .or_else(|| destination.storage_class.get("*"))
        .cloned();
    if rule.stamp && attributes.user_bytes() + STAMP.len() + stamp.len() <= limits.user_bytes {
        attributes.user.insert(STAMP.into(), stamp.into());
    }
    Fitted { attributes, unkept }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        Rule::new(
            "r",
            "s3://a/".parse().unwrap(),
            vec!["s3://b/".parse().unwrap()],
        )
    }

    #[test]
    fn scope_includes_then_excludes() {
        let mut rule = rule();
        rule.include = vec!["models/*".into()];
        rule.exclude = vec!["*.tmp".into()];
        let scope = Scope::new(&rule).unwrap();
        let covers = |key: &str| scope.covers(&ObjectKey::new(key).unwrap());
        assert!(covers("models/a/b.bin"));
        assert!(!covers("models/a/b.tmp") && !covers("logs/x") && !covers(".skyfresh-probe-1"));
    }

    #[test]
    fn bad_rules_are_refused_with_the_field() {
        let mut inside = rule();
        inside.destinations[0].location = "s3://a/copy/".parse().unwrap();
        assert!(
            inside
                .check()
                .unwrap_err()
                .to_string()
                .contains("copy its own copies")
        );
        let mut glob = rule();
        glob.include = vec!["[".into()];
        assert!(glob.check().unwrap_err().to_string().contains("glob"));
        let mut twice = rule();
        twice.destinations.push(twice.destinations[0].clone());
        assert!(
            twice
                .check()
                .unwrap_err()
                .to_string()
                .contains("used twice")
        );
        assert!(rule().check().is_ok());
    }

    #[test]
    fn the_users_metadata_comes_before_the_stamp() {
        let rule = rule();
        let mut source = Attributes::default();
        let stamped = destination_attributes(
            &rule,
            &rule.destinations[0],
            &source,
            "etag",
            &MetadataLimits::S3,
        )
        .attributes;
        assert_eq!(stamped.user.get(STAMP).map(String::as_str), Some("etag"));
        source.user.insert("k".into(), "v".repeat(2040));
        let full = destination_attributes(
            &rule,
            &rule.destinations[0],
            &source,
            "etag",
            &MetadataLimits::S3,
        )
        .attributes;
        assert_eq!(full.user, source.user);
    }
}
