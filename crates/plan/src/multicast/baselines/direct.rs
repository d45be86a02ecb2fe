//! Straight from the source to every destination. With one machine at each end that is GridFTP's way (GCT, Skyplane's table 2),
//! whose blocks are dealt out to connections in turn.

use super::{Baseline, all_machines};
use crate::overlay::{Draft, Limits};
use crate::packing::{Edges, Work};

pub(super) struct Direct {
    /// Machines in a region; `None`: all that are allowed.
    pub(super) machines: Option<u32>,
}

impl Baseline for Direct {
    fn draft(&self, limits: &Limits, _work: &mut Work) -> Option<Draft> {
        let instance = &limits.instance;
        let star: Edges = instance
            .terminals
            .iter()
            .map(|terminal| (instance.source, *terminal))
            .collect();
        if star
            .iter()
            .any(|(from, to)| instance.rate(*from, *to) <= 0.0)
        {
            return None;
        }
        let mut draft = all_machines(limits, vec![(star, limits.stripes)], None);
        if let Some(most) = self.machines {
            for count in &mut draft.machines {
                *count = (*count).min(most);
            }
        }
        Some(draft)
    }
}
