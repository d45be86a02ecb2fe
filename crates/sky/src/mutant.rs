//! Faults built into the product on purpose, so that its tests can be tested: a suite that passes with one of them switched
//! on proves nothing.
//!
//! Without the feature `mutants` [`Mutant::is_on`] is constant, and the compiler removes what it guards. With it a mutant is
//! switched on for one thread ([`Mutant::run`]), so that simulations of different mutants run beside each other.

/// One way in which the product could be wrong. Each is one line of it, guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// Reads of the source are not pinned to the planned version: parts of different versions mix.
    NoVersionPin,
    /// Publishes carry no precondition: a stale worker overwrites what is newer.
    UnconditionalPublish,
    /// The ledger takes changes of a claim from who no longer holds it.
    LeaseWithoutFencing,
    /// An event is acknowledged although the ledger did not take it.
    AcknowledgedBeforeLedger,
    /// A part that a worker held when it died, or gave back, is never handed out again.
    PartLostWithWorker,
    /// A delete leaves no tombstone.
    TombstoneDropped,
    /// An event that comes while its key is claimed is forgotten when the claim ends.
    DirtyMarkIgnored,
    /// Neither bytes read nor parts uploaded are held against what the source states.
    VerificationSkipped,
    /// The intent of an upload is written after the upload was created.
    IntentAfterUpload,
    /// The janitor leaves orphaned uploads where they are.
    JanitorAsleep,
    /// A failed publish whose answer was lost is taken for done.
    LostAnswerBelieved,
    /// An upload is resumed although it was begun for another version of the source.
    ResumeIgnoresVersion,
    /// A listing that fails midway is taken for its end.
    FailedListingIsEnd,
    /// Objects are deleted at the destination although the rule does not say so.
    DeletesUnasked,
    /// The cap on deletes is not looked at.
    DeletesUncapped,
    /// A failed key is tried again only by the next event.
    NoRetry,
    /// A missing source bucket is taken for missing objects.
    MissingBucketIsMissingKey,
    /// A destination object of equal size is taken for equal.
    EqualBySize,
    /// A comparison of the stores does not look again at what was being copied when it began.
    ProofForgetsClaims,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Mutant; 19] = [
        Mutant::NoVersionPin,
        Mutant::UnconditionalPublish,
        Mutant::LeaseWithoutFencing,
        Mutant::AcknowledgedBeforeLedger,
        Mutant::PartLostWithWorker,
        Mutant::TombstoneDropped,
        Mutant::DirtyMarkIgnored,
        Mutant::VerificationSkipped,
        Mutant::IntentAfterUpload,
        Mutant::JanitorAsleep,
        Mutant::LostAnswerBelieved,
        Mutant::ResumeIgnoresVersion,
        Mutant::FailedListingIsEnd,
        Mutant::DeletesUnasked,
        Mutant::DeletesUncapped,
        Mutant::NoRetry,
        Mutant::MissingBucketIsMissingKey,
        Mutant::EqualBySize,
        Mutant::ProofForgetsClaims,
    ];

    /// Whether the product shall be wrong in this way, here and now.
    #[cfg(feature = "mutants")]
    pub fn is_on(self) -> bool {
        switch::ON.get() == Some(self)
    }

    /// Whether the product shall be wrong in this way: never, in this build.
    #[cfg(not(feature = "mutants"))]
    #[inline(always)]
    pub const fn is_on(self) -> bool {
        false
    }

    /// Runs `work` with this mutant on, in this thread alone.
    #[cfg(feature = "mutants")]
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        let _off_again = switch::Guard(switch::ON.replace(Some(self)));
        work()
    }
}

#[cfg(feature = "mutants")]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        pub(super) static ON: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Restores what was on before, also when the work panics.
    pub(super) struct Guard(pub(super) Option<Mutant>);

    impl Drop for Guard {
        fn drop(&mut self) {
            ON.set(self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "mutants")]
    #[test]
    fn a_mutant_is_on_only_while_its_work_runs_and_only_in_its_thread() {
        let on = || Mutant::NoVersionPin.is_on();
        assert!(!on());
        Mutant::NoVersionPin.run(|| {
            assert!(on() && !Mutant::NoRetry.is_on());
            let elsewhere = std::thread::spawn(|| Mutant::NoVersionPin.is_on());
            assert!(!elsewhere.join().unwrap());
        });
        assert!(!on());
    }

    #[cfg(not(feature = "mutants"))]
    #[test]
    fn without_the_feature_no_mutant_can_be_on() {
        assert!(Mutant::ALL.iter().all(|mutant| !mutant.is_on()));
    }
}
