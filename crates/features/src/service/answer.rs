//! Answers of `POST /get-online-features`: rows that are JSON already, put together.

use super::encode::{Cells, EPOCH, NULL, push_value};
use super::id::FeatureId;
use super::plan::Plan;
use super::read::Rows;
use super::request::Text;
use serde_json::Value;

/// Ids that the header carries at most: of larger batches, those of the first rows.
const MAX_IDS: usize = 100;
/// And their bytes: clients refuse answers whose headers are larger than 8 KiB or 16 KiB in all.
const MAX_ID_BYTES: usize = 4 << 10;

/// An answer: the body, and the ids of the features in it, of each view in the order asked for, one a row.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    pub(super) ids: String,
}

/// The text of the header of ids, whole ids only: the first of them, as many as there is room for.
#[derive(Debug, Default)]
pub(super) struct Ids {
    pub(super) text: String,
    count: usize,
    full: bool,
}

impl Ids {
    /// Adds one; false where there was no room, and nothing is added any more: what stands for which row is told by the order.
    pub(super) fn add(&mut self, view: &str, version: u32, key: &str) -> bool {
        if self.full || self.count == MAX_IDS {
            return false;
        }
        let before = self.text.len();
        if before > 0 {
            self.text.push(',');
        }
        FeatureId::push(&mut self.text, view, version, key);
        self.full = self.text.len() > MAX_ID_BYTES;
        if self.full {
            self.text.truncate(before);
        } else {
            self.count += 1;
        }
        !self.full
    }
}

/// The columns as JSON: those of the entities, then those of the plan, whose rows are in the order of its views.
pub(super) fn encode(
    plan: &Plan,
    entities: &[(Text<'_>, Vec<Value>)],
    read: &[Rows],
    rows: usize,
    now_ms: i64,
) -> Vec<u8> {
    let shown = plan.views.iter().zip(read);
    let shown: Vec<Shown<'_>> = shown
        .map(|(view, found)| Shown::new(found, view.spec.ttl_s, now_ms))
        .collect();
    let width = |(place, _): &(usize, usize)| {
        let features = plan.views[*place].features.len().max(1);
        let shown = &shown[*place];
        32 + shown.rest.len() + 5 * rows + shown.value_bytes / features
    };
    let columns: usize = plan.columns.iter().map(width).sum();
    let before = 256 + plan.names.len() + entities.len() * (64 + rows * 64);
    let mut out = Vec::with_capacity(before + columns);
    out.extend_from_slice(b"{\"results\":[");
    for (index, (_, values)) in entities.iter().enumerate() {
        let before: &[u8] = if index > 0 {
            b",{\"values\":["
        } else {
            b"{\"values\":["
        };
        out.extend_from_slice(before);
        separated(&mut out, values, push_value);
        out.extend_from_slice(b"],\"statuses\":[");
        separated(&mut out, values, |out, _| {
            out.extend_from_slice(b"\"PRESENT\"");
        });
        out.extend_from_slice(b"],\"event_timestamps\":[");
        separated(&mut out, values, |out, _| out.extend_from_slice(EPOCH));
        out.extend_from_slice(b"]}");
    }
    for (place, feature) in &plan.columns {
        let shown = &shown[*place];
        out.extend_from_slice(b",{\"values\":[");
        separated(&mut out, &shown.rows, |out, row| {
            out.extend_from_slice(row.map_or(NULL, |cells| cells.value(*feature)));
        });
        out.extend_from_slice(&shown.rest);
    }
    out.extend_from_slice(b"],\"metadata\":{\"feature_names\":[");
    separated(&mut out, entities, |out, (name, _)| {
        // Text always becomes JSON.
        let _ = serde_json::to_writer(out, &*name.0);
    });
    out.extend_from_slice(&plan.names);
    out.extend_from_slice(b"]}}");
    out
}

/// What a view's columns have in common: whether a row may be served, and its time, are the same for all features.
struct Shown<'a> {
    /// Rows with values.
    rows: Vec<Option<&'a Cells>>,
    /// What follows a column's values: statuses and times.
    rest: Vec<u8>,
    /// Of all values of these rows.
    value_bytes: usize,
}

impl<'a> Shown<'a> {
    fn new(found: &'a Rows, ttl_s: Option<f64>, now_ms: i64) -> Self {
        let expired = |cells: &Cells| {
            let age_s = now_ms.saturating_sub(cells.event_ms) as f64 / 1_000.0;
            ttl_s.is_some_and(|ttl_s| age_s > ttl_s)
        };
        let mut rows = Vec::with_capacity(found.len());
        let mut rest = Vec::with_capacity(48 + found.len() * 48);
        let mut value_bytes = 0;
        rest.extend_from_slice(b"],\"statuses\":[");
        separated(&mut rest, found, |rest, row| {
            let row = row.as_deref();
            let served = row.filter(|cells| !expired(cells));
            rest.extend_from_slice(match (row, served) {
                (_, Some(_)) => b"\"PRESENT\"",
                (Some(_), None) => b"\"OUTSIDE_MAX_AGE\"",
                (None, None) => b"\"NOT_FOUND\"",
            });
            value_bytes += served.map_or(0, Cells::value_bytes);
            rows.push(served);
        });
        rest.extend_from_slice(b"],\"event_timestamps\":[");
        separated(&mut rest, found, |rest, row| {
            rest.extend_from_slice(row.as_deref().map_or(EPOCH, |cells| &cells.at));
        });
        rest.extend_from_slice(b"]}");
        Shown {
            rows,
            rest,
            value_bytes,
        }
    }
}

/// Items with commas between them.
fn separated<'a, T>(out: &mut Vec<u8>, items: &'a [T], mut push: impl FnMut(&mut Vec<u8>, &'a T)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push(out, item);
    }
}
