//! What Azure Resource Manager is asked. Pure.
//!
//! Sources: "Virtual Machines - Create Or Update" (<https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update>) and
//! "Global Schedules - Create Or Update" (<https://learn.microsoft.com/rest/api/dtl/global-schedules/create-or-update>).

use crate::{Offer, Reach, Tags};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use skyfresh_relay::{Error, Result};
use skyfresh_sky::{Kind, Timestamp};
use std::time::Duration;

/// The version of the network service whose words are used in a machine's own request.
const NETWORK_VERSION: &str = "2022-11-01";
/// The machine ends itself; this is later, for where it cannot.
const AFTER_ITS_OWN_END: Duration = Duration::from_secs(300);
/// A shut-down that is set for sooner than half an hour is carried out a day later; ten minutes are ours.
const SOONEST_SHUTDOWN: Duration = Duration::from_secs(40 * 60);
/// It comes every day at its time: a machine that lives longer would be shut down too soon.
pub(super) const LONGEST_LIFE: Duration = Duration::from_secs(23 * 3_600);

/// What a machine is called: a new name for every refusal, because what was refused may be there for a while, half made.
pub(super) fn name(token: &str, refusals: u32) -> String {
    let token: String = token
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(32)
        .collect();
    match refusals {
        0 => format!("skyfresh-{token}"),
        refusals => format!("skyfresh-{token}-{refusals}"),
    }
}

/// One machine, with the network interface, address and disk that are deleted with it.
///
/// # Errors
/// `Invalid`: something is missing that Azure needs.
pub(super) fn create(
    offer: &Offer,
    zone: &str,
    tags: &Tags,
    name: &str,
    user_data: &str,
) -> Result<Value> {
    let wrong = |why: String| {
        let why = format!("{}: {why}", offer.region);
        Error::new(Kind::Invalid, "rent machine", why)
    };
    let subnet = offer.subnet.as_ref().ok_or_else(|| {
        wrong(
            "subnet is missing: give the resource id of one, /subscriptions/…/subnets/NAME".into(),
        )
    })?;
    let key = offer.public_key.as_ref().ok_or_else(|| {
        wrong("no key may log in: say public_key = \"/home/me/.ssh/relays.pub\"".into())
    })?;
    let image = image(&offer.image).ok_or_else(|| {
        wrong(format!(
            "image {:?} is neither PUBLISHER:OFFER:SKU:VERSION nor the resource id of one",
            offer.image
        ))
    })?;
    let mut address = json!({
        "name": "address",
        "properties": { "primary": true, "subnet": { "id": subnet } },
    });
    if offer.reach == Reach::Public {
        address["properties"]["publicIPAddressConfiguration"] = json!({
            "name": format!("{name}-ip"),
            "sku": { "name": "Standard" },
            "properties": { "deleteOption": "Delete", "publicIPAllocationMethod": "Static" },
        });
    }
    let mut interface = json!({
        "name": format!("{name}-nic"),
        "properties": {
            "primary": true,
            "deleteOption": "Delete",
            // Without it a machine has a fraction of its bandwidth.
            "enableAcceleratedNetworking": true,
            "ipConfigurations": [address],
        },
    });
    if let Some(group) = offer.security_groups.first() {
        interface["properties"]["networkSecurityGroup"] = json!({ "id": group });
    }
    let pairs = tags.pairs();
    let tags: serde_json::Map<String, Value> = pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    let mut machine = json!({
        "location": offer.region.name,
        "tags": tags,
        "properties": {
            "hardwareProfile": { "vmSize": offer.instance },
            "storageProfile": {
                "imageReference": image,
                "osDisk": { "createOption": "FromImage", "deleteOption": "Delete" },
            },
            "osProfile": {
                "computerName": name,
                "adminUsername": offer.user,
                "customData": BASE64_STANDARD.encode(user_data),
                "linuxConfiguration": {
                    "disablePasswordAuthentication": true,
                    "ssh": { "publicKeys": [{
                        "path": format!("/home/{}/.ssh/authorized_keys", offer.user),
                        "keyData": key,
                    }] },
                },
            },
            "networkProfile": {
                "networkApiVersion": NETWORK_VERSION,
                "networkInterfaceConfigurations": [interface],
            },
        },
    });
    if !zone.is_empty() {
        machine["zones"] = json!([zone]);
    }
    if let Some(role) = &offer.role {
        machine["identity"] =
            json!({ "type": "UserAssigned", "userAssignedIdentities": { role: {} } });
    }
    if offer.spot {
        let properties = &mut machine["properties"];
        properties["priority"] = "Spot".into();
        properties["evictionPolicy"] = "Delete".into();
        // Never for its price alone.
        properties["billingProfile"] = json!({ "maxPrice": -1 });
    }
    Ok(machine)
}

/// The image that a text names.
fn image(text: &str) -> Option<Value> {
    if text.starts_with("/subscriptions/") || text.starts_with("/CommunityGalleries/") {
        let field = match text.starts_with("/subscriptions/") {
            true => "id",
            false => "communityGalleryImageId",
        };
        return Some(json!({ field: text }));
    }
    let words: Vec<&str> = text.split(':').collect();
    let [publisher, offer, sku, version] = words[..] else {
        return None;
    };
    let whole = words.iter().all(|word| !word.is_empty());
    let image = json!({ "publisher": publisher, "offer": offer, "sku": sku, "version": version });
    whole.then_some(image)
}

/// A shut-down by Azure itself, which takes the machine off its host, so that only its disk and address are paid.
///
/// # Errors
/// `Invalid`: the machine would live longer than a day.
pub(super) fn shutdown(
    region: &str,
    machine_id: &str,
    expires: Timestamp,
    now: Timestamp,
) -> Result<Value> {
    let at = expires.after(AFTER_ITS_OWN_END);
    let at = at.max(now.after(SOONEST_SHUTDOWN));
    if at.since(now) > LONGEST_LIFE {
        let why = format!(
            "Azure's shut-down comes once a day, so that a machine's longest life is {} h: lower longest_life, or say auto_shutdown = false",
            LONGEST_LIFE.as_secs() / 3_600
        );
        return Err(Error::new(Kind::Invalid, "rent machine", why));
    }
    // The minute after.
    let minutes = at.unix_ms().div_ceil(60_000);
    let time = format!("{:02}{:02}", minutes / 60 % 24, minutes % 60);
    Ok(json!({
        "location": region,
        "properties": {
            "status": "Enabled",
            "taskType": "ComputeVmShutdownTask",
            "dailyRecurrence": { "time": time },
            "timeZoneId": "UTC",
            "targetResourceId": machine_id,
            "notificationSettings": { "status": "Disabled" },
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        Offer {
            region: "azure:westus2".parse().unwrap(),
            zones: Vec::new(),
            instance: "Standard_D32_v5".into(),
            image: "Canonical:ubuntu-24_04-lts:server:latest".into(),
            user: "ubuntu".into(),
            key_name: None,
            public_key: Some("ssh-ed25519 AAAA me".into()),
            subnet: Some("/subscriptions/s/subnets/n".into()),
            security_groups: vec!["/subscriptions/s/networkSecurityGroups/g".into()],
            role: Some("/subscriptions/s/userAssignedIdentities/i".into()),
            spot: false,
            reach: Reach::Public,
        }
    }

    fn tags() -> Tags {
        Tags {
            job: "1f".into(),
            node: "azure-westus2-1".into(),
            owner: "me".into(),
            expires: Timestamp::from_unix_ms(7_200_000),
        }
    }

    #[test]
    fn everything_of_a_machine_is_deleted_with_it() {
        let body = create(&offer(), "2", &tags(), "skyfresh-1", "#!/bin/sh\n").unwrap();
        let properties = &body["properties"];
        assert_eq!(
            properties["storageProfile"]["osDisk"]["deleteOption"],
            "Delete"
        );
        let interface = &properties["networkProfile"]["networkInterfaceConfigurations"][0];
        assert_eq!(interface["properties"]["deleteOption"], "Delete");
        let address = &interface["properties"]["ipConfigurations"][0]["properties"];
        let public = &address["publicIPAddressConfiguration"]["properties"];
        assert_eq!(public["deleteOption"], "Delete");
        assert_eq!(body["tags"]["skyfresh:relay"], "1f");
        assert_eq!(body["zones"], json!(["2"]));
        let login = &properties["osProfile"]["linuxConfiguration"];
        assert_eq!(login["disablePasswordAuthentication"], true);
        assert_eq!(properties["osProfile"]["customData"], "IyEvYmluL3NoCg==");
        assert_eq!(
            properties["storageProfile"]["imageReference"]["sku"],
            "server"
        );
    }

    #[test]
    fn what_is_left_out_or_said_otherwise_is_asked_otherwise() {
        let private = Offer {
            reach: Reach::Private,
            role: None,
            spot: true,
            image: "/subscriptions/s/images/i".into(),
            ..offer()
        };
        let body = create(&private, "", &tags(), "skyfresh-1", "").unwrap();
        assert!(body.get("zones").is_none() && body.get("identity").is_none());
        let properties = &body["properties"];
        assert_eq!(properties["evictionPolicy"], "Delete");
        assert_eq!(
            properties["storageProfile"]["imageReference"]["id"],
            "/subscriptions/s/images/i"
        );
        let text = body.to_string();
        assert!(!text.contains("publicIPAddressConfiguration"), "{text}");
        for wrong in [
            Offer {
                subnet: None,
                ..offer()
            },
            Offer {
                public_key: None,
                ..offer()
            },
            Offer {
                image: "ubuntu".into(),
                ..offer()
            },
            Offer {
                image: "a:b::d".into(),
                ..offer()
            },
        ] {
            assert!(create(&wrong, "", &tags(), "skyfresh-1", "").is_err());
        }
    }

    #[test]
    fn the_shutdown_comes_after_the_machines_own_end_and_once() {
        let hour_ms = 3_600_000;
        let at = |expires_ms: u64, now_ms: u64| {
            let (expires, now) = (
                Timestamp::from_unix_ms(expires_ms),
                Timestamp::from_unix_ms(now_ms),
            );
            let body = shutdown("westus2", "/vm", expires, now)?;
            Ok::<_, Error>(
                body["properties"]["dailyRecurrence"]["time"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            )
        };
        assert_eq!(at(2 * hour_ms, 0).unwrap(), "0205");
        assert_eq!(at(2 * hour_ms + 1, 0).unwrap(), "0206");
        // Too soon would be tomorrow.
        assert_eq!(at(hour_ms / 4, 0).unwrap(), "0040");
        assert_eq!(at(24 * hour_ms, 22 * hour_ms).unwrap(), "0005");
        assert_eq!(at(24 * hour_ms, 0).unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn every_refusal_has_a_new_name() {
        assert_eq!(name("00ff", 0), "skyfresh-00ff");
        assert_eq!(name("00ff/..", 2), "skyfresh-00ff-2");
    }
}
