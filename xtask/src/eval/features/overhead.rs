//! What scheduling takes: nanoseconds, bytes, and its share of the work.

use super::{measured, measured_by};
use crate::eval::overlay::{figure, judged, number, of};
use crate::report::{Document, Table};
use anyhow::Result;

/// How long a whole service is measured, seconds: batches take half of one.
const SECONDS: &str = "20";
/// Aim for two shards on two cores, times as many updates as with one; linear is 2.
const SHARDED: f64 = 1.8;

pub(super) fn run() -> Result<bool> {
    let rows = measured(&["overhead"])?;
    let mut aims = Vec::new();
    let mut heaps = Vec::new();
    for row in of(&rows, "heap") {
        let keys = number(row, "keys");
        // Taking a key and putting it back are two operations.
        let take_ns = number(row, "take_and_return_ns") / 2.0;
        let worst = number(row, "insert_ns")
            .max(number(row, "change_ns"))
            .max(take_ns);
        aims.push((
            format!("{keys:.0} keys: {worst:.0} ns a queue operation at most, of 1,000"),
            worst <= 1_000.0,
        ));
        heaps.push(vec![
            figure(keys, 0),
            figure(number(row, "insert_ns"), 0),
            figure(number(row, "change_ns"), 0),
            figure(take_ns, 0),
            figure(number(row, "bytes_a_key"), 0),
        ]);
    }
    let mut schedulers = Vec::new();
    for row in of(&rows, "scheduler") {
        let (keys, bytes) = (number(row, "keys"), number(row, "bytes_a_key"));
        aims.push((
            format!("{keys:.0} keys: {bytes:.0} bytes a key, of 1,024"),
            bytes <= 1_024.0,
        ));
        let names = [
            "feedback_ns",
            "query_ns",
            "data_ns",
            "update_ns",
            "bytes_a_key",
        ];
        let mut cells = vec![figure(keys, 0)];
        cells.extend(names.map(|name| figure(number(row, name), 0)));
        schedulers.push(cells);
    }
    let mut functions = Vec::new();
    for row in of(&rows, "function") {
        let (one, two) = (
            number(row, "updates_per_s_1"),
            number(row, "updates_per_s_2"),
        );
        let share = 100.0 * number(row, "scheduler_share");
        aims.push((
            format!("the scheduler takes {share:.2}% of the time with the decomposition as the function, of 0.6%"),
            share < 0.6,
        ));
        aims.push((
            format!(
                "{:.2} times as many updates on two threads as on one, of 1.8",
                two / one
            ),
            two / one >= 1.8,
        ));
        functions.push(vec![
            figure(one, 0),
            figure(two, 0),
            figure(number(row, "round_robin_updates_per_s_1"), 0),
            figure(share, 2),
        ]);
    }
    let sharded = sharded(&mut aims)?;
    let (mut notes, met) = judged(&aims);
    notes.insert(0, "Keys are drawn at random, so that each operation misses the caches as often as it can; a million operations of each kind. An update of the scheduler is: select, complete, new data for the key. The heap alone, and the scheduler by regret with all guards (table, heap, waiting list, shadow).".into());
    Document {
        title: "Features: what scheduling takes",
        notes,
        tables: vec![
            Table {
                heading: "The indexed heap, ns an operation".into(),
                columns: vec!["keys", "insert", "change", "take", "bytes a key"],
                rows: heaps,
            },
            Table {
                heading: "The scheduler, ns a call".into(),
                columns: vec!["keys", "feedback", "query", "data", "update", "bytes a key"],
                rows: schedulers,
            },
            Table {
                heading: "Updates a second with STL (864 points, season 288)".into(),
                columns: vec![
                    "one thread",
                    "two threads",
                    "one, round-robin",
                    "in the scheduler, %",
                ],
                rows: functions,
            },
            Table {
                heading: format!("A whole service with STL, store included, {SECONDS} s each"),
                columns: vec!["shards", "updates/s", "times one shard"],
                rows: sharded,
            },
        ],
    }
    .publish("features-overhead")?;
    Ok(met)
}

/// A service of 1,024 series with one shard, and with two.
fn sharded(aims: &mut Vec<(String, bool)>) -> Result<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    let mut one = f64::NAN;
    for shards in ["1", "2"] {
        let told = measured_by("updates", &[shards, SECONDS])?;
        let updates_per_s = told
            .first()
            .map_or(f64::NAN, |row| number(row, "updates_per_s"));
        if shards == "1" {
            one = updates_per_s;
        } else {
            aims.push((
                format!(
                    "{:.2} times as many updates with two shards as with one, of {SHARDED}",
                    updates_per_s / one
                ),
                updates_per_s / one >= SHARDED,
            ));
        }
        rows.push(vec![
            shards.to_owned(),
            figure(updates_per_s, 0),
            figure(updates_per_s / one, 2),
        ]);
    }
    Ok(rows)
}
