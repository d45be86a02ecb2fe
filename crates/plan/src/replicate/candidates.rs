//! The ways that are worth a look.

use super::{Ask, PartLimits};
use crate::predict::{Host, Shape, Site};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Region, format_bytes};

/// How a change reaches its destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The destination's store takes it from the source's store by itself: no bytes pass through workers.
    ServerCopy,
    /// Workers read and write.
    Workers {
        /// Where they run.
        site: Site,
        /// How many, and in which parts.
        shape: Shape,
        /// Another destination that holds this version already and is read instead of the source.
        via: Option<Region>,
    },
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Way::Workers { site, shape, via } = self else {
            return f.write_str("server-side copy");
        };
        match shape {
            Shape::Inline => write!(f, "one PUT from {site}")?,
            Shape::Parts {
                workers,
                part_bytes,
            } => {
                let noun = if *workers == 1 { "worker" } else { "workers" };
                write!(
                    f,
                    "{workers} {noun} x {} parts, {site}",
                    format_bytes(*part_bytes)
                )?;
            }
        }
        match via {
            Some(via) => write!(f, ", read from {via}"),
            None => Ok(()),
        }
    }
}

/// The greatest number of workers on one object. λReplica used up to 512 functions on 100 GB (slides, "Bulk replication").
const MOST_WORKERS: u32 = 512;
/// The smallest part worth its requests, where the destination takes smaller ones.
const USUAL_PART_BYTES: u64 = 8 << 20;
/// The largest part that is tried before the destination's limit on their number demands more: a larger one saves nothing
/// that can be seen in the bill, and makes each straggler longer.
const LARGE_PART_BYTES: u64 = 64 << 20;
/// Parts are no larger than leaves each worker so many to pull: with fewer, pulling evens nothing out.
const PARTS_A_WORKER: u64 = 4;

/// The shapes that an object of this size may have within the destination's limits: inline, and for 1, 2, 4, … workers the
/// usual part, and the largest that still leaves each worker a few. Empty where it fits no way at all.
pub fn shapes(size_bytes: u64, limits: PartLimits) -> Vec<Shape> {
    let mut shapes = Vec::new();
    if size_bytes <= limits.max_put_bytes {
        shapes.push(Shape::Inline);
    }
    // No smaller than the limit on the number of parts allows, in whole MiB so that offsets stay round.
    let exact = size_bytes.checked_div(limits.max_parts).unwrap_or(u64::MAX);
    let fewest = (exact >> 20).saturating_add(1).saturating_mul(1 << 20);
    let usual = USUAL_PART_BYTES
        .min(limits.max_part_bytes)
        .max(limits.min_part_bytes);
    let least = if exact < usual { usual } else { fewest };
    if least > limits.max_part_bytes || size_bytes <= limits.min_part_bytes {
        return shapes;
    }
    let mut workers = 1;
    while workers <= MOST_WORKERS {
        let usual = Shape::Parts {
            workers,
            part_bytes: least,
        };
        // More workers than parts would find nothing to pull.
        if workers > 1 && u64::from(workers) > usual.parts(size_bytes) {
            break;
        }
        shapes.push(usual);
        let roomy = size_bytes / (u64::from(workers) * PARTS_A_WORKER);
        let large = LARGE_PART_BYTES.min(limits.max_part_bytes);
        let largest = roomy.min(large) >> 20 << 20;
        if largest >= 2 * least {
            shapes.push(Shape::Parts {
                workers,
                part_bytes: largest,
            });
        }
        workers *= 2;
    }
    shapes
}

/// Every way of this ask.
pub(super) fn ways(ask: &Ask) -> Vec<Way> {
    let moved_bytes = ask.size_bytes.saturating_sub(ask.unchanged_bytes);
    let mut shapes = shapes(ask.size_bytes, ask.limits);
    // More workers than parts that move would find nothing to pull.
    shapes.retain(|shape| u64::from(shape.workers()) <= shape.parts(moved_bytes));
    let mut ways = Vec::new();
    ways.extend(ask.server_copy.map(|_| Way::ServerCopy));
    let from = ask.fresh.iter().cloned().map(Some);
    for via in std::iter::once(None).chain(from) {
        for site in &ask.sites {
            let allowed = |shape: &Shape| match site.host {
                Host::Process => shape.workers() <= ask.process_workers.max(1),
                Host::Functions { .. } => shape.is_parts() || ask.inline_on_functions,
            };
            for shape in shapes.iter().filter(|shape| allowed(shape)) {
                ways.push(Way::Workers {
                    site: site.clone(),
                    shape: *shape,
                    via: via.clone(),
                });
            }
        }
    }
    ways
}
