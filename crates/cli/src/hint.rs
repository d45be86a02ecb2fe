//! What to do next about an error: the `hint:` lines below it.

use crate::exit::{Told, is_locked};
use skyfresh_sky::Kind;

/// Hints for an error, from every cause that knows one; none is given twice.
pub(crate) fn of(error: &anyhow::Error) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    for cause in error.chain() {
        for hint in of_cause(cause) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
    }
    hints
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Vec<String> {
    if let Some(told) = cause.downcast_ref::<Told>() {
        return told.hints.clone();
    }
    if let Some(error) = cause.downcast_ref::<skyfresh_store::Error>() {
        return of_store(error).into_iter().map(str::to_owned).collect();
    }
    if let Some(error) = cause.downcast_ref::<skyfresh_ledger::Error>() {
        return of_ledger(error).into_iter().map(str::to_owned).collect();
    }
    if let Some(error) = cause.downcast_ref::<skyfresh_features::Error>() {
        return of_features(error).into_iter().map(str::to_owned).collect();
    }
    if let Some(error) = cause.downcast_ref::<crate::client::ClientError>() {
        return error.hints();
    }
    if let Some(error) = cause.downcast_ref::<crate::config::ConfigError>() {
        return error.hints.clone();
    }
    Vec::new()
}

/// Hints for a store's refusal.
pub(crate) fn of_store(error: &skyfresh_store::Error) -> Vec<&'static str> {
    let doctor =
        "`skyfresh doctor SRC DST` shows the identity that is used and prints the policy it needs";
    match error.code.as_deref() {
        Some("NoSuchBucket") if error.target.starts_with("file:") => {
            vec![
                "create the directory if it should be there; Skyfresh makes none, as a disk may just not be mounted",
            ]
        }
        Some("NoSuchBucket") => {
            vec![
                "create the bucket, or check its name, ?endpoint= and ?region=; Skyfresh creates no buckets",
            ]
        }
        Some("SignatureDoesNotMatch") => {
            vec![
                "the secret access key does not belong to the access key id: check both, and ?profile=",
                doctor,
            ]
        }
        Some("InvalidAccessKeyId") => {
            vec![
                "this store does not know the access key id: check ?endpoint= and ?profile=",
                doctor,
            ]
        }
        Some("RequestTimeTooSkewed") => vec!["set this machine's clock, e.g. with NTP"],
        Some("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
            vec![
                "renew the temporary credentials (sign in again); they are reread without a restart",
            ]
        }
        _ => match error.kind {
            Kind::Denied => vec![doctor],
            Kind::RetryAfter => {
                vec![
                    "the store did not answer as it should: check ?endpoint=, the network, and that it is up",
                ]
            }
            _ => vec![],
        },
    }
}

fn of_ledger(error: &skyfresh_ledger::Error) -> Vec<&'static str> {
    if is_locked(error) {
        return vec![
            "one process works on a ledger at a time: stop the other one, or give this one its own with --ledger \
             PATH ([ledger] path in the configuration)",
        ];
    }
    match error.kind {
        Kind::Denied | Kind::Invalid => {
            vec![
                "--ledger PATH ([ledger] path in the configuration) names a file in a writable directory",
            ]
        }
        Kind::Corrupt => vec![
            "move the file away and start again: the stores are compared, and what is equal is not copied twice",
        ],
        _ => vec![],
    }
}

fn of_features(error: &skyfresh_features::Error) -> Vec<&'static str> {
    match error.operation {
        "read log" | "read series" | "read ratings" => vec![
            "series are CSV with a heading (time,value or key,time,value), two weeks or more; ratings are MovieLens' \
             ratings.dat or ratings.csv",
        ],
        "read configuration" | "set up function" => {
            vec!["docs/features.md has a configuration to start from"]
        }
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_that_knows_gives_its_hint_once() {
        let store = || {
            skyfresh_store::Error::new(Kind::Missing, "list", "s3://b/", "no")
                .with_code("NoSuchBucket")
        };
        let engine = skyfresh_engine::Error::from(store());
        let hints = of(&anyhow::Error::from(engine).context("sweep"));
        assert_eq!(hints.len(), 1);
        assert!(hints[0].starts_with("create the bucket"));
        assert!(of(&anyhow::anyhow!("no idea")).is_empty());
    }
}
