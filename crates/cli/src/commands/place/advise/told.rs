//! Advice as lines of JSON: a summary, then each group. What `place apply` reads.

use super::{Advice, By};
use crate::context::Context;
use serde::{Deserialize, Serialize};
use skyfresh_placement::Item;
use std::collections::BTreeMap;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToldLine {
    Summary(Box<Summary>),
    Group(Box<ToldGroup>),
}

/// The first line.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// `object`, `prefix` or `access-set`.
    pub(crate) by: String,
    /// Names behind the bucket's that a prefix has.
    pub(crate) depth: usize,
    pub(crate) stores_today: Vec<String>,
    pub(crate) records: u64,
    pub(crate) accesses: u64,
    pub(crate) failed: u64,
    pub(crate) others: u64,
    pub(crate) bad: u64,
    pub(crate) unplaced: u64,
    pub(crate) folded_accesses: u64,
    pub(crate) one_size_in: u64,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) period_s: u64,
    pub(crate) groups: u64,
    pub(crate) groups_staying: u64,
    pub(crate) objects: u64,
    pub(crate) size_bytes: String,
    pub(crate) today_usd: String,
    pub(crate) best_usd: String,
    pub(crate) saving_usd: String,
    pub(crate) moving_usd: String,
    pub(crate) payback_months: Option<f64>,
    pub(crate) items: BTreeMap<String, ToldItem>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ToldItem {
    pub(crate) today_usd: String,
    pub(crate) best_usd: String,
}

/// Each further line.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct ToldGroup {
    pub(crate) name: String,
    pub(crate) objects: u64,
    pub(crate) size_bytes: String,
    pub(crate) today_usd: String,
    pub(crate) best_usd: String,
    pub(crate) saving_usd: String,
    pub(crate) moving_usd: String,
    pub(crate) payback_months: Option<f64>,
    pub(crate) stores: Vec<String>,
    pub(crate) moves: Vec<ToldMove>,
    pub(crate) gap: f64,
    pub(crate) folded: bool,
    /// Why there is no advice; then there are no stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ToldMove {
    pub(crate) from: String,
    pub(crate) to: String,
}

pub(super) fn item_name(item: Item) -> &'static str {
    match item {
        Item::Storage => "storage",
        Item::Puts => "puts",
        Item::Ingress => "ingress",
        Item::Gets => "gets",
        Item::Egress => "egress",
    }
}

/// Prints all of it.
pub(super) fn print(advice: &Advice<'_>, context: &Context) -> anyhow::Result<()> {
    let output = &context.output;
    output.json_line(&ToldLine::Summary(Box::new(summary(advice))))?;
    let owned = |stores: &[u32]| -> Vec<String> {
        let names = advice.stores(stores).into_iter();
        names.map(str::to_owned).collect()
    };
    for (group, advised) in &advice.rows {
        let moves = advised.moves.iter().map(|one| ToldMove {
            from: advice.store(one.from).into(),
            to: advice.store(one.to).into(),
        });
        output.json_line(&ToldLine::Group(Box::new(ToldGroup {
            name: group.name.clone(),
            objects: group.objects,
            size_bytes: group.bytes.to_string(),
            today_usd: advised.today.to_string(),
            best_usd: advised.best.to_string(),
            saving_usd: advised.saving().to_string(),
            moving_usd: advised.moving.to_string(),
            payback_months: advised.payback_months(),
            stores: owned(&advised.stores),
            moves: moves.collect(),
            gap: advised.gap,
            folded: group.folded,
            error: None,
        })))?;
    }
    for (name, why) in &advice.failed {
        let nothing = || "0".to_owned();
        output.json_line(&ToldLine::Group(Box::new(ToldGroup {
            name: name.clone(),
            objects: 0,
            size_bytes: nothing(),
            today_usd: nothing(),
            best_usd: nothing(),
            saving_usd: nothing(),
            moving_usd: nothing(),
            payback_months: None,
            stores: Vec::new(),
            moves: Vec::new(),
            gap: 0.0,
            folded: false,
            error: Some(why.clone()),
        })))?;
    }
    Ok(())
}

fn summary(advice: &Advice<'_>) -> Summary {
    let (read, sums) = (&advice.read, &advice.sums);
    let saving = sums.saving();
    let time = |ms| skyfresh_sky::Timestamp::from_unix_ms(ms).to_string();
    let item = |sum: &skyfresh_placement::advise::ItemSum| {
        let told = ToldItem {
            today_usd: sum.today.to_string(),
            best_usd: sum.best.to_string(),
        };
        (item_name(sum.item).to_owned(), told)
    };
    let by = match advice.by {
        By::Object => "object",
        By::Prefix => "prefix",
        By::AccessSet => "access-set",
    };
    let today = advice.stores(advice.today.stores()).into_iter();
    Summary {
        by: by.into(),
        depth: advice.depth,
        stores_today: today.map(str::to_owned).collect(),
        records: read.counts.records,
        accesses: read.counts.accesses,
        failed: read.counts.failed,
        others: read.counts.others,
        bad: read.counts.bad,
        unplaced: read.unplaced,
        folded_accesses: read.folded_accesses,
        one_size_in: read.one_size_in,
        from: time(read.span_ms.0),
        to: time(read.span_ms.1),
        period_s: read.period_s,
        groups: sums.groups,
        groups_staying: sums.staying,
        objects: sums.objects,
        size_bytes: sums.bytes.to_string(),
        today_usd: sums.today.to_string(),
        best_usd: sums.best.to_string(),
        saving_usd: saving.to_string(),
        moving_usd: sums.moving.to_string(),
        payback_months: saving.payback_months(&sums.moving),
        items: sums.items.iter().map(item).collect(),
    }
}
