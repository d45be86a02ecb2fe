//! What EC2 answers, as values of ours. Pure; the bytes are anybody's.

use crate::machine::is_sound;
use crate::{Machine, State, Tags};
use serde::Deserialize;
use skyfresh_relay::{Error, Result};
use skyfresh_sky::{Kind, Region};

/// Characters of the service's own words that are repeated.
const QUOTED_CHARACTERS: usize = 300;

#[derive(Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    item: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List { item: Vec::new() }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Instances {
    instances_set: List<Instance>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Described {
    reservation_set: List<Instances>,
    next_token: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Instance {
    instance_id: String,
    instance_type: String,
    instance_state: Named,
    ip_address: Option<String>,
    private_ip_address: Option<String>,
    tag_set: List<Tag>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tag {
    key: String,
    value: String,
}

fn strange(operation: &'static str, why: String) -> Error {
    Error::new(
        Kind::RetryAfter,
        operation,
        format!("the answer is not EC2's: {why}"),
    )
}

fn parse<T: for<'de> Deserialize<'de>>(operation: &'static str, body: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(body).map_err(|error| strange(operation, error.to_string()))?;
    quick_xml::de::from_str(text).map_err(|error| strange(operation, error.to_string()))
}

/// The machine that was rented.
pub(super) fn launched(operation: &'static str, body: &[u8], region: &Region) -> Result<Machine> {
    let answer: Instances = parse(operation, body)?;
    let mut machines = machines(answer.instances_set.item, region);
    machines
        .pop()
        .ok_or_else(|| strange(operation, "it names no machine with our tags".into()))
}

/// Machines of ours, and where the next page begins.
pub(super) fn described(
    operation: &'static str,
    body: &[u8],
    region: &Region,
) -> Result<(Vec<Machine>, Option<String>)> {
    let answer: Described = parse(operation, body)?;
    let instances = answer.reservation_set.item.into_iter();
    let instances = instances.flat_map(|reservation| reservation.instances_set.item);
    let next = answer.next_token.filter(|token| !token.is_empty());
    Ok((machines(instances.collect(), region), next))
}

/// Those with our tag and sound names.
fn machines(instances: Vec<Instance>, region: &Region) -> Vec<Machine> {
    let sound = |text: &String| is_sound(text);
    let machine = |instance: Instance| {
        let tags = Tags::read(|name| {
            let found = instance.tag_set.item.iter().find(|tag| tag.key == name);
            found.map(|tag| tag.value.as_str())
        })?;
        Some(Machine {
            region: region.clone(),
            state: match instance.instance_state.name.as_str() {
                "pending" => State::Pending,
                "running" => State::Running,
                "terminated" => State::Gone,
                // stopping, stopped, shutting-down
                _ => State::Ending,
            },
            public_address: instance.ip_address.filter(sound),
            private_address: instance.private_ip_address.filter(sound),
            instance: instance.instance_type,
            tags,
            id: Some(instance.instance_id).filter(sound)?,
        })
    };
    instances.into_iter().filter_map(machine).collect()
}

/// Why EC2 refused (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>). Its code, and an error that says
/// what to do.
pub(super) fn refusal(
    operation: &'static str,
    on: &str,
    status: u16,
    body: &[u8],
) -> (String, Error) {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Told {
        errors: Errors,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Errors {
        error: Vec<One>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct One {
        code: String,
        message: String,
    }
    let told: Told = parse(operation, body).unwrap_or_default();
    let One { code, message } = told.errors.error.into_iter().next().unwrap_or_default();
    let kind = match code.as_str() {
        "UnauthorizedOperation" | "AuthFailure" | "OptInRequired" | "PendingVerification" => {
            Kind::Denied
        }
        "RequestLimitExceeded"
        | "Throttling"
        | "InsufficientInstanceCapacity"
        | "InsufficientHostCapacity"
        | "Unavailable"
        | "InternalError" => Kind::RetryAfter,
        _ if status >= 500 || status == 429 => Kind::RetryAfter,
        _ if status == 401 || status == 403 => Kind::Denied,
        _ => Kind::Invalid,
    };
    let hint = match code.as_str() {
        "InsufficientInstanceCapacity" => "; try another kind of machine, or later",
        "VcpuLimitExceeded" | "InstanceLimitExceeded" | "MaxSpotInstanceCountExceeded" => {
            "; ask AWS for a higher limit, or rent fewer or smaller machines"
        }
        "UnauthorizedOperation" => {
            "; ec2:RunInstances, CreateTags, DescribeInstances and TerminateInstances are needed, and iam:PassRole for a role"
        }
        _ => "",
    };
    let said = message.chars().filter(|c| !c.is_control());
    let said: String = said.take(QUOTED_CHARACTERS).collect();
    let code_or_status = match code.as_str() {
        "" => status.to_string(),
        code => code.chars().filter(|c| !c.is_control()).take(80).collect(),
    };
    let why = format!("{on}: {code_or_status}: {said}{hint}");
    (code, Error::new(kind, operation, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn region() -> Region {
        "aws:us-east-1".parse().unwrap()
    }

    const PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><reservationSet>
<item><reservationId>r-1</reservationId><groupSet/><instancesSet>
 <item><instanceId>i-1</instanceId><instanceType>m5.large</instanceType><instanceState><code>16</code><name>running</name></instanceState>
  <privateIpAddress>10.0.0.1</privateIpAddress><ipAddress>54.1.2.3</ipAddress>
  <tagSet><item><key>skyfresh:relay</key><value>1f</value></item><item><key>skyfresh:expires-ms</key><value>7</value></item></tagSet></item>
 <item><instanceId>i-2</instanceId><instanceState><name>running</name></instanceState><tagSet><item><key>Name</key><value>web</value></item></tagSet></item>
</instancesSet></item>
<item><instancesSet><item><instanceId>i-3;x</instanceId><tagSet><item><key>skyfresh:relay</key><value>1f</value></item></tagSet></item></instancesSet></item>
</reservationSet><nextToken>n</nextToken></DescribeInstancesResponse>"#;

    #[test]
    fn a_page_gives_our_machines_and_no_others() {
        let (machines, next) = described("find", PAGE.as_bytes(), &region()).unwrap();
        assert_eq!(next.as_deref(), Some("n"));
        let [machine] = &machines[..] else {
            panic!("{machines:?}")
        };
        assert_eq!(
            (machine.id.as_str(), machine.state),
            ("i-1", State::Running)
        );
        assert_eq!(machine.public_address.as_deref(), Some("54.1.2.3"));
        assert_eq!(
            (machine.tags.job.as_str(), machine.tags.expires.unix_ms()),
            ("1f", 7)
        );
    }

    #[test]
    fn refusals_say_what_to_do() {
        let body = |code: &str| {
            format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>no\n</Message></Error></Errors><RequestID>r</RequestID></Response>"
            )
        };
        for (code, kind) in [
            ("UnauthorizedOperation", Kind::Denied),
            ("InsufficientInstanceCapacity", Kind::RetryAfter),
            ("InvalidAMIID.NotFound", Kind::Invalid),
        ] {
            let (told, error) = refusal("rent", "us-east-1", 400, body(code).as_bytes());
            assert_eq!((told.as_str(), error.kind), (code, kind));
            assert!(!error.context.contains('\n'));
        }
        let (code, error) = refusal("rent", "us-east-1", 503, b"<html>busy");
        assert_eq!((code.as_str(), error.kind), ("", Kind::RetryAfter));
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200), cut in 0..PAGE.len()) {
            let _ = described("find", &body, &region());
            let _ = launched("rent", &PAGE.as_bytes()[..cut], &region());
            let _ = refusal("rent", "r", 400, &body);
        }
    }
}
