//! What Cosmos DB's answers mean for the request
//! (<https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb>).

use super::client::Answer;
use crate::Error;
use crate::remote::Failure;
use skyfresh_sky::Kind;
use std::time::Duration;

/// The sub-status of 404 where the container, not the item, is missing.
const NO_CONTAINER: u32 = 1003;

/// The sub-status of 403 while another region takes over the writes.
const WRITES_MOVE: u32 = 3;

/// How much of an error's text is quoted.
const QUOTED_CHARACTERS: usize = 300;

/// Whether a 404 says that the container is missing.
pub(super) fn lacks_container(answer: &Answer) -> bool {
    answer.status == 404 && answer.substatus == Some(NO_CONTAINER)
}

/// What an answer means that is neither success nor an outcome.
pub(super) fn failure(operation: &'static str, target: &str, answer: &Answer) -> Failure {
    let text = String::from_utf8_lossy(&answer.body);
    let quoted: String = text.chars().take(QUOTED_CHARACTERS).collect();
    let error = |kind: Kind, hint: &str| {
        let substatus = answer
            .substatus
            .map_or_else(String::new, |substatus| format!("/{substatus}"));
        let context = format!("HTTP {}{substatus}{hint}: {quoted}", answer.status);
        Error::new(kind, operation, target, context)
    };
    let not_done = |wait| Failure::NotDone {
        error: error(Kind::RetryAfter, ""),
        wait,
    };
    match (answer.status, answer.substatus) {
        (429, _) => not_done(answer.retry_after_ms.map(Duration::from_millis)),
        // "Retry With": a conflict with another request, inside the service.
        (449, _) => not_done(None),
        (403, Some(WRITES_MOVE)) => not_done(None),
        (401, _) => {
            let hint = " (the key is wrong, or this machine's clock is more than 15 minutes off)";
            Failure::Final(error(Kind::Denied, hint))
        }
        (403, _) => Failure::Final(error(Kind::Denied, "")),
        (404, _) => Failure::Final(error(Kind::Missing, " (no such database or container)")),
        // The service failed, or gave up, on its way: it may have written.
        (408 | 410 | 500.., _) => Failure::Lost(error(Kind::RetryAfter, "")),
        _ => Failure::Final(error(Kind::Invalid, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, substatus: Option<u32>) -> Answer {
        Answer {
            status,
            substatus,
            retry_after_ms: Some(250),
            etag: None,
            continuation: None,
            body: "no".into(),
        }
    }

    #[test]
    fn answers_say_whether_the_write_may_have_happened() {
        let classified = |status, substatus| failure("put", "p/s", &answer(status, substatus));
        let Failure::NotDone { error, wait } = classified(429, Some(3200)) else {
            panic!("throttled");
        };
        assert_eq!(wait, Some(Duration::from_millis(250)));
        assert!(error.to_string().contains("HTTP 429/3200: no"), "{error}");
        assert!(matches!(classified(449, None), Failure::NotDone { .. }));
        assert!(matches!(classified(403, Some(3)), Failure::NotDone { .. }));
        for status in [408, 410, 500, 503] {
            assert!(matches!(classified(status, None), Failure::Lost(_)));
        }
        for (status, kind) in [
            (400, Kind::Invalid),
            (401, Kind::Denied),
            (403, Kind::Denied),
            (404, Kind::Missing),
            (413, Kind::Invalid),
        ] {
            let Failure::Final(error) = classified(status, None) else {
                panic!("{status}");
            };
            assert_eq!(error.kind, kind, "{status}");
        }
        assert!(lacks_container(&answer(404, Some(1003))));
        assert!(!lacks_container(&answer(404, None)));
    }
}
