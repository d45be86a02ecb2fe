//! What scheduling takes: nanoseconds, bytes, and its share of the work.

use super::measured;
use crate::eval::overlay::{figure, judged, number, of};
use crate::report::{Document, Table};
use anyhow::Result;

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
        ],
    }
    .publish("features-overhead")?;
    Ok(met)
}
