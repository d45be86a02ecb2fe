//! A lane: one rule on its way to one destination. Lanes share nothing that one of them could exhaust but the machine.

use crate::carry::READ_AT_ONCE_BYTES;
use crate::changelog::{ChangelogSizes, ChangelogState};
use crate::copy::{Executor, Inline};
use crate::decide::{Plan, Sizing};
use crate::guard::DeleteGuard;
use crate::outage::Outage;
use crate::peers::Own;
use crate::planning::Brain;
use crate::planning::account::Account;
use crate::planning::rates::Rates;
use crate::rule::{Destination, Rule, Scope, region_of};
use crate::server_copy::Refusal;
use crate::status::LaneMeter;
use crate::throttle::Throttle;
use crate::weights::Standing;
use skyfresh_ledger::{Ledger, TaskKey};
use skyfresh_plan::predict::{Route, Site};
use skyfresh_plan::replicate::Stream;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Clock, Location, ObjectKey, Provider, Region, Rng, Timestamp};
use skyfresh_store::ObjectStore;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;
use tokio::sync::Notify;

/// How the engine runs; the same for all rules.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// This incarnation of this process; owns the leases.
    pub owner: String,
    /// For how long a key is claimed unless renewed; renewed every third of it.
    pub lease: Duration,
    /// Claims worked on at once in one lane.
    pub lane_concurrency: usize,
    /// Parts in flight in one worker.
    pub parts_in_flight: usize,
    /// Objects copied in one request at once, over all lanes: beyond it the most urgent goes first.
    pub inline_in_flight: usize,
    /// What the process's network card carries, in bytes a second and both directions together: no more objects are copied in one
    /// request at once than fill it, the most urgent first. `None`: nobody says, and only their number is bounded.
    pub network_bytes_per_s: Option<u64>,
    /// Part sizes and workers, where nothing plans.
    pub sizing: Sizing,
    /// From which sizes it is looked for what is at the destination already.
    pub changelog: ChangelogSizes,
    /// Objects of fewer bytes are sent, where a rule allows server-side copies: they are read at once with their heads.
    pub server_copy_least_bytes: u64,
    /// How often the janitor runs, and how old an orphan must be.
    pub janitor_period: Duration,
    /// How long receipts and tombstones are kept.
    pub retention: Duration,
    /// Most receipts kept, whatever their age.
    pub max_receipts: u64,
    /// A sweep pauses while more than this many keys are pending that have not failed: live changes queue behind them.
    pub backlog_limit: u64,
    /// A change found by a sweep counts as a lost notification only when it is older than this.
    pub notification_grace: Duration,
}

impl EngineConfig {
    /// Defaults for this owner.
    pub fn new(owner: impl Into<String>) -> Self {
        EngineConfig {
            owner: owner.into(),
            lease: Duration::from_secs(30),
            lane_concurrency: 64,
            parts_in_flight: 2,
            // Four lanes at their full concurrency.
            inline_in_flight: 256,
            network_bytes_per_s: None,
            sizing: Sizing::default(),
            changelog: ChangelogSizes::default(),
            server_copy_least_bytes: READ_AT_ONCE_BYTES + 1,
            janitor_period: Duration::from_secs(300),
            retention: Duration::from_secs(7 * 86_400),
            max_receipts: 1_000_000,
            backlog_limit: 2_000,
            notification_grace: Duration::from_secs(60),
        }
    }
}

/// What all lanes share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: EngineConfig,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) executor: Arc<dyn Executor>,
    /// Where objects that are copied in one request wait.
    pub(crate) inline: Inline,
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Rng,
    /// Chooses ways; without it they follow from sizes.
    pub(crate) brain: Option<Brain>,
}

/// Another destination of the same rule.
#[derive(Clone, Debug)]
pub(crate) struct Sibling {
    pub(crate) name: String,
    pub(crate) location: Location,
    pub(crate) region: Region,
    pub(crate) store: Arc<dyn ObjectStore>,
}

/// One rule on its way to one destination.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) shared: Arc<Shared>,
    pub(crate) rule: Arc<Rule>,
    pub(crate) scope: Arc<Scope>,
    pub(crate) destination: Destination,
    pub(crate) source: Arc<dyn ObjectStore>,
    pub(crate) target: Arc<dyn ObjectStore>,
    pub(crate) source_region: Region,
    pub(crate) target_region: Region,
    pub(crate) throttle: Option<Arc<Throttle>>,
    /// Which of the rule's destinations this is.
    pub(crate) number: usize,
    /// All of the rule's destinations, this one included.
    pub(crate) siblings: Arc<[Sibling]>,
    /// What the rule has spent of its budget.
    pub(crate) account: Arc<Account>,
    /// One stream from its source to its destination; `None` where nobody asks.
    pub(crate) stream: Option<Stream>,
    /// How often keys change.
    pub(crate) rates: Rates,
    /// Receipts that taught what was last kept of it.
    pub(crate) kept_receipts: AtomicU64,
    pub(crate) deletes: DeleteGuard,
    pub(crate) meter: LaneMeter,
    /// What was copied, and what users told of how.
    pub(crate) changelog: ChangelogState,
    /// Why the destination's store is not asked to copy from the source by itself.
    pub(crate) server_copies: Refusal,
    /// Whether the stores answer.
    pub(crate) outage: Outage,
    /// Receipts of this process that others see too, where the ledger is shared.
    pub(crate) own: Own,
    /// What stale reads of its keys weigh.
    pub(crate) weights: Standing,
    /// Names what this lane's probe writes at the destination.
    pub(crate) probe_nonce: String,
    /// The probe is under way: what it has written is not yet an orphan.
    pub(crate) probing: AtomicBool,
    /// A probe has failed, and may have left what only the janitor will find.
    pub(crate) probe_failed: AtomicBool,
    pub(crate) paused: AtomicBool,
    /// Rung when the lane is resumed.
    pub(crate) resumed: Notify,
    /// Rung to make the sweep run now.
    pub(crate) sweep_now: Notify,
}

impl Lane {
    #[expect(clippy::too_many_arguments, reason = "wiring, called once")]
    pub(crate) fn new(
        shared: Arc<Shared>,
        rule: Arc<Rule>,
        scope: Arc<Scope>,
        account: Arc<Account>,
        siblings: Arc<[Sibling]>,
        number: usize,
        source: Arc<dyn ObjectStore>,
        throttle: Option<Arc<Throttle>>,
        paused: bool,
    ) -> Self {
        let source_region = region_of(&rule.source, rule.source_region.as_ref());
        let destination = rule.destinations[number].clone();
        let Sibling { store, region, .. } = &siblings[number];
        let (target, target_region) = (Arc::clone(store), region.clone());
        let stream = shared.config.network_bytes_per_s.and_then(|_| {
            let home = match &shared.brain {
                Some(brain) => brain.home().clone(),
                None => source_region.clone(),
            };
            let (from, to, home) = (&source_region, &target_region, Site::process(home));
            // Without a state service nothing in it can be unknown.
            let route = Route::of(&shared.catalog, from, to, &home, None, 0.0);
            route.ok().map(|route| Stream::of(&route))
        });
        Lane {
            stream,
            number,
            siblings,
            account,
            rates: Rates::default(),
            kept_receipts: AtomicU64::new(0),
            deletes: DeleteGuard::new(rule.max_deletes),
            meter: LaneMeter::new(rule.slo, shared.clock.now()),
            changelog: ChangelogState::default(),
            server_copies: Refusal::default(),
            outage: Outage::default(),
            own: Own::default(),
            weights: Standing::default(),
            probe_nonce: shared.rng.token(),
            probing: AtomicBool::new(false),
            probe_failed: AtomicBool::new(false),
            shared,
            rule,
            scope,
            destination,
            source,
            target,
            source_region,
            target_region,
            throttle,
            paused: AtomicBool::new(paused),
            resumed: Notify::new(),
            sweep_now: Notify::new(),
        }
    }

    /// The ledger's name of a key in this lane.
    pub(crate) fn task_key(&self, key: ObjectKey) -> TaskKey {
        TaskKey {
            rule: self.rule.name.clone(),
            destination: self.destination.name.clone(),
            key,
        }
    }

    /// Another destination of the rule, by name.
    fn sibling(&self, plan: &Plan) -> Option<&Sibling> {
        let via = plan.via.as_ref()?;
        self.siblings.iter().find(|it| it.name == via.destination)
    }

    /// Where a plan reads.
    pub(crate) fn read_location(&self, plan: &Plan) -> &Location {
        self.sibling(plan)
            .map_or(&self.rule.source, |sibling| &sibling.location)
    }

    /// The store that a plan reads.
    pub(crate) fn read_store(&self, plan: &Plan) -> &Arc<dyn ObjectStore> {
        self.sibling(plan)
            .map_or(&self.source, |sibling| &sibling.store)
    }

    /// How often a key changes, in changes a second, where each change makes a copy under way begin again: 0 where the source
    /// keeps what was overwritten, or the key is not known to change again and again. Google's generations are version ids too, but
    /// are kept only where the bucket is told to, which cannot be seen from here.
    pub(crate) fn lost_to_changes_per_s(&self, key: &ObjectKey, now: Timestamp) -> f64 {
        let keeps =
            self.source.capabilities().versioned && self.source_region.provider != Provider::Gcp;
        match keeps {
            true => 0.0,
            false => self.rates.per_s(key, now).unwrap_or(0.0),
        }
    }

    /// The region of a destination of the rule; the source's for any other name.
    pub(crate) fn region_of(&self, destination: Option<&str>) -> &Region {
        destination
            .and_then(|name| self.siblings.iter().find(|it| it.name == name))
            .map_or(&self.source_region, |sibling| &sibling.region)
    }

    /// `rule/destination`, for logs and cursors.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.rule.name, self.destination.name)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(std::sync::atomic::Ordering::Acquire)
    }
}
