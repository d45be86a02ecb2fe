//! What a process leaves at a destination when it dies in the middle of its probe.

mod harness;

use bytes::Bytes;
use harness::{World, key, put};
use skyfresh_ledger::{Ledger, TaskKey, UploadIntent};
use skyfresh_sky::{Attributes, Kind, Timestamp};
use skyfresh_store::memory::{Fault, OperationKind};
use skyfresh_store::{Error as StoreError, ObjectStore};
use std::sync::{Arc, Mutex};

async fn names_at(world: &World, destination: &str) -> Vec<String> {
    let store = world.store(destination);
    let objects = store.list(None, 100).await.expect("lists").objects;
    let uploads = store.list_uploads(None).await.expect("lists").uploads;
    let objects = objects.iter().map(|object| object.key.to_string());
    objects
        .chain(
            uploads
                .iter()
                .map(|upload| format!("upload of {}", upload.key)),
        )
        .collect()
}

async fn leave(world: &World, name: &str) {
    let store = world.store("mem://d1/");
    put(
        store.as_ref(),
        name,
        Bytes::from_static(b"probe"),
        Attributes::default(),
    )
    .await;
    store
        .create_upload(&key(name), &Attributes::default())
        .await
        .expect("begins");
}

#[tokio::test(start_paused = true)]
async fn what_an_interrupted_probe_left_is_removed_and_nothing_else() {
    let mut world = World::new(21, 1);
    leave(&world, ".skyfresh-probe-dead-object").await;
    leave(&world, ".skyfresh-probe-other-object").await;
    let root = key(".skyfresh-probe-dead");
    let task = TaskKey {
        rule: "rule".into(),
        destination: "d1".into(),
        key: root,
    };
    let started = world.clock.now();
    let intent = UploadIntent {
        task,
        attempt: "probe-dead".into(),
        upload: None,
        started,
    };
    world.ledger.record_upload(intent).await.expect("records");
    let _engine = world.engine(vec![World::rule(1)]).await;
    world.clock.sleep(world.config.janitor_period * 5).await;
    let other = ".skyfresh-probe-other-object";
    assert_eq!(
        names_at(&world, "mem://d1/").await,
        [other.to_owned(), format!("upload of {other}")]
    );
    assert_eq!(
        world
            .ledger
            .uploads("rule", Timestamp::MAX)
            .await
            .expect("reads"),
        []
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_in_the_journal_while_it_runs() {
    let mut world = World::new(22, 1);
    let probed = Arc::new(Mutex::new(false));
    let (seen, delay) = (Arc::clone(&probed), world.config.janitor_period * 3);
    world.sky.set_fault(Box::new(move |operation| {
        let probes = operation.kind == OperationKind::Probe;
        *seen.lock().unwrap() |= probes;
        probes.then_some(Fault::Delay(delay))
    }));
    let engine = world.engine(vec![World::rule(1)]).await;
    world
        .until("the probe runs", || async { *probed.lock().unwrap() })
        .await;
    let journal = world
        .ledger
        .uploads("rule", Timestamp::MAX)
        .await
        .expect("reads");
    assert_eq!(journal.len(), 1, "{journal:?}");
    leave(&world, &format!("{}-object", journal[0].task.key)).await;
    // The janitor's rounds leave alone what is still being probed.
    world.clock.sleep(world.config.janitor_period * 2).await;
    assert_eq!(names_at(&world, "mem://d1/").await.len(), 2);
    world.quiet(&engine).await;
    assert_eq!(
        world
            .ledger
            .uploads("rule", Timestamp::MAX)
            .await
            .expect("reads"),
        []
    );
}

/// An unreachable destination's orphans must not keep another destination's alive.
#[tokio::test(start_paused = true)]
async fn a_destination_out_of_reach_does_not_stop_the_janitor() {
    let mut world = World::new(23, 2);
    let store = world.store("mem://d2/");
    let upload = store
        .create_upload(&key("orphan"), &Attributes::default())
        .await
        .expect("begins");
    let intent = |destination: &str, upload, started| UploadIntent {
        task: TaskKey {
            rule: "rule".into(),
            destination: destination.into(),
            key: key("orphan"),
        },
        attempt: format!("attempt-{destination}"),
        upload,
        started,
    };
    let now = world.clock.now();
    world
        .ledger
        .record_upload(intent("d1", None, now))
        .await
        .expect("records");
    world
        .ledger
        .record_upload(intent("d2", Some(upload), now))
        .await
        .expect("records");
    world.sky.remove_bucket("d1");
    let _engine = world.engine(vec![World::rule(2)]).await;
    world.clock.sleep(world.config.janitor_period * 4).await;
    assert_eq!(names_at(&world, "mem://d2/").await, [] as [String; 0]);
}

/// A probe that failed may have begun an upload whose answer was lost; that the next one succeeds does not remove it.
#[tokio::test(start_paused = true)]
async fn what_a_failed_probe_left_is_removed_although_the_next_one_succeeds() {
    let mut world = World::new(24, 1);
    let failures = Arc::new(Mutex::new(1));
    world.sky.set_fault(Box::new(move |operation| {
        let mut left = failures.lock().unwrap();
        if operation.kind != OperationKind::Probe || *left == 0 {
            return None;
        }
        *left -= 1;
        Some(Fault::Refuse(StoreError::new(
            Kind::RetryAfter,
            "fault",
            "store",
            "no answer",
        )))
    }));
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    let journal = world
        .ledger
        .uploads("rule", Timestamp::MAX)
        .await
        .expect("reads");
    leave(&world, &format!("{}-object", journal[0].task.key)).await;
    world.clock.sleep(world.config.janitor_period * 5).await;
    assert_eq!(names_at(&world, "mem://d1/").await, [] as [String; 0]);
    assert_eq!(
        world
            .ledger
            .uploads("rule", Timestamp::MAX)
            .await
            .expect("reads"),
        []
    );
}
