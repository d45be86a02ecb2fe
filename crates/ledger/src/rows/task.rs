//! A task's row.

use super::values::*;
use super::{Parsed, Row};
use crate::model::*;
use serde::{Deserialize, Serialize};
use skyfresh_sky::Timestamp;

#[derive(Serialize, Deserialize)]
struct LeaseFormat<'a> {
    owner: &'a str,
    token: u64,
    expires_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct FailureFormat<'a> {
    kind: u8,
    message: &'a str,
    at_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct AttemptFormat<'a> {
    id: &'a str,
    #[serde(borrow)]
    source: VersionFormat<'a>,
    #[serde(borrow)]
    upload: Option<&'a str>,
    /// JSON.
    plan: std::borrow::Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct TaskFormat<'a> {
    signal: SignalFormat,
    changed_since_ms: u64,
    pending_since_ms: u64,
    due_ms: u64,
    failures: u32,
    #[serde(borrow)]
    last_failure: Option<FailureFormat<'a>>,
    #[serde(borrow)]
    lease: Option<LeaseFormat<'a>>,
    dirty: Option<SignalFormat>,
    #[serde(borrow)]
    attempt: Option<AttemptFormat<'a>>,
}

impl Row for Task {
    type Key = TaskKey;
    type Format<'a> = TaskFormat<'a>;

    fn to_format(&self) -> TaskFormat<'_> {
        TaskFormat {
            signal: signal_format(&self.signal),
            changed_since_ms: self.changed_since.unix_ms(),
            pending_since_ms: self.pending_since.unix_ms(),
            due_ms: self.due.unix_ms(),
            failures: self.failures,
            last_failure: self.last_failure.as_ref().map(|failure| FailureFormat {
                kind: kind_byte(failure.kind),
                message: &failure.message,
                at_ms: failure.at.unix_ms(),
            }),
            lease: self.lease.as_ref().map(|lease| LeaseFormat {
                owner: &lease.owner,
                token: lease.token,
                expires_ms: lease.expires.unix_ms(),
            }),
            dirty: self.dirty.as_ref().map(signal_format),
            attempt: self.attempt.as_ref().map(|attempt| AttemptFormat {
                id: &attempt.id,
                source: version_format(&attempt.source),
                upload: attempt.upload.as_deref(),
                plan: attempt.plan.to_string().into(),
            }),
        }
    }

    fn from_format(task: TaskKey, format: TaskFormat<'_>) -> Parsed<Self> {
        Ok(Task {
            task,
            signal: signal(format.signal)?,
            changed_since: Timestamp::from_unix_ms(format.changed_since_ms),
            pending_since: Timestamp::from_unix_ms(format.pending_since_ms),
            due: Timestamp::from_unix_ms(format.due_ms),
            failures: format.failures,
            last_failure: match format.last_failure {
                Some(failure) => Some(Failure {
                    kind: kind(failure.kind)?,
                    message: failure.message.to_owned(),
                    at: Timestamp::from_unix_ms(failure.at_ms),
                }),
                None => None,
            },
            lease: format.lease.map(|lease| Lease {
                owner: lease.owner.to_owned(),
                token: lease.token,
                expires: Timestamp::from_unix_ms(lease.expires_ms),
            }),
            dirty: format.dirty.map(signal).transpose()?,
            attempt: match format.attempt {
                Some(attempt) => Some(Attempt {
                    id: attempt.id.to_owned(),
                    source: version(attempt.source),
                    upload: attempt.upload.map(str::to_owned),
                    plan: serde_json::from_str(&attempt.plan)
                        .map_err(|_| "the plan is not JSON")?,
                }),
                None => None,
            },
        })
    }
}
