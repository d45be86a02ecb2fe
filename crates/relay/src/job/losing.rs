//! Dead nodes: led round, or replaced where nobody else can do their work.

use super::coordinator::Coordinator;
use super::report::Event;
use crate::executor::NodeHandle;
use crate::topology::Node;
use crate::{NodeId, Result};
use std::sync::Arc;

impl Coordinator {
    pub(super) fn mark_lost(&mut self, id: &NodeId, why: &str) {
        self.plan.lose(id);
        if let Some(node) = self.nodes.get_mut(id) {
            node.lost = true;
            let handle = Arc::clone(&node.handle);
            // It may only be out of reach: it must not go on, or cost anything.
            self.links.spawn(async move { handle.stop().await });
        }
        self.tell(Event::NodeLost { node: id, why });
        self.replace_if_needed(id);
    }

    pub(super) fn lose_node(&mut self, id: &NodeId, why: &str) -> Result<()> {
        if self.plan.losses.nodes.contains(id) {
            return Ok(());
        }
        self.mark_lost(id, why);
        self.lead(true)
    }

    fn replace_if_needed(&mut self, dead: &NodeId) {
        if self.replacements >= self.job.options.max_replacements || !self.plan.is_needed(dead) {
            return;
        }
        let Some(node) = self.plan.topology.node(dead) else {
            return;
        };
        let stem: String = dead.as_str().chars().take(NodeId::MAX_CHARS - 8).collect();
        let Ok(id) = NodeId::new(format!("{stem}-r{}", self.replacements + 1)) else {
            return;
        };
        let node = Node { id, ..node.clone() };
        let Ok(boot) = self.boot(&node) else {
            return;
        };
        self.replacements += 1;
        let (executor, dead) = (Arc::clone(&self.seams.executor), dead.clone());
        self.replacing.spawn(async move {
            let handle = executor.start(&node, boot).await;
            (dead, node, handle)
        });
    }

    pub(super) fn replaced(
        &mut self,
        dead: &NodeId,
        node: Node,
        handle: Result<Box<dyn NodeHandle>>,
    ) -> Result<()> {
        match handle {
            Ok(handle) => {
                self.tell(Event::NodeReplaced { dead, by: &node.id });
                self.link(node.id.clone(), handle.into());
                self.plan.replace(dead, node);
            }
            Err(error) => {
                tracing::warn!(%dead, %error, "a dead node could not be replaced");
                self.replace_if_needed(dead);
            }
        }
        self.lead(true)
    }
}
