//! A source and targets in memory, and jobs between them.

use skyfresh_engine::Scope;
use skyfresh_engine::bulk::{
    BulkJob, BulkOptions, BulkRecord, BulkSeams, BulkTally, BulkTarget, OpenLedger, Selection,
    Walk, run,
};
use skyfresh_engine::verify::{Depth, verify};
use skyfresh_ledger::{Ledger, MemoryLedger};
use skyfresh_sky::{Attributes, Clock, ObjectKey, Rng, Timestamp, VirtualClock};
use skyfresh_store::memory::{Fault, MEMORY_CAPABILITIES, MemorySky, Operation, OperationKind};
use skyfresh_store::{
    Capabilities, ObjectHead, ObjectStore, Precondition, PutOptions, single_chunk,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(crate) struct Scene {
    pub(crate) sky: MemorySky,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) stop: Mutex<CancellationToken>,
    pub(crate) targets: usize,
    counts: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

/// What a job did.
pub(crate) struct Ran {
    pub(crate) tally: Arc<BulkTally>,
    pub(crate) records: Vec<BulkRecord>,
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

type Decide = dyn Fn(&Operation<'_>) -> Option<Fault> + Send + Sync;

impl Scene {
    /// A bucket `source` and buckets `d0` …
    pub(crate) async fn new(targets: usize) -> Self {
        Scene::with_targets(targets, MEMORY_CAPABILITIES).await
    }

    /// The same, with targets that can do this much.
    pub(crate) async fn with_targets(targets: usize, capabilities: Capabilities) -> Self {
        let start = Timestamp::from_unix_ms(1_800_000_000_000);
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::starting_at(start));
        let sky = MemorySky::new(Arc::clone(&clock));
        sky.create_bucket("source");
        for target in 0..targets {
            sky.create_bucket_with(&format!("d{target}"), capabilities.clone());
        }
        let scene = Scene {
            sky,
            clock,
            ledger: Arc::new(MemoryLedger::new()),
            stop: Mutex::new(CancellationToken::new()),
            targets,
            counts: Arc::default(),
        };
        scene.faults(|_| None);
        scene
    }

    /// Counts operations, and lets `decide` say which fail.
    pub(crate) fn faults(
        &self,
        decide: impl Fn(&Operation<'_>) -> Option<Fault> + Send + Sync + 'static,
    ) {
        let counts = Arc::clone(&self.counts);
        let decide: Box<Decide> = Box::new(decide);
        self.sky.set_fault(Box::new(move |operation| {
            *counts
                .lock()
                .unwrap()
                .entry(operation.kind.as_str())
                .or_default() += 1;
            decide(operation)
        }));
    }

    /// Operations of jobs so far.
    pub(crate) fn count(&self, kind: OperationKind) -> u64 {
        self.counts
            .lock()
            .unwrap()
            .get(kind.as_str())
            .copied()
            .unwrap_or(0)
    }

    pub(crate) fn source(&self) -> Arc<dyn ObjectStore> {
        self.sky.store("mem://source/".parse().unwrap())
    }

    pub(crate) fn target(&self, target: usize) -> Arc<dyn ObjectStore> {
        self.sky.store(format!("mem://d{target}/").parse().unwrap())
    }

    pub(crate) async fn write(&self, key: &str, bytes: &[u8]) {
        self.write_with(key, bytes, Attributes::default()).await;
    }

    pub(crate) async fn write_with(&self, key: &str, bytes: &[u8], attributes: Attributes) {
        self.put(self.source(), key, bytes, attributes).await;
    }

    /// Writes as somebody else would; not counted.
    pub(crate) async fn put(
        &self,
        store: Arc<dyn ObjectStore>,
        key: &str,
        bytes: &[u8],
        attributes: Attributes,
    ) {
        let options = PutOptions {
            size: bytes.len() as u64,
            attributes,
            precondition: Precondition::None,
        };
        let key = ObjectKey::new(key).unwrap();
        store
            .put(&key, options, single_chunk(bytes.to_vec()))
            .await
            .unwrap();
        let mut counts = self.counts.lock().unwrap();
        if let Some(puts) = counts.get_mut(OperationKind::Put.as_str()) {
            *puts -= 1;
        }
    }

    pub(crate) async fn head(&self, target: usize, key: &str) -> ObjectHead {
        self.target(target)
            .head(&ObjectKey::new(key).unwrap())
            .await
            .unwrap()
    }

    /// Whether no upload is remembered any more.
    pub(crate) async fn ledger_is_empty(&self) -> bool {
        let ever = Timestamp::from_unix_ms(u64::MAX);
        self.ledger.uploads("bulk", ever).await.unwrap().is_empty()
    }

    pub(crate) async fn pass_seconds(&self, seconds: u64) {
        self.clock.sleep(Duration::from_secs(seconds)).await;
    }

    pub(crate) async fn assert_equal(&self, target: usize) {
        let (source, target) = (self.source(), self.target(target));
        let clock = self.clock.as_ref();
        let report = verify(
            source.as_ref(),
            target.as_ref(),
            None,
            Depth::Bytes,
            clock,
            |_| {},
        )
        .await;
        let report = report.unwrap();
        assert!(report.all_equal(), "{report:?}");
    }

    pub(crate) async fn run(&self, options: BulkOptions) -> Ran {
        let walk = Walk {
            literal: String::new(),
            glob: None,
            scope: Scope::of_globs("test", &[], &[]).unwrap(),
        };
        self.run_selected(options, Selection::Walk(walk)).await
    }

    pub(crate) async fn run_selected(&self, options: BulkOptions, selection: Selection) -> Ran {
        self.run_as(options, selection, false).await
    }

    /// As [`Scene::run`], with targets whose stores can read the source.
    pub(crate) async fn run_within_a_service(&self, options: BulkOptions) -> Ran {
        let walk = Walk {
            literal: String::new(),
            glob: None,
            scope: Scope::of_globs("test", &[], &[]).unwrap(),
        };
        self.run_as(options, Selection::Walk(walk), true).await
    }

    async fn run_as(&self, options: BulkOptions, selection: Selection, same_service: bool) -> Ran {
        let targets = (0..self.targets).map(|target| BulkTarget {
            store: self.target(target),
            same_service,
            may_pull: false,
        });
        let job = BulkJob {
            source: self.source(),
            targets: targets.collect(),
            selection,
            options,
        };
        let tally = BulkTally::new(self.targets);
        let records: Arc<Mutex<Vec<BulkRecord>>> = Arc::default();
        let told = Arc::clone(&records);
        let ledger: Arc<dyn Ledger> = self.ledger.clone();
        let open: OpenLedger = Arc::new(move || {
            let ledger = Arc::clone(&ledger);
            Box::pin(async move { Ok(ledger) })
        });
        let seams = BulkSeams {
            overlay: None,
            clock: Arc::clone(&self.clock),
            rng: Rng::seeded(7),
            ledger: Some(open),
            bandwidth: None,
            listener: Some(Arc::new(move |record| {
                told.lock().unwrap().push(record.clone())
            })),
            stop: self.stop.lock().unwrap().clone(),
        };
        run(job, seams, Arc::clone(&tally)).await;
        let records = records.lock().unwrap().clone();
        Ran { tally, records }
    }
}
