//! The engine's front: rules and events in, answers out (`answers.rs`); starts and stops everything behind it.

mod answers;
mod changelog;
mod channels;
mod weights;

pub use changelog::ChangelogAdded;

use crate::copy::{Executor, Inline};
use crate::intake::{submissions, sweep, watch};
use crate::lane::{EngineConfig, Lane, Shared, Sibling};
use crate::planning::account::Account;
use crate::planning::memory;
use crate::planning::{Brain, Planning};
use crate::rule::{Rule, Scope, region_of};
use crate::status::LaneState;
use crate::stores::Stores;
use crate::{Error, ObjectEvent, Result, backoff, claim, janitor, peers, probe};
use futures::stream::BoxStream;
use skyfresh_ledger::{Ledger, SubmitReport};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Clock, Kind, Mutant, Rng};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Receipts of earlier processes that are read back for the lag window.
const REMEMBERED_RECEIPTS: usize = 100_000;

/// One rule as it runs.
#[derive(Debug)]
struct Running {
    rule: Arc<Rule>,
    lanes: Vec<Arc<Lane>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// Everything the engine is built from.
#[derive(Debug)]
pub struct Parts {
    /// How it runs.
    pub config: EngineConfig,
    /// Shared state.
    pub ledger: Arc<dyn Ledger>,
    /// Open stores.
    pub stores: Arc<Stores>,
    /// Runs workers.
    pub executor: Arc<dyn Executor>,
    /// Prices.
    pub catalog: Catalog,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Rng,
    /// How it plans; without, ways follow from sizes ([`EngineConfig::sizing`]).
    pub planning: Option<Planning>,
}

/// Keeps destinations fresh, rule by rule.
///
/// Dropping it without [`Engine::shutdown`] stops everything at whatever it was doing, like a crash, and like a crash loses
/// nothing: the leases run out, and the next engine on the same ledger goes on.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    stores: Arc<Stores>,
    running: RwLock<BTreeMap<String, Running>>,
    channels: channels::Channels,
    /// One change of the rules at a time.
    applying: tokio::sync::Mutex<()>,
}

/// What a change of the rules did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Applied {
    /// Rules started.
    pub started: Vec<String>,
    /// Rules restarted because they changed.
    pub restarted: Vec<String>,
    /// Rules stopped.
    pub stopped: Vec<String>,
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Accepted {
    /// Records in it that change content.
    pub records: usize,
    /// Submissions made of them, over all rules and destinations in scope.
    pub submissions: usize,
}

impl Engine {
    /// An engine without rules.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            config,
            ledger,
            stores,
            executor,
            catalog,
            clock,
            rng,
            planning,
        } = parts;
        let shared = Arc::new(Shared {
            inline: Inline::new(
                config.inline_in_flight,
                config.network_bytes_per_s,
                Arc::clone(&clock),
            ),
            config,
            ledger,
            executor,
            catalog,
            clock,
            rng,
            brain: planning.map(Brain::new),
        });
        Engine {
            shared,
            stores,
            running: RwLock::default(),
            channels: channels::Channels::default(),
            applying: tokio::sync::Mutex::new(()),
        }
    }

    /// Makes these the rules: starts new ones, restarts changed ones, stops those no longer there. Unchanged rules run on
    /// undisturbed. All rules are checked before anything changes.
    ///
    /// # Errors
    /// A rule is invalid, or a store cannot be opened; nothing has changed then.
    pub async fn apply(&self, rules: Vec<Rule>) -> Result<Applied> {
        let _one_at_a_time = self.applying.lock().await;
        let mut names = std::collections::BTreeSet::new();
        for rule in &rules {
            rule.check()?;
            if !names.insert(rule.name.clone()) {
                return Err(Error::new(
                    Kind::Invalid,
                    "apply rules",
                    rule.name.clone(),
                    "two rules have this name",
                ));
            }
        }
        let unchanged = |rule: &Rule| {
            self.read()
                .get(&rule.name)
                .is_some_and(|running| *running.rule == *rule)
        };
        let mut applied = Applied::default();
        let (mut prepared, mut stopping) = (Vec::new(), Vec::new());
        for rule in rules.into_iter().filter(|rule| !unchanged(rule)) {
            prepared.push(self.prepare(rule).await?);
        }
        {
            let mut running = self
                .running
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let gone: Vec<String> = running
                .keys()
                .filter(|name| !names.contains(*name))
                .cloned()
                .collect();
            for name in gone {
                if let Some(old) = running.remove(&name) {
                    stopping.push((old.stop, old.tasks));
                }
                applied.stopped.push(name);
            }
            for next in &prepared {
                match running.get_mut(&next.rule.name) {
                    Some(old) => {
                        // It stays in the table, takes events in and answers, until the next one takes its place.
                        stopping.push((old.stop.clone(), std::mem::take(&mut old.tasks)));
                        applied.restarted.push(next.rule.name.clone());
                    }
                    None => applied.started.push(next.rule.name.clone()),
                }
            }
        }
        for (token, tasks) in stopping {
            stop(token, tasks).await;
        }
        for next in prepared {
            let next = self.start(next);
            self.running
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .insert(next.rule.name.clone(), next);
        }
        Ok(applied)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Running>> {
        self.running
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn prepare(&self, rule: Rule) -> Result<Running> {
        let (rule, scope) = (Arc::new(rule.clone()), Arc::new(Scope::new(&rule)?));
        let paused = match self.shared.ledger.cursor(&pause_name(&rule.name)).await? {
            Some(value) => value.as_bool().unwrap_or(rule.paused),
            None => rule.paused,
        };
        let weights = weights::stored(&*self.shared.ledger, &rule.name).await?;
        let source = self.stores.get(&rule.source)?;
        let throttle = self.stores.set_throttle(&rule, &self.shared.clock);
        let account = Arc::new(Account::new(rule.budget));
        let siblings = rule.destinations.iter().map(|destination| {
            Ok(Sibling {
                name: destination.name.clone(),
                location: destination.location.clone(),
                region: region_of(&destination.location, destination.region.as_ref()),
                store: self.stores.get(&destination.location)?,
            })
        });
        let siblings: Arc<[Sibling]> = siblings.collect::<Result<_>>()?;
        let mut lanes = Vec::new();
        for number in 0..siblings.len() {
            let (shared, source, throttle) = (
                Arc::clone(&self.shared),
                Arc::clone(&source),
                throttle.clone(),
            );
            let lane = Lane::new(
                shared,
                Arc::clone(&rule),
                Arc::clone(&scope),
                Arc::clone(&account),
                Arc::clone(&siblings),
                number,
                source,
                throttle,
                paused,
            );
            lane.weights.set(&weights);
            lanes.push(Arc::new(lane));
        }
        Ok(Running {
            rule,
            lanes,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        })
    }

    fn start(&self, mut running: Running) -> Running {
        for lane in &running.lanes {
            running
                .tasks
                .spawn(run_lane(Arc::clone(lane), running.stop.clone()));
        }
        running
            .tasks
            .spawn(janitor::run(running.lanes.clone(), running.stop.clone()));
        running
            .tasks
            .spawn(peers::run(running.lanes.clone(), running.stop.clone()));
        let watch = self.stores.watch(&running.rule.source);
        running.tasks.spawn(run_watch(
            running.lanes.clone(),
            watch,
            running.stop.clone(),
        ));
        running
    }

    /// The rules as they run.
    pub fn rules(&self) -> Vec<Rule> {
        self.read()
            .values()
            .map(|running| (*running.rule).clone())
            .collect()
    }

    fn lanes(&self, rule: &str) -> Result<Vec<Arc<Lane>>> {
        match self.read().get(rule) {
            Some(running) => Ok(running.lanes.clone()),
            None => Err(Error::new(
                Kind::Missing,
                "find rule",
                rule,
                "there is no rule of this name",
            )),
        }
    }

    /// Takes in events of one rule. Durable when it returns.
    ///
    /// # Errors
    /// No such rule, or the ledger failed: the sender must send again.
    pub async fn submit(&self, rule: &str, events: &[ObjectEvent]) -> Result<SubmitReport> {
        let now = self.shared.clock.now();
        let all = self
            .lanes(rule)?
            .iter()
            .flat_map(|lane| submissions(lane, events, now))
            .collect();
        match self.shared.ledger.submit(all).await {
            Err(_) if Mutant::AcknowledgedBeforeLedger.is_on() => Ok(SubmitReport::default()),
            taken => Ok(taken?),
        }
    }

    /// Pauses or resumes a rule; survives restarts. What is being copied is finished; events are still taken in.
    ///
    /// # Errors
    /// No such rule, or the ledger failed.
    pub async fn set_paused(&self, rule: &str, paused: bool) -> Result<()> {
        let lanes = self.lanes(rule)?;
        self.shared
            .ledger
            .set_cursor(&pause_name(rule), Some(paused.into()))
            .await?;
        for lane in lanes {
            lane.paused.store(paused, Ordering::Release);
            if !paused {
                self.shared
                    .ledger
                    .hurry(rule, &lane.destination.name, self.shared.clock.now())
                    .await?;
                lane.resumed.notify_waiters();
            }
        }
        Ok(())
    }

    /// Asks for a sweep of a rule now.
    ///
    /// # Errors
    /// No such rule.
    pub fn sweep(&self, rule: &str) -> Result<()> {
        for lane in self.lanes(rule)? {
            lane.sweep_now.notify_one();
        }
        Ok(())
    }

    /// Stops: no new claims, claims under way are released, everything is where the next process finds it.
    pub async fn shutdown(&self) {
        self.channels.stop().await;
        let _one_at_a_time = self.applying.lock().await;
        let all = std::mem::take(
            &mut *self
                .running
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        for running in all.values() {
            running.stop.cancel();
        }
        for running in all.into_values() {
            stop(running.stop, running.tasks).await;
        }
    }
}

pub(crate) use weights::stored as stored_weights;

/// The ledger's name of a rule's pause switch.
pub(crate) fn pause_name(rule: &str) -> String {
    format!("paused/{rule}")
}

async fn stop(token: CancellationToken, mut tasks: JoinSet<()>) {
    token.cancel();
    while tasks.join_next().await.is_some() {}
}

/// Brings a lane up, as often as it takes, then runs it.
async fn run_lane(lane: Arc<Lane>, stop: CancellationToken) {
    let mut failures = 0;
    while let Err(error) = bring_up(&lane).await {
        tracing::warn!(lane = lane.name(), %error, "not ready; trying again");
        lane.meter
            .lane(LaneState::Unreachable, Some(error.to_string()));
        let delay = backoff::retry_delay(error.kind, failures, &lane.shared.rng)
            .min(Duration::from_secs(30));
        failures += 1;
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = lane.shared.clock.sleep(delay) => {}
        }
    }
    lane.meter.lane(LaneState::Ready, None);
    futures::join!(
        claim::run(Arc::clone(&lane), stop.clone()),
        sweep::run(Arc::clone(&lane), stop)
    );
    memory::keep(&lane).await;
}

async fn bring_up(lane: &Lane) -> Result<()> {
    lane.source.check_readable().await?;
    probe::run(lane).await?;
    let (name, ledger) = (lane.rule.name.as_str(), lane.shared.ledger.as_ref());
    if lane.number == 0 {
        lane.account
            .load(name, ledger, lane.shared.clock.now())
            .await?;
    }
    memory::load(lane).await;
    // Whatever kept keys waiting may be over now.
    let (rule, destination) = (&lane.rule.name, &lane.destination.name);
    lane.shared
        .ledger
        .hurry(rule, destination, lane.shared.clock.now())
        .await?;
    if let Some(report) = sweep::last(lane).await? {
        lane.meter.remember_sweep(report);
    }
    if lane.shared.ledger.poll_every().is_some() {
        // `peers` reads the receipts, those of this process's predecessor too.
        return Ok(());
    }
    let from = lane.shared.clock.now().before(Duration::from_secs(3_600));
    for receipt in lane
        .shared
        .ledger
        .receipts_by_time(&lane.rule.name, from, REMEMBERED_RECEIPTS)
        .await?
    {
        if receipt.task.destination == lane.destination.name {
            peers::remember(lane, &receipt);
        }
    }
    Ok(())
}

async fn run_watch(
    lanes: Vec<Arc<Lane>>,
    watch: Option<Result<BoxStream<'static, watch::Watched>>>,
    stop: CancellationToken,
) {
    match watch {
        None => {}
        Some(Ok(watched)) => watch::run(lanes, watched, stop).await,
        Some(Err(error)) => {
            for lane in lanes {
                lane.meter.trouble(Some(format!(
                    "the source is not watched, only swept: {error}"
                )));
            }
        }
    }
}
