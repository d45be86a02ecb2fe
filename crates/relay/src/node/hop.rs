//! The sending side of one hop: one queue, several connections, and whichever connection has least under way takes the next chunk:
//! none waits for another's backlog, and faster ones take more.

use super::flow::Flow;
use super::item::Item;
use super::queue::Queue;
use super::steps::Step;
use super::{Report, Shared, lock};
use crate::crypto::{Reader, Writer};
use crate::frame::{Frame, Hello, Purpose, Stage, read_frame, reason};
use crate::{DestinationSet, Error, NodeId, Result, TreeId};
use skyfresh_sky::{Kind, timeout};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

/// Times that one chunk is sent again over a hop because it came over damaged.
const MAX_DAMAGED: u32 = 3;
/// Small chunks on their way over one connection, whatever the credit.
const MAX_IN_FLIGHT: usize = 1_024;
/// A rate is measured over at least this long.
const RATE_WINDOW_NS: u64 = 250_000_000;

pub(crate) struct Hop {
    shared: Arc<Shared>,
    tree: TreeId,
    to: NodeId,
    address: String,
    connections: u16,
    chunk_bytes: u64,
    queue: Queue<Item>,
    turns: Turns,
    /// Where the tree begins here.
    step: Option<Step>,
    up: AtomicUsize,
    /// When the hop last had a connection.
    up_ns: AtomicU64,
    reported: AtomicBool,
    sent_bytes: Arc<AtomicU64>,
    rate: Mutex<Rate>,
}

#[derive(Default)]
struct Rate {
    since_ns: u64,
    bytes: u64,
    idle: bool,
    bytes_per_second: Option<f64>,
}

/// What one connection has under way.
struct Conversation {
    /// Which of the hop's connections.
    id: u64,
    state: Mutex<State>,
    heard_ns: AtomicU64,
}

/// Whose turn it is: bytes under way of each connection that has credit for another chunk.
#[derive(Default)]
struct Turns {
    next: AtomicU64,
    loads: Mutex<BTreeMap<u64, u64>>,
    changed: Notify,
}

impl Turns {
    /// A connection's load, or that it cannot take a chunk now.
    fn set(&self, id: u64, load_bytes: Option<u64>) {
        let mut loads = lock(&self.loads);
        match load_bytes {
            Some(bytes) => loads.insert(id, bytes),
            None => loads.remove(&id),
        };
        drop(loads);
        self.changed.notify_waiters();
    }

    fn is_on(&self, id: u64) -> bool {
        let loads = lock(&self.loads);
        let least = loads.values().min();
        loads.get(&id).is_some_and(|load| Some(load) == least)
    }
}

struct State {
    credit_bytes: u64,
    window_bytes: u64,
    in_flight: BTreeMap<u64, Item>,
}

impl Hop {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        tree: TreeId,
        (to, address): (NodeId, String),
        connections: u16,
        chunk_bytes: u32,
        step: Option<Step>,
    ) -> Self {
        Hop {
            tree,
            sent_bytes: shared.counters.sent_to(&to),
            to,
            address,
            connections,
            chunk_bytes: chunk_bytes.into(),
            queue: Queue::default(),
            turns: Turns::default(),
            step,
            up: AtomicUsize::new(0),
            up_ns: AtomicU64::new(shared.clock.monotonic_ns()),
            reported: AtomicBool::new(false),
            rate: Mutex::default(),
            shared: Arc::clone(shared),
        }
    }

    /// Opens the connections, and keeps them open until the flow stops.
    pub(crate) fn begin(self: &Arc<Self>, flow: &Arc<Flow>) {
        for _ in 0..self.connections {
            let (hop, flow, stop) = (Arc::clone(self), Arc::clone(flow), flow.stop.clone());
            tokio::spawn(
                stop.run_until_cancelled_owned(async move { hop.keep_connected(&flow).await }),
            );
        }
    }

    pub(crate) fn push(&self, item: Item) {
        if let Some(step) = &self.step {
            step.waits();
        }
        self.queue.push(item);
    }

    /// What the hop was measured to carry: its pace while it had work waiting, or the best seen so far.
    pub(crate) fn bytes_per_second(&self) -> Option<f64> {
        lock(&self.rate).bytes_per_second
    }

    async fn keep_connected(self: &Arc<Self>, flow: &Arc<Flow>) {
        let mut pause_ms = 20;
        loop {
            let greeted = timeout(
                &*self.shared.clock,
                self.shared.link_timeout(),
                self.greet(),
            )
            .await;
            let error = match greeted {
                Some(Ok((reader, writer, window_bytes))) => {
                    pause_ms = 20;
                    self.up.fetch_add(1, Ordering::AcqRel);
                    let error = self.converse(flow, reader, writer, window_bytes).await;
                    self.up_ns
                        .store(self.shared.clock.monotonic_ns(), Ordering::Release);
                    self.up.fetch_sub(1, Ordering::AcqRel);
                    error
                }
                Some(Err(error)) => error,
                None => Error::new(
                    Kind::RetryAfter,
                    "connect",
                    format!("{} at {} does not answer", self.to, self.address),
                ),
            };
            tracing::debug!(tree = self.tree.0, to = %self.to, %error, "hop connection lost");
            self.report(&error);
            self.shared
                .clock
                .sleep(Duration::from_millis(pause_ms))
                .await;
            pause_ms = (pause_ms * 2).min(500);
        }
    }

    /// Tells the owner, once, when the hop has had no connection for the link timeout.
    fn report(&self, error: &Error) {
        let down_ns = self
            .shared
            .clock
            .monotonic_ns()
            .saturating_sub(self.up_ns.load(Ordering::Acquire));
        if self.up.load(Ordering::Acquire) == 0
            && down_ns > self.shared.timing.link_timeout_ms * 1_000_000
            && !self.reported.swap(true, Ordering::AcqRel)
        {
            self.shared.reports.push(Report::LinkDown {
                tree: self.tree,
                to: self.to.clone(),
                why: reason(error),
            });
        }
    }

    async fn greet(&self) -> Result<(Reader, Writer, u64)> {
        let identity = self.shared.endpoint.identity();
        let (mut reader, mut writer) = self
            .shared
            .endpoint
            .dial(&self.to, &self.address, false)
            .await?;
        let hello = Frame::Hello(Hello {
            job: identity.job,
            token: identity.token,
            to: self.to.clone(),
            purpose: Purpose::Hop {
                from: identity.node.clone(),
                tree: self.tree,
                connections: self.connections,
            },
        });
        let failed = |error| Error::io("greet", self.to.as_str(), error);
        writer.write_all(&hello.encode()?).await.map_err(failed)?;
        writer.flush().await.map_err(failed)?;
        match read_frame(&mut *reader, false).await? {
            Frame::Welcome { window_bytes } => Ok((reader, writer, window_bytes)),
            Frame::Error { kind, why } => {
                // Whoever refuses is there: the link is not down, however long its node takes to get its program.
                self.up_ns
                    .store(self.shared.clock.monotonic_ns(), Ordering::Release);
                Err(Error::new(kind, "greet", format!("{}: {why}", self.to)))
            }
            _ => Err(Error::new(
                Kind::Corrupt,
                "greet",
                format!("{} gives no welcome", self.to),
            )),
        }
    }

    /// Carries chunks over one connection until it breaks; what was not taken goes back to the head of the queue.
    async fn converse(
        &self,
        flow: &Arc<Flow>,
        mut reader: Reader,
        mut writer: Writer,
        window_bytes: u64,
    ) -> Error {
        let conversation = Conversation {
            id: self.turns.next.fetch_add(1, Ordering::Relaxed),
            state: Mutex::new(State {
                credit_bytes: window_bytes,
                window_bytes,
                in_flight: BTreeMap::new(),
            }),
            heard_ns: AtomicU64::new(self.shared.clock.monotonic_ns()),
        };
        self.tell_load(&conversation);
        // Also when this future is dropped with its route: nothing to give back then, as the queue goes too.
        let result = tokio::select! {
            result = self.write(&conversation, &mut writer) => result,
            result = self.hear(&conversation, flow, &mut reader) => result,
            () = self.watch(&conversation) => Err(Error::new(
                Kind::RetryAfter,
                "send",
                format!("nothing was heard from {} for {} ms", self.to, self.shared.timing.link_timeout_ms),
            )),
        };
        self.turns.set(conversation.id, None);
        let untaken = std::mem::take(&mut lock(&conversation.state).in_flight);
        for (_, item) in untaken.into_iter().rev() {
            self.shared
                .counters
                .hop_resends
                .fetch_add(1, Ordering::Relaxed);
            self.wait_again(item);
        }
        match result {
            Err(error) => error,
            Ok(()) => Error::new(
                Kind::RetryAfter,
                "send",
                format!("{} ended the connection", self.to),
            ),
        }
    }

    async fn watch(&self, conversation: &Conversation) {
        loop {
            self.shared.clock.sleep(self.shared.heartbeat()).await;
            let silent_ns = self
                .shared
                .clock
                .monotonic_ns()
                .saturating_sub(conversation.heard_ns.load(Ordering::Relaxed));
            if silent_ns > self.shared.timing.link_timeout_ms * 1_000_000 {
                return;
            }
        }
    }

    async fn write(&self, conversation: &Conversation, writer: &mut Writer) -> Result<()> {
        let failed = |error| Error::io("send", self.to.as_str(), error);
        let alive = Frame::Alive.encode()?;
        let mut sequence = 0;
        loop {
            let next = async {
                self.turn(conversation.id).await;
                if let Some(step) = &self.step {
                    step.turn().await;
                }
                self.queue.pop().await
            };
            let Some(item) = timeout(&*self.shared.clock, self.shared.heartbeat(), next).await
            else {
                writer.write_all(&alive).await.map_err(failed)?;
                writer.flush().await.map_err(failed)?;
                continue;
            };
            let frame = Frame::Chunk {
                sequence,
                header: (*item.header).clone(),
            };
            let mut payload = item.payload.clone();
            if let Some(step) = &self.step {
                step.sends(payload.len() as u64);
            }
            {
                let mut state = lock(&conversation.state);
                state.credit_bytes = state.credit_bytes.saturating_sub(payload.len() as u64);
                state.in_flight.insert(sequence, item);
            }
            self.tell_load(conversation);
            sequence += 1;
            let head = frame.encode()?;
            // Header and payload in one system call, straight from the shared bytes.
            let mut both = bytes::Buf::chain(&head[..], &mut payload);
            writer.write_all_buf(&mut both).await.map_err(failed)?;
            writer.flush().await.map_err(failed)?;
        }
    }

    async fn hear(
        &self,
        conversation: &Conversation,
        flow: &Arc<Flow>,
        reader: &mut Reader,
    ) -> Result<()> {
        loop {
            let frame = read_frame(&mut **reader, false).await?;
            let now_ns = self.shared.clock.monotonic_ns();
            conversation.heard_ns.store(now_ns, Ordering::Relaxed);
            match frame {
                Frame::Taken { sequence } => {
                    let item = lock(&conversation.state).in_flight.remove(&sequence);
                    if let Some(item) = item {
                        let bytes = item.payload.len() as u64;
                        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
                        if let Some(step) = &self.step {
                            step.taken(bytes);
                        }
                        self.measure(now_ns, bytes);
                    }
                    self.tell_load(conversation);
                }
                Frame::Damaged { sequence } => {
                    let item = lock(&conversation.state).in_flight.remove(&sequence);
                    item.into_iter()
                        .for_each(|item| self.send_again(flow, item));
                    self.tell_load(conversation);
                }
                Frame::Credit { bytes } => {
                    {
                        let mut state = lock(&conversation.state);
                        state.credit_bytes = state
                            .credit_bytes
                            .saturating_add(bytes)
                            .min(state.window_bytes);
                    }
                    self.tell_load(conversation);
                }
                frame @ (Frame::Written(_) | Frame::Failed(_)) => flow.upstream.send(frame),
                Frame::Alive => {}
                Frame::Error { kind, why } => {
                    return Err(Error::new(kind, "send", format!("{}: {why}", self.to)));
                }
                _ => {
                    return Err(Error::new(
                        Kind::Corrupt,
                        "send",
                        format!("{} says what only a sender may", self.to),
                    ));
                }
            }
        }
    }

    /// Says what a connection has under way, where it has credit for a whole chunk, or, in a window smaller than that, is empty.
    fn tell_load(&self, conversation: &Conversation) {
        let state = lock(&conversation.state);
        let enough = self.chunk_bytes.min(state.window_bytes);
        let ready = state.credit_bytes >= enough && state.in_flight.len() < MAX_IN_FLIGHT;
        let bytes = |item: &Item| item.payload.len() as u64;
        let load = ready.then(|| state.in_flight.values().map(bytes).sum());
        drop(state);
        self.turns.set(conversation.id, load);
    }

    /// Waits until no other connection that could take a chunk has less under way.
    async fn turn(&self, id: u64) {
        loop {
            let mut changed = std::pin::pin!(self.turns.changed.notified());
            changed.as_mut().enable();
            if self.turns.is_on(id) {
                return;
            }
            changed.await;
        }
    }

    fn wait_again(&self, item: Item) {
        if let Some(step) = &self.step {
            step.sends_again(item.payload.len() as u64);
        }
        self.queue.push_front(item);
    }

    fn send_again(&self, flow: &Arc<Flow>, mut item: Item) {
        item.resends += 1;
        self.shared
            .counters
            .hop_resends
            .fetch_add(1, Ordering::Relaxed);
        if item.resends <= MAX_DAMAGED {
            self.wait_again(item);
            return;
        }
        if let Some(step) = &self.step {
            step.fails(item.payload.len() as u64);
        }
        let error = Error::new(
            Kind::Corrupt,
            "send",
            format!(
                "chunk {} came over damaged at {}, {MAX_DAMAGED} times again",
                item.header.chunk, self.to
            ),
        );
        let wanted: DestinationSet = item.header.wanted;
        flow.fail(
            Stage::Hop,
            (item.header.chunk, item.header.attempt),
            wanted,
            &error,
        );
    }

    fn measure(&self, now_ns: u64, bytes: u64) {
        let mut rate = lock(&self.rate);
        if rate.since_ns == 0 {
            rate.since_ns = now_ns;
            return;
        }
        rate.bytes += bytes;
        rate.idle |= self.queue.is_empty();
        let took_ns = now_ns.saturating_sub(rate.since_ns);
        if took_ns < RATE_WINDOW_NS {
            return;
        }
        let measured = rate.bytes as f64 * 1e9 / took_ns as f64;
        // A hop that ran out of work could have carried more.
        let known = rate.bytes_per_second.unwrap_or(0.0);
        rate.bytes_per_second = Some(if rate.idle {
            known.max(measured)
        } else {
            measured
        });
        (rate.since_ns, rate.bytes, rate.idle) = (now_ns, 0, false);
    }
}
