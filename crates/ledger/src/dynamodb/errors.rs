//! What DynamoDB's errors mean for the request
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>).

use crate::Error;
use crate::remote::{Failure, chain};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use skyfresh_sky::Kind;

/// Refused for the moment; nothing was done.
const THROTTLED: [&str; 6] = [
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TransactionConflictException",
];

/// The identity or its permissions.
const DENIED: [&str; 9] = [
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
];

/// What a failed request means.
pub(super) fn failure<E>(operation: &'static str, target: &str, error: SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let make = |kind: Kind, context: String| Error::new(kind, operation, target, context);
    let text = || chain(&error);
    if let SdkError::ServiceError(service) = &error {
        let status = service.raw().status().as_u16();
        let code = service.err().code().unwrap_or_default();
        let message = service.err().message().unwrap_or_default();
        let why = format!("{code} (HTTP {status}) {message}");
        return classify(code, status, |kind| make(kind, why.clone()));
    }
    match &error {
        // The SDK asks for credentials within the request: what our own source said is passed on as it was.
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_)
            if let Some(ours) = ours(&error) =>
        {
            Failure::Final(make(ours.kind, ours.to_string()))
        }
        SdkError::ConstructionFailure(_) => Failure::Final(make(Kind::Invalid, text())),
        SdkError::DispatchFailure(dispatch) if dispatch.is_user() => {
            Failure::Final(make(Kind::Invalid, text()))
        }
        _ => Failure::Lost(make(Kind::RetryAfter, text())),
    }
}

/// Our own error at the bottom of the SDK's.
fn ours<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let mut below = error.source();
    while let Some(cause) = below {
        if let Some(ours) = cause.downcast_ref::<Error>() {
            return Some(ours);
        }
        below = cause.source();
    }
    None
}

fn classify(code: &str, status: u16, make: impl Fn(Kind) -> Error) -> Failure {
    if THROTTLED.contains(&code) || status == 429 {
        return Failure::NotDone {
            error: make(Kind::RetryAfter),
            wait: None,
        };
    }
    if DENIED.contains(&code) || status == 401 || status == 403 {
        return Failure::Final(make(Kind::Denied));
    }
    match (code, status) {
        ("ResourceNotFoundException", _) => Failure::Final(make(Kind::Missing)),
        // The service failed on its way: it may have written.
        (_, 500..) => Failure::Lost(make(Kind::RetryAfter)),
        _ => Failure::Final(make(Kind::Invalid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_whether_the_write_may_have_happened() {
        let classified =
            |code, status| classify(code, status, |kind| Error::new(kind, "put", "p/s", code));
        assert!(matches!(
            classified("ThrottlingException", 400),
            Failure::NotDone { .. }
        ));
        assert!(matches!(
            classified("InternalServerError", 500),
            Failure::Lost(_)
        ));
        assert!(matches!(classified("", 503), Failure::Lost(_)));
        for (code, status, kind) in [
            ("AccessDeniedException", 400, Kind::Denied),
            ("SomethingNew", 403, Kind::Denied),
            ("ResourceNotFoundException", 400, Kind::Missing),
            ("ValidationException", 400, Kind::Invalid),
        ] {
            let Failure::Final(error) = classified(code, status) else {
                panic!("{code}");
            };
            assert_eq!(error.kind, kind);
        }
    }
}
