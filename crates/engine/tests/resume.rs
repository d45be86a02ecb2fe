//! An attempt that goes on where an earlier one of this process gave up.

mod harness;

use harness::World;
use skyfresh_sky::Kind;
use skyfresh_store::Error as StoreError;
use skyfresh_store::memory::{Fault, OperationKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One part fails until the worker gives up, while another one that the same worker holds is still on its way.
#[tokio::test(start_paused = true)]
async fn parts_of_a_worker_that_gave_up_are_not_waited_for() {
    let mut world = World::new(31, 1);
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    world.put("large", vec![5; 2_500]).await;
    let parts_begun = Arc::new(Mutex::new(0));
    let count = Arc::clone(&parts_begun);
    world.sky.set_fault(Box::new(move |operation| {
        if operation.kind != OperationKind::UploadPart {
            return None;
        }
        let mut begun = count.lock().unwrap();
        *begun += 1;
        match *begun {
            1 => Some(Fault::Delay(Duration::from_secs(600))),
            2..=5 => {
                let error = StoreError::new(Kind::RetryAfter, "fault", "store", "no answer");
                Some(Fault::Refuse(error))
            }
            _ => None,
        }
    }));
    let started = world.clock.now();
    world.notify(&engine, "large").await;
    world.quiet(&engine).await;
    assert!(
        *parts_begun.lock().unwrap() > 5,
        "the attempt was taken up again"
    );
    let took = world.clock.now().since(started);
    assert!(
        took < Duration::from_secs(20),
        "waited {took:?} for the leases of parts that nobody copied"
    );
    assert!(world.verify("mem://d1/").await.all_equal());
}

/// Keys that failed for an hour wait minutes for their next attempts. The first that gets through shows that the store
/// answers again, and brings the others along.
#[tokio::test(start_paused = true)]
async fn after_an_outage_nothing_sits_out_its_delay() {
    let mut world = World::new(32, 1);
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    let down = Arc::new(Mutex::new(true));
    let is_down = Arc::clone(&down);
    world.sky.set_fault(Box::new(move |operation| {
        let writes = operation.kind == OperationKind::Put
            && operation.bucket == "d1"
            && *is_down.lock().unwrap();
        let refused = StoreError::new(
            Kind::RetryAfter,
            "fault",
            "store",
            "503 Service Unavailable",
        );
        writes.then_some(Fault::Refuse(refused))
    }));
    for index in 0..40 {
        world.put(&format!("early{index}"), "x").await;
        world.notify(&engine, &format!("early{index}")).await;
    }
    world.clock.sleep(Duration::from_secs(3_600)).await;
    *down.lock().unwrap() = false;
    let back = world.clock.now();
    world.put("late", "y").await;
    world.notify(&engine, "late").await;
    world.quiet(&engine).await;
    let took = world.clock.now().since(back);
    assert!(
        took < Duration::from_secs(5),
        "{took:?} after the store was back"
    );
    assert!(world.verify("mem://d1/").await.all_equal());
}

/// The source changes while the last parts are read: reads that have begun go on, and only a part that nobody reads yet would be
/// lost. A worker that duplicates a slow one finds that it cannot, which is no reason to give up what is nearly there.
#[tokio::test(start_paused = true)]
async fn a_duplicate_that_finds_the_source_changed_gives_nothing_up() {
    let mut world = World::new(33, 1);
    let engine = world.engine(vec![World::rule(1)]).await;
    world.quiet(&engine).await;
    world.put("hot", vec![1; 8_000]).await;
    let uploads = Arc::new(Mutex::new((0, 0)));
    let seen = Arc::clone(&uploads);
    world.sky.set_fault(Box::new(move |operation| {
        let mut seen = seen.lock().unwrap();
        match operation.kind {
            OperationKind::CreateUpload => seen.0 += 1,
            OperationKind::UploadPart => {
                seen.1 += 1;
                if seen.1 == 1 {
                    // Far slower than the others: who is done with those tries to help.
                    return Some(Fault::Delay(Duration::from_secs(8)));
                }
            }
            _ => {}
        }
        None
    }));
    world.notify(&engine, "hot").await;
    // All parts are being read, and none is old enough to be duplicated yet.
    world.clock.sleep(Duration::from_millis(200)).await;
    world.put("hot", vec![2; 8_000]).await;
    world.clock.sleep(Duration::from_secs(10)).await;
    let held = harness::read(world.store("mem://d1/").as_ref(), "hot").await;
    assert!(
        held == Some(vec![1; 8_000].into()),
        "the version that was begun is there"
    );
    assert_eq!(uploads.lock().unwrap().0, 1, "by one attempt");
    world.notify(&engine, "hot").await;
    world.quiet(&engine).await;
    assert!(world.verify("mem://d1/").await.all_equal());
}
