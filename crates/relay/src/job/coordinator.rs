//! The owner at work: one task that hears everything and decides by the plan and the tracker.

use super::feed::{Fed, Offer, Waiting};
use super::link::{Heard, Link};
use super::plan::Plan;
use super::report::{Event, Failed, Progress};
use super::shares::Shares;
use super::tracker::Tracker;
use super::{Job, JobSeams};
use crate::crypto::{Authority, Endpoint, PayloadKey};
use crate::executor::NodeHandle;
use crate::node::{Boot, Order, PROTOCOL, Report, Usage};
use crate::program::{Carried, Program, compile};
use crate::topology::Node;
use crate::{DestinationSet, Error, NodeId, Receipt, Result};
use futures::future::join_all;
use skyfresh_sky::Kind;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedSender, channel, unbounded_channel};
use tokio::task::JoinSet;

/// Reports that wait for the owner; beyond, nodes wait.
const EVENTS: usize = 1_024;
/// Chunks in one order, so that its message stays far below what a node takes.
const MAX_ASSIGNED: usize = 256;

/// A node that was started.
pub(super) struct Started {
    pub(super) handle: Arc<dyn NodeHandle>,
    pub(super) usage: Usage,
    pub(super) lost: bool,
    orders: UnboundedSender<Order>,
    pub(super) program: Option<Program>,
    /// Programs that it has not confirmed.
    pub(super) unconfirmed: usize,
}

/// What a node was heard to say.
type Told = (NodeId, Heard);

/// A node that was lost, what takes its place, and how starting that went.
pub(super) type Replacement = (NodeId, Node, Result<Box<dyn NodeHandle>>);

pub(super) struct Coordinator {
    pub(super) job: Job,
    pub(super) seams: JobSeams,
    pub(super) plan: Plan,
    pub(super) tracker: Tracker,
    shares: Shares,
    /// More chunks come from here; `None` when no more come.
    fed: Option<Fed>,
    next_chunk: u64,
    /// Who waits for chunks that were fed.
    waiting: HashMap<u64, Waiting>,
    pub(super) nodes: BTreeMap<NodeId, Started>,
    pub(super) failed: BTreeMap<u8, Failed>,
    pub(super) began_ns: u64,
    pub(super) started_ns: u64,
    pub(super) reroutes: u64,
    pub(super) replacements: u32,
    authority: Authority,
    owner: Arc<Endpoint>,
    key: PayloadKey,
    pub(super) links: JoinSet<()>,
    events: (Sender<Told>, Receiver<Told>),
    /// Nodes on their way in a dead one's place.
    pub(super) replacing: JoinSet<Replacement>,
    progress: Progress,
}

impl Coordinator {
    pub(super) fn new(mut job: Job, fed: Option<Fed>, seams: JobSeams) -> Result<Self> {
        let life = Duration::from_millis(job.options.timing.max_life_ms);
        let authority = Authority::new(job.id, seams.clock.now(), life)?;
        let plan = Plan::new(job.topology.clone());
        let weights = plan.weights();
        let mut tracker = Tracker::new(weights.len());
        let mut shares = Shares::new(weights);
        let next_chunk = job.chunks.len() as u64;
        for chunk in std::mem::take(&mut job.chunks) {
            let group = shares.next(chunk.length);
            tracker.add(chunk, group, plan.alive);
        }
        Ok(Coordinator {
            owner: Arc::new(Endpoint::new(authority.owner()?, job.topology.security)?),
            key: PayloadKey::generate()?,
            began_ns: seams.clock.monotonic_ns(),
            started_ns: 0,
            authority,
            plan,
            tracker,
            shares,
            fed,
            next_chunk,
            waiting: HashMap::new(),
            nodes: BTreeMap::new(),
            failed: BTreeMap::new(),
            reroutes: 0,
            replacements: 0,
            links: JoinSet::new(),
            events: channel(EVENTS),
            replacing: JoinSet::new(),
            progress: Progress::default(),
            job,
            seams,
        })
    }

    pub(super) fn tell(&self, event: Event<'_>) {
        if let Some(listener) = &self.seams.listener {
            listener(event);
        }
    }

    /// Does the job to its end.
    pub(super) async fn carry(&mut self) -> Result<()> {
        let stop = self.seams.stop.clone();
        let stopped = || Error::new(Kind::RetryAfter, "carry job", "it was stopped");
        tokio::select! {
            result = self.start_nodes() => result?,
            () = stop.cancelled() => return Err(stopped()),
        }
        self.started_ns = self.seams.clock.monotonic_ns();
        self.lead(false)?;
        let clock = Arc::clone(&self.seams.clock);
        let tick = Duration::from_millis(
            self.job
                .options
                .timing
                .heartbeat_ms
                .min(self.job.options.progress_ms),
        );
        let mut ticking = clock.sleep(tick);
        while self.fed.is_some() || !self.tracker.is_done() {
            tokio::select! {
                offer = next(&mut self.fed) => match offer {
                    Some(offer) => self.take(offer),
                    None => self.fed = None,
                },
                Some((node, heard)) = self.events.1.recv() => {
                    self.hear(&node, heard)?;
                    // Whatever else has come is heard before chunks are assigned.
                    while let Ok((node, heard)) = self.events.1.try_recv() {
                        self.hear(&node, heard)?;
                    }
                }
                Some(replaced) = self.replacing.join_next() => {
                    if let Ok((dead, node, handle)) = replaced {
                        self.replaced(&dead, node, handle)?;
                    }
                }
                () = &mut ticking => {
                    ticking = clock.sleep(tick);
                    self.tick()?;
                }
                () = stop.cancelled() => return Err(stopped()),
            }
            self.assign();
        }
        Ok(())
    }

    /// A chunk that was fed.
    fn take(
        &mut self,
        Offer {
            mut chunk,
            mut waiting,
        }: Offer,
    ) {
        chunk.id = self.next_chunk;
        self.next_chunk += 1;
        if let Err(error) = self.job.check_chunk(&chunk) {
            let failed = Failed {
                kind: error.kind,
                why: error.context,
            };
            for at in waiting.open().iter() {
                waiting.answer(at, Err(failed.clone()));
            }
            return;
        }
        for at in waiting.open().iter() {
            if let Some(failed) = self.failed.get(&at) {
                waiting.answer(at, Err(failed.clone()));
            }
        }
        let wanted = waiting.open();
        if !wanted.is_empty() {
            self.waiting.insert(chunk.id, waiting);
            let group = self.shares.next(chunk.length);
            self.tracker.add(chunk, group, wanted);
        }
    }

    /// Answers whoever had a chunk carried; `false` where nobody asks: the chunk was the job's from its beginning.
    pub(super) fn answer(
        &mut self,
        chunk: u64,
        destination: u8,
        answer: std::result::Result<Receipt, Failed>,
    ) -> bool {
        let Some(waiting) = self.waiting.get_mut(&chunk) else {
            return false;
        };
        if waiting.answer(destination, answer) {
            self.waiting.remove(&chunk);
        }
        true
    }

    /// Some destinations will not get a chunk that was fed; `false` where it was the job's from its beginning.
    pub(super) fn refuse(&mut self, chunk: u64, at: DestinationSet, failed: &Failed) -> bool {
        if !self.waiting.contains_key(&chunk) {
            return false;
        }
        for at in self.tracker.refuse(chunk, at).iter() {
            self.answer(chunk, at, Err(failed.clone()));
        }
        true
    }

    pub(super) fn boot(&self, node: &Node) -> Result<Boot> {
        Ok(Boot {
            protocol: PROTOCOL,
            identity: self.authority.identity(&node.id)?,
            listen: "127.0.0.1:0".into(),
            security: self.job.topology.security,
            timing: self.job.options.timing,
        })
    }

    async fn start_nodes(&mut self) -> Result<()> {
        let mut starting = Vec::new();
        for node in &self.plan.topology.nodes {
            let (boot, executor) = (self.boot(node)?, Arc::clone(&self.seams.executor));
            starting.push(async move { (node.id.clone(), executor.start(node, boot).await) });
        }
        for (id, started) in join_all(starting).await {
            match started {
                Ok(handle) => self.link(id, handle.into()),
                Err(error) => self.mark_lost(&id, &format!("it did not start: {error}")),
            }
        }
        Ok(())
    }

    pub(super) fn link(&mut self, id: NodeId, handle: Arc<dyn NodeHandle>) {
        let (orders, taken) = unbounded_channel();
        let link = Link {
            node: id.clone(),
            handle: Arc::clone(&handle),
            endpoint: Arc::clone(&self.owner),
            clock: Arc::clone(&self.seams.clock),
            heartbeat: Duration::from_millis(self.job.options.timing.heartbeat_ms),
            patience: Duration::from_millis(self.job.options.node_timeout_ms),
            events: self.events.0.clone(),
        };
        self.links.spawn(link.keep(taken));
        let started = Started {
            handle,
            orders,
            program: None,
            unconfirmed: 0,
            usage: Usage::default(),
            lost: false,
        };
        self.nodes.insert(id, started);
    }

    /// Leads the trees round what is lost, hands out the programs that change, and gives up destinations that nothing reaches.
    pub(super) fn lead(&mut self, because_of_loss: bool) -> Result<()> {
        let change = self.plan.lead();
        if because_of_loss && !change.ended.is_empty() {
            self.reroutes += 1;
        }
        for tree in change.ended {
            self.tracker.end(tree);
        }
        let carried: Vec<Carried> = self.plan.carried().cloned().collect();
        for (tree, group) in change.begun {
            if let Some(now) = carried.iter().find(|now| now.id == tree) {
                self.tracker.begin(tree, group, now.wanted);
            }
        }
        let nodes = &self.nodes;
        let addresses = |from: &NodeId, to: &NodeId| {
            let node = nodes.get(to).filter(|node| !node.lost)?;
            Some(node.handle.address_from(from))
        };
        for (id, program) in compile(self.job.id, &self.plan.topology, &carried, &addresses)? {
            self.configure(&id, program);
        }
        if self.replacing.is_empty() {
            for at in self.plan.alive.without(self.plan.reached()).iter() {
                let why = format!("no node that is alive reaches it; lost: {}", self.losses());
                self.give_up(at, Kind::RetryAfter, why)?;
            }
        }
        Ok(())
    }

    fn losses(&self) -> String {
        let nodes = self.plan.losses.nodes.iter().map(|id| id.to_string());
        let links = self
            .plan
            .losses
            .links
            .iter()
            .map(|(from, to)| format!("{from} to {to}"));
        nodes.chain(links).take(8).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn configure(&mut self, id: &NodeId, program: Program) {
        let Some(node) = self.nodes.get_mut(id).filter(|node| !node.lost) else {
            return;
        };
        if node.program.as_ref() == Some(&program) {
            return;
        }
        let order = Order::Configure {
            key: program.needs_key().then(|| self.key.clone()),
            program: program.clone(),
        };
        node.program = Some(program);
        node.unconfirmed += 1;
        let _ = node.orders.send(order);
    }

    /// Gives every tree whose nodes are ready what its window has room for.
    fn assign(&mut self) {
        let now_ns = self.seams.clock.monotonic_ns();
        for now in self.plan.carried() {
            let on_it = |id: &NodeId| self.nodes.get(id).is_some_and(|node| node.unconfirmed == 0);
            let ready = now
                .tree
                .edges
                .iter()
                .all(|(from, to)| on_it(from) && on_it(to));
            let root = now.tree.root(&self.plan.topology);
            let Some(root) = root.filter(|root| ready && on_it(root)) else {
                continue;
            };
            let assigned = self
                .tracker
                .assign(now.id, self.job.options.window_chunks, now_ns);
            if let Some(node) = self.nodes.get(root) {
                for some in assigned.chunks(MAX_ASSIGNED) {
                    let _ = node.orders.send(Order::Assign(some.to_vec()));
                }
            }
        }
    }

    fn tick(&mut self) -> Result<()> {
        let now_ns = self.seams.clock.monotonic_ns();
        let limit_ns = self.job.options.stall_ms * 1_000_000;
        let mut given_up = DestinationSet::default();
        for (chunk, attempt, silent) in self.tracker.stalled(now_ns, limit_ns) {
            let failures = self.tracker.lost(chunk, attempt).unwrap_or(0);
            if failures >= self.job.options.max_attempts {
                given_up = given_up.union(silent);
            }
        }
        if !given_up.is_empty() {
            let why = format!(
                "nothing was acknowledged for {} ms, though sent again and again",
                self.job.options.stall_ms
            );
            self.give_up_all(given_up, Kind::RetryAfter, &why)?;
            // A destination that hangs would hold up the trees it stands in: it is cut off.
            self.lead(true)?;
        }
        self.tell_progress(now_ns);
        Ok(())
    }

    fn tell_progress(&mut self, now_ns: u64) {
        let elapsed_ms = now_ns.saturating_sub(self.began_ns) / 1_000_000;
        let since_ms = elapsed_ms.saturating_sub(self.progress.elapsed_ms);
        if since_ms < self.job.options.progress_ms {
            return;
        }
        let count = self.plan.topology.destinations.len() as u8;
        let written_bytes: Vec<u64> = (0..count).map(|at| self.tracker.held(at).1).collect();
        let (new, old): (u64, u64) = (
            written_bytes.iter().sum(),
            self.progress.written_bytes.iter().sum(),
        );
        self.progress = Progress {
            elapsed_ms,
            total_bytes: self.tracker.total_bytes,
            bytes_per_second: new.saturating_sub(old) as f64 * 1e3 / since_ms.max(1) as f64,
            written_bytes,
        };
        self.tell(Event::Progress(&self.progress));
    }

    /// Asks every node once more what it did, then ends them all.
    pub(super) async fn stop_nodes(&mut self) {
        self.last_words().await;
        // Nodes that were on their way are handed over by dropping them: a dropped handle stops its node.
        self.replacing.shutdown().await;
        for node in self.nodes.values() {
            let _ = node.orders.send(Order::Stop);
        }
        join_all(self.nodes.values().map(|node| node.handle.stop())).await;
        self.links.shutdown().await;
        self.seams.executor.settle().await;
    }

    async fn last_words(&mut self) {
        let mut asked: Vec<NodeId> = Vec::new();
        for (id, node) in self.nodes.iter().filter(|(_, node)| !node.lost) {
            let _ = node.orders.send(Order::Ping);
            asked.push(id.clone());
        }
        let clock = Arc::clone(&self.seams.clock);
        let limit = Duration::from_millis(self.job.options.timing.heartbeat_ms.min(500));
        let listening = async {
            // One answer may have been under way when it was asked: the second is the last word.
            let mut answers: BTreeMap<NodeId, u32> = BTreeMap::new();
            while asked
                .iter()
                .any(|id| answers.get(id).copied().unwrap_or(0) < 2)
            {
                let Some((id, heard)) = self.events.1.recv().await else {
                    return;
                };
                if let Heard::Said(Report::Pong(usage)) = heard {
                    *answers.entry(id.clone()).or_default() += 1;
                    if let Some(node) = self.nodes.get_mut(&id) {
                        node.usage = usage;
                    }
                }
            }
        };
        // An order is followed by a ping of the link's own, so two answers come at once.
        let _ = skyfresh_sky::timeout(&*clock, limit, listening).await;
    }
}

/// The next chunk that is fed; never, where none is.
async fn next(fed: &mut Option<Fed>) -> Option<Offer> {
    match fed {
        Some(fed) => fed.0.recv().await,
        None => std::future::pending().await,
    }
}
