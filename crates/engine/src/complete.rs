//! Completes an upload whose parts may have been sent twice.
//!
//! In: the parts as their first answers named them. Out: the store's answer. Never: a part whose bytes are not those that were
//! checked.
//!
//! A part that is slow is sent by two workers. The pool keeps the answer that came first, the store the bytes that came last; that
//! is the same part wherever an entity tag follows from the bytes, but not where it is made anew for every upload (S3 with keys
//! of a key service). Keeping the answer that came last would not cure it: answers may come in another order than the parts took
//! effect in, and the last part may take effect after completion was asked for. What the upload holds at last only the store
//! knows; so it is asked, where it did not know a part by its name.

use crate::usage::Usage;
use skyfresh_sky::{Kind, ObjectKey};
use skyfresh_store::{CompletedPart, ObjectStore, Precondition, PutReceipt, Result};

/// How often an upload is looked at: each time takes another part that was on its way twice, and came just then.
const LOOKS: u32 = 3;

/// Publishes the upload, under the names that its parts have by now.
pub(crate) async fn complete(
    target: &dyn ObjectStore,
    key: &ObjectKey,
    upload: &str,
    condition: &Precondition,
    mut parts: Vec<CompletedPart>,
    usage: &Usage,
) -> Result<PutReceipt> {
    for _ in 0..LOOKS {
        usage.target_write();
        let completed = target.complete_upload(key, upload, &parts, condition);
        let error = match completed.await {
            Err(error) if error.is_replaced_part() => error,
            answer => return answer,
        };
        usage.target_write();
        let held = match target.list_parts(key, upload).await {
            Err(gone) if matches!(gone.kind, Kind::Missing | Kind::RetryAfter) => return Err(gone),
            // The right to look is not one that transfers need otherwise.
            held => held.ok().flatten(),
        };
        match held.and_then(|held| renamed(&parts, &held)) {
            Some(fresh) => parts = fresh,
            None => return Err(error),
        }
        tracing::debug!(%key, %error, "a part was sent twice; completing with what the store has");
    }
    usage.target_write();
    target.complete_upload(key, upload, &parts, condition).await
}

/// The same parts as the store names them now; `None` where that changes nothing, or one is not shown to have the same bytes.
fn renamed(parts: &[CompletedPart], held: &[CompletedPart]) -> Option<Vec<CompletedPart>> {
    let fresh = parts.iter().map(|part| {
        let now = held.iter().find(|now| now.number == part.number)?;
        let same = now.etag == part.etag
            || (now.size == part.size && now.crc64.is_some() && now.crc64 == part.crc64);
        same.then(|| CompletedPart {
            etag: now.etag.clone(),
            ..part.clone()
        })
    });
    let fresh: Option<Vec<_>> = fresh.collect();
    fresh.filter(|fresh| fresh != parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_store::checksum::Crc64;

    fn part(number: u32, etag: &str, text: &str) -> CompletedPart {
        CompletedPart {
            number,
            etag: etag.into(),
            size: text.len() as u64,
            crc64: Some(Crc64::of(text.as_bytes())),
        }
    }

    #[test]
    fn only_the_same_bytes_get_another_name() {
        let sent = [part(1, "a", "aaaa"), part(2, "b", "bbbb")];
        let again = part(2, "c", "bbbb");
        assert_eq!(
            renamed(
                &sent,
                &[part(1, "a", "aaaa"), again.clone(), part(3, "d", "d")]
            ),
            Some(vec![part(1, "a", "aaaa"), again.clone()])
        );
        let silent = CompletedPart {
            crc64: None,
            ..again.clone()
        };
        for (held, why) in [
            (
                vec![part(1, "a", "aaaa"), part(2, "b", "bbbb")],
                "nothing changed",
            ),
            (
                vec![part(1, "a", "aaaa"), part(2, "c", "bbbX")],
                "other bytes",
            ),
            (
                vec![part(1, "a", "aaaa"), part(2, "c", "bbb")],
                "fewer bytes",
            ),
            (
                vec![part(1, "a", "aaaa"), silent],
                "nothing is stated of them",
            ),
            (vec![again], "a part is missing"),
        ] {
            assert_eq!(renamed(&sent, &held), None, "{why}");
        }
    }
}
