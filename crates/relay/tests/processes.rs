//! Nodes in other processes: on this machine, and through something that is called as `ssh` is.

mod harness;

use harness::{carry, chunks, id, job, topology};
use skyfresh_relay::executor::{Executor, LocalProcess, Ssh};
use skyfresh_relay::job::{Event, JobSeams};
use skyfresh_relay::topology::Topology;
use skyfresh_sky::SystemClock;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// `examples/node.rs`, which Cargo builds beside the tests.
fn node_program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/node");
    assert!(
        program.is_file(),
        "{} is not built: cargo build --examples",
        program.display()
    );
    program
}

fn directories(folder: &Path, shape: &mut Topology) -> Vec<u8> {
    let size = 40 * shape.chunk_bytes as usize - 100;
    let bytes: Vec<u8> = (0..size).map(|at| (at * 31 % 251) as u8).collect();
    std::fs::create_dir_all(folder.join("from")).unwrap();
    std::fs::write(folder.join("from/object"), &bytes).unwrap();
    let spec = |name: &str| serde_json::json!({ "directory": folder.join(name) });
    shape.source = spec("from");
    for end in &mut shape.destinations {
        end.sink = spec(&end.name);
    }
    bytes
}

fn seams(executor: Arc<dyn Executor>, written: Arc<AtomicU64>) -> JobSeams {
    JobSeams {
        executor,
        clock: Arc::new(SystemClock),
        listener: Some(Arc::new(move |event| {
            if matches!(event, Event::Written { .. }) {
                written.fetch_add(1, Ordering::SeqCst);
            }
        })),
        stop: Default::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_of_this_machine_carry_a_file_to_two_directories() {
    let folder = tempfile::tempdir().unwrap();
    let mut shape = topology(&["a", "b"], &[&["s>r", "r>a", "r>b"]]);
    let bytes = directories(folder.path(), &mut shape);
    let executor = Arc::new(LocalProcess::new(
        node_program(),
        Vec::new(),
        Arc::new(SystemClock),
    ));
    let written = Arc::new(AtomicU64::new(0));
    let report = carry(
        job(&shape, &chunks(40, &shape)),
        seams(executor, written.clone()),
    )
    .await
    .unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(written.load(Ordering::SeqCst), 80);
    for end in ["a", "b"] {
        assert!(
            std::fs::read(folder.path().join(end).join("object")).unwrap() == bytes,
            "{end}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_reached_through_ssh() {
    let folder = tempfile::tempdir().unwrap();
    // Takes options, `--` and a host as ssh does, says what it was asked, and runs the command in a shell, as sshd does.
    let client = folder.path().join("ssh");
    let log = folder.path().join("log");
    let script = format!(
        "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nprintf '%s|%s\\n' \"$2\" \"$3\" >> '{}'\nexec sh -c \"$3\"\n",
        log.display()
    );
    std::fs::write(&client, script).unwrap();
    std::fs::set_permissions(&client, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut shape = topology(&["a"], &[&["s>a"]]);
    let bytes = directories(folder.path(), &mut shape);
    for node in &mut shape.nodes {
        node.address = Some("someone@127.0.0.1".into());
    }
    let mut executor = Ssh::new(
        vec![node_program().display().to_string()],
        Arc::new(SystemClock),
    );
    executor.client = client;
    executor.listen = "127.0.0.1:0".into();
    let report = carry(
        job(&shape, &chunks(40, &shape)),
        seams(Arc::new(executor), Arc::default()),
    )
    .await
    .unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert!(std::fs::read(folder.path().join("a/object")).unwrap() == bytes);
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.lines().count(), 2);
    assert!(
        log.lines()
            .all(|line| line.starts_with("someone@127.0.0.1|'") && !line.contains("key")),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_would_be_an_option_is_refused_and_a_program_that_is_no_node_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut shape = topology(&["a"], &[&["s>a"]]);
    directories(folder.path(), &mut shape);
    for node in &mut shape.nodes {
        node.address = Some("-oProxyCommand=evil".into());
    }
    let executor = Arc::new(Ssh::new(vec!["true".into()], Arc::new(SystemClock)));
    let error = carry(
        job(&shape, &chunks(2, &shape)),
        seams(executor, Arc::default()),
    )
    .await
    .unwrap_err();
    assert!(error.to_string().contains("lost: a, s"), "{error}");
    let executor = Arc::new(LocalProcess::new(
        "/bin/true",
        Vec::new(),
        Arc::new(SystemClock),
    ));
    let error = carry(
        job(&shape, &chunks(2, &shape)),
        seams(executor, Arc::default()),
    )
    .await
    .unwrap_err();
    assert!(
        error.to_string().contains("nothing") || error.to_string().contains("no node"),
        "{error}"
    );
    assert_eq!(id("a").as_str(), "a");
}
