//! `skyfresh place oracle query --drift`: how far objects can change before their cheapest stores do.

use super::lines::Lines;
use super::query::Objects;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, Table, printable};
use serde::Serialize;
use skyfresh_placement::{
    Answer, Change, Drift, Fault, Oracle, Quantity, Refusal, Timed, answer, read_usage,
};
use std::collections::BTreeMap;

/// An answer with what would change it.
#[derive(Serialize)]
struct Drifting<'a> {
    #[serde(flatten)]
    answer: Answer<'a>,
    drift: BTreeMap<String, ToldDrift<'a>>,
}

#[derive(Serialize)]
struct ToldDrift<'a> {
    down: Option<ToldChange<'a>>,
    up: Option<ToldChange<'a>>,
}

#[derive(Serialize)]
struct ToldChange<'a> {
    factor: f64,
    stores: Vec<&'a str>,
}

/// Answers every line.
pub(super) fn answer_all(
    oracle: &Oracle,
    objects: &Objects,
    context: &Context,
) -> anyhow::Result<Exit> {
    let output = &context.output;
    let mut lines = Lines::open(&objects.workloads)?;
    let mut exit = Exit::Ok;
    loop {
        let batch = lines.batch()?;
        if batch.is_empty() || output.is_cut() {
            return Ok(exit);
        }
        for line in batch {
            if context.stop.is_cancelled() {
                return Ok(Exit::Interrupted);
            }
            match one(oracle, &line, context) {
                Ok((id, timed, drifts)) => tell(oracle, id, &timed, &drifts, context)?,
                Err((id, fault)) => {
                    exit = Exit::Failed;
                    refuse(id, &fault, context)?;
                }
            }
        }
    }
}

type Told = (String, Timed, Vec<(Quantity, Drift)>);

fn one(oracle: &Oracle, line: &str, context: &Context) -> Result<Told, (Option<String>, Fault)> {
    let usage = read_usage(line)?;
    let with_id = |fault| (Some(usage.id.clone()), fault);
    let workload = usage.resolve(oracle.scenario()).map_err(with_id)?;
    let (timed, drifts) = oracle.drifts(&workload, &*context.clock).map_err(with_id)?;
    Ok((usage.id, timed, drifts))
}

fn refuse(id: Option<String>, fault: &Fault, context: &Context) -> anyhow::Result<()> {
    let output = &context.output;
    let refusal = Refusal {
        id,
        error: fault.to_string(),
        kind: fault.kind(),
    };
    if output.json {
        return output.json_line(&refusal);
    }
    output.line(format!(
        "{}  {} {}",
        printable(refusal.id.as_deref().unwrap_or("(no id)"), false),
        output.paint(Style::Red, "error:"),
        printable(&refusal.error, false)
    ));
    Ok(())
}

fn tell(
    oracle: &Oracle,
    id: String,
    timed: &Timed,
    drifts: &[(Quantity, Drift)],
    context: &Context,
) -> anyhow::Result<()> {
    let scenario = oracle.scenario();
    let output = &context.output;
    let answer = answer(scenario, id, timed);
    let name = |store: &u32| scenario.stores()[*store as usize].name.as_str();
    let stores = |change: &Change| -> Vec<_> { change.stores.iter().map(name).collect() };
    let quantity_name = |quantity: Quantity| match quantity {
        Quantity::Size => "size".to_owned(),
        Quantity::Puts => "puts".to_owned(),
        Quantity::Gets => "gets".to_owned(),
        Quantity::GetsOf(region) => format!("gets of {}", scenario.regions()[region]),
    };
    if output.json {
        let told = |change: &Option<Change>| {
            change.as_ref().map(|change| ToldChange {
                factor: change.factor,
                stores: stores(change),
            })
        };
        let drift = drifts.iter().map(|(quantity, drift)| {
            let told = ToldDrift {
                down: told(&drift.down),
                up: told(&drift.up),
            };
            (quantity_name(*quantity), told)
        });
        let drift = drift.collect();
        return output.json_line(&Drifting { answer, drift });
    }
    output.line(format!(
        "{}  ${}  {}",
        printable(&answer.id, false),
        answer.cost_usd,
        answer.stores.join(" + ")
    ));
    let mut table = Table::new(&["WHEN", "TIMES", "CHEAPEST STORES"]);
    for (quantity, drift) in drifts {
        for (change, which) in [(&drift.down, "shrinks"), (&drift.up, "grows")] {
            let quantity = quantity_name(*quantity);
            let verb = match (quantity.as_str(), which) {
                ("size", which) => which,
                (_, "shrinks") => "shrink",
                _ => "grow",
            };
            let (factor, stores) = match change {
                None => (String::new(), "the same".into()),
                Some(change) => (factor(change.factor), stores(change).join(" + ")),
            };
            let style = match change {
                None => Style::Dim,
                Some(_) => Style::Plain,
            };
            let cells = [format!("{quantity} {verb}"), factor, stores];
            table.row(cells.into_iter().map(|cell| (style, cell)).collect());
        }
    }
    output.line(table.render(output, 2).trim_end());
    Ok(())
}

/// A factor to four digits.
fn factor(factor: f64) -> String {
    match factor {
        _ if !(1e-3..1e6).contains(&factor) => format!("{factor:.3e}"),
        _ => {
            let digits = (3 - factor.log10().floor() as i32).clamp(0, 6) as usize;
            format!("{factor:.digits$}")
        }
    }
}
