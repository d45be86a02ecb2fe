//! Many deletes by one request (API reference, `DeleteObjects`).
//!
//! In: keys, each with its condition. Out: what became of each. Never: a delete without the condition that it was asked for under;
//! a key called deleted that the store's answer does not name.
//!
//! A condition is the `ETag` of a key in the request's document (user guide, "How to perform conditional deletes"). Servers that
//! know conditions on a single DELETE may not know this one and ignore it. So before the first such request to a store that
//! was not probed, one of the keys goes out alone under a false condition, having been looked at: only a refusal counts.

use super::attributes::{self, set};
use super::error::Refusal;
use super::request::{Call, MAX_TRIES};
use super::{S3Store, xml};
use crate::deletion::{Deletion, one_by_one};
use crate::{ConditionSupport, Error, Precondition, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use md5::{Digest, Md5};
use skyfresh_sky::Kind;
use std::collections::{HashMap, HashSet};

const OPERATION: &str = "delete";
/// Fewer go out one by one: all at once, they take no longer.
const WORTH_A_BATCH: usize = 8;
/// An entity tag that no object has.
const OTHER_ETAG: &str = "00000000000000000000000000000000";

/// What became of a key in a batch: as the store says, before it is judged.
type Answers = HashMap<String, Result<()>>;

/// A key in a batch.
#[derive(Clone, Copy)]
struct Line<'a> {
    full_key: &'a str,
    /// Only this version.
    etag: Option<&'a str>,
}

impl S3Store {
    /// Deletes all of them, in as few requests as this store takes. The results are in their order.
    pub(super) async fn delete_all(&self, deletions: &[Deletion]) -> Vec<Result<()>> {
        let full_keys: Vec<String> = deletions
            .iter()
            .map(|deletion| self.location.full_key(&deletion.key))
            .collect();
        let mut results: Vec<Option<Result<()>>> = deletions.iter().map(|_| None).collect();
        let batched = self.batched(deletions, &full_keys, &mut results).await;
        let alone: Vec<usize> = (0..deletions.len())
            .filter(|index| results[*index].is_none() && !batched.contains(index))
            .collect();
        let singles = one_by_one(self, alone.iter().map(|index| &deletions[*index]));
        let (singles, answers) = futures::join!(
            singles,
            self.delete_in_batches(deletions, &full_keys, &batched)
        );
        let answered = alone.into_iter().zip(singles);
        for (index, result) in answered.chain(batched.into_iter().zip(answers)) {
            results[index] = Some(result);
        }
        let unanswered = || Err(self.failed(Kind::Internal, OPERATION, "", "it was left out"));
        results
            .into_iter()
            .map(|result| result.unwrap_or_else(unanswered))
            .collect()
    }

    /// Which go in batches. What finding that out already did is in `results`.
    async fn batched(
        &self,
        deletions: &[Deletion],
        full_keys: &[String],
        results: &mut [Option<Result<()>>],
    ) -> Vec<usize> {
        if self.knowledge().capabilities.batch_delete.is_none() {
            return Vec::new();
        }
        let mut seen = HashSet::new();
        let mut chosen: Vec<usize> = (0..deletions.len())
            .filter(|index| {
                let full_key = &full_keys[*index];
                is_plain(full_key)
                    && deletions[*index].precondition != Precondition::Absent
                    && seen.insert(full_key)
            })
            .collect();
        if chosen.len() < WORTH_A_BATCH {
            return Vec::new();
        }
        let conditional =
            |index: &usize| matches!(deletions[*index].precondition, Precondition::Version(_));
        if let Some(first) = chosen.iter().copied().find(conditional) {
            let line = line(&deletions[first], &full_keys[first]);
            let (trusted, done) = self.batch_conditions(line).await;
            results[first] = done.map(Ok);
            if !trusted {
                chosen.retain(|index| !conditional(index));
            }
            chosen.retain(|index| results[*index].is_none());
        }
        chosen
    }

    /// Whether conditions in a batch can be trusted, and, where that had to be tried on this key, whether it is gone now.
    async fn batch_conditions(&self, line: Line<'_>) -> (bool, Option<()>) {
        let knowledge = self.knowledge();
        let Some(batch) = knowledge.capabilities.batch_delete else {
            return (false, None);
        };
        if !batch.if_version.enforced() || knowledge.batch_tried {
            return (batch.if_version.enforced(), None);
        }
        match self.read_head(line.full_key).await {
            Ok(head) if Some(head.version.etag.as_str()) == line.etag => {}
            // Nothing can be learnt of this one.
            _ => return (false, None),
        }
        let support = match self.false_condition(line.full_key).await {
            Ok(support) => support,
            Err(error) => {
                tracing::debug!(%error, "cannot tell whether batches of deletes know conditions");
                return (false, None);
            }
        };
        self.learn_of_batches(support);
        match support {
            Some(ConditionSupport::Enforced) => (true, None),
            // It was that version just before, which is all that can be had of such a store.
            Some(ConditionSupport::Ignored) => (false, Some(())),
            _ => (false, None),
        }
    }

    fn learn_of_batches(&self, support: Option<ConditionSupport>) {
        self.learn(|knowledge| {
            knowledge.batch_tried = true;
            let known = &mut knowledge.capabilities.batch_delete;
            *known = known.and_then(|batch| {
                Some(crate::BatchDelete {
                    if_version: support?,
                    ..batch
                })
            });
        });
    }

    /// What becomes of a key under a false condition in a batch of one; `None` where the store has no batches.
    ///
    /// # Errors
    /// Trouble that says nothing about it.
    pub(super) async fn false_condition(&self, full_key: &str) -> Result<Option<ConditionSupport>> {
        let line = Line {
            full_key,
            etag: Some(OTHER_ETAG),
        };
        let answer = match self.send_batch(&[line]).await {
            Ok(mut answers) => answers.remove(full_key),
            Err(error) => match error.kind {
                Kind::Unsupported | Kind::Invalid => return Ok(None),
                _ => return Err(error),
            },
        };
        match answer {
            Some(Ok(())) => Ok(Some(ConditionSupport::Ignored)),
            Some(Err(error)) => match error.kind {
                Kind::Precondition => Ok(Some(ConditionSupport::Enforced)),
                Kind::Unsupported | Kind::Invalid => Ok(Some(ConditionSupport::Unsupported)),
                _ => Err(error),
            },
            None => Err(self.unnamed(full_key)),
        }
    }

    /// The results of these, in their order.
    async fn delete_in_batches(
        &self,
        deletions: &[Deletion],
        full_keys: &[String],
        batched: &[usize],
    ) -> Vec<Result<()>> {
        let known = self.knowledge().capabilities.batch_delete;
        let most = known.map_or(1, |batch| batch.most_keys.max(1) as usize);
        let mut results = Vec::with_capacity(batched.len());
        for indices in batched.chunks(most) {
            let lines: Vec<Line<'_>> = indices
                .iter()
                .map(|index| line(&deletions[*index], &full_keys[*index]))
                .collect();
            let mut answers = self.delete_batch(&lines).await;
            for line in lines {
                let answer = answers
                    .remove(line.full_key)
                    .unwrap_or_else(|| Err(self.unnamed(line.full_key)));
                results.push(self.judged(line, answer).await);
            }
        }
        results
    }

    /// One batch, with a bounded number of further tries for the keys that met passing trouble.
    async fn delete_batch(&self, lines: &[Line<'_>]) -> Answers {
        let mut answers = Answers::new();
        let mut left = lines.to_vec();
        for tries in 1..=MAX_TRIES {
            match self.send_batch(&left).await {
                Ok(answered) => answers.extend(answered),
                // The request itself was tried often enough; each key has the same fate.
                Err(error) => {
                    let each = left.iter().map(|line| {
                        let same =
                            self.failed(error.kind, OPERATION, line.full_key, &*error.context);
                        let same = Error {
                            code: error.code.clone(),
                            retry_after: error.retry_after,
                            ..same
                        };
                        (line.full_key.to_owned(), Err(same))
                    });
                    answers.extend(each);
                    break;
                }
            }
            left.retain(|line| match answers.get(line.full_key) {
                Some(Err(error)) => error.kind == Kind::RetryAfter,
                Some(Ok(())) => false,
                None => true,
            });
            if left.is_empty() || tries == MAX_TRIES {
                break;
            }
            tracing::debug!(keys = left.len(), tries, "will delete again");
            self.clock.sleep(self.backoff(tries)).await;
        }
        answers
    }

    /// One request: what the store says of each key that it names.
    async fn send_batch(&self, lines: &[Line<'_>]) -> Result<Answers> {
        let invalid = |why| self.failed(Kind::Invalid, OPERATION, "", why);
        let document = xml::Delete {
            objects: lines
                .iter()
                .map(|line| xml::DeleteKey {
                    key: line.full_key.to_owned(),
                    etag: line.etag.map(attributes::quote),
                })
                .collect(),
        };
        let body = xml::write(&document).map_err(invalid)?;
        let mut call = Call::new(OPERATION, Method::POST, None, "delete=");
        // S3 takes this request only with a digest of the body (API reference, `DeleteObjects`); this one every server knows.
        let digest = BASE64.encode(Md5::digest(&body));
        set(&mut call.headers, "content-md5", &digest).map_err(invalid)?;
        set(&mut call.headers, "content-type", "application/xml").map_err(invalid)?;
        let answer = self.call(call.body(body)).await?;
        let result: xml::DeleteResult = self.document(OPERATION, "", &answer.body)?;
        let mut answers = Answers::new();
        for line in result.lines {
            match line {
                xml::DeleteLine::Deleted(deleted) => {
                    answers.insert(deleted.key, Ok(()));
                }
                xml::DeleteLine::Error(refused) => {
                    let Some(key) = refused.key else { continue };
                    let refusal = Refusal::within_success(refused.code, refused.message);
                    let target = self.target(Some(&key));
                    let error = refusal.into_error(OPERATION, target, self.clock.now());
                    answers.insert(key, Err(error));
                }
                xml::DeleteLine::Other => {}
            }
        }
        Ok(answers)
    }

    /// What an answer means: that there is no such object is what was wanted.
    async fn judged(&self, line: Line<'_>, answer: Result<()>) -> Result<()> {
        match answer {
            Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => Ok(()),
            Err(error) if error.kind == Kind::Precondition => {
                self.gone_or(line.full_key, error).await
            }
            answer => answer,
        }
    }

    fn unnamed(&self, full_key: &str) -> Error {
        let why = "the store's answer to a request to delete many does not say what became of it";
        self.failed(Kind::RetryAfter, OPERATION, full_key, why)
    }
}

fn line<'a>(deletion: &'a Deletion, full_key: &'a str) -> Line<'a> {
    let etag = match &deletion.precondition {
        Precondition::Version(version) => Some(version.etag.as_str()),
        Precondition::None | Precondition::Absent => None,
    };
    Line { full_key, etag }
}

/// Whether a key comes back from an XML document as it went in, with every reader: without control characters, which XML does not
/// have or folds, and without spaces at its ends, which some readers cut.
fn is_plain(full_key: &str) -> bool {
    let odd = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    !full_key.contains(odd) && full_key.trim() == full_key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_xml_may_change_go_alone() {
        for plain in ["a", "a b//c", "ä&<>\"'", "..", "\u{10ffff}"] {
            assert!(is_plain(plain), "{plain:?}");
        }
        for odd in [" a", "a ", "a\tb", "a\r", "\u{85}", "\u{ffff}", "a\u{0}"] {
            assert!(!is_plain(odd), "{odd:?}");
        }
    }
}
