//! azure-storage-blob and azure-storage-queue, which nobody here wrote, find a store that behaves as Azure does: in memory
//! and on disk.
//!
//! Needs a Python with both, named by `SKYFRESH_TEST_PYTHON`; without it the test says so and does nothing.

use crate::client::{config, europe, us};
use crate::support::start;
use skyfresh_localsky::SkyConfig;
use std::io::Write;

#[expect(
    clippy::disallowed_methods,
    reason = "the test command names the interpreter"
)]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn python(test: &str) -> Option<String> {
    let python = std::env::var("SKYFRESH_TEST_PYTHON").ok();
    if python.is_none() {
        let why =
            "SKYFRESH_TEST_PYTHON names no Python with azure-storage-blob and azure-storage-queue";
        let line = format!("skipped: {test}: {why}");
        println!("{line}");
        if let Ok(path) = std::env::var("SKYFRESH_TEST_SKIP_LOG") {
            let log = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path);
            log.and_then(|mut log| writeln!(log, "{line}"))
                .expect("the skip log can be written");
        }
    }
    python
}

async fn run(test: &str, config: SkyConfig) {
    let Some(python) = python(test) else {
        return;
    };
    let sky = start(config).await;
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests-python/azure_blob_localsky.py"
    );
    let connect = |region| sky.azure_connection_string(None, &region).unwrap();
    let run = tokio::process::Command::new(python)
        .arg(script)
        .args(["--connection-string", &connect(us())])
        .args(["--other-connection-string", &connect(europe())])
        .output()
        .await
        .unwrap();
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && output.trim_end().ends_with(" passed, 0 failed"),
        "{output}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    sky.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azures_clients_find_azure_in_memory() {
    run("azures_clients_find_azure_in_memory", config()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azures_clients_find_azure_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config();
    for region in &mut config.regions {
        region.directory = Some(root.path().join(&region.region.name));
    }
    run("azures_clients_find_azure_on_disk", config).await;
}
