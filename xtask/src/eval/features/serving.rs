//! How fast features are answered, beside Feast's Python server, in the same run.

use super::load::at_rate;
use super::server::{Server, feast, features_config, ours, program};
use super::wrk::Wrk;
use crate::eval::overlay::{figure, judged};
use crate::report::{Document, Table};
use anyhow::{Context, Result};
use serde_json::{Value, json};

const FEATURES: usize = 50;
const ENTITIES: usize = 1_000;
/// Of the larger requests.
const BATCH: usize = 100;
const SECONDS: usize = 10;
const CONNECTIONS: usize = 32;
/// Requests a second before anything counts: few, as a slow server would work for minutes on many.
const WARM_UP: f64 = 50.0;
/// What small requests come at, and large ones.
const RATES: [f64; 2] = [20_000.0, 500.0];

pub(super) fn run() -> Result<bool> {
    let folder = tempfile::tempdir().context("cannot make a directory")?;
    let mut rows = Vec::new();
    let mut aims = Vec::new();
    let mut notes = vec![format!(
        "{ENTITIES} entities with {FEATURES} features (Float64) in one view; requests name all features. \"max\" is wrk with one thread, each connection with one request at a time. A rate in requests a second is kept whatever the server does, and a request that waits for the one before it counts from when it was due. Client and server share the machine's cores. {SECONDS} s each, after 2 s that are not counted."
    )];
    let wrk = Wrk::ensure()?;
    notes.push(others());
    if let Err(why) = &wrk {
        notes.push(format!("Without wrk: {why}."));
    }
    let program = program()?;
    let mine = ours(
        &program,
        folder.path(),
        &features_config(FEATURES),
        "features.redb",
    )?;
    write(&mine)?;
    let measure = |server: &Server,
                   name: &str,
                   rates: &[f64; 2],
                   rows: &mut Vec<Vec<String>>|
     -> Result<Vec<f64>> {
        let mut told = Vec::new();
        for (size, rate) in [1, BATCH].into_iter().zip(rates) {
            let bodies = bodies(size);
            at_rate(&server.address, &bodies, WARM_UP, 2.0, CONNECTIONS)?;
            let mut most = f64::NAN;
            if let Ok(wrk) = &wrk {
                for connections in [2, CONNECTIONS] {
                    let seen = wrk.run(&server.address, &bodies, connections, SECONDS)?;
                    most = seen
                        .requests_per_s
                        .max(if most.is_nan() { 0.0 } else { most });
                    rows.push(row(
                        name,
                        size,
                        &format!("max, {connections} connections"),
                        seen.requests_per_s,
                        seen.p50_ms,
                        seen.p99_ms,
                    ));
                }
            }
            // A server that cannot answer as many is given half of what it can.
            let rate = if most < *rate { most / 2.0 } else { *rate };
            let seen = at_rate(&server.address, &bodies, rate, SECONDS as f64, CONNECTIONS)?;
            let (p50, p99) = (seen.quantile_ms(0.5), seen.quantile_ms(0.99));
            let answered = seen.answered as f64 / seen.seconds;
            rows.push(row(name, size, &format!("{rate:.0}/s"), answered, p50, p99));
            told.extend([answered, p99, most]);
        }
        Ok(told)
    };
    let told = measure(&mine, "Skyfresh", &RATES, &mut rows)?;
    drop(mine);
    aims.push((
        format!(
            "1 × {FEATURES}: p99 {:.2} ms at {:.0} requests/s, of 1 ms at 20,000",
            told[1], told[0]
        ),
        told[1] <= 1.0 && told[0] >= 0.99 * RATES[0],
    ));
    aims.push((
        format!(
            "{BATCH} × {FEATURES}: p99 {:.2} ms at {:.0} requests/s, of 5 ms",
            told[4], told[3]
        ),
        told[4] <= 5.0,
    ));
    match feast(folder.path(), FEATURES)? {
        Ok(server) => {
            write(&server)?;
            let feast = measure(&server, "Feast", &RATES, &mut rows)?;
            notes.push(
                "Feast is 0.67's Python server (`feast serve --workers 2`) over its SQLite store."
                    .into(),
            );
            if wrk.is_ok() {
                notes.push(format!("At the most, {:.0} times as many small requests and {:.0} times as many large ones as Feast.", told[2] / feast[2], told[5] / feast[5]));
            }
        }
        Err(why) => notes.push(format!("Without Feast: {why}.")),
    }
    let (lines, met) = judged(&aims);
    notes.extend(lines);
    Document {
        title: "Features: how fast they are served",
        notes,
        tables: vec![Table {
            heading: "Requests".into(),
            columns: vec![
                "server",
                "entities × features",
                "load",
                "requests/s",
                "p50, ms",
                "p99, ms",
            ],
            rows,
        }],
    }
    .publish("features-serving")?;
    Ok(met)
}

/// What else the machine did when the run began.
pub(super) fn others() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let minute = load.split(' ').next().unwrap_or("of an unknown number");
    format!(
        "When the run began, {minute} processes of others wanted to run (the load average of the minute before): what they take is missing here."
    )
}

fn row(server: &str, size: usize, load: &str, rate: f64, p50: f64, p99: f64) -> Vec<String> {
    vec![
        server.to_owned(),
        format!("{size} × {FEATURES}"),
        load.to_owned(),
        figure(rate, 0),
        figure(p50, 2),
        figure(p99, 2),
    ]
}

/// Requests for entities in turn.
fn bodies(size: usize) -> Vec<String> {
    let features: Vec<String> = (0..FEATURES)
        .map(|index| format!("measured:f{index}"))
        .collect();
    let body = |from: usize| {
        let entities: Vec<usize> = (0..size)
            .map(|index| (from * 7 + index) % ENTITIES)
            .collect();
        json!({"features": features, "entities": {"user_id": entities}}).to_string()
    };
    (0..ENTITIES).map(body).collect()
}

/// The same rows to either server.
fn write(server: &Server) -> Result<()> {
    let mut columns = serde_json::Map::new();
    columns.insert("user_id".into(), (0..ENTITIES).collect::<Vec<_>>().into());
    columns.insert(
        "event_timestamp".into(),
        vec!["2026-11-20T10:00:00"; ENTITIES].into(),
    );
    for feature in 0..FEATURES {
        let values: Vec<f64> = (0..ENTITIES)
            .map(|entity| (entity * 31 + feature) as f64 / 7.0)
            .collect();
        columns.insert(format!("f{feature}"), values.into());
    }
    let body = json!({"feature_view_name": "measured", "df": Value::Object(columns)});
    server.post("/write-to-online-store", &body)
}
