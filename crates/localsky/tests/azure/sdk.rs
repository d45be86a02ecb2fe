//! azure-storage-blob and azure-storage-queue, which nobody here wrote, find a store that behaves as Azure does: in memory
//! and on disk.
//!
//! Needs a Python with both, named by `SKYFRESH_TEST_PYTHON`; without it the test says so and does nothing.

use crate::client::{config, europe, us};
use crate::support::start;
use skyfresh_localsky::SkyConfig;

#[expect(
    clippy::disallowed_methods,
    reason = "the test command names the interpreter"
)]
fn python() -> Option<String> {
    std::env::var("SKYFRESH_TEST_PYTHON").ok()
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
async fn run(config: SkyConfig) {
    let Some(python) = python() else {
        println!(
            "SKIPPED: set SKYFRESH_TEST_PYTHON to a Python interpreter with azure-storage-blob and -queue"
        );
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
    run(config()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azures_clients_find_azure_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config();
    for region in &mut config.regions {
        region.directory = Some(root.path().join(&region.region.name));
    }
    run(config).await;
}
