//! Leases on blobs. Pure: every function is told the time.
//!
//! Source: learn.microsoft.com/rest/api/storageservices/lease-blob, with its table of outcomes by state.

use super::error::{Result, StorageError};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use skyfresh_sky::Timestamp;
use std::time::Duration;

/// A lease lasts this long or for ever (Lease Blob, "x-ms-lease-duration").
const DURATIONS_S: std::ops::RangeInclusive<u32> = 15..=60;
/// Greatest break period, in seconds.
const LONGEST_BREAK_S: u32 = 60;

/// Where a lease is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseState {
    Available,
    Leased,
    Expired,
    Breaking,
    Broken,
}

impl LeaseState {
    /// As `x-ms-lease-state` says it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            LeaseState::Available => "available",
            LeaseState::Leased => "leased",
            LeaseState::Expired => "expired",
            LeaseState::Breaking => "breaking",
            LeaseState::Broken => "broken",
        }
    }

    /// Writes need the lease id.
    pub(crate) fn locks(self) -> bool {
        matches!(self, LeaseState::Leased | LeaseState::Breaking)
    }
}

/// A blob's lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Lease {
    /// `None`: available.
    id: Option<String>,
    /// In seconds; `None` is for ever.
    duration_s: Option<u32>,
    expires_unix_ms: Option<u64>,
    /// Set by a break: from then on it is broken.
    breaks_unix_ms: Option<u64>,
}

fn conflict(code: &'static str, message: &str) -> StorageError {
    StorageError::new(StatusCode::CONFLICT, code, message)
}

fn failed(code: &'static str, message: &str) -> StorageError {
    StorageError::new(StatusCode::PRECONDITION_FAILED, code, message)
}

impl Lease {
    pub(crate) fn state(&self, now: Timestamp) -> LeaseState {
        let past = |time: Option<u64>| time.is_some_and(|time| time <= now.unix_ms());
        match (&self.id, self.breaks_unix_ms) {
            (None, _) => LeaseState::Available,
            (Some(_), Some(breaks)) if breaks <= now.unix_ms() => LeaseState::Broken,
            (Some(_), Some(_)) => LeaseState::Breaking,
            (Some(_), None) if past(self.expires_unix_ms) => LeaseState::Expired,
            (Some(_), None) => LeaseState::Leased,
        }
    }

    /// `infinite` or `fixed`, while leased.
    pub(crate) fn duration(&self, now: Timestamp) -> Option<&'static str> {
        (self.state(now) == LeaseState::Leased).then_some(match self.duration_s {
            None => "infinite",
            Some(_) => "fixed",
        })
    }

    /// Before a write of the blob; `given` is the request's lease id.
    pub(crate) fn check_write(&self, given: Option<&str>, now: Timestamp) -> Result<()> {
        let locks = self.state(now).locks();
        match (given, &self.id) {
            (None, _) if locks => Err(failed(
                "LeaseIdMissing",
                "There is currently a lease on the blob and no lease ID was specified in the request.",
            )),
            (None, _) => Ok(()),
            (Some(given), Some(id)) if locks && given.eq_ignore_ascii_case(id) => Ok(()),
            (Some(_), Some(_)) if locks => Err(failed(
                "LeaseIdMismatchWithBlobOperation",
                "The lease ID specified did not match the lease ID for the blob.",
            )),
            (Some(given), Some(id)) if given.eq_ignore_ascii_case(id) => Err(failed(
                "LeaseLost",
                "A lease ID was specified, but the lease for the blob has expired.",
            )),
            (Some(_), _) => Err(failed(
                "LeaseNotPresentWithBlobOperation",
                "There is currently no lease on the blob.",
            )),
        }
    }

    /// Before a read that names a lease id: it has to be the one in force.
    pub(crate) fn check_read(&self, given: Option<&str>, now: Timestamp) -> Result<()> {
        match given {
            None => Ok(()),
            Some(_) => self.check_write(given, now),
        }
    }

    /// After a write: an expired or broken lease is gone.
    pub(crate) fn after_write(&self, now: Timestamp) -> Lease {
        if self.state(now).locks() {
            self.clone()
        } else {
            Lease::default()
        }
    }

    /// Takes the lease; `duration_s` is -1 for ever.
    pub(crate) fn acquire(&mut self, id: &str, duration_s: i32, now: Timestamp) -> Result<()> {
        let same = self
            .id
            .as_deref()
            .is_some_and(|held| held.eq_ignore_ascii_case(id));
        match self.state(now) {
            LeaseState::Breaking if same => Err(conflict(
                "LeaseIsBreakingAndCannotBeAcquired",
                "The lease ID matched, but the lease is currently in breaking state and cannot be acquired until it is broken.",
            )),
            LeaseState::Leased | LeaseState::Breaking if !same => Err(conflict(
                "LeaseAlreadyPresent",
                "There is already a lease present.",
            )),
            _ => {
                let duration_s = match duration_s {
                    -1 => None,
                    other => Some(
                        u32::try_from(other)
                            .ok()
                            .filter(|seconds| DURATIONS_S.contains(seconds))
                            .ok_or_else(|| {
                                super::error::invalid_header(
                                    "x-ms-lease-duration",
                                    &other.to_string(),
                                )
                            })?,
                    ),
                };
                self.id = Some(id.to_owned());
                self.begin(duration_s, now);
                Ok(())
            }
        }
    }

    fn begin(&mut self, duration_s: Option<u32>, now: Timestamp) {
        self.duration_s = duration_s;
        self.expires_unix_ms =
            duration_s.map(|seconds| now.after(Duration::from_secs(seconds.into())).unix_ms());
        self.breaks_unix_ms = None;
    }

    fn check_id(&self, id: &str) -> Result<()> {
        if self
            .id
            .as_deref()
            .is_some_and(|held| held.eq_ignore_ascii_case(id))
        {
            return Ok(());
        }
        Err(conflict(
            "LeaseIdMismatchWithLeaseOperation",
            "The lease ID specified did not match the lease ID for the blob.",
        ))
    }

    pub(crate) fn renew(&mut self, id: &str, now: Timestamp) -> Result<()> {
        self.check_id(id)?;
        match self.state(now) {
            LeaseState::Leased | LeaseState::Expired => {
                self.begin(self.duration_s, now);
                Ok(())
            }
            _ => Err(conflict(
                "LeaseIsBrokenAndCannotBeRenewed",
                "The lease ID matched, but the lease has been broken explicitly and cannot be renewed.",
            )),
        }
    }

    pub(crate) fn change(&mut self, id: &str, proposed: &str, now: Timestamp) -> Result<()> {
        match self.state(now) {
            LeaseState::Leased => {
                if !self
                    .id
                    .as_deref()
                    .is_some_and(|held| held.eq_ignore_ascii_case(proposed))
                {
                    self.check_id(id)?;
                }
                self.id = Some(proposed.to_owned());
                Ok(())
            }
            LeaseState::Breaking => Err(conflict(
                "LeaseIsBreakingAndCannotBeChanged",
                "The lease ID matched, but the lease is currently in breaking state and cannot be changed.",
            )),
            _ => Err(not_present()),
        }
    }

    pub(crate) fn release(&mut self, id: &str) -> Result<()> {
        if self.id.is_none() {
            return Err(conflict(
                "LeaseIdMismatchWithLeaseOperation",
                "The lease ID specified did not match the lease ID for the blob.",
            ));
        }
        self.check_id(id)?;
        *self = Lease::default();
        Ok(())
    }

    /// Breaks the lease; gives the seconds until it is broken.
    pub(crate) fn break_after(&mut self, period_s: Option<u32>, now: Timestamp) -> Result<u64> {
        if let Some(period) = period_s.filter(|period| *period > LONGEST_BREAK_S) {
            return Err(super::error::invalid_header(
                "x-ms-lease-break-period",
                &period.to_string(),
            ));
        }
        let left_ms = |until: Option<u64>| until.map(|until| until.saturating_sub(now.unix_ms()));
        let asked_ms = period_s.map(|seconds| u64::from(seconds) * 1000);
        let wait_ms = match self.state(now) {
            LeaseState::Available => return Err(not_present()),
            LeaseState::Expired | LeaseState::Broken => 0,
            // A fixed lease ends by itself, an infinite one at once unless a period is named.
            LeaseState::Leased => match (left_ms(self.expires_unix_ms), asked_ms) {
                (Some(left), Some(asked)) => left.min(asked),
                (Some(left), None) => left,
                (None, asked) => asked.unwrap_or(0),
            },
            LeaseState::Breaking => {
                let left = left_ms(self.breaks_unix_ms).unwrap_or(0);
                asked_ms.map_or(left, |asked| asked.min(left))
            }
        };
        self.breaks_unix_ms = Some(now.unix_ms() + wait_ms);
        Ok(wait_ms.div_ceil(1000))
    }

    /// The id, while there is a lease to speak of.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

fn not_present() -> StorageError {
    conflict(
        "LeaseNotPresentWithLeaseOperation",
        "There is currently no lease on the blob.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "11111111-1111-1111-1111-111111111111";
    const B: &str = "22222222-2222-2222-2222-222222222222";

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_ms(second * 1000)
    }

    fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
        result.unwrap_err().code
    }

    #[test]
    fn a_lease_lives_as_the_table_says() {
        let mut lease = Lease::default();
        assert_eq!(
            code(lease.renew(A, at(0))),
            "LeaseIdMismatchWithLeaseOperation"
        );
        assert_eq!(code(lease.acquire(A, 14, at(0))), "InvalidHeaderValue");
        lease.acquire(A, 15, at(0)).unwrap();
        assert_eq!(code(lease.acquire(B, 15, at(1))), "LeaseAlreadyPresent");
        lease.acquire(A, 20, at(1)).unwrap();
        assert_eq!(lease.state(at(20)), LeaseState::Leased);
        assert_eq!(lease.state(at(21)), LeaseState::Expired);
        lease.renew(A, at(30)).unwrap();
        assert_eq!(lease.state(at(49)), LeaseState::Leased);
        lease.change(A, B, at(31)).unwrap();
        // A change that was done already is not an error.
        lease.change(A, B, at(31)).unwrap();
        assert_eq!(lease.break_after(Some(5), at(32)).unwrap(), 5);
        assert_eq!(lease.state(at(36)), LeaseState::Breaking);
        assert_eq!(
            code(lease.renew(B, at(36))),
            "LeaseIsBrokenAndCannotBeRenewed"
        );
        assert_eq!(
            code(lease.acquire(B, -1, at(36))),
            "LeaseIsBreakingAndCannotBeAcquired"
        );
        // A longer period does not lengthen the wait.
        assert_eq!(lease.break_after(Some(60), at(36)).unwrap(), 1);
        assert_eq!(lease.state(at(37)), LeaseState::Broken);
        lease.acquire(A, -1, at(38)).unwrap();
        assert_eq!(lease.duration(at(1000)), Some("infinite"));
        assert_eq!(code(lease.release(B)), "LeaseIdMismatchWithLeaseOperation");
        lease.release(A).unwrap();
        assert_eq!(lease.state(at(39)), LeaseState::Available);
        assert_eq!(
            code(lease.break_after(None, at(39))),
            "LeaseNotPresentWithLeaseOperation"
        );
    }

    #[test]
    fn writes_need_the_id_of_a_lease_in_force() {
        let mut lease = Lease::default();
        assert!(lease.check_write(None, at(0)).is_ok());
        assert_eq!(
            code(lease.check_write(Some(A), at(0))),
            "LeaseNotPresentWithBlobOperation"
        );
        lease.acquire(A, 15, at(0)).unwrap();
        assert_eq!(code(lease.check_write(None, at(1))), "LeaseIdMissing");
        assert_eq!(
            code(lease.check_write(Some(B), at(1))),
            "LeaseIdMismatchWithBlobOperation"
        );
        assert!(lease.check_write(Some(A), at(1)).is_ok());
        assert_eq!(code(lease.check_write(Some(A), at(16))), "LeaseLost");
        assert!(lease.check_write(None, at(16)).is_ok());
        assert_eq!(lease.after_write(at(16)), Lease::default());
        assert_eq!(lease.after_write(at(1)), lease);
    }
}
