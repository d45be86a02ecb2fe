//! The clients of whoever rents machines out, with the credentials that the stores of that provider take.

use super::Renting;
use crate::context::Context;
use crate::open::Opener;
use skyfresh_rent::{AzureVms, Cloud, Clouds, Ec2, Gce, ResourceGroup};
use skyfresh_sky::{Location, Provider, Region};
use skyfresh_store::azure::config::from_environment;
use skyfresh_store::azure::{AzureCredentialSource, AzureCredentials};
use skyfresh_store::gcs::GoogleCredentials;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Variables of keys that open a storage account and nothing else.
const STORAGE_PREFIX: &str = "AZURE_STORAGE_";

impl Renting {
    /// Who rents them out.
    ///
    /// # Errors
    /// The file's names cannot be used, or the system's root certificates cannot be read.
    pub(crate) fn cloud(&self, context: &Context) -> anyhow::Result<Arc<dyn Cloud>> {
        let opener = Opener::new(context, BTreeMap::new());
        let providers = &self.0.providers;
        let mut clouds = Clouds::default();
        if let Some(endpoint) = &providers.aws {
            let ec2 = self.ec2(context, &opener, endpoint.as_deref())?;
            clouds = clouds.with(Provider::Aws, Arc::new(ec2));
        }
        if let Some((project, endpoint)) = &providers.gcp {
            let gce = self.gce(context, &opener, project, endpoint.as_deref())?;
            clouds = clouds.with(Provider::Gcp, Arc::new(gce));
        }
        if let Some((group, endpoint)) = &providers.azure {
            let azure = azure(context, group, endpoint.as_deref())?;
            clouds = clouds.with(Provider::Azure, Arc::new(azure));
        }
        Ok(Arc::new(clouds))
    }

    fn regions(&self, provider: Provider) -> impl Iterator<Item = &Region> {
        let all = self.0.offers.keys();
        all.filter(move |region| region.provider == provider)
    }

    /// The variables are the AWS SDKs' own (AWS SDKs reference guide, "Service-specific endpoints").
    fn ec2(
        &self,
        context: &Context,
        opener: &Opener,
        endpoint: Option<&str>,
    ) -> anyhow::Result<Ec2> {
        let anything: Location = "s3://any".parse()?;
        let config = opener.s3_config(&anything, None);
        let environment = &context.environment;
        let endpoint = endpoint
            .or(environment.get("AWS_ENDPOINT_URL_EC2"))
            .or(environment.get("AWS_ENDPOINT_URL"));
        let regions = self.regions(Provider::Aws).cloned();
        Ok(Ec2::new(regions, endpoint, &config, &context.clock)?)
    }

    fn gce(
        &self,
        context: &Context,
        opener: &Opener,
        project: &str,
        endpoint: Option<&str>,
    ) -> anyhow::Result<Gce> {
        let source = opener.google_credentials(None, endpoint);
        let credentials = GoogleCredentials::new(source, Arc::clone(&context.clock))?;
        let offers = &self.0.offers;
        let zones = self
            .regions(Provider::Gcp)
            .map(|region| (region.clone(), offers[region].zones.clone()))
            .collect();
        Ok(Gce::new(
            project,
            zones,
            endpoint,
            credentials,
            &context.clock,
        )?)
    }
}

/// With an identity: a storage account's key opens no other service. Another server than Azure's is sent no token.
fn azure(
    context: &Context,
    group: &ResourceGroup,
    endpoint: Option<&str>,
) -> anyhow::Result<AzureVms> {
    let credentials = match endpoint {
        Some(_) => None,
        None => {
            let source = identity(context.environment.variables());
            let clock = Arc::clone(&context.clock);
            Some(AzureCredentials::new("", source, clock)?)
        }
    };
    Ok(AzureVms::new(group, endpoint, credentials, &context.clock)?)
}

fn identity(variables: &BTreeMap<String, String>) -> AzureCredentialSource {
    let mut of_identities = variables.clone();
    of_identities.retain(|name, _| !name.starts_with(STORAGE_PREFIX));
    from_environment(&of_identities, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_of_azure_are_rented_by_an_identity_whatever_keys_there_are() {
        let variables = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let key = ("AZURE_STORAGE_KEY", "a2V5");
        assert_eq!(identity(&variables(&[key])).name(), "managed identity");
        let principal = [
            key,
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_CLIENT_SECRET", "hunter2"),
        ];
        let source = identity(&variables(&principal));
        assert_eq!(source.name(), "service principal");
        assert!(!format!("{source:?}").contains("hunter2"));
    }
}
