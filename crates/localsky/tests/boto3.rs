//! boto3, which nobody here wrote, finds a store that behaves as S3 does: in memory and on disk.
//!
//! Needs a Python with boto3, named by `SKYFRESH_TEST_PYTHON`; without it the test says so and does nothing.

mod support;

use skyfresh_localsky::SkyConfig;
use support::{config, east, start};

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
        println!("SKIPPED: set SKYFRESH_TEST_PYTHON to a Python interpreter with boto3");
        return;
    };
    let sky = start(config).await;
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests-python/boto3_localsky.py"
    );
    let endpoint = sky.endpoint(None, &east());
    let run = tokio::process::Command::new(python)
        .arg(script)
        .args(["--endpoint", &endpoint])
        .args([
            "--access-key",
            "skyfresh",
            "--secret-key",
            "skyfresh-local-secret",
        ])
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
async fn boto3_finds_s3_in_memory() {
    run(config()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_finds_s3_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config();
    for region in &mut config.regions {
        region.directory = Some(root.path().join(&region.region.name));
    }
    run(config).await;
}
