//! The control plane of whichever cloud a location is in; and what the configuration says of what was wired there.

use super::{aws, azure, google};
use crate::context::Context;
use crate::open::Opener;
use skyfresh_channel::wiring::aws::{Aws, Signed};
use skyfresh_channel::wiring::azure::Azure;
use skyfresh_channel::wiring::google::Google;
use skyfresh_channel::wiring::{Cloud, EventDestination, Plan, Resource, WithBearer};
use skyfresh_engine::Rule;
use skyfresh_sky::{Kind, Location, Scheme};
use skyfresh_store::{Error, Result};

/// An opened control plane.
pub(crate) enum Opened {
    /// AWS.
    Aws(Aws<Signed>),
    /// Google Cloud.
    Google(Google<WithBearer>),
    /// Azure.
    Azure(Azure<WithBearer>),
}

impl Opened {
    /// Opens the control plane of the cloud that a location is in.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: there is none.
    pub(crate) async fn open(
        opener: &Opener,
        location: &Location,
        context: &Context,
    ) -> Result<Self> {
        Ok(match location.scheme {
            Scheme::S3 => Opened::Aws(aws(opener, location, context).await?),
            Scheme::Gcs => Opened::Google(google(opener, location, context)?),
            Scheme::Azure => Opened::Azure(azure(opener, location, context)?),
            Scheme::File | Scheme::Memory => {
                let why = "there is nothing to wire: directories are watched by the daemon itself";
                return Err(Error::new(
                    Kind::Unsupported,
                    "wire",
                    location.to_string(),
                    why,
                ));
            }
        })
    }

    /// The same; what is created as a webhook on Azure has this in its address.
    pub(crate) fn with_webhook_query(self, query: &str) -> Self {
        match self {
            Opened::Azure(azure) => Opened::Azure(azure.with_webhook_query(query)),
            other => other,
        }
    }

    /// As the seam.
    pub(crate) fn cloud(&self) -> &dyn Cloud {
        match self {
            Opened::Aws(aws) => aws,
            Opened::Google(google) => google,
            Opened::Azure(azure) => azure,
        }
    }
}

/// The lines of the configuration that make the daemon pull from what a plan creates, or take what it pushes.
pub(crate) fn channel_lines(rule: &Rule, plan: &Plan, opened: &Opened) -> Option<String> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let address = plan
        .resources
        .iter()
        .find_map(|resource| match (resource, opened) {
            (Resource::SqsQueue { arn, .. }, Opened::Aws(aws)) => {
                Some(("sqs", aws.queue_address(arn)))
            }
            (
                Resource::PubsubSubscription {
                    name, push: None, ..
                },
                _,
            ) => Some(("pubsub", name.clone())),
            (Resource::StorageQueue { name, .. }, _) => {
                let (account, _) = rule.source.azure_container().unwrap_or_default();
                Some((
                    "azure_queue",
                    format!("https://{account}.queue.core.windows.net/{name}"),
                ))
            }
            _ => None,
        });
    let Some((field, address)) = address else {
        return plan.resources.iter().find_map(taken);
    };
    let name = quoted(&rule.name);
    let mut lines = String::new();
    // A channel takes its credentials from an [endpoint.NAME].
    let named = rule
        .source
        .option("endpoint")
        .filter(|value| !value.contains("://"));
    let endpoint = match (named, rule.source.option("profile")) {
        (_, Some(profile)) => {
            let endpoint = format!("{}-events", rule.name);
            lines.push_str(&format!(
                "[endpoint.{}]\nprofile = {}\n\n",
                quoted(&endpoint),
                quoted(profile)
            ));
            Some(endpoint)
        }
        (named, None) => named.map(str::to_owned),
    };
    lines.push_str(&format!(
        "[[channel]]\nname = {name}\n{field} = {}\nrules = [{name}]\n",
        quoted(&address)
    ));
    if let Some(endpoint) = endpoint {
        lines.push_str(&format!("endpoint = {}\n", quoted(&endpoint)));
    }
    Some(lines)
}

/// Whom the daemon takes pushed notifications from.
fn taken(resource: &Resource) -> Option<String> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    match resource {
        Resource::PubsubSubscription {
            push: Some(push), ..
        } => Some(format!(
            "[server.pubsub]\naudience = {}\nservice_account = {}\n",
            quoted(&push.audience),
            quoted(&push.service_account)
        )),
        Resource::EventSubscription {
            destination: EventDestination::Webhook(_),
            ..
        } => Some("[server.event_grid]\nsecret = \"${SKYFRESH_EVENT_GRID_SECRET}\"\n".to_owned()),
        _ => None,
    }
}
