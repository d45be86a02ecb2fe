//! Checks of the SLO planner's choices.

use crate::predict::{Host, Shape, Site};
use crate::replicate::{Ask, Candidate, Choice, FanOut, StoreCopy, Verdict, Way};
use skyfresh_sky::catalog::{Catalog, function_platform};
use skyfresh_sky::{Region, Usd};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is wrong with a choice.
pub fn check_choice(ask: &Ask, catalog: &Catalog, choice: &Choice) -> Vec<String> {
    let mut wrong = Vec::new();
    for candidate in &choice.candidates {
        for why in check_candidate(ask, catalog, candidate) {
            wrong.push(format!("{}: {why}", candidate.way));
        }
    }
    let prices = choice
        .candidates
        .iter()
        .map(|it| (it.cost.unpriced, it.cost.total()));
    if !prices.is_sorted() {
        wrong.push("candidates are not in the order of their prices".into());
    }
    let different: BTreeSet<&Way> = choice.candidates.iter().map(|it| &it.way).collect();
    if different.len() != choice.candidates.len() {
        wrong.push("a way is listed twice".into());
    }
    wrong.extend(check_winner(ask, choice));
    wrong
}

fn check_winner(ask: &Ask, choice: &Choice) -> Option<String> {
    let allowed: Vec<&Candidate> = choice
        .candidates
        .iter()
        .filter(|it| it.refused.is_none())
        .collect();
    let enough = |it: &&&Candidate| it.in_time >= ask.slo.percentile / 100.0;
    let Some(winner) = choice.chosen.map(|index| choice.candidates.get(index)) else {
        let limits = ask.limits;
        let fits = ask.size_bytes <= limits.max_put_bytes
            || ask.size_bytes as f64 <= limits.max_parts as f64 * limits.max_part_bytes as f64;
        let overlooked = fits && !ask.sites.is_empty() && choice.candidates.is_empty();
        let idle = choice.verdict != Verdict::Nothing || !allowed.is_empty() || overlooked;
        return idle.then(|| "nothing was chosen although something may be done".into());
    };
    let Some(winner) = winner else {
        return Some("the chosen index is beyond the candidates".into());
    };
    if winner.refused.is_some() {
        return Some("a refused candidate was chosen".into());
    }
    match choice.verdict {
        Verdict::InTime if !enough(&&winner) => {
            Some("called in time, which it is not often enough".into())
        }
        Verdict::InTime => {
            // Dollars of the cheapest in time, its price known if any's is.
            let price = |it: &&&Candidate| (it.cost.unpriced, it.cost.total());
            let least = allowed.iter().filter(enough).min_by_key(price)?;
            let most_usd = least.cost.total().usd() * (1.0 + ask.premium) * (1.0 + 1e-12);
            let within = |it: &&&Candidate| {
                it.cost.total().usd() <= most_usd && it.cost.unpriced == least.cost.unpriced
            };
            if !within(&&winner) {
                return Some("a cheaper candidate is in time too, by more than the premium".into());
            }
            let usable = || allowed.iter().filter(enough).filter(within);
            let by_store = winner.way == Way::ServerCopy;
            if !by_store && usable().any(|it| it.way == Way::ServerCopy) {
                return Some("workers, although the store may copy by itself in time".into());
            }
            let faster = !by_store && usable().any(|it| it.at_slo_s < winner.at_slo_s);
            faster.then(|| "a faster candidate is in time within the premium".into())
        }
        Verdict::Late if allowed.iter().any(|it| enough(&it)) => {
            Some("called late although one is in time".into())
        }
        Verdict::Late => {
            let likelier = allowed.iter().any(|it| it.in_time > winner.in_time);
            likelier.then(|| "another one is likelier in time".into())
        }
        Verdict::Cheapest if !ask.cheapest => Some("the cheapest was not asked for".into()),
        Verdict::Cheapest => {
            let cheaper = allowed
                .iter()
                .any(|it| it.cost.total() < winner.cost.total() && !it.cost.unpriced);
            cheaper.then(|| "a cheaper candidate is there".into())
        }
        Verdict::Nothing => Some("something was chosen although nothing may be done".into()),
    }
}

fn check_candidate(ask: &Ask, catalog: &Catalog, candidate: &Candidate) -> Vec<String> {
    let mut wrong = Vec::new();
    let shares = 0.0..=1.0;
    if !shares.contains(&candidate.in_time)
        || candidate.p50_s > candidate.at_slo_s && ask.slo.percentile >= 50.0
    {
        wrong.push(format!(
            "{} in time, p50 {} s, at the SLO's percentile {} s",
            candidate.in_time, candidate.p50_s, candidate.at_slo_s
        ));
    }
    // The share within what is left, and the delay at the percentile, are one statement made twice.
    let (left_s, share) = (
        ask.slo.delay.saturating_sub(ask.elapsed).as_secs_f64(),
        ask.slo.percentile / 100.0,
    );
    let apart = (candidate.at_slo_s / left_s - 1.0).abs() > 0.02;
    if apart && (candidate.at_slo_s <= left_s) != (candidate.in_time >= share) {
        wrong.push(format!(
            "{} s at the percentile, but {} in time",
            candidate.at_slo_s, candidate.in_time
        ));
    }
    if let Way::Workers { site, shape, via } = &candidate.way {
        if !ask.sites.contains(site) {
            wrong.push("workers where none were offered".into());
        }
        if via.as_ref().is_some_and(|via| !ask.fresh.contains(via)) {
            wrong.push("read from where this version is not".into());
        }
        wrong.extend(check_shape(ask, *shape));
        match (&site.host, shape) {
            (Host::Process, Shape::Parts { workers, .. })
                if *workers > ask.process_workers.max(1) =>
            {
                let most = ask.process_workers;
                wrong.push(format!("{workers} workers in a process of {most}"));
            }
            (Host::Functions { .. }, Shape::Inline) if !ask.inline_on_functions => {
                wrong.push("a function carries an object in one piece".into());
            }
            _ => {}
        }
        if let Host::Functions { platform, .. } = &site.host {
            let most = function_platform(platform).map_or(0, |it| it.max_concurrency);
            let under_way = ask.in_flight.get(site).copied().unwrap_or(0);
            let workers = match shape {
                Shape::Inline => 1,
                Shape::Parts { workers, .. } => u64::from(*workers),
            };
            let over = workers.saturating_add(under_way) > most;
            let says_so = candidate
                .refused
                .as_ref()
                .is_some_and(|why| why.contains("functions"));
            if over != says_so {
                wrong.push(format!(
                    "{workers} functions beside {under_way} of at most {most}, and the refusal says {:?}",
                    candidate.refused
                ));
            }
        }
    } else {
        wrong.extend(check_store_copy(ask));
    }
    wrong.extend(check_egress(ask, catalog, candidate));
    wrong
}

/// Whether the store may copy as the ask says, within its own limits.
fn check_store_copy(ask: &Ask) -> Option<String> {
    let fits = match ask.server_copy {
        None => false,
        Some(StoreCopy::Whole) => true,
        Some(StoreCopy::Parts(parts)) => {
            let each = ask.size_bytes.checked_div(parts);
            parts <= ask.limits.max_parts && each.is_some_and(|it| it <= ask.limits.max_part_bytes)
        }
    };
    (!fits).then(|| "a server-side copy that the store does not offer".into())
}

fn check_shape(ask: &Ask, shape: Shape) -> Option<String> {
    let limits = ask.limits;
    match shape {
        Shape::Inline if ask.size_bytes > limits.max_put_bytes => {
            Some("one PUT of more than one PUT takes".into())
        }
        Shape::Inline => None,
        Shape::Parts { part_bytes: 0, .. } => Some("parts of no bytes".into()),
        Shape::Parts {
            workers,
            part_bytes,
        } => {
            let mut parts = ask.size_bytes / part_bytes;
            if parts * part_bytes < ask.size_bytes {
                parts += 1;
            }
            let fits = (limits.min_part_bytes..=limits.max_part_bytes).contains(&part_bytes)
                && parts <= limits.max_parts
                && workers >= 1
                && (u64::from(workers) <= parts || workers == 1);
            (!fits).then(|| format!("{workers} workers, {parts} parts of {part_bytes} bytes"))
        }
    }
}

/// Egress, added up from the legs that the bytes travel.
fn check_egress(ask: &Ask, catalog: &Catalog, candidate: &Candidate) -> Option<String> {
    let in_parts = matches!(
        &candidate.way,
        Way::Workers {
            shape: Shape::Parts { .. },
            ..
        }
    );
    let bytes = match in_parts {
        true => ask.size_bytes - ask.unchanged_bytes.min(ask.size_bytes),
        false => ask.size_bytes,
    };
    let stops: Vec<&Region> = match &candidate.way {
        Way::ServerCopy => vec![&ask.source, &ask.destination],
        Way::Workers { site, via, .. } if site.region == Region::local() => {
            vec![via.as_ref().unwrap_or(&ask.source), &ask.destination]
        }
        Way::Workers { site, via, .. } => vec![
            via.as_ref().unwrap_or(&ask.source),
            &site.region,
            &ask.destination,
        ],
    };
    let mut egress_usd = 0.0;
    for leg in stops.windows(2).filter(|leg| leg[0] != leg[1]) {
        match catalog.egress_usd_per_gb(leg[0], leg[1]) {
            Some(per_gb) => egress_usd += per_gb.usd() * bytes as f64 / 1e9,
            None if candidate.cost.unpriced => {}
            None => {
                return Some(format!(
                    "no price is known from {} to {}, and it is not said",
                    leg[0], leg[1]
                ));
            }
        }
    }
    let stated_usd = candidate.cost.egress.usd();
    let differs = (stated_usd - egress_usd).abs() > 1e-9 + egress_usd * 1e-9;
    differs.then(|| format!("egress ${stated_usd}, its legs come to ${egress_usd}"))
}

/// Everything that is wrong with a tree.
pub fn check_fan_out(asks: &[Ask], catalog: &Catalog, tree: &FanOut) -> Vec<String> {
    let mut wrong = Vec::new();
    if tree.verdict == Verdict::Nothing {
        return wrong;
    }
    let wanted: Vec<&Region> = asks.iter().map(|ask| &ask.destination).collect();
    let reached: Vec<&Region> = tree.leaves.iter().map(|leaf| &leaf.destination).collect();
    if wanted != reached {
        wrong.push(format!(
            "reaches {} destinations of {}",
            reached.len(),
            wanted.len()
        ));
        return wrong;
    }
    let total: Usd = tree
        .leaves
        .iter()
        .map(|leaf| leaf.candidate.cost.total())
        .sum();
    if total != tree.total {
        wrong.push(format!("{} stated, {total} added up", tree.total));
    }
    if tree.verdict == Verdict::InTime {
        wrong.extend(check_concurrency(asks, tree));
    }
    for (ask, leaf) in asks.iter().zip(&tree.leaves) {
        if let Way::Workers { site, shape, .. } = &leaf.candidate.way {
            wrong.extend(check_shape(ask, *shape));
            let process = |site: &Site| site.host == Host::Process;
            if ask.sites.iter().all(process) && !process(site) {
                wrong.push(format!(
                    "{}: functions where none were offered",
                    leaf.destination
                ));
            }
        }
        // Up to the source, adding the hops' delays; a circle never gets there.
        let (mut at, mut delay_s, mut hops) = (leaf, leaf.candidate.at_slo_s, 0);
        while let Some(via) = &at.via {
            hops += 1;
            let Some(above) = tree.leaves.iter().find(|other| other.destination == *via) else {
                wrong.push(format!(
                    "{} reads from {via}, which is no destination",
                    at.destination
                ));
                break;
            };
            if hops > tree.leaves.len() {
                wrong.push(format!("{} is in a circle", leaf.destination));
                break;
            }
            delay_s += above.candidate.at_slo_s;
            at = above;
        }
        if tree.verdict != Verdict::Late && (delay_s / leaf.at_slo_s - 1.0).abs() > 1e-9 {
            wrong.push(format!(
                "{}: {} s stated, its hops come to {delay_s} s",
                leaf.destination, leaf.at_slo_s
            ));
        }
        if tree.verdict == Verdict::InTime && delay_s > ask.left_s() * (1.0 + 1e-9) {
            wrong.push(format!(
                "{}: {delay_s} s of {} s",
                leaf.destination,
                ask.left_s()
            ));
        }
        let moved = Ask {
            source: leaf.via.clone().unwrap_or_else(|| ask.source.clone()),
            ..ask.clone()
        };
        if let Some(why) = check_egress(&moved, catalog, &leaf.candidate) {
            wrong.push(format!("{}: {why}", leaf.destination));
        }
    }
    wrong
}

/// Functions of one site that a tree may run at the same time, against what the platform runs.
fn check_concurrency(asks: &[Ask], tree: &FanOut) -> Vec<String> {
    let mut all: BTreeMap<&Site, u64> = BTreeMap::new();
    for leaf in &tree.leaves {
        if let Way::Workers { site, shape, .. } = &leaf.candidate.way {
            let own = match shape {
                Shape::Inline => 1,
                Shape::Parts { workers, .. } => u64::from(*workers),
            };
            *all.entry(site).or_default() += own;
        }
    }
    let mut wrong = Vec::new();
    for (site, workers) in all {
        let Host::Functions { platform, .. } = &site.host else {
            continue;
        };
        let most = function_platform(platform).map_or(0, |it| it.max_concurrency);
        let under_way = asks.iter().filter_map(|ask| ask.in_flight.get(site)).max();
        if workers.saturating_add(under_way.copied().unwrap_or(0)) > most {
            wrong.push(format!("{workers} functions at {site} of at most {most}"));
        }
    }
    wrong
}
