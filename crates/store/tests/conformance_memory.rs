//! The conformance suite on memory: unversioned, versioned, with S3's limits, and weaker than it should be.

use async_trait::async_trait;
use skyfresh_sky::{Location, SystemClock};
use skyfresh_store::conformance::{Backend, Outcome, Report, case_names, run_all};
use skyfresh_store::memory::{MEMORY_CAPABILITIES, MemorySky};
use skyfresh_store::{Capabilities, ConditionSupport, ObjectStore, Result, UploadLimits};
use std::sync::Arc;

struct Memory(MemorySky);

#[async_trait]
impl Backend for Memory {
    fn name(&self) -> String {
        "memory".into()
    }
    fn place(&self, case: &str) -> Location {
        format!("mem://bucket/{case}/").parse().unwrap()
    }
    fn missing_place(&self) -> Location {
        "mem://missing/".parse().unwrap()
    }
    async fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        Ok(self.0.store(location.clone()))
    }
}

async fn run(capabilities: Capabilities, skip: &[(&str, &str)]) -> Report {
    let sky = MemorySky::new(Arc::new(SystemClock));
    sky.create_bucket_with("bucket", capabilities);
    run_all(&Memory(sky), skip).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_conforms() {
    let report = run(MEMORY_CAPABILITIES, &[]).await;
    assert!(report.passed(), "{report}");
    assert_eq!(report.rows.len(), case_names().len());
    let others: Vec<_> = report
        .rows
        .iter()
        .filter(|row| row.outcome != Outcome::Passed)
        .collect();
    assert!(
        others
            .iter()
            .all(|row| row.case == "small_parts_are_refused"),
        "{report}"
    );
}

#[tokio::test]
async fn a_versioned_bucket_with_the_limits_of_s3_conforms_in_full() {
    let capabilities = Capabilities {
        versioned: true,
        upload_limits: UploadLimits::S3,
        ..MEMORY_CAPABILITIES
    };
    let report = run(capabilities, &[]).await;
    assert!(report.complete(), "{report}");
}

#[tokio::test]
async fn what_a_weak_bucket_lacks_is_reported_and_not_passed() {
    let capabilities = Capabilities {
        put_if_absent: ConditionSupport::Ignored,
        put_if_version: ConditionSupport::Unsupported,
        complete_if_absent: ConditionSupport::Unsupported,
        complete_if_version: ConditionSupport::Ignored,
        delete_if_version: ConditionSupport::Ignored,
        copy: false,
        copy_part: false,
        list_uploads: false,
        tags: false,
        ..MEMORY_CAPABILITIES
    };
    let report = run(capabilities, &[("long_keys", "to see that it is said")]).await;
    assert!(report.passed() && !report.complete(), "{report}");
    let outcome = |case: &str| {
        report
            .rows
            .iter()
            .find(|row| row.case == case)
            .unwrap()
            .outcome
            .clone()
    };
    for case in [
        "put_if_absent",
        "put_if_absent_has_one_winner",
        "put_if_version",
        "complete_if_absent",
        "complete_if_version",
        "delete_if_version",
        "tags_are_kept_and_replaced",
        "copy_is_pinned",
        "parts_are_copied",
        "uploads_are_listed",
    ] {
        assert!(
            matches!(outcome(case), Outcome::NotSupported(_)),
            "{case}: {report}"
        );
    }
    assert_eq!(
        outcome("long_keys"),
        Outcome::Skipped("to see that it is said".into())
    );
}

/// A store whose record claims more than it does must fail the suite, or the suite proves nothing.
#[tokio::test]
async fn a_record_that_claims_too_much_fails() {
    struct Liar(MemorySky);
    #[async_trait]
    impl Backend for Liar {
        fn name(&self) -> String {
            "liar".into()
        }
        fn place(&self, case: &str) -> Location {
            // Probed where conditions hold, used where they do not.
            let bucket = if case == "probe" { "strict" } else { "weak" };
            format!("mem://{bucket}/{case}/").parse().unwrap()
        }
        fn missing_place(&self) -> Location {
            "mem://missing/".parse().unwrap()
        }
        async fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
            Ok(self.0.store(location.clone()))
        }
    }
    let sky = MemorySky::new(Arc::new(SystemClock));
    sky.create_bucket("strict");
    let weak = Capabilities {
        put_if_absent: ConditionSupport::Ignored,
        delete_if_version: ConditionSupport::Ignored,
        tags: false,
        ..MEMORY_CAPABILITIES
    };
    sky.create_bucket_with("weak", weak);
    let report = run_all(&Liar(sky), &[("no_such_case", "because")]).await;
    let failed: Vec<&str> = report
        .rows
        .iter()
        .filter(|row| matches!(row.outcome, Outcome::Failed(_)))
        .map(|row| row.case.as_str())
        .collect();
    for case in [
        "put_if_absent",
        "put_if_absent_has_one_winner",
        "delete_if_version",
        "tags_are_kept_and_replaced",
        "copy_never_ignores_a_condition",
        "no_such_case",
    ] {
        assert!(failed.contains(&case), "{case} did not fail\n{report}");
    }
}
