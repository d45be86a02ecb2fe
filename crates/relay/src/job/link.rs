//! The owner's connection to one node.

use crate::crypto::{Endpoint, Reader, Writer};
use crate::executor::NodeHandle;
use crate::frame::{Frame, Hello, Purpose, read_frame};
use crate::node::{Order, Report, decode, encode};
use crate::{Error, NodeId, Result};
use skyfresh_sky::{Clock, Kind, timeout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};

/// What the owner hears of a node.
#[derive(Debug)]
pub(super) enum Heard {
    /// A connection stands again after a break, in which orders may have been lost.
    Reconnected,
    Said(Report),
    /// It is dead.
    Down(String),
}

/// Everything one link needs.
pub(super) struct Link {
    pub(super) node: NodeId,
    pub(super) handle: Arc<dyn NodeHandle>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) heartbeat: Duration,
    pub(super) patience: Duration,
    pub(super) events: Sender<(NodeId, Heard)>,
}

impl Link {
    /// Keeps the connection until the node is dead, or nobody gives orders any more.
    pub(super) async fn keep(self, mut orders: UnboundedReceiver<Order>) {
        let heard_ns = AtomicU64::new(self.clock.monotonic_ns());
        let mut again = false;
        loop {
            let error = match self.converse(&mut orders, &heard_ns, &mut again).await {
                Ok(()) => return,
                Err(error) => error,
            };
            let silent_ns = self
                .clock
                .monotonic_ns()
                .saturating_sub(heard_ns.load(Ordering::Relaxed));
            let gone = !self.handle.alive().await;
            if gone || u128::from(silent_ns) > self.patience.as_nanos() {
                let why = if gone {
                    "it has ended".to_owned()
                } else {
                    format!(
                        "nothing was heard from it for {} ms: {error}",
                        silent_ns / 1_000_000
                    )
                };
                let _ = self
                    .events
                    .send((self.node.clone(), Heard::Down(why)))
                    .await;
                return;
            }
            self.clock.sleep(Duration::from_millis(50)).await;
        }
    }

    async fn greet(&self) -> Result<(Reader, Writer)> {
        // With TLS in plain jobs too: orders carry what sinks are opened with.
        let (reader, mut writer) = self
            .endpoint
            .dial(&self.node, self.handle.address(), true)
            .await?;
        let identity = self.endpoint.identity();
        let hello = Frame::Hello(Hello {
            job: identity.job,
            token: identity.token,
            to: self.node.clone(),
            purpose: Purpose::Control,
        });
        let failed = |error| Error::io("greet", self.node.as_str(), error);
        writer.write_all(&hello.encode()?).await.map_err(failed)?;
        writer.flush().await.map_err(failed)?;
        Ok((reader, writer))
    }

    async fn converse(
        &self,
        orders: &mut UnboundedReceiver<Order>,
        heard_ns: &AtomicU64,
        again: &mut bool,
    ) -> Result<()> {
        let silent = || {
            Error::new(
                Kind::RetryAfter,
                "order",
                format!("{} does not answer", self.node),
            )
        };
        let (mut reader, mut writer) = timeout(&*self.clock, self.patience, self.greet())
            .await
            .ok_or_else(silent)??;
        if std::mem::replace(again, true) {
            let heard = (self.node.clone(), Heard::Reconnected);
            let _ = self.events.send(heard).await;
        }
        tokio::select! {
            result = self.order(&mut writer, orders) => result,
            result = self.hear(&mut reader, heard_ns) => result,
            () = self.watch(heard_ns) => Err(silent()),
        }
    }

    async fn order(
        &self,
        writer: &mut Writer,
        orders: &mut UnboundedReceiver<Order>,
    ) -> Result<()> {
        let failed = |error| Error::io("order", self.node.as_str(), error);
        loop {
            let order = match timeout(&*self.clock, self.heartbeat, orders.recv()).await {
                Some(Some(order)) => order,
                Some(None) => return Ok(()),
                None => Order::Ping,
            };
            writer.write_all(&encode(&order)?).await.map_err(failed)?;
            // A busy owner is still heard from often, and wants to hear.
            writer
                .write_all(&encode(&Order::Ping)?)
                .await
                .map_err(failed)?;
            writer.flush().await.map_err(failed)?;
        }
    }

    async fn hear(&self, reader: &mut Reader, heard_ns: &AtomicU64) -> Result<()> {
        loop {
            let Frame::Control(message) = read_frame(&mut **reader, true).await? else {
                return Err(Error::new(
                    Kind::Corrupt,
                    "hear",
                    format!("{} sends no report", self.node),
                ));
            };
            heard_ns.store(self.clock.monotonic_ns(), Ordering::Relaxed);
            let report = decode(&message)?;
            if self
                .events
                .send((self.node.clone(), Heard::Said(report)))
                .await
                .is_err()
            {
                return Ok(());
            }
            heard_ns.store(self.clock.monotonic_ns(), Ordering::Relaxed);
        }
    }

    async fn watch(&self, heard_ns: &AtomicU64) {
        loop {
            self.clock.sleep(self.heartbeat).await;
            let silent_ns = self
                .clock
                .monotonic_ns()
                .saturating_sub(heard_ns.load(Ordering::Relaxed));
            if u128::from(silent_ns) > self.patience.as_nanos() {
                return;
            }
        }
    }
}
