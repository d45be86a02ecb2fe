//! google-cloud-storage, which nobody here wrote, finds a store that behaves as Google's does: in memory and on disk.
//!
//! Needs a Python with google-cloud-storage, named by `SKYFRESH_TEST_PYTHON`; without it the test says so and does nothing.

mod support;

use skyfresh_localsky::SkyConfig;
use support::google::{belgium, google_config, iowa};
use support::start;

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
            "SKIPPED: set SKYFRESH_TEST_PYTHON to a Python interpreter with google-cloud-storage"
        );
        return;
    };
    let sky = start(config).await;
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests-python/google_storage_localsky.py"
    );
    let endpoint = sky.endpoint(None, &iowa());
    let key = sky.google_service_account_key(&endpoint).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("key.json");
    std::fs::write(&key_file, key.expose()).unwrap();
    let run = tokio::process::Command::new(python)
        .arg(script)
        .args(["--endpoint", &endpoint])
        .args(["--other-endpoint", &sky.endpoint(None, &belgium())])
        .arg("--key-file")
        .arg(&key_file)
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
async fn google_cloud_storage_finds_gcs_in_memory() {
    run(google_config()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_cloud_storage_finds_gcs_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let mut config = google_config();
    for region in &mut config.regions {
        region.directory = Some(root.path().join(&region.region.name));
    }
    run(config).await;
}
