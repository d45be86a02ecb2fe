//! The conformance suite on a directory.

#![cfg(unix)]

use async_trait::async_trait;
use skyfresh_sky::{Location, SystemClock};
use skyfresh_store::conformance::{Backend, Outcome, case_names, run_all};
use skyfresh_store::disk::{DiskOptions, DiskStore};
use skyfresh_store::{ObjectStore, Result};
use std::sync::Arc;

struct Disk {
    root: tempfile::TempDir,
}

#[async_trait]
impl Backend for Disk {
    fn name(&self) -> String {
        "disk".into()
    }
    fn place(&self, case: &str) -> Location {
        let path = self.root.path().join(case);
        std::fs::create_dir_all(&path).unwrap();
        format!("file://{}", path.display()).parse().unwrap()
    }
    fn missing_place(&self) -> Location {
        format!("file://{}/missing", self.root.path().display())
            .parse()
            .unwrap()
    }
    async fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
        // What is made durable is the same; waiting for the medium a hundred thousand times is not what is tested here.
        let options = DiskOptions { durable: false };
        Ok(DiskStore::open(
            location.clone(),
            Arc::new(SystemClock),
            options,
        )?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_conforms() {
    let report = run_all(
        &Disk {
            root: tempfile::tempdir().unwrap(),
        },
        &[],
    )
    .await;
    assert!(report.passed(), "{report}");
    assert_eq!(report.rows.len(), case_names().len());
    let lacking: Vec<&str> = report
        .rows
        .iter()
        .filter(|row| row.outcome != Outcome::Passed)
        .map(|row| row.case.as_str())
        .collect();
    assert_eq!(
        lacking,
        ["parts_held_are_listed", "small_parts_are_refused"],
        "{report}"
    );
}
