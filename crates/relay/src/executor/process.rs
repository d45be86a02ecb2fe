//! Nodes as processes of this machine.

use super::stdio::launch;
use super::{Executor, NodeHandle};
use crate::Result;
use crate::node::Boot;
use crate::topology::Node;
use async_trait::async_trait;
use skyfresh_sky::Clock;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::process::Command;

/// Runs a program that calls [`serve_stdio`](super::serve_stdio), e.g. `skyfresh relay`, once for each node, on loopback.
#[derive(Clone, Debug)]
pub struct LocalProcess {
    program: PathBuf,
    arguments: Vec<String>,
    clock: Arc<dyn Clock>,
}

impl LocalProcess {
    /// Runs `program` with `arguments`.
    pub fn new(program: impl Into<PathBuf>, arguments: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        LocalProcess {
            program: program.into(),
            arguments,
            clock,
        }
    }
}

#[async_trait]
impl Executor for LocalProcess {
    async fn start(&self, node: &Node, boot: Boot) -> Result<Box<dyn NodeHandle>> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        let process = launch(command, node.id.as_str(), &boot, None, &*self.clock).await?;
        Ok(Box::new(process))
    }
}
