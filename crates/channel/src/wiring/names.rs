//! What the resources of a rule are called: derived from the rule's name alone, so that a second run finds them.
//!
//! A rule's name has letters, digits, `-`, `_` and `.`, at most 64 of them. Where a provider allows less, what it does not allow
//! becomes `-`, and eight digits of the name's SHA-256 keep two rules apart.

use sha2::{Digest, Sha256};

/// The tag or label on everything that can carry one; its value is the rule's name, as far as the provider allows it.
pub const TAG: &str = "skyfresh-rule";

/// An SQS queue: at most 80 letters, digits, `-` and `_`
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html>).
pub fn queue(rule: &str) -> String {
    ours(rule, 80, |c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// The id of a notification configuration of S3: at most 255 characters
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_QueueConfiguration.html>).
pub fn notification_id(rule: &str) -> String {
    ours(rule, 255, |_| true)
}

/// An EventBridge rule: at most 64 letters, digits, `.`, `-` and `_`
/// (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html>).
pub fn event_rule(rule: &str) -> String {
    ours(rule, 64, |c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A Pub/Sub topic: 3 to 255 characters that begin with a letter
/// (<https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names>).
pub fn topic(rule: &str) -> String {
    ours(rule, 255, |c| {
        c.is_ascii_alphanumeric() || "-_.".contains(c)
    })
}

/// A Pub/Sub subscription: as its topic.
pub fn subscription(rule: &str) -> String {
    topic(rule)
}

/// A label's value on Google Cloud: at most 63 lower-case letters, digits, `-` and `_`
/// (<https://cloud.google.com/pubsub/docs/create-topic-labels>).
pub fn label(rule: &str) -> String {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    fitted(rule, rule, 63, allowed)
}

/// A Storage Queue: 3 to 63 lower-case letters, digits and single hyphens, none at either end
/// (<https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata>).
pub fn storage_queue(rule: &str) -> String {
    let name = format!("skyfresh-{rule}");
    let plain = name.len() <= 63
        && name
            .split('-')
            .all(|part| !part.is_empty() && part.bytes().all(is_lower_or_digit));
    if plain {
        return name;
    }
    let parts: Vec<String> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let mut cut = parts.join("-");
    cut.truncate(63 - 9);
    format!("{}-{}", cut.trim_end_matches('-'), digits(rule))
}

/// An Event Grid subscription: 3 to 64 letters, digits and hyphens
/// (<https://learn.microsoft.com/azure/event-grid/subscription-creation-schema>).
pub fn event_subscription(rule: &str) -> String {
    ours(rule, 64, |c| c.is_ascii_alphanumeric() || c == '-')
}

fn is_lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn ours(rule: &str, longest: usize, allowed: impl Fn(char) -> bool) -> String {
    fitted(&format!("skyfresh-{rule}"), rule, longest, allowed)
}

/// `name` where it is allowed as it is; else what of it is, and digits that stand for the whole.
fn fitted(name: &str, rule: &str, longest: usize, allowed: impl Fn(char) -> bool) -> String {
    if name.len() <= longest && name.chars().all(&allowed) {
        return name.to_owned();
    }
    let mut cut: String = name
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    cut.truncate(longest - 9);
    format!("{cut}-{}", digits(rule))
}

fn digits(rule: &str) -> String {
    let hash = Sha256::digest(rule.as_bytes());
    hash[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn plain_names_stay_readable() {
        for name in [queue, notification_id, event_rule, topic, storage_queue] {
            assert_eq!(name("models"), "skyfresh-models");
        }
        assert_eq!(event_subscription("models"), "skyfresh-models");
        assert_eq!(label("models"), "models");
    }

    #[test]
    fn every_rule_gets_names_its_provider_takes_and_no_other_rule_has() {
        let longest = "m".repeat(64);
        let rules = [
            "Models", "models", "a.b", "a-b", "a--b", "a_b", "-", "a-", "..", &longest,
        ];
        let mut queues = BTreeSet::new();
        for rule in rules {
            let azure = storage_queue(rule);
            assert!((3..=63).contains(&azure.len()), "{azure}");
            assert!(
                !azure.contains("--") && !azure.starts_with('-') && !azure.ends_with('-'),
                "{azure}"
            );
            assert!(
                azure.bytes().all(|b| is_lower_or_digit(b) || b == b'-'),
                "{azure}"
            );
            assert!(queue(rule).len() <= 80 && !queue(rule).contains('.'));
            assert!(event_rule(rule).len() <= 64 && event_subscription(rule).len() <= 64);
            assert!(label(rule).len() <= 63);
            queues.insert((azure, queue(rule), event_subscription(rule), label(rule)));
            queues.insert((
                storage_queue(rule),
                queue(rule),
                event_subscription(rule),
                label(rule),
            ));
        }
        assert_eq!(queues.len(), rules.len());
        let names: BTreeSet<String> = rules.iter().map(|rule| storage_queue(rule)).collect();
        assert_eq!(names.len(), rules.len());
    }
}
