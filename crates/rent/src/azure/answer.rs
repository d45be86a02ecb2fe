//! What Azure Resource Manager answers, as values of ours. Pure; the bytes are anybody's.

use crate::machine::is_sound;
use crate::rest::{Asked, Refusal, parse};
use crate::{Machine, State, Tags};
use http::StatusCode;
use serde::Deserialize;
use skyfresh_relay::Result;
use skyfresh_sky::{Kind, Region};
use std::collections::BTreeMap;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Vm {
    name: String,
    location: String,
    tags: BTreeMap<String, String>,
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Properties {
    provisioning_state: String,
    hardware_profile: Hardware,
    network_profile: Networks,
    instance_view: View,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Hardware {
    vm_size: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Networks {
    network_interfaces: Vec<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct View {
    statuses: Vec<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: String,
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    #[serde(default = "Vec::new")]
    value: Vec<T>,
    next_link: Option<String>,
}

/// A machine, and what else its answer tells.
#[derive(Debug)]
pub(super) struct Seen {
    /// The machine, without its addresses.
    pub(super) machine: Machine,
    /// Where its first network interface stands.
    pub(super) interface: Option<String>,
    /// Why it could not be made.
    pub(super) failed: Option<Refusal>,
    /// Whether it is on a host: from then on it is there, and paid.
    pub(super) is_placed: bool,
}

/// One machine; `None`: it is none of ours, or in another region.
pub(super) fn machine(asked: Asked<'_>, body: &[u8], region: &Region) -> Result<Option<Seen>> {
    let vm: Vm = parse(asked, body)?;
    let properties = vm.properties;
    let statuses = &properties.instance_view.statuses;
    let power = statuses
        .iter()
        .find_map(|status| status.code.strip_prefix("PowerState/"));
    let state = state(&properties.provisioning_state, power);
    let failed = (properties.provisioning_state == "Failed" && state != State::Running)
        .then(|| failure(asked, statuses));
    let Some(tags) = Tags::read(|name| vm.tags.get(name).map(String::as_str)) else {
        return Ok(None);
    };
    if !is_name(&vm.name) || !is_same_place(&vm.location, &region.name) {
        return Ok(None);
    }
    let first = properties
        .network_profile
        .network_interfaces
        .into_iter()
        .next();
    let interface = first.map(|interface| interface.id);
    Ok(Some(Seen {
        machine: Machine {
            id: vm.name,
            region: region.clone(),
            instance: properties.hardware_profile.vm_size,
            state,
            public_address: None,
            private_address: None,
            tags,
        },
        interface: interface.filter(|id| is_resource(id)),
        failed,
        is_placed: properties.provisioning_state == "Succeeded" || power.is_some(),
    }))
}

/// Names of machines that are ours and in a region, and where the next page is.
pub(super) fn page(
    asked: Asked<'_>,
    body: &[u8],
    region: &Region,
) -> Result<(Vec<String>, Option<String>)> {
    let page: Page<Vm> = parse(asked, body)?;
    let ours = page.value.into_iter().filter(|vm| {
        let tagged = Tags::read(|name| vm.tags.get(name).map(String::as_str)).is_some();
        tagged && is_name(&vm.name) && is_same_place(&vm.location, &region.name)
    });
    let next = page.next_link.filter(|next| !next.is_empty());
    Ok((ours.map(|vm| vm.name).collect(), next))
}

/// A network interface's own address, and where its public one stands.
pub(super) fn interface(asked: Asked<'_>, body: &[u8]) -> Result<(Option<String>, Option<String>)> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Interface {
        properties: Inner,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Inner {
        ip_configurations: Vec<Configuration>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Configuration {
        properties: Addresses,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Addresses {
        #[serde(rename = "privateIPAddress")]
        private: Option<String>,
        #[serde(rename = "publicIPAddress")]
        public: Option<Named>,
    }
    let interface: Interface = parse(asked, body)?;
    let first = interface.properties.ip_configurations.into_iter().next();
    let addresses = first.unwrap_or_default().properties;
    let public = addresses.public.map(|public| public.id);
    Ok((
        addresses.private.filter(|address| is_sound(address)),
        public.filter(|id| is_resource(id)),
    ))
}

/// A public address.
pub(super) fn address(asked: Asked<'_>, body: &[u8]) -> Result<Option<String>> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Address {
        properties: Inner,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Inner {
        ip_address: Option<String>,
    }
    let address: Address = parse(asked, body)?;
    Ok(address
        .properties
        .ip_address
        .filter(|address| is_sound(address)))
}

/// A name that can stand in an address as it is.
pub(super) fn is_name(text: &str) -> bool {
    is_sound(text) && !text.contains(['/', ':'])
}

/// A resource id that can stand in an address as it is.
fn is_resource(text: &str) -> bool {
    is_sound(text) && text.starts_with("/subscriptions/") && !text.contains("..")
}

/// `West US 2` and `westus2` are one.
fn is_same_place(told: &str, ours: &str) -> bool {
    let plain = |text: &str| text.replace(' ', "").to_ascii_lowercase();
    plain(told) == plain(ours)
}

/// (<https://learn.microsoft.com/azure/virtual-machines/states-billing>). A machine that shut itself down is *stopped*: it keeps its host,
/// and is paid; one that Azure shut down is *deallocated*: its disk and address are paid.
fn state(provisioning: &str, power: Option<&str>) -> State {
    match (provisioning, power) {
        ("Deleting", _) => State::Ending,
        (_, Some("running")) => State::Running,
        (_, Some("stopping" | "deallocating")) => State::Ending,
        (_, Some("stopped" | "deallocated")) => State::Stopped,
        // Nothing runs, and parts of it may be there.
        ("Failed", _) => State::Stopped,
        _ => State::Pending,
    }
}

/// Why a machine could not be made: `ProvisioningState/failed/CODE` with words.
fn failure(asked: Asked<'_>, statuses: &[Status]) -> Refusal {
    let found = statuses.iter().find_map(|status| {
        Some((
            status.code.strip_prefix("ProvisioningState/failed")?,
            status,
        ))
    });
    let (code, said) = match found {
        Some((code, status)) => (code.trim_start_matches('/'), status.message.as_str()),
        None => ("Failed", "it could not be made, and Azure does not say why"),
    };
    verdict(asked, StatusCode::OK, code, said)
}

/// Why a request was refused (<https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors>).
pub(super) fn refusal(asked: Asked<'_>, status: StatusCode, body: &[u8]) -> Refusal {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Told {
        error: Inner,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        code: String,
        message: String,
    }
    let Told { error } = serde_json::from_slice(body).unwrap_or_default();
    let code = match error.code.is_empty() {
        true => status.as_u16().to_string(),
        false => error.code,
    };
    verdict(asked, status, &code, &error.message)
}

/// What a code means, of a refusal or of a machine that could not be made (whose status is 200).
fn verdict(asked: Asked<'_>, status: StatusCode, code: &str, message: &str) -> Refusal {
    let full = matches!(
        code,
        "AllocationFailed"
            | "ZonalAllocationFailed"
            | "OverconstrainedAllocationRequest"
            | "OverconstrainedZonalAllocationRequest"
    );
    // Not offered to this subscription in this zone, which does not change within minutes.
    let withheld = matches!(code, "SkuNotAvailable" | "NotAvailableForSubscription");
    let is_quota = code.contains("Quota")
        || code.ends_with("CountLimitReached")
        || (code == "OperationNotAllowed" && message.to_ascii_lowercase().contains("quota"));
    let (kind, hint) = match code {
        _ if full => (
            Kind::RetryAfter,
            "; name more zones, try another kind of machine, or later",
        ),
        _ if withheld => (
            Kind::Invalid,
            "; name other zones, or another kind of machine (az vm list-skus --location REGION)",
        ),
        _ if is_quota => (
            Kind::Invalid,
            "; ask Azure for a higher quota, or rent fewer or smaller machines",
        ),
        "AuthorizationFailed" | "LinkedAuthorizationFailed" | "AuthorizationPermissionMismatch" => {
            (
                Kind::Denied,
                "; Virtual Machine Contributor and Network Contributor on the resource group are needed, Network Contributor on the \
             subnet's, Microsoft.DevTestLab/schedules/* for the shut-down, and Managed Identity Operator for an identity",
            )
        }
        "MissingSubscriptionRegistration" | "SubscriptionNotRegistered" => (
            Kind::Denied,
            "; register it: az provider register --namespace NAME (for Microsoft.DevTestLab, or say auto_shutdown = false)",
        ),
        "Conflict"
        | "AnotherOperationInProgress"
        | "RetryableError"
        | "InternalExecutionError"
        | "InternalServerError"
        | "OSProvisioningTimedOut"
        | "TooManyRequests"
        | "SubscriptionRequestsThrottled" => (Kind::RetryAfter, ""),
        _ => match status.as_u16() {
            401 | 403 => (Kind::Denied, ""),
            404 => (Kind::Missing, ""),
            408 | 429 | 500..=599 => (Kind::RetryAfter, ""),
            _ => (Kind::Invalid, ""),
        },
    };
    Refusal::told(asked, kind, code, message, hint).or_elsewhere(full || withheld)
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
