//! What the driver's errors mean for the statement
//! (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).

use crate::Error;
use crate::remote::{Failure, chain};
use skyfresh_sky::Kind;

/// What a statement that failed means.
pub(super) fn failure(
    operation: &'static str,
    target: &str,
    error: &tokio_postgres::Error,
) -> Failure {
    let make = |kind| Error::new(kind, operation, target, chain(error));
    match error.code() {
        Some(state) => classify(state.code(), make),
        None => Failure::Lost(make(Kind::RetryAfter)),
    }
}

/// The same for a connection that did not come about: whatever was to be done on it was not done.
pub(super) fn connect_failure(
    operation: &'static str,
    target: &str,
    error: &tokio_postgres::Error,
) -> Failure {
    let text = chain(error);
    let make = |kind, hint: &str| Error::new(kind, operation, target, format!("{text}{hint}"));
    if let Some(state) = error.code() {
        return match classify(state.code(), |kind| make(kind, "")) {
            Failure::Lost(error) => Failure::NotDone { error, wait: None },
            failure => failure,
        };
    }
    // The driver names these two in words only.
    if text.contains("server does not support TLS") {
        let hint = ": turn TLS on there (ssl = on), or write sslmode=disable into the URL";
        return Failure::Final(make(Kind::Denied, hint));
    }
    if text.contains("certificate") {
        let hint = ": name its authority with sslrootcert=FILE in the URL";
        return Failure::Final(make(Kind::Denied, hint));
    }
    Failure::NotDone {
        error: make(Kind::RetryAfter, ""),
        wait: None,
    }
}

fn classify(state: &str, make: impl Fn(Kind) -> Error) -> Failure {
    let not_done = || Failure::NotDone {
        error: make(Kind::RetryAfter),
        wait: None,
    };
    match state {
        // Lost against another transaction, cancelled by the statement timeout, lock not had in time: rolled back.
        "40001" | "40P01" | "57014" | "55P03" => not_done(),
        // This server has become a replica: the next connection looks for the primary.
        "25006" => not_done(),
        // Starting or recovering; out of connections, memory or disk.
        "57P03" => not_done(),
        // Created by somebody else between looking and creating.
        "42P07" | "23505" => not_done(),
        _ if state.starts_with("53") => not_done(),
        "42501" => Failure::Final(make(Kind::Denied)),
        _ if state.starts_with("28") => Failure::Final(make(Kind::Denied)),
        // No such database, schema or table.
        "3D000" | "3F000" | "42P01" => Failure::Final(make(Kind::Missing)),
        // Shut down meanwhile (57P01, 57P02), connection trouble, trouble of its own: it may have committed.
        _ if ["08", "57", "58", "XX"].contains(&&state[..state.len().min(2)]) => {
            Failure::Lost(make(Kind::RetryAfter))
        }
        _ => Failure::Final(make(Kind::Invalid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_say_whether_the_statement_may_have_committed() {
        let classified = |state| classify(state, |kind| Error::new(kind, "put", "p/s", state));
        for state in ["40001", "57014", "53300", "57P03", "25006"] {
            assert!(
                matches!(classified(state), Failure::NotDone { .. }),
                "{state}"
            );
        }
        for state in ["57P01", "08006", "58030", "XX000"] {
            assert!(matches!(classified(state), Failure::Lost(_)), "{state}");
        }
        for (state, kind) in [
            ("28P01", Kind::Denied),
            ("42501", Kind::Denied),
            ("42P01", Kind::Missing),
            ("3D000", Kind::Missing),
            ("22000", Kind::Invalid),
            ("4", Kind::Invalid),
        ] {
            let Failure::Final(error) = classified(state) else {
                panic!("{state}");
            };
            assert_eq!(error.kind, kind, "{state}");
        }
    }
}
