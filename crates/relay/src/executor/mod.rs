//! Where nodes run: tasks of this process, processes of this machine, hosts over SSH. Virtual machines are another
//! implementation of the same two traits.

mod in_process;
mod process;
mod ssh;
mod stdio;

pub use in_process::InProcess;
pub use process::LocalProcess;
pub use ssh::Ssh;
pub use stdio::serve_stdio;

use crate::node::Boot;
use crate::topology::Node;
use crate::{NodeId, Result};
use async_trait::async_trait;

/// Starts nodes.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Starts a node and returns when it listens. `boot.listen` is a proposal: an executor that knows better replaces it.
    ///
    /// # Errors
    /// `RetryAfter` where another try may help; anything else, and the job goes on without the node if it can.
    async fn start(&self, node: &Node, boot: Boot) -> Result<Box<dyn NodeHandle>>;

    /// Returns when nothing goes on any more that whoever began it did not wait for: starts that were broken off, nodes that were
    /// dropped. A job's last word to its executor.
    async fn settle(&self) {}
}

/// A node that was started. Dropped, it is stopped.
#[async_trait]
pub trait NodeHandle: Send + Sync {
    /// Where the owner and the other nodes reach it, `host:port`.
    fn address(&self) -> &str;

    /// Where another node reaches it, where that is a better way than [`NodeHandle::address`]: inside one region, say.
    fn address_from(&self, _: &NodeId) -> String {
        self.address().to_owned()
    }

    /// Whether it is known to run. `true` where that cannot be known: heartbeats decide then.
    async fn alive(&self) -> bool;

    /// Ends it, and returns when it has ended. Harmless when it has ended already.
    async fn stop(&self);
}
