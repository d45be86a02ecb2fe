//! One machine, in whichever zone of a region has room.
//!
//! A zone whose answer was lost may have the machine: it is asked again before any other, in the same words, so that one token never
//! rents two. A zone that refused has none, and is asked in new words when its turn comes again: services remember what they
//! answered.

use crate::Machine;
use crate::rest::Refusal;
use skyfresh_relay::{Error, Result};
use skyfresh_sky::Kind;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of machines that are being rented, by their tokens.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<BTreeMap<String, Attempt>>);

#[derive(Clone, Default)]
struct Attempt {
    /// The zone that was asked last and has not refused.
    undecided: Option<String>,
    /// Refusals so far.
    refusals: u32,
}

impl Attempts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Attempt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, token: &str) -> Attempt {
        self.lock().get(token).cloned().unwrap_or_default()
    }

    fn change(&self, token: &str, change: impl FnOnce(&mut Attempt)) {
        change(self.lock().entry(token.to_owned()).or_default());
    }

    fn is_over(&self, token: &str) {
        self.lock().remove(token);
    }

    /// Asks one zone after the other for one machine: the second word of `ask` counts the refusals before it, so that token, zone and it
    /// name one request.
    ///
    /// # Errors
    /// `RetryAfter`: no zone has room now, or it is not known whether one has made it. Otherwise the first refusal for which no other
    /// zone would do.
    pub(crate) async fn anywhere<F>(
        &self,
        token: &str,
        zones: &[String],
        ask: impl Fn(String, u32) -> F,
    ) -> Result<Machine>
    where
        F: Future<Output = Result<Machine, Refusal>>,
    {
        let first = self.known(token).undecided;
        let others = zones.iter().filter(|zone| Some(*zone) != first.as_ref());
        let order: Vec<String> = first.clone().into_iter().chain(others.cloned()).collect();
        let mut last = None;
        for zone in order {
            self.change(token, |attempt| attempt.undecided = Some(zone.clone()));
            let refusals = self.known(token).refusals;
            match ask(zone, refusals).await {
                Ok(machine) => {
                    self.is_over(token);
                    return Ok(machine);
                }
                Err(refusal) if refusal.elsewhere => {
                    tracing::debug!(error = %refusal.error, "no room in a zone");
                    self.change(token, |attempt| {
                        attempt.undecided = None;
                        attempt.refusals += 1;
                    });
                    last = Some(refusal.error);
                }
                Err(refusal) => {
                    if refusal.error.kind != Kind::RetryAfter {
                        self.is_over(token);
                    }
                    return Err(refusal.error);
                }
            }
        }
        let why = "no zone is named: say zones = [\"…\"]";
        Err(last.unwrap_or_else(|| Error::new(Kind::Invalid, "rent machine", why)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{State, Tags};
    use skyfresh_sky::Timestamp;

    fn machine(zone: &str) -> Machine {
        Machine {
            id: format!("{zone}/n"),
            region: "gcp:us-east1".parse().unwrap(),
            instance: "n2-standard-32".into(),
            state: State::Pending,
            public_address: None,
            private_address: None,
            tags: Tags {
                job: "1".into(),
                node: "n".into(),
                owner: "o".into(),
                expires: Timestamp::from_unix_ms(1),
            },
        }
    }

    fn refusal(kind: Kind, elsewhere: bool) -> Refusal {
        Refusal {
            elsewhere,
            error: Error::new(kind, "rent machine", "no"),
        }
    }

    /// What was asked, in order, with these answers; and how it ended.
    async fn asked(
        attempts: &Attempts,
        answers: Vec<Result<(), Refusal>>,
    ) -> (Vec<String>, Result<Machine>) {
        let answers = Mutex::new(answers.into_iter());
        let words = Mutex::new(Vec::new());
        let zones = ["a".to_owned(), "b".to_owned()];
        let end = attempts
            .anywhere("t", &zones, |zone, refusals| {
                words.lock().unwrap().push(format!("{zone}{refusals}"));
                let answer = answers.lock().unwrap().next().unwrap();
                async move { answer.map(|()| machine(&zone)) }
            })
            .await;
        (words.into_inner().unwrap(), end)
    }

    #[tokio::test]
    async fn a_full_zone_is_followed_by_the_next_and_then_by_later() {
        let attempts = Attempts::default();
        let full = || Err(refusal(Kind::RetryAfter, true));
        let (words, end) = asked(&attempts, vec![full(), full()]).await;
        assert_eq!(words, ["a0", "b1"]);
        assert_eq!(end.unwrap_err().kind, Kind::RetryAfter);
        // In new words: the first request's answer would be given again.
        let (words, end) = asked(&attempts, vec![full(), Ok(())]).await;
        assert_eq!(words, ["a2", "b3"]);
        assert_eq!(end.unwrap().id, "b/n");
    }

    #[tokio::test]
    async fn a_zone_whose_answer_was_lost_is_asked_again_first_and_in_the_same_words() {
        let attempts = Attempts::default();
        let full = Err(refusal(Kind::RetryAfter, true));
        let lost = Err(refusal(Kind::RetryAfter, false));
        let (words, end) = asked(&attempts, vec![full, lost]).await;
        assert_eq!(words, ["a0", "b1"]);
        assert!(end.is_err());
        let (words, end) = asked(&attempts, vec![Ok(())]).await;
        assert_eq!(words, ["b1"], "not two machines");
        assert_eq!(end.unwrap().id, "b/n");
    }

    #[tokio::test]
    async fn what_no_zone_would_do_ends_the_search() {
        let attempts = Attempts::default();
        let denied = Err(refusal(Kind::Denied, false));
        let (words, end) = asked(&attempts, vec![denied]).await;
        assert_eq!(words, ["a0"]);
        assert_eq!(end.unwrap_err().kind, Kind::Denied);
        let nowhere = attempts
            .anywhere("t", &[], |_, _| async { Ok(machine("a")) })
            .await;
        assert!(nowhere.unwrap_err().context.contains("zones"));
    }
}
