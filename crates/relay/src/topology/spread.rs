//! From trees of regions to trees of nodes.

use super::{Node, Tree};
use crate::{Error, NodeId, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A planner's tree: hops between regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionTree {
    /// How many of the job's stripes it carries.
    pub stripes: u32,
    /// Hops, from and to, by region.
    pub edges: Vec<(String, String)>,
}

/// Spreads each tree of regions over its regions' nodes: as many trees of nodes as its best staffed region has nodes, each
/// taking the next node in every region, the stripes divided among them. Shares are kept exactly: where stripes do not divide,
/// all trees' stripes are multiplied first.
///
/// # Errors
/// `Invalid` where a region has no node.
pub fn spread(trees: &[RegionTree], nodes: &[Node]) -> Result<Vec<Tree>> {
    let mut staff: BTreeMap<&str, Vec<&NodeId>> = BTreeMap::new();
    for node in nodes {
        staff.entry(&node.region).or_default().push(&node.id);
    }
    let of = |region: &str| {
        staff
            .get(region)
            .filter(|ids| !ids.is_empty())
            .ok_or_else(|| {
                Error::invalid(
                    "spread trees over nodes",
                    format!("region {region} is on a tree and has no node: add one"),
                )
            })
    };
    let mut widths = Vec::new();
    for tree in trees {
        let regions: BTreeSet<&str> = tree
            .edges
            .iter()
            .flat_map(|(from, to)| [from.as_str(), to.as_str()])
            .collect();
        let mut width = 1;
        for region in regions {
            width = width.max(of(region)?.len());
        }
        widths.push(width as u32);
    }
    // The least factor by which every tree's stripes divide among its copies.
    let factor = trees
        .iter()
        .zip(&widths)
        .try_fold(1u32, |factor, (tree, width)| {
            let needed = width / greatest_common_divisor(*width, tree.stripes.max(1));
            factor.checked_mul(needed / greatest_common_divisor(factor, needed))
        });
    let mut spread = Vec::new();
    // Trees take turns at where they begin, or the first node of every region would be on all of them.
    let mut first = 0;
    for (tree, width) in trees.iter().zip(&widths) {
        let stripes = factor
            .and_then(|factor| tree.stripes.checked_mul(factor))
            .ok_or_else(|| {
                Error::invalid(
                    "spread trees over nodes",
                    "too many stripes to divide: use fewer",
                )
            })?;
        for turn in 0..*width as usize {
            let mut edges = Vec::new();
            for (from, to) in &tree.edges {
                let pick = |ids: &Vec<&NodeId>| ids[(first + turn) % ids.len()].clone();
                edges.push((pick(of(from)?), pick(of(to)?)));
            }
            spread.push(Tree {
                stripes: stripes / width,
                edges,
            });
        }
        first += *width as usize;
    }
    Ok(spread)
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}
