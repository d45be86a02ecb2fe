//! Access policies of queues: one sender, one source.

use serde_json::{Value, json};

/// S3 may send, for this bucket of this account only. Both conditions, against the confused deputy
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html>).
pub(super) fn from_bucket(queue_arn: &str, bucket_arn: &str, account: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "skyfresh",
            "Effect": "Allow",
            "Principal": { "Service": "s3.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {
                "ArnEquals": { "aws:SourceArn": bucket_arn },
                "StringEquals": { "aws:SourceAccount": account },
            },
        }],
    })
    .to_string()
}

/// EventBridge may send, for this rule only
/// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sqs-permissions>).
pub(super) fn from_event_rule(queue_arn: &str, rule_arn: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "skyfresh",
            "Effect": "Allow",
            "Principal": { "Service": "events.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": { "ArnEquals": { "aws:SourceArn": rule_arn } },
        }],
    })
    .to_string()
}

/// Whether a policy holds every statement of another, whatever else it holds.
pub(super) fn covers(policy: &str, wanted: &str) -> bool {
    let statements = |text: &str| -> Option<Vec<Value>> {
        let document: Value = serde_json::from_str(text).ok()?;
        match &document["Statement"] {
            Value::Array(statements) => Some(statements.clone()),
            one @ Value::Object(_) => Some(vec![one.clone()]),
            _ => None,
        }
    };
    match (statements(policy), statements(wanted)) {
        (Some(there), Some(wanted)) => wanted.iter().all(|statement| there.contains(statement)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_covers_what_it_holds_whatever_the_order_of_fields() {
        let wanted = from_bucket("arn:q", "arn:b", "1");
        assert!(covers(&wanted, &wanted));
        let mut more: Value = serde_json::from_str(&wanted).unwrap();
        more["Statement"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "Sid": "other" }));
        assert!(covers(&more.to_string(), &wanted));
        assert!(!covers(&wanted, &more.to_string()));
        assert!(!covers(&from_bucket("arn:q", "arn:c", "1"), &wanted));
        assert!(!covers("", &wanted) && !covers("{}", &wanted));
    }
}
