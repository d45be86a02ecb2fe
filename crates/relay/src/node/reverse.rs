//! What goes up a tree, against the chunks: acknowledgements and failures.

use super::{Report, Shared, lock};
use crate::frame::Frame;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc::UnboundedSender;

/// Kept while the previous hop is not connected. What is beyond is lost, and the chunk sent again in time.
const MOST_KEPT: usize = 65_536;

/// The way up from one route.
#[derive(Default)]
pub(crate) struct Upstream {
    root: Option<Arc<Shared>>,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    next: u64,
    open: Vec<(u64, UnboundedSender<Frame>)>,
    kept: VecDeque<Frame>,
}

impl Upstream {
    /// The way up ends here: the owner is told.
    pub(crate) fn root(shared: Arc<Shared>) -> Self {
        Upstream {
            root: Some(shared),
            lines: Mutex::default(),
        }
    }

    /// A connection of the previous hop is there. Returns its number, for [`Upstream::close`].
    pub(crate) fn open(&self, line: UnboundedSender<Frame>) -> u64 {
        let mut lines = lock(&self.lines);
        for frame in lines.kept.drain(..) {
            let _ = line.send(frame);
        }
        lines.next += 1;
        let number = lines.next;
        lines.open.push((number, line));
        number
    }

    pub(crate) fn close(&self, number: u64) {
        lock(&self.lines).open.retain(|(open, _)| *open != number);
    }

    /// Sends `Written` or `Failed` over whichever connection is there.
    pub(crate) fn send(&self, mut frame: Frame) {
        if let Some(shared) = &self.root {
            match frame {
                Frame::Written(written) => shared.reports.push(Report::Written(written)),
                Frame::Failed(failed) => shared.reports.push(Report::Failed(failed)),
                _ => {}
            }
            return;
        }
        let mut lines = lock(&self.lines);
        while let Some((_, line)) = lines.open.last() {
            match line.send(frame) {
                Ok(()) => return,
                Err(unsent) => {
                    frame = unsent.0;
                    lines.open.pop();
                }
            }
        }
        if lines.kept.len() < MOST_KEPT {
            lines.kept.push_back(frame);
        }
    }
}
