//! What Compute Engine answers, as values of ours. Pure; the bytes are anybody's.

use crate::machine::{is_sound, label};
use crate::rest::{Asked, Refusal, parse};
use crate::{Machine, State, Tags};
use http::StatusCode;
use serde::Deserialize;
use skyfresh_relay::Result;
use skyfresh_sky::{Kind, Region};
use std::collections::BTreeMap;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Instance {
    name: String,
    zone: String,
    machine_type: String,
    status: String,
    labels: BTreeMap<String, String>,
    network_interfaces: Vec<Interface>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Interface {
    #[serde(rename = "networkIP")]
    network_ip: Option<String>,
    access_configs: Vec<Access>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Access {
    #[serde(rename = "natIP")]
    nat_ip: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Page {
    items: Vec<Instance>,
    next_page_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Operation {
    name: String,
    status: String,
    error: Option<Failure>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Failure {
    errors: Vec<One>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct One {
    /// In operations.
    code: String,
    /// In refusals.
    reason: String,
    message: String,
}

/// How far an operation is.
#[derive(Debug)]
pub(super) enum Progress {
    /// It goes on, under this name.
    Under(String),
    /// It is done.
    Done,
    /// It has failed.
    Failed(Refusal),
}

/// One machine; `None`: it is none of ours.
pub(super) fn machine(asked: Asked<'_>, body: &[u8], region: &Region) -> Result<Option<Machine>> {
    Ok(ours(parse(asked, body)?, region))
}

/// Machines of ours, and the name of the next page.
pub(super) fn page(
    asked: Asked<'_>,
    body: &[u8],
    region: &Region,
) -> Result<(Vec<Machine>, Option<String>)> {
    let page: Page = parse(asked, body)?;
    let machines = page.items.into_iter();
    let machines = machines.filter_map(|instance| ours(instance, region));
    let next = page.next_page_token.filter(|token| !token.is_empty());
    Ok((machines.collect(), next))
}

/// Those with our label and sound names.
fn ours(instance: Instance, region: &Region) -> Option<Machine> {
    let tags = Tags::read(|name| instance.labels.get(&label(name)).map(String::as_str))?;
    // The last word of an address of the service's own.
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let id = format!("{}/{}", last(&instance.zone), instance.name);
    let sound = |text: &String| is_sound(text);
    let interface = instance.network_interfaces.into_iter().next();
    let interface = interface.unwrap_or_default();
    let access = interface.access_configs.into_iter().next();
    Some(Machine {
        id: Some(id).filter(|id| is_sound(id) && id.matches('/').count() == 1)?,
        region: region.clone(),
        instance: last(&instance.machine_type),
        state: state(&instance.status),
        public_address: access.and_then(|access| access.nat_ip).filter(sound),
        private_address: interface.network_ip.filter(sound),
        tags,
    })
}

/// (<https://cloud.google.com/compute/docs/instances/instance-lifecycle>). A machine that has shut down is not deleted, and its disk is
/// paid.
fn state(status: &str) -> State {
    match status {
        "PROVISIONING" | "STAGING" => State::Pending,
        "RUNNING" | "REPAIRING" => State::Running,
        "TERMINATED" | "STOPPED" | "SUSPENDED" => State::Stopped,
        // PENDING_STOP, STOPPING, SUSPENDING, DEPROVISIONING
        _ => State::Ending,
    }
}

/// How far an operation is.
pub(super) fn progress(asked: Asked<'_>, body: &[u8]) -> Result<Progress> {
    let operation: Operation = parse(asked, body)?;
    if let Some(failure) = operation.error {
        let first = failure.errors.into_iter().next().unwrap_or_default();
        let status = StatusCode::OK;
        return Ok(Progress::Failed(verdict(
            asked,
            status,
            &first.code,
            &first.message,
        )));
    }
    Ok(match operation.status.as_str() {
        "DONE" => Progress::Done,
        _ if is_sound(&operation.name) => Progress::Under(operation.name),
        _ => return Err(asked.error(Kind::RetryAfter, "the answer names no operation")),
    })
}

/// Why a request was refused (<https://cloud.google.com/apis/design/errors>, <https://cloud.google.com/compute/docs/api/errors>).
pub(super) fn refusal(asked: Asked<'_>, status: StatusCode, body: &[u8]) -> Refusal {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Told {
        error: Inner,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        message: String,
        status: String,
        errors: Vec<One>,
    }
    let Told { error } = serde_json::from_slice(body).unwrap_or_default();
    let reason = error.errors.into_iter().next().map(|one| one.reason);
    let code = reason.filter(|reason| !reason.is_empty());
    let code = code.unwrap_or(error.status);
    let code = match code.is_empty() {
        true => status.as_u16().to_string(),
        false => code,
    };
    verdict(asked, status, &code, &error.message)
}

/// What a code means, of a refusal or of an operation (whose status is 200).
fn verdict(asked: Asked<'_>, status: StatusCode, code: &str, message: &str) -> Refusal {
    let full = code.starts_with("ZONE_RESOURCE_POOL_EXHAUSTED") || code == "STOCKOUT";
    let (kind, hint) = match code {
        _ if full => (
            Kind::RetryAfter,
            "; name more zones, try another kind of machine, or later",
        ),
        "QUOTA_EXCEEDED" | "quotaExceeded" => (
            Kind::Invalid,
            "; ask Google for a higher quota, or rent fewer or smaller machines",
        ),
        "rateLimitExceeded"
        | "userRateLimitExceeded"
        | "RESOURCE_OPERATION_RATE_EXCEEDED"
        | "resourceNotReady"
        | "resourceInUseByAnotherResource"
        | "RESOURCE_NOT_READY"
        | "INTERNAL_ERROR"
        | "backendError" => (Kind::RetryAfter, ""),
        "accessNotConfigured" | "SERVICE_DISABLED" => (
            Kind::Denied,
            "; switch the Compute Engine API on in the project",
        ),
        "PERMISSIONS_ERROR" | "forbidden" | "PERMISSION_DENIED" => (
            Kind::Denied,
            "; compute.instances.create, get, list, delete, setMetadata, setLabels, setTags, compute.disks.create, \
             compute.subnetworks.use and useExternalIp and compute.zoneOperations.get are needed, and \
             iam.serviceAccounts.actAs for a service account (roles/compute.instanceAdmin.v1 and roles/iam.serviceAccountUser \
             have them)",
        ),
        _ => match status.as_u16() {
            401 | 403 => (Kind::Denied, ""),
            404 => (Kind::Missing, ""),
            409 => (Kind::Precondition, ""),
            408 | 429 | 500..=599 => (Kind::RetryAfter, ""),
            _ => (Kind::Invalid, ""),
        },
    };
    Refusal::told(asked, kind, code, message, hint).or_elsewhere(full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASKED: Asked<'_> = Asked {
        operation: "rent machine",
        on: "us-east1-b",
    };

    fn region() -> Region {
        "gcp:us-east1".parse().unwrap()
    }

    const PAGE: &str = r#"{"kind":"compute#instanceList","items":[
      {"kind":"compute#instance","id":"7","name":"skyfresh-1","status":"RUNNING",
       "zone":"https://www.googleapis.com/compute/v1/projects/p/zones/us-east1-b",
       "machineType":"https://www.googleapis.com/compute/v1/projects/p/zones/us-east1-b/machineTypes/n2-standard-32",
       "labels":{"skyfresh-relay":"1f","skyfresh-node":"n-1","skyfresh-expires-ms":"7"},
       "networkInterfaces":[{"name":"nic0","networkIP":"10.142.0.2","accessConfigs":[{"type":"ONE_TO_ONE_NAT","natIP":"34.1.2.3"}]}]},
      {"name":"web","status":"RUNNING","zone":"z","labels":{"role":"web"}},
      {"name":"a b","status":"RUNNING","zone":"z","labels":{"skyfresh-relay":"1f"}},
      {"name":"x/y","status":"RUNNING","zone":"z","labels":{"skyfresh-relay":"1f"}},
      {"name":"skyfresh-2","status":"TERMINATED","zone":"projects/p/zones/us-east1-c","labels":{"skyfresh-relay":"1f"}}],
      "nextPageToken":"n"}"#;

    #[test]
    fn a_page_gives_our_machines_and_no_others() {
        let (machines, next) = page(ASKED, PAGE.as_bytes(), &region()).unwrap();
        assert_eq!(next.as_deref(), Some("n"));
        let [one, other] = &machines[..] else {
            panic!("{machines:?}")
        };
        assert_eq!(
            (one.id.as_str(), one.state, one.instance.as_str()),
            ("us-east1-b/skyfresh-1", State::Running, "n2-standard-32")
        );
        assert_eq!(one.public_address.as_deref(), Some("34.1.2.3"));
        assert_eq!(one.private_address.as_deref(), Some("10.142.0.2"));
        assert_eq!(
            (one.tags.job.as_str(), one.tags.expires.unix_ms()),
            ("1f", 7)
        );
        // It has shut down, and its disk is paid.
        assert_eq!(other.state, State::Stopped);
        assert!(other.is_there() && other.public_address.is_none());
    }

    #[test]
    fn an_operation_goes_on_is_done_or_has_failed_for_a_reason() {
        let read = |body: &str| progress(ASKED, body.as_bytes()).unwrap();
        let under =
            r#"{"kind":"compute#operation","name":"operation-1","status":"RUNNING","progress":10}"#;
        assert!(matches!(read(under), Progress::Under(name) if name == "operation-1"));
        assert!(matches!(
            read(r#"{"name":"operation-1","status":"DONE"}"#),
            Progress::Done
        ));
        let failed = |code: &str| {
            let body = format!(
                r#"{{"name":"o","status":"DONE","error":{{"errors":[{{"code":"{code}","message":"no"}}]}},"httpErrorStatusCode":503}}"#
            );
            match read(&body) {
                Progress::Failed(refusal) => (refusal.error.kind, refusal.elsewhere),
                other => panic!("{other:?}"),
            }
        };
        for (code, expected) in [
            ("ZONE_RESOURCE_POOL_EXHAUSTED", (Kind::RetryAfter, true)),
            (
                "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
                (Kind::RetryAfter, true),
            ),
            ("QUOTA_EXCEEDED", (Kind::Invalid, false)),
            ("PERMISSIONS_ERROR", (Kind::Denied, false)),
            ("INTERNAL_ERROR", (Kind::RetryAfter, false)),
            ("INVALID_FIELD_VALUE", (Kind::Invalid, false)),
        ] {
            assert_eq!(failed(code), expected, "{code}");
        }
        assert!(progress(ASKED, br#"{"status":"RUNNING"}"#).is_err());
    }

    #[test]
    fn refusals_say_what_to_do() {
        let body = |code: u16, reason: &str| {
            format!(
                r#"{{"error":{{"code":{code},"message":"no\n","errors":[{{"message":"no","domain":"usageLimits","reason":"{reason}"}}]}}}}"#
            )
        };
        // 403 stands for three different things.
        for (status, reason, kind) in [
            (403, "quotaExceeded", Kind::Invalid),
            (403, "rateLimitExceeded", Kind::RetryAfter),
            (403, "forbidden", Kind::Denied),
            (403, "accessNotConfigured", Kind::Denied),
            (404, "notFound", Kind::Missing),
            (409, "alreadyExists", Kind::Precondition),
            (400, "invalid", Kind::Invalid),
            (400, "resourceNotReady", Kind::RetryAfter),
        ] {
            let code = StatusCode::from_u16(status).unwrap();
            let told = refusal(ASKED, code, body(status, reason).as_bytes());
            assert_eq!(told.error.kind, kind, "{reason}");
            assert!(told.error.context.contains(reason), "{}", told.error);
            assert!(!told.error.context.contains('\n') && !told.elsewhere);
        }
        let busy = refusal(ASKED, StatusCode::SERVICE_UNAVAILABLE, b"<html>busy");
        assert_eq!(busy.error.kind, Kind::RetryAfter);
        let full = body(503, "ZONE_RESOURCE_POOL_EXHAUSTED");
        assert!(refusal(ASKED, StatusCode::SERVICE_UNAVAILABLE, full.as_bytes()).elsewhere);
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200), cut in 0..PAGE.len()) {
            let cut = &PAGE.as_bytes()[..cut];
            for body in [&body[..], cut] {
                let _ = page(ASKED, body, &region());
                let _ = machine(ASKED, body, &region());
                let _ = progress(ASKED, body);
                let _ = refusal(ASKED, StatusCode::BAD_REQUEST, body);
            }
        }
    }
}
