//! What EC2 is asked, as its Query API takes it. Pure
//! (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html>).

use crate::machine::TAG;
use crate::{Offer, Tags};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const VERSION: &str = "2016-11-15";
/// What a form keeps as it is (RFC 3986 §2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// Machines of one page.
const PAGE: &str = "1000";

/// Name and value, in order.
pub(super) type Form = Vec<(String, String)>;

fn form(action: &str) -> Form {
    vec![
        ("Action".into(), action.into()),
        ("Version".into(), VERSION.into()),
    ]
}

/// `application/x-www-form-urlencoded`.
pub(super) fn encode(form: &Form) -> String {
    let pairs = form.iter().map(|(name, value)| {
        let value = utf8_percent_encode(value, ENCODED);
        format!("{}={value}", utf8_percent_encode(name, ENCODED))
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// One machine (API_RunInstances). It is deleted when it shuts down, and gives its role's credentials only to who asks with a token
/// of its own (IMDSv2).
pub(super) fn run(offer: &Offer, tags: &Tags, token: &str, user_data: &str) -> Form {
    let mut form = form("RunInstances");
    let mut add = |name: &str, value: &str| form.push((name.to_owned(), value.to_owned()));
    add("MinCount", "1");
    add("MaxCount", "1");
    add("ClientToken", token);
    add("ImageId", &offer.image);
    add("InstanceType", &offer.instance);
    add("InstanceInitiatedShutdownBehavior", "terminate");
    add("MetadataOptions.HttpTokens", "required");
    add("UserData", &BASE64_STANDARD.encode(user_data));
    for (name, value) in [
        ("KeyName", &offer.key_name),
        ("SubnetId", &offer.subnet),
        ("IamInstanceProfile.Name", &offer.role),
    ] {
        if let Some(value) = value {
            add(name, value);
        }
    }
    for (at, group) in offer.security_groups.iter().enumerate() {
        add(&format!("SecurityGroupId.{}", at + 1), group);
    }
    if offer.spot {
        add("InstanceMarketOptions.MarketType", "spot");
    }
    // The disk, too, so that nothing is left without an owner.
    for (at, kind) in ["instance", "volume"].into_iter().enumerate() {
        let tagged = format!("TagSpecification.{}", at + 1);
        add(&format!("{tagged}.ResourceType"), kind);
        for (at, (key, value)) in tags.pairs().iter().enumerate() {
            add(&format!("{tagged}.Tag.{}.Key", at + 1), key);
            add(&format!("{tagged}.Tag.{}.Value", at + 1), value);
        }
    }
    form
}

/// A page of our machines (API_DescribeInstances).
pub(super) fn find(next: Option<&str>) -> Form {
    let mut form = form("DescribeInstances");
    form.push(("MaxResults".into(), PAGE.into()));
    form.push(("Filter.1.Name".into(), "tag-key".into()));
    form.push(("Filter.1.Value.1".into(), TAG.into()));
    form.extend(next.map(|next| ("NextToken".into(), next.into())));
    form
}

/// One machine.
pub(super) fn look(id: &str) -> Form {
    let mut form = form("DescribeInstances");
    form.push(("InstanceId.1".into(), id.into()));
    form
}

/// The end of a machine (API_TerminateInstances).
pub(super) fn terminate(id: &str) -> Form {
    let mut form = form("TerminateInstances");
    form.push(("InstanceId.1".into(), id.into()));
    form
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reach;
    use skyfresh_sky::Timestamp;

    #[test]
    fn a_machine_is_asked_for_with_an_end_and_its_tags() {
        let offer = Offer {
            region: "aws:us-east-1".parse().unwrap(),
            zones: Vec::new(),
            user: "ubuntu".into(),
            public_key: None,
            instance: "m5.8xlarge".into(),
            image: "resolve:ssm:/a/b".into(),
            key_name: Some("k".into()),
            subnet: None,
            security_groups: vec!["sg-1".into(), "sg-2".into()],
            role: None,
            spot: true,
            reach: Reach::Public,
        };
        let tags = Tags {
            job: "1f".into(),
            node: "n&1".into(),
            owner: "o".into(),
            expires: Timestamp::from_unix_ms(5),
        };
        let body = encode(&run(&offer, &tags, "t", "#!/bin/sh\n"));
        let has = |pair: &str| body.split('&').any(|given| given == pair);
        for pair in [
            "Action=RunInstances",
            "InstanceInitiatedShutdownBehavior=terminate",
            "ImageId=resolve%3Assm%3A%2Fa%2Fb",
            "SecurityGroupId.2=sg-2",
            "InstanceMarketOptions.MarketType=spot",
            "TagSpecification.1.Tag.3.Value=n%261",
            "TagSpecification.2.ResourceType=volume",
            "UserData=IyEvYmluL3NoCg%3D%3D",
        ] {
            assert!(has(pair), "{pair} in {body}");
        }
        assert!(!body.contains("SubnetId"));
    }
}
