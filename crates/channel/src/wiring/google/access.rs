//! A topic's access policy: one member more or less, and everything else as it was.

use serde_json::{Value, json};

/// Whoever has it may publish to a topic.
const PUBLISHER: &str = "roles/pubsub.publisher";

pub(super) fn is_publisher(policy: &Value, member: &str) -> bool {
    unconditional(policy).is_some_and(|members| members.iter().any(|one| one == member))
}

/// The members that may publish whatever the circumstances.
fn unconditional(policy: &Value) -> Option<&Vec<Value>> {
    let mut bindings = policy["bindings"].as_array()?.iter();
    bindings
        .find(|binding| binding["role"] == PUBLISHER && binding["condition"].is_null())?["members"]
        .as_array()
}

pub(super) fn add_publisher(policy: &mut Value, member: &str) {
    if is_publisher(policy, member) {
        return;
    }
    if !policy["bindings"].is_array() {
        policy["bindings"] = json!([]);
    }
    let Some(bindings) = policy["bindings"].as_array_mut() else {
        return;
    };
    let binding = bindings
        .iter_mut()
        .find(|binding| binding["role"] == PUBLISHER && binding["condition"].is_null());
    match binding.and_then(|binding| binding["members"].as_array_mut()) {
        Some(members) => members.push(member.into()),
        None => bindings.push(json!({ "role": PUBLISHER, "members": [member] })),
    }
}

pub(super) fn remove_publisher(policy: &mut Value, member: &str) {
    let Some(bindings) = policy["bindings"].as_array_mut() else {
        return;
    };
    for binding in bindings.iter_mut() {
        if binding["role"] == PUBLISHER
            && binding["condition"].is_null()
            && let Some(members) = binding["members"].as_array_mut()
        {
            members.retain(|one| one != member);
        }
    }
    bindings.retain(|binding| {
        binding["members"]
            .as_array()
            .is_none_or(|members| !members.is_empty())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_publishers_and_conditions_stay() {
        let mut policy = json!({
            "version": 3, "etag": "e",
            "bindings": [
                { "role": PUBLISHER, "members": ["user:a"], "condition": { "title": "t", "expression": "true" } },
                { "role": "roles/pubsub.viewer", "members": ["user:b"] },
            ],
        });
        let before = policy.clone();
        add_publisher(&mut policy, "serviceAccount:x");
        assert!(is_publisher(&policy, "serviceAccount:x"));
        assert_eq!(policy["bindings"].as_array().unwrap().len(), 3);
        let once = policy.clone();
        add_publisher(&mut policy, "serviceAccount:x");
        assert_eq!(policy, once);
        add_publisher(&mut policy, "user:c");
        remove_publisher(&mut policy, "serviceAccount:x");
        assert!(is_publisher(&policy, "user:c"));
        remove_publisher(&mut policy, "user:c");
        assert_eq!(policy, before);
        let mut empty = json!({ "etag": "e" });
        add_publisher(&mut empty, "user:c");
        assert!(is_publisher(&empty, "user:c"));
    }
}
