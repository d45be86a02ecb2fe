use super::*;
use proptest::prelude::*;

const ASKED: Asked<'_> = Asked {
    operation: "rent machine",
    on: "azure:westus2",
};

fn region() -> Region {
    "azure:westus2".parse().unwrap()
}

/// A machine in the words of the reference.
fn vm(provisioning: &str, statuses: &str) -> String {
    format!(
        r#"{{"name":"skyfresh-1","id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/skyfresh-1",
        "type":"Microsoft.Compute/virtualMachines","location":"westus2","zones":["2"],
        "tags":{{"skyfresh:relay":"1f","skyfresh:node":"n-1","skyfresh:expires-ms":"7"}},
        "properties":{{"vmId":"x","provisioningState":"{provisioning}","hardwareProfile":{{"vmSize":"Standard_D32_v5"}},
        "networkProfile":{{"networkInterfaces":[{{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/networkInterfaces/skyfresh-1-nic-ab12","properties":{{"primary":true}}}}]}},
        "instanceView":{{"statuses":[{statuses}]}}}}}}"#
    )
}

fn seen(provisioning: &str, statuses: &[&str]) -> Seen {
    let statuses: Vec<String> = statuses
        .iter()
        .map(|code| {
            format!(r#"{{"code":"{code}","level":"Info","displayStatus":"x","message":"no"}}"#)
        })
        .collect();
    let body = vm(provisioning, &statuses.join(","));
    machine(ASKED, body.as_bytes(), &region()).unwrap().unwrap()
}

#[test]
fn a_machine_is_where_its_two_states_say() {
    for (provisioning, power, state, is_placed) in [
        ("Creating", None, State::Pending, false),
        (
            "Creating",
            Some("PowerState/starting"),
            State::Pending,
            true,
        ),
        ("Creating", Some("PowerState/running"), State::Running, true),
        (
            "Succeeded",
            Some("PowerState/running"),
            State::Running,
            true,
        ),
        (
            "Succeeded",
            Some("PowerState/stopped"),
            State::Stopped,
            true,
        ),
        (
            "Succeeded",
            Some("PowerState/deallocated"),
            State::Stopped,
            true,
        ),
        (
            "Updating",
            Some("PowerState/deallocating"),
            State::Ending,
            true,
        ),
        ("Deleting", Some("PowerState/running"), State::Ending, true),
        ("Failed", None, State::Stopped, false),
        ("Failed", Some("PowerState/running"), State::Running, true),
    ] {
        let statuses: Vec<&str> = ["ProvisioningState/x"].into_iter().chain(power).collect();
        let seen = seen(provisioning, &statuses);
        let told = (seen.machine.state, seen.is_placed);
        assert_eq!(told, (state, is_placed), "{provisioning} {power:?}");
    }
    let running = seen("Succeeded", &["PowerState/running"]);
    assert_eq!(running.machine.id, "skyfresh-1");
    assert_eq!(running.machine.tags.expires.unix_ms(), 7);
    assert!(running.interface.unwrap().ends_with("skyfresh-1-nic-ab12"));
    assert!(running.failed.is_none());
}

#[test]
fn a_machine_that_could_not_be_made_says_whether_another_zone_may_do() {
    let failed = |code: &str| {
        let code = format!("ProvisioningState/failed{code}");
        let refusal = seen("Failed", &[&code]).failed.unwrap();
        (refusal.error.kind, refusal.elsewhere)
    };
    assert_eq!(failed("/AllocationFailed"), (Kind::RetryAfter, true));
    assert_eq!(failed("/ZonalAllocationFailed"), (Kind::RetryAfter, true));
    assert_eq!(failed("/QuotaExceeded"), (Kind::Invalid, false));
    assert_eq!(failed("/InternalExecutionError"), (Kind::RetryAfter, false));
    assert_eq!(failed(""), (Kind::Invalid, false));
    // Its system did not say that it was up, and it runs: it is a machine.
    let late = seen(
        "Failed",
        &[
            "ProvisioningState/failed/OSProvisioningTimedOut",
            "PowerState/running",
        ],
    );
    assert!(late.failed.is_none() && late.machine.state == State::Running);
}

#[test]
fn a_page_gives_names_of_ours_in_the_region_and_no_others() {
    let other = |name: &str, place: &str, tag: &str| {
        format!(
            r#"{{"name":"{name}","location":"{place}","tags":{{"{tag}":"1f"}},"properties":{{}}}}"#
        )
    };
    let body = format!(
        r#"{{"value":[{},{},{},{},{}],"nextLink":"https://management.azure.com/next"}}"#,
        vm("Succeeded", ""),
        other("web", "westus2", "role"),
        other("far", "eastus", "skyfresh:relay"),
        other("a/../b", "westus2", "skyfresh:relay"),
        other("skyfresh-2", "West US 2", "skyfresh:relay"),
    );
    let (names, next) = page(ASKED, body.as_bytes(), &region()).unwrap();
    assert_eq!(names, ["skyfresh-1", "skyfresh-2"]);
    assert!(next.is_some());
    let (names, next) = page(ASKED, br#"{"value":[]}"#, &region()).unwrap();
    assert!(names.is_empty() && next.is_none());
}

#[test]
fn addresses_are_read_and_nothing_else_is_taken_for_one() {
    let body = |public: &str| {
        format!(
            r#"{{"name":"nic","properties":{{"ipConfigurations":[{{"name":"address","properties":{{"privateIPAddress":"10.0.0.4","publicIPAddress":{{"id":"{public}"}}}}}}]}}}}"#
        )
    };
    let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/publicIPAddresses/ip";
    let (private, public) = interface(ASKED, body(id).as_bytes()).unwrap();
    assert_eq!(private.as_deref(), Some("10.0.0.4"));
    assert_eq!(public.as_deref(), Some(id));
    for odd in [
        "https://example.com/x",
        "/subscriptions/../x",
        "/subscriptions/a b",
    ] {
        assert_eq!(
            interface(ASKED, body(odd).as_bytes()).unwrap().1,
            None,
            "{odd}"
        );
    }
    let told = address(ASKED, br#"{"properties":{"ipAddress":"20.1.2.3"}}"#).unwrap();
    assert_eq!(told.as_deref(), Some("20.1.2.3"));
    assert_eq!(address(ASKED, br#"{"properties":{}}"#).unwrap(), None);
}

#[test]
fn refusals_say_what_to_do() {
    let told = |status: u16, code: &str, message: &str| {
        let body = format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#);
        let status = StatusCode::from_u16(status).unwrap();
        let refusal = refusal(ASKED, status, body.as_bytes());
        (refusal.error.kind, refusal.elsewhere)
    };
    let quota = "Operation could not be completed as it results in exceeding approved Total Regional Cores quota.";
    for (status, code, message, expected) in [
        (409, "OperationNotAllowed", quota, (Kind::Invalid, false)),
        (400, "PublicIPCountLimitReached", "", (Kind::Invalid, false)),
        (409, "SkuNotAvailable", "", (Kind::Invalid, true)),
        (409, "AllocationFailed", "", (Kind::RetryAfter, true)),
        (409, "Conflict", "", (Kind::RetryAfter, false)),
        (
            409,
            "MissingSubscriptionRegistration",
            "",
            (Kind::Denied, false),
        ),
        (403, "AuthorizationFailed", "", (Kind::Denied, false)),
        (404, "ResourceNotFound", "", (Kind::Missing, false)),
        (400, "InvalidParameter", "", (Kind::Invalid, false)),
        (
            429,
            "OperationNotAllowed",
            "too many",
            (Kind::RetryAfter, false),
        ),
    ] {
        assert_eq!(told(status, code, message), expected, "{code}");
    }
    let busy = refusal(ASKED, StatusCode::SERVICE_UNAVAILABLE, b"<html>busy");
    assert_eq!(busy.error.kind, Kind::RetryAfter);
}

proptest! {
    #[test]
    fn whatever_is_answered_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200), cut in 0..400usize) {
        let whole = vm("Failed", r#"{"code":"ProvisioningState/failed/AllocationFailed"}"#);
        for body in [&body[..], &whole.as_bytes()[..cut]] {
            let _ = machine(ASKED, body, &region());
            let _ = page(ASKED, body, &region());
            let _ = interface(ASKED, body);
            let _ = address(ASKED, body);
            let _ = refusal(ASKED, StatusCode::BAD_REQUEST, body);
        }
    }
}
