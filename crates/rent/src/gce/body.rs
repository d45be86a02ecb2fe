//! What Compute Engine is asked. Pure (<https://cloud.google.com/compute/docs/reference/rest/v1/instances>).

use crate::machine::{TAG, label};
use crate::{Offer, Reach, Tags};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use skyfresh_sky::Timestamp;
use std::time::Duration;

/// Machines of one page; the most that the service gives.
const PAGE: u32 = 500;
/// What the machine's service account may be used for; what it may do is decided by its roles.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The machine ends itself; this is later, for where it cannot.
const AFTER_ITS_OWN_END: Duration = Duration::from_secs(120);
/// Limits of `maxRunDuration` (<https://cloud.google.com/compute/docs/instances/limit-vm-runtime>).
const SHORTEST_RUN: Duration = Duration::from_secs(30);
const LONGEST_RUN: Duration = Duration::from_secs(120 * 86_400);

/// What a machine is called, from the token that it is rented with.
pub(super) fn name(token: &str) -> String {
    label(&format!("skyfresh-{token}"))
}

/// The `requestId` of one request: a UUID (RFC 9562 §5.8) that is the same for the same words.
pub(super) fn request_id(token: &str, zone: &str, refusals: u32) -> String {
    let mut digest = Sha256::digest(format!("{token}\n{zone}\n{refusals}"));
    digest[6] = (digest[6] & 0x0f) | 0x80;
    digest[8] = (digest[8] & 0x3f) | 0x80;
    let hex = hex::encode(&digest[..16]);
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// One machine (`instances.insert`). It is deleted, its disk too, when it has run for too long; and gives no other keys a login.
pub(super) fn insert(
    offer: &Offer,
    zone: &str,
    tags: &Tags,
    name: &str,
    user_data: &str,
    now: Timestamp,
) -> Value {
    let labels = tags.labels();
    let mut items = vec![json!({ "key": "startup-script", "value": user_data })];
    if let Some(key) = &offer.public_key {
        // Keys in metadata count only where OS Login does not.
        items.push(json!({ "key": "ssh-keys", "value": format!("{}:{key}", offer.user) }));
        items.push(json!({ "key": "enable-oslogin", "value": "FALSE" }));
        items.push(json!({ "key": "block-project-ssh-keys", "value": "TRUE" }));
    }
    let mut interface = match &offer.subnet {
        Some(subnet) => json!({ "subnetwork": subnet }),
        None => json!({ "network": "global/networks/default" }),
    };
    if offer.reach == Reach::Public {
        interface["accessConfigs"] = json!([{ "type": "ONE_TO_ONE_NAT", "name": "External NAT" }]);
    }
    let run = tags.expires.after(AFTER_ITS_OWN_END).since(now);
    let run = run.clamp(SHORTEST_RUN, LONGEST_RUN);
    let (model, maintenance) = match offer.spot {
        true => ("SPOT", "TERMINATE"),
        false => ("STANDARD", "MIGRATE"),
    };
    let accounts: Vec<Value> = offer
        .role
        .iter()
        .map(|email| json!({ "email": email, "scopes": [SCOPE] }))
        .collect();
    json!({
        "name": name,
        "machineType": format!("zones/{zone}/machineTypes/{}", offer.instance),
        "labels": labels,
        "disks": [{
            "boot": true,
            "autoDelete": true,
            "initializeParams": { "sourceImage": offer.image, "labels": labels },
        }],
        "networkInterfaces": [interface],
        "metadata": { "items": items },
        "tags": { "items": offer.security_groups },
        "serviceAccounts": accounts,
        "scheduling": {
            "automaticRestart": false,
            "onHostMaintenance": maintenance,
            "provisioningModel": model,
            "instanceTerminationAction": "DELETE",
            // 64-bit numbers are text in Google's JSON.
            "maxRunDuration": { "seconds": run.as_secs().to_string() },
        },
    })
}

/// The query of a page of our machines (`instances.list`); the page's name is encoded already.
pub(super) fn find(page: Option<&str>) -> String {
    let ours = format!("filter=labels.{}%3A*&maxResults={PAGE}", label(TAG));
    match page {
        Some(page) => format!("{ours}&pageToken={page}"),
        None => ours,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        Offer {
            region: "gcp:us-east1".parse().unwrap(),
            zones: vec!["us-east1-b".into()],
            instance: "n2-standard-32".into(),
            image: "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64".into(),
            user: "ubuntu".into(),
            key_name: None,
            public_key: Some("ssh-ed25519 AAAA me".into()),
            subnet: None,
            security_groups: vec!["relays".into()],
            role: Some("relay@p.iam.gserviceaccount.com".into()),
            spot: false,
            reach: Reach::Public,
        }
    }

    fn tags() -> Tags {
        Tags {
            job: "1f".into(),
            node: "gcp-us-east1-1".into(),
            owner: "Me".into(),
            expires: Timestamp::from_unix_ms(7_200_000),
        }
    }

    fn asked(offer: &Offer, now_ms: u64) -> Value {
        let now = Timestamp::from_unix_ms(now_ms);
        insert(
            offer,
            "us-east1-b",
            &tags(),
            "skyfresh-1",
            "#!/bin/sh\n",
            now,
        )
    }

    #[test]
    fn a_machine_is_asked_for_with_an_end_its_labels_and_its_key() {
        let body = asked(&offer(), 0);
        let scheduling = &body["scheduling"];
        assert_eq!(scheduling["instanceTerminationAction"], "DELETE");
        assert_eq!(scheduling["maxRunDuration"]["seconds"], "7320");
        assert_eq!(scheduling["automaticRestart"], false);
        assert_eq!(body["disks"][0]["autoDelete"], true);
        assert_eq!(body["labels"]["skyfresh-relay"], "1f");
        assert_eq!(body["labels"]["skyfresh-owner"], "me");
        assert_eq!(
            body["machineType"],
            "zones/us-east1-b/machineTypes/n2-standard-32"
        );
        assert_eq!(
            body["metadata"]["items"][1]["value"],
            "ubuntu:ssh-ed25519 AAAA me"
        );
        assert_eq!(
            body["networkInterfaces"][0]["accessConfigs"][0]["type"],
            "ONE_TO_ONE_NAT"
        );
    }

    #[test]
    fn what_is_left_out_or_said_otherwise_is_asked_otherwise() {
        let private = Offer {
            public_key: None,
            role: None,
            spot: true,
            reach: Reach::Private,
            subnet: Some("regions/us-east1/subnetworks/s".into()),
            ..offer()
        };
        // An end that has passed is no end: the shortest that the service takes.
        let body = asked(&private, 9_000_000);
        assert_eq!(body["scheduling"]["maxRunDuration"]["seconds"], "30");
        assert_eq!(body["scheduling"]["provisioningModel"], "SPOT");
        assert_eq!(body["scheduling"]["onHostMaintenance"], "TERMINATE");
        let interface = &body["networkInterfaces"][0];
        assert_eq!(interface["subnetwork"], "regions/us-east1/subnetworks/s");
        assert!(interface.get("accessConfigs").is_none());
        assert_eq!(body["serviceAccounts"], json!([]));
        assert_eq!(body["metadata"]["items"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn the_same_words_have_the_same_request_id() {
        let id = request_id("00ff", "us-east1-b", 0);
        assert_eq!(id, request_id("00ff", "us-east1-b", 0));
        for other in [
            request_id("00ff", "us-east1-c", 0),
            request_id("00ff", "us-east1-b", 1),
            request_id("00fe", "us-east1-b", 0),
        ] {
            assert_ne!(id, other);
        }
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "8");
        assert_eq!(name("00FF/1"), "skyfresh-00ff-1");
    }
}
