//! Nodes as tasks of this process: for tests, and for jobs too small for anything else.

use super::{Executor, NodeHandle};
use crate::Result;
use crate::chunk::Edges;
use crate::node::{Boot, Relay};
use crate::topology::Node;
use async_trait::async_trait;
use skyfresh_sky::Clock;
use std::fmt;
use std::sync::Arc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Starts nodes on the current runtime, on loopback.
#[derive(Clone)]
pub struct InProcess {
    edges: Arc<dyn Edges>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}

impl InProcess {
    /// Nodes with these edges.
    pub fn new(edges: Arc<dyn Edges>, clock: Arc<dyn Clock>) -> Self {
        InProcess { edges, clock }
    }
}

struct Task {
    address: String,
    stop: CancellationToken,
    running: TaskTracker,
    _stopped: DropGuard,
}

#[async_trait]
impl Executor for InProcess {
    async fn start(&self, _: &Node, boot: Boot) -> Result<Box<dyn NodeHandle>> {
        let relay = Relay::bind(boot, Arc::clone(&self.edges), Arc::clone(&self.clock)).await?;
        let (stop, running) = (CancellationToken::new(), TaskTracker::new());
        let address = relay.address().to_string();
        running.spawn(relay.run(stop.clone()));
        running.close();
        Ok(Box::new(Task {
            address,
            _stopped: stop.clone().drop_guard(),
            stop,
            running,
        }))
    }
}

#[async_trait]
impl NodeHandle for Task {
    fn address(&self) -> &str {
        &self.address
    }

    async fn alive(&self) -> bool {
        !self.running.is_empty()
    }

    async fn stop(&self) {
        self.stop.cancel();
        self.running.wait().await;
    }
}
