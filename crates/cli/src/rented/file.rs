//! A file of machines to rent, as it is written: docs/overlay.md, "Rented machines". Pure.
//!
//! Sections `[aws]`, `[gcp]`, `[azure]`, each with its `[….region.NAME]`; what stands before them is for all. A file of AWS alone may leave
//! its section's name out.

use serde::Deserialize;
use skyfresh_rent::{Offer, Program, Reach, ResourceGroup};
use skyfresh_sky::catalog::relay_vm;
use skyfresh_sky::{Provider, Region, parse_delay};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The port that a relay listens on: the one that relays and owner must be let through to.
const PORT: u16 = 7400;
/// Longest life where the file does not say it, and the shortest that one can be: five minutes before its end a machine lets nobody in.
const LONGEST_LIFE: Duration = Duration::from_secs(2 * 3_600);
const SHORTEST_LIFE: Duration = Duration::from_secs(15 * 60);
/// Azure's own shut-down comes once a day.
const LONGEST_LIFE_AT_AZURE: Duration = Duration::from_secs(22 * 3_600);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Who logs in.
    #[serde(default = "ubuntu")]
    user: String,
    /// The private key, for ssh; its agent's where it is left out.
    identity: Option<PathBuf>,
    /// The public key that new machines let in, where their provider keeps none; `identity` with `.pub` where it is left out.
    public_key: Option<PathBuf>,
    longest_life: Option<String>,
    #[serde(default)]
    reach: ReachName,
    #[serde(default = "port")]
    port: u16,
    program: Option<ProgramSection>,
    aws: Option<AwsSection>,
    gcp: Option<GcpSection>,
    azure: Option<AzureSection>,
    // The same as `aws`, without its name. (`flatten` does not go with `deny_unknown_fields`.)
    instance: Option<String>,
    instance_profile: Option<String>,
    spot: Option<bool>,
    endpoint: Option<String>,
    region: Option<BTreeMap<String, AwsRegion>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReachName {
    #[default]
    Public,
    Private,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgramSection {
    url: String,
    sha256: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AwsSection {
    instance: Option<String>,
    instance_profile: Option<String>,
    #[serde(default)]
    spot: bool,
    /// Where EC2 answers for all regions, for servers that are not AWS.
    endpoint: Option<String>,
    region: BTreeMap<String, AwsRegion>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AwsRegion {
    image: String,
    key_name: Option<String>,
    subnet: Option<String>,
    #[serde(default)]
    security_groups: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GcpSection {
    project: String,
    instance: Option<String>,
    service_account: Option<String>,
    #[serde(default)]
    spot: bool,
    /// Where Compute Engine answers, for servers that are not Google's: they are sent no token.
    endpoint: Option<String>,
    region: BTreeMap<String, GcpRegion>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GcpRegion {
    image: String,
    zones: Vec<String>,
    subnet: Option<String>,
    #[serde(default)]
    network_tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AzureSection {
    subscription: String,
    resource_group: String,
    instance: Option<String>,
    managed_identity: Option<String>,
    #[serde(default)]
    spot: bool,
    #[serde(default = "yes")]
    auto_shutdown: bool,
    /// Where Resource Manager answers, for servers that are not Azure's: they are sent no token.
    endpoint: Option<String>,
    region: BTreeMap<String, AzureRegion>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AzureRegion {
    image: String,
    #[serde(default)]
    zones: Vec<String>,
    subnet: String,
    security_group: Option<String>,
}

fn ubuntu() -> String {
    "ubuntu".into()
}

fn port() -> u16 {
    PORT
}

fn yes() -> bool {
    true
}

/// What a file says of whom to rent from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Providers {
    /// Where EC2 answers, where that is said, and machines are rented of AWS.
    pub(super) aws: Option<Option<String>>,
    /// Project and endpoint.
    pub(super) gcp: Option<(String, Option<String>)>,
    /// Group and endpoint.
    pub(super) azure: Option<(ResourceGroup, Option<String>)>,
}

/// What a file says.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) offers: BTreeMap<Region, Offer>,
    pub(super) providers: Providers,
    pub(super) program: Option<Program>,
    pub(super) identity: Option<PathBuf>,
    pub(super) public_key: Option<PathBuf>,
    pub(super) port: u16,
    pub(super) longest_life: Duration,
}

/// Reads a file, or what it says of one provider.
///
/// # Errors
/// What cannot be used, and what would do.
pub(super) fn read(text: &str, only: Option<Provider>) -> Result<Read, String> {
    let mut file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let longest_life = match &file.longest_life {
        None => LONGEST_LIFE,
        Some(text) => parse_delay(text).map_err(|error| error.to_string())?,
    };
    if longest_life < SHORTEST_LIFE {
        return Err("longest_life must be 15m or more".into());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if file.user.is_empty() || !file.user.chars().all(plain) {
        return Err(format!("user {:?} is no login name", file.user));
    }
    let program = file.program.take();
    let program = program
        .map(|section| Program::new(&section.url, &section.sha256))
        .transpose()
        .map_err(|error| error.to_string())?;
    let aws = aws(&mut file)?;
    let is_wanted = |provider| only.is_none_or(|only| only == provider);
    let mut read = Read {
        offers: BTreeMap::new(),
        providers: Providers::default(),
        program,
        identity: file.identity.clone(),
        public_key: file.public_key.clone(),
        port: file.port,
        longest_life,
    };
    if let Some(section) = aws.filter(|_| is_wanted(Provider::Aws)) {
        read.offer_aws(&file, section)?;
    }
    if let Some(section) = file.gcp.take().filter(|_| is_wanted(Provider::Gcp)) {
        read.offer_gcp(&file, section)?;
    }
    if let Some(section) = file.azure.take().filter(|_| is_wanted(Provider::Azure)) {
        read.offer_azure(&file, section)?;
    }
    if read.offers.is_empty() {
        let section = match only {
            None | Some(Provider::Aws) => "region.NAME",
            Some(Provider::Gcp) => "gcp.region.NAME",
            Some(_) => "azure.region.NAME",
        };
        return Err(format!("no [{section}] is there: add one"));
    }
    Ok(read)
}

/// AWS's section, by name or without.
fn aws(file: &mut File) -> Result<Option<AwsSection>, String> {
    let is_bare = file.region.is_some()
        || file.instance.is_some()
        || file.instance_profile.is_some()
        || file.spot.is_some()
        || file.endpoint.is_some();
    let has_others = file.aws.is_some() || file.gcp.is_some() || file.azure.is_some();
    match (file.aws.take(), is_bare) {
        (named, false) => Ok(named),
        (_, true) if has_others => {
            let why = "instance, instance_profile, spot, endpoint and region stand in [aws] where a file has sections";
            Err(why.into())
        }
        (_, true) => Ok(Some(AwsSection {
            instance: file.instance.take(),
            instance_profile: file.instance_profile.take(),
            spot: file.spot.unwrap_or_default(),
            endpoint: file.endpoint.take(),
            region: file.region.take().unwrap_or_default(),
        })),
    }
}

impl Read {
    /// What all machines of a provider have in common, in one of its regions.
    fn offer(
        file: &File,
        provider: Provider,
        region: &str,
        instance: Option<&String>,
        spot: bool,
    ) -> Result<Offer, String> {
        let name = format!("{}:{region}", provider.as_str());
        let region: Region = name
            .parse()
            .map_err(|error| format!("[region.{region}]: {error}"))?;
        let usual = relay_vm(provider).map(|vm| vm.instance.clone());
        let instance = instance.cloned().or(usual);
        Ok(Offer {
            region,
            zones: Vec::new(),
            instance: instance.ok_or("instance is missing: name a kind of machine")?,
            image: String::new(),
            user: file.user.clone(),
            key_name: None,
            public_key: None,
            subnet: None,
            security_groups: Vec::new(),
            role: None,
            spot,
            reach: match file.reach {
                ReachName::Public => Reach::Public,
                ReachName::Private => Reach::Private,
            },
        })
    }

    fn add(&mut self, offer: Offer) {
        self.offers.insert(offer.region.clone(), offer);
    }

    fn offer_aws(&mut self, file: &File, section: AwsSection) -> Result<(), String> {
        let (instance, spot) = (section.instance, section.spot);
        for (name, region) in section.region {
            self.add(Offer {
                image: region.image,
                key_name: region.key_name,
                subnet: region.subnet,
                security_groups: region.security_groups,
                role: section.instance_profile.clone(),
                ..Read::offer(file, Provider::Aws, &name, instance.as_ref(), spot)?
            });
        }
        self.providers.aws = Some(section.endpoint);
        Ok(())
    }

    fn offer_gcp(&mut self, file: &File, section: GcpSection) -> Result<(), String> {
        let (instance, spot) = (section.instance, section.spot);
        for (name, region) in section.region {
            self.add(Offer {
                image: region.image,
                zones: region.zones,
                subnet: region.subnet,
                security_groups: region.network_tags,
                role: section.service_account.clone(),
                ..Read::offer(file, Provider::Gcp, &name, instance.as_ref(), spot)?
            });
        }
        self.providers.gcp = Some((section.project, section.endpoint));
        Ok(())
    }

    fn offer_azure(&mut self, file: &File, section: AzureSection) -> Result<(), String> {
        if section.auto_shutdown && self.longest_life > LONGEST_LIFE_AT_AZURE {
            return Err(format!(
                "longest_life is at most {} h with machines of Azure, whose own shut-down comes once a day: lower it, or say auto_shutdown = false",
                LONGEST_LIFE_AT_AZURE.as_secs() / 3_600
            ));
        }
        let (instance, spot) = (section.instance, section.spot);
        for (name, region) in section.region {
            self.add(Offer {
                image: region.image,
                zones: region.zones,
                subnet: Some(region.subnet),
                security_groups: region.security_group.into_iter().collect(),
                role: section.managed_identity.clone(),
                ..Read::offer(file, Provider::Azure, &name, instance.as_ref(), spot)?
            });
        }
        let group = ResourceGroup {
            subscription: section.subscription,
            name: section.resource_group,
            auto_shutdown: section.auto_shutdown,
        };
        self.providers.azure = Some((group, section.endpoint));
        Ok(())
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
