//! What the owner makes of what nodes report.

use super::coordinator::Coordinator;
use super::link::Heard;
use super::report::{Event, Failed};
use crate::frame::{Failure, Stage};
use crate::node::Report;
use crate::{DestinationSet, Error, NodeId, Result};
use skyfresh_sky::Kind;

impl Coordinator {
    pub(super) fn hear(&mut self, id: &NodeId, heard: Heard) -> Result<()> {
        match heard {
            Heard::Reconnected => {
                // Orders may have been lost with an earlier connection: the program is given again.
                if let Some(node) = self.nodes.get_mut(id)
                    && node.unconfirmed > 0
                    && let Some(program) = node.program.take()
                {
                    node.unconfirmed = 0;
                    self.configure(id, program);
                }
            }
            Heard::Said(report) => self.reported(id, report)?,
            Heard::Down(why) => self.lose_node(id, &why)?,
        }
        Ok(())
    }

    pub(super) fn reported(&mut self, id: &NodeId, report: Report) -> Result<()> {
        match report {
            Report::Configured => {
                if let Some(node) = self.nodes.get_mut(id) {
                    node.unconfirmed = node.unconfirmed.saturating_sub(1);
                }
            }
            Report::Refused {
                destination,
                kind,
                why,
            } => match destination {
                Some(at) => {
                    // It has answered, if not as hoped: what it gets instead is confirmed by itself.
                    if let Some(node) = self.nodes.get_mut(id) {
                        node.unconfirmed = node.unconfirmed.saturating_sub(1);
                    }
                    self.give_up(at, kind, format!("{id} cannot open it: {why}"))?;
                    self.lead(false)?;
                }
                None if self.plan.topology.sources.contains(id) => {
                    return Err(Error::new(
                        kind,
                        "carry job",
                        format!("{id} cannot read the source: {why}"),
                    ));
                }
                None => self.lose_node(id, &why)?,
            },
            Report::Written(written) => {
                let now_ns = self.seams.clock.monotonic_ns();
                let (id, destination) = (written.chunk, written.destination);
                if let Some(chunk) = self.tracker.written(id, destination, now_ns) {
                    self.tell(Event::Written {
                        chunk: &chunk,
                        destination,
                        receipt: &written.receipt,
                    });
                    self.answer(id, destination, Ok(written.receipt));
                }
            }
            Report::Failed(failure) => self.chunk_failed(failure)?,
            Report::LinkDown { tree, to, why } => {
                let current = self.plan.carried().any(|now| now.id == tree);
                if current && self.plan.losses.links.insert((id.clone(), to.clone())) {
                    self.tell(Event::LinkLost {
                        from: id,
                        to: &to,
                        why: &why,
                    });
                    self.lead(true)?;
                }
            }
            Report::Pong(usage) => {
                if let Some(node) = self.nodes.get_mut(id) {
                    node.usage = usage;
                }
            }
        }
        Ok(())
    }

    fn chunk_failed(&mut self, failure: Failure) -> Result<()> {
        let again = matches!(failure.kind, Kind::RetryAfter | Kind::Corrupt);
        let failed = Failed {
            kind: failure.kind,
            why: failure.why.clone(),
        };
        if !again && failure.stage == Stage::Destination {
            if self.refuse(failure.chunk, failure.destinations, &failed) {
                return Ok(());
            }
            // The others may still write this very try: it is not sent again.
            return self.give_up_all(failure.destinations, failure.kind, &failure.why);
        }
        let Some(failures) = self.tracker.lost(failure.chunk, failure.attempt) else {
            // Another destination of the same try failed before, and it was sent again; or its tree is gone.
            return Ok(());
        };
        if again && failures < self.job.options.max_attempts {
            return Ok(());
        }
        // Whoever had it carried is told, and nobody else: what it makes of it is its own affair.
        let refused = match failure.stage {
            Stage::Source => self.plan.topology.all(),
            _ => failure.destinations,
        };
        if self.refuse(failure.chunk, refused, &failed) {
            return Ok(());
        }
        if failure.stage == Stage::Source {
            let tries = if again {
                format!(", {failures} times")
            } else {
                String::new()
            };
            return Err(Error::new(
                failure.kind,
                "read source",
                format!("chunk {}{tries}: {}", failure.chunk, failure.why),
            ));
        }
        self.give_up_all(failure.destinations, failure.kind, &failure.why)
    }

    pub(super) fn give_up_all(
        &mut self,
        destinations: DestinationSet,
        kind: Kind,
        why: &str,
    ) -> Result<()> {
        destinations
            .iter()
            .try_for_each(|at| self.give_up(at, kind, why.to_owned()))
    }

    /// Gives a destination up, and the job with the last of them.
    pub(super) fn give_up(&mut self, at: u8, kind: Kind, why: String) -> Result<()> {
        let known = usize::from(at) < self.plan.topology.destinations.len();
        if !known || self.failed.contains_key(&at) {
            return Ok(());
        }
        let failed = Failed { kind, why };
        self.tell(Event::DestinationFailed {
            destination: at,
            failed: &failed,
        });
        for chunk in self.tracker.give_up(at) {
            self.answer(chunk, at, Err(failed.clone()));
        }
        self.failed.insert(at, failed);
        self.plan.alive = self.plan.alive.without(DestinationSet::one(at));
        Ok(())
    }
}
