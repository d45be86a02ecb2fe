//! EventBridge (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/>).

use super::{Aws, Source, last_part, names};
use crate::wiring::{ControlPlane, Found, Resource};
use serde_json::{Value, json};
use skyfresh_sky::Kind;
use skyfresh_store::{Error, Result};

/// Which events of a bucket concern a rule
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html>; a lifecycle rule's removals are `Object Deleted`).
pub(super) fn pattern(source: Source<'_>) -> String {
    let mut kinds = vec!["Object Created", "Object Deleted"];
    if source.tags {
        kinds.extend(["Object Tags Added", "Object Tags Deleted"]);
    }
    let mut detail = json!({ "bucket": { "name": [source.bucket] } });
    if !source.prefix.is_empty() {
        detail["object"] = json!({ "key": [{ "prefix": source.prefix }] });
    }
    json!({ "source": ["aws.s3"], "detail-type": kinds, "detail": detail }).to_string()
}

impl<C: ControlPlane> Aws<C> {
    async fn events(
        &self,
        operation: &'static str,
        target: &str,
        action: &str,
        body: &Value,
    ) -> Result<Value> {
        self.call(
            operation,
            target,
            "events",
            &format!("AWSEvents.{action}"),
            body,
        )
        .await
    }

    pub(super) async fn look_at_event_rule(
        &self,
        arn: &str,
        rule: &str,
        pattern: &str,
    ) -> Result<Found> {
        let operation = "look at event rule";
        let body = json!({ "Name": last_part(arn) });
        let found = match self.events(operation, arn, "DescribeRule", &body).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(Found::Absent),
            Err(error) => return Err(error),
        };
        let tags = self
            .events(
                operation,
                arn,
                "ListTagsForResource",
                &json!({ "ResourceARN": arn }),
            )
            .await?;
        let tagged = tags["Tags"].as_array().is_some_and(|tags| {
            tags.iter()
                .any(|tag| tag["Key"] == names::TAG && tag["Value"] == rule)
        });
        if !tagged {
            return Ok(Found::Different(format!(
                "it has no tag {}={rule}",
                names::TAG
            )));
        }
        let there: Option<Value> = found["EventPattern"]
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok());
        if there != serde_json::from_str(pattern).ok() {
            return Ok(Found::Different(format!(
                "its pattern is {}",
                found["EventPattern"]
            )));
        }
        if found["State"]
            .as_str()
            .is_some_and(|state| state == "DISABLED")
        {
            return Ok(Found::Different("it is disabled".into()));
        }
        Ok(Found::AsPlanned(arn.to_owned()))
    }

    pub(super) async fn create_event_rule(
        &self,
        arn: &str,
        rule: &str,
        pattern: &str,
    ) -> Result<()> {
        let body = json!({
            "Name": last_part(arn),
            "EventPattern": pattern,
            "State": "ENABLED",
            "Description": format!("Skyfresh: changes of the source of rule {rule}"),
            "Tags": [{ "Key": names::TAG, "Value": rule }],
        });
        self.events("create event rule", arn, "PutRule", &body)
            .await
            .map(drop)
    }

    pub(super) async fn remove_event_rule(&self, arn: &str) -> Result<()> {
        let body = json!({ "Name": last_part(arn) });
        match self
            .events("remove event rule", arn, "DeleteRule", &body)
            .await
        {
            Err(error) if !is_absent(&error) => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) async fn look_at_target(
        &self,
        resource: &Resource,
        event_rule: &str,
        id: &str,
        queue_arn: &str,
    ) -> Result<Found> {
        // A rule has five targets at most ("Amazon EventBridge quotas"): one page.
        let body = json!({ "Rule": event_rule });
        let listed = self
            .events(
                "look at event target",
                event_rule,
                "ListTargetsByRule",
                &body,
            )
            .await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) if is_absent(&error) => return Ok(Found::Absent),
            Err(error) => return Err(error),
        };
        let mut targets = listed["Targets"].as_array().into_iter().flatten();
        Ok(match targets.find(|target| target["Id"] == id) {
            None => Found::Absent,
            Some(target) if target["Arn"] == queue_arn => Found::AsPlanned(resource.name()),
            Some(target) => Found::Different(format!("it sends to {}", target["Arn"])),
        })
    }

    pub(super) async fn create_target(
        &self,
        event_rule: &str,
        id: &str,
        queue_arn: &str,
    ) -> Result<()> {
        let operation = "create event target";
        let body = json!({ "Rule": event_rule, "Targets": [{ "Id": id, "Arn": queue_arn }] });
        let answer = self
            .events(operation, event_rule, "PutTargets", &body)
            .await?;
        entries_succeeded(operation, event_rule, &answer)
    }

    pub(super) async fn remove_target(&self, event_rule: &str, id: &str) -> Result<()> {
        let operation = "remove event target";
        let body = json!({ "Rule": event_rule, "Ids": [id] });
        match self
            .events(operation, event_rule, "RemoveTargets", &body)
            .await
        {
            Ok(answer) => entries_succeeded(operation, event_rule, &answer),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Batches answer 200 and tell of failures in the body.
fn entries_succeeded(operation: &'static str, target: &str, answer: &Value) -> Result<()> {
    match answer["FailedEntries"]
        .as_array()
        .and_then(|failed| failed.first())
    {
        None => Ok(()),
        Some(failed) => {
            let code = failed["ErrorCode"].as_str().unwrap_or("unknown");
            let kind = match code {
                "ConcurrentModificationException" | "ThrottlingException" => Kind::RetryAfter,
                _ => Kind::Invalid,
            };
            let why = format!(
                "{} ({code})",
                failed["ErrorMessage"]
                    .as_str()
                    .unwrap_or("no reason was given")
            );
            Err(Error::new(kind, operation, target, why).with_code(code))
        }
    }
}

fn is_absent(error: &Error) -> bool {
    error.code.as_deref() == Some("ResourceNotFoundException")
}
