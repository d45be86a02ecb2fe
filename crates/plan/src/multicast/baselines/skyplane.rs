//! Skyplane's plan for each destination, put together: what several plans send over the same link is sent once.

use super::Baseline;
use crate::overlay::{Draft, Goal, Limits, Request};
use crate::packing::{Edges, LinkSharing, Work, arborescence};
use crate::transfer::{self, apportion};

pub(super) struct Combined;

impl Baseline for Combined {
    fn draft(&self, limits: &Limits, work: &mut Work) -> Option<Draft> {
        let instance = &limits.instance;
        let mut machines = vec![0_u32; instance.nodes];
        // By destination: its paths, each up to where its share of the volume ends.
        let mut ways: Vec<Vec<(f64, Edges)>> = Vec::new();
        for destination in &limits.request.destinations {
            let alone = Request {
                destinations: vec![destination.clone()],
                sharing: Some(LinkSharing::Connections),
                // A budget is for all destinations together: of each one the fastest is asked, and what it comes to is seen.
                goal: match limits.request.goal {
                    Goal::Budget(_) => Goal::Fastest,
                    goal => goal,
                },
                ..limits.request.clone()
            };
            let alone = Limits::new(limits.network, &alone, limits.start_s).ok()?;
            let effort = crate::packing::Effort {
                most_nodes: 100,
                gap: 1e-5,
            };
            let (packed, _) = transfer::packed(&alone, effort, work)?;
            for (count, of_one) in machines.iter_mut().zip(&packed.machines) {
                *count = (*count).max(*of_one);
            }
            let mut end = 0.0;
            let paths = packed.trees.into_iter().map(|(path, share)| {
                end += share;
                (end, path)
            });
            ways.push(paths.collect());
        }
        let mut ends: Vec<f64> = ways.iter().flatten().map(|(end, _)| *end).collect();
        ends.sort_by(f64::total_cmp);
        ends.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
        let mut begin = 0.0;
        let mut trees: Vec<Edges> = Vec::new();
        let mut shares: Vec<f64> = Vec::new();
        for end in ends {
            let middle = (begin + end) / 2.0;
            let mut edges: Edges = ways
                .iter()
                .filter_map(|paths| paths.iter().find(|(end, _)| middle < *end))
                .flat_map(|(_, path)| path.iter().copied())
                .collect();
            edges.sort_unstable();
            edges.dedup();
            trees.push(arborescence(instance, &edges, &instance.usd_per_gb)?);
            shares.push(end - begin);
            begin = end;
        }
        let all: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= all);
        let stripes = apportion(&shares, limits.stripes);
        Some(Draft {
            engine: String::new(),
            machines,
            trees: trees.into_iter().zip(stripes).collect(),
            shares: None,
            lower_bound_usd: None,
            lower_bound_s: None,
            time: None,
        })
    }
}
