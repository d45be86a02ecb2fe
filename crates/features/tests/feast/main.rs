//! The server answers as Feast's own does, byte for byte, and Feast's client works against it unchanged.
//!
//! Needs a Python with the package `feast`, named by `SKYFRESH_TEST_FEAST`; without it the tests say so and do nothing.
//! `cargo xtask test` installs one.

mod cases;
mod peer;

use cases::{Case, cases, differing};
use peer::{Peer, feast_python, post, tell_skip};
use skyfresh_features::service::{FeaturesConfig, Service, Store, serve};
use skyfresh_sky::{Rng, SystemClock};
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const VIEWS: &str = include_str!("views.toml");

/// Our server on a free port, until the token is cancelled.
async fn start(folder: &Path) -> (String, CancellationToken) {
    let store = Store::open(&folder.join("features.redb")).unwrap();
    let config = FeaturesConfig::parse(VIEWS).unwrap();
    let service = Service::open(config, store, Arc::new(SystemClock), &Rng::seeded(1)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, Arc::new(service), stop.clone()));
    (address, stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_feast_byte_for_byte() {
    let Some(python) = feast_python() else {
        return tell_skip("answers_are_those_of_feast_byte_for_byte");
    };
    let folder = tempfile::tempdir().unwrap();
    let (ours, stop) = start(folder.path()).await;
    let feast = Peer::start(&python, folder.path()).await;
    let mut differences = Vec::new();
    for Case {
        name,
        method,
        path,
        body,
    } in cases()
    {
        let (expected, told) = (
            in_order(post(&feast.address, method, path, &body).await),
            in_order(post(&ours, method, path, &body).await),
        );
        if told != expected {
            differences.push(format!(
                "{name}: {body}\n  Feast {expected:?}\n  ours  {told:?}"
            ));
        }
    }
    for (case, of_feast, of_ours) in differing() {
        for (address, expected) in [(&feast.address, of_feast), (&ours, of_ours)] {
            let (_, _, told) = post(address, case.method, case.path, &case.body).await;
            if !told.contains(expected) {
                differences.push(format!("{}: {told} lacks {expected}", case.name));
            }
        }
    }
    stop.cancel();
    let all = differences.join("\n");
    assert!(
        differences.is_empty(),
        "{} differ:\n{all}",
        differences.len()
    );
}

/// The columns of an answer sorted by name: Feast orders those of a view as Python's set does, anew with each start. Nothing else
/// is changed, and answers that are not columns not at all.
fn in_order((status, kind, body): (u16, String, String)) -> (u16, String, String) {
    let cut = || {
        let inner = body.strip_prefix("{\"results\":[{\"values\":")?;
        let (results, names) = inner.split_once("}],\"metadata\":{\"feature_names\":[")?;
        let names = names.strip_suffix("]}}")?.split(',');
        let mut columns: Vec<(&str, &str)> = names.zip(results.split("},{\"values\":")).collect();
        columns.sort_unstable();
        Some(format!("columns: {columns:?}"))
    };
    let body = cut().unwrap_or_else(|| body.clone());
    (status, kind, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_feast_works_unchanged() {
    let Some(python) = feast_python() else {
        return tell_skip("the_client_of_feast_works_unchanged");
    };
    let folder = tempfile::tempdir().unwrap();
    let (ours, stop) = start(folder.path()).await;
    let repository = peer::repository(&python, folder.path());
    let yaml = repository.join("feature_store.yaml");
    let text = std::fs::read_to_string(&yaml).unwrap();
    let text = text.replace(
        "  type: sqlite\n  path: data/online.db",
        &format!("  type: remote\n  path: http://{ours}"),
    );
    assert!(text.contains("type: remote"), "{text}");
    std::fs::write(&yaml, text).unwrap();
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests-python/feast_client.py"
    );
    let run = tokio::task::spawn_blocking(move || {
        let mut command = peer::quiet(std::process::Command::new(&python));
        command.arg(script).arg(&repository).output().unwrap()
    });
    let run = run.await.unwrap();
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && output.trim_end().ends_with(" passed, 0 failed"),
        "{output}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    stop.cancel();
}
