//! Providers and regions.

use crate::Invalid;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Who runs the object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Gcp,
    /// Microsoft Azure.
    Azure,
    /// Cloudflare R2. It speaks S3.
    Cloudflare,
    /// A machine of the user's own; nothing is billed.
    Local,
}

impl Provider {
    /// The lower-case name used in region names.
    pub fn as_str(self) -> &'static str {
        match self {
            Provider::Aws => "aws",
            Provider::Gcp => "gcp",
            Provider::Azure => "azure",
            Provider::Cloudflare => "cloudflare",
            Provider::Local => "local",
        }
    }
}

impl FromStr for Provider {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "aws" => Ok(Provider::Aws),
            "gcp" => Ok(Provider::Gcp),
            "azure" => Ok(Provider::Azure),
            "cloudflare" => Ok(Provider::Cloudflare),
            "local" => Ok(Provider::Local),
            _ => Err(Invalid::new(
                "provider",
                text,
                "expected aws, gcp, azure, cloudflare or local",
            )),
        }
    }
}

/// A provider's region, written `aws:us-east-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region {
    /// The provider.
    pub provider: Provider,
    /// The provider's own name of the region.
    pub name: String,
}

impl Region {
    /// The region of stores on this machine.
    pub fn local() -> Self {
        Region {
            provider: Provider::Local,
            name: "local".into(),
        }
    }
}

impl std::fmt::Display for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.provider.as_str(), self.name)
    }
}

impl FromStr for Region {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = || {
            Invalid::new(
                "region",
                text,
                "expected provider:name, e.g. aws:us-east-1, gcp:us-central1, azure:eastus, cloudflare:auto, local:local",
            )
        };
        let (provider, name) = text.split_once(':').ok_or_else(bad)?;
        let provider = provider.parse().map_err(|_| bad())?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(bad());
        }
        Ok(Region {
            provider,
            name: name.into(),
        })
    }
}

impl TryFrom<String> for Region {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Region> for String {
    fn from(region: Region) -> String {
        region.to_string()
    }
}
