//! How long a start takes after a kill -9 in the middle of writing.

use super::server::{ours, program, started};
use crate::bench::usage::Usage;
use crate::eval::overlay::{figure, judged};
use crate::report::{Document, Table};
use anyhow::{Context, Result};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

const KEYS: [usize; 2] = [100_000, 1_000_000];
/// Aim.
const SECONDS: f64 = 2.0;
/// Starts after one kill; the slowest counts.
const STARTS: usize = 3;
/// How long events are pushed before the kill.
const PUSHING: Duration = Duration::from_secs(2);

const VIEW: &str = r#"
[[view]]
name = "mean"
key = "customer"
[view.function]
kind = "exponential-mean"
column = "v"
half_life_s = 3600.0
"#;

pub(super) fn run() -> Result<bool> {
    let others = super::serving::others();
    let (mut rows, mut aims) = (Vec::new(), Vec::new());
    let program = program()?;
    for keys in KEYS {
        let folder = tempfile::tempdir().context("cannot make a directory")?;
        let (config, store) = (
            folder.path().join("fill.toml"),
            folder.path().join("features.redb"),
        );
        fs::write(&config, VIEW)?;
        let mut fill = Command::new(&program);
        fill.arg("fill")
            .arg(&config)
            .arg(&store)
            .arg(keys.to_string());
        println!("filling a store with {keys} keys");
        let (mut filling, _) = started(&mut fill)?;
        std::thread::sleep(PUSHING);
        filling.kill()?;
        let bytes = fs::metadata(&store)?.len();
        let (mut slowest, mut cpu_s) = (0.0f64, 0.0f64);
        let mut told = serde_json::Value::Null;
        for _ in 0..STARTS {
            let begun = Instant::now();
            let mut server = ours(&program, folder.path(), VIEW, "features.redb")?;
            slowest = slowest.max(begun.elapsed().as_secs_f64());
            cpu_s = Usage::of(server.group.id())?.cpu_s.max(cpu_s);
            told = server.ready.clone();
            // Killed again, so that each start is one after a crash.
            server.group.kill()?;
        }
        if keys == 1_000_000 {
            aims.push((
                format!("{keys} keys: {slowest:.2} s from the start of the process until it answers, of {SECONDS} s"),
                slowest <= SECONDS && told["keys"] == keys && told["feedback"].as_u64() >= Some(1_000),
            ));
        }
        rows.push(vec![
            figure(keys as f64, 0),
            figure(bytes as f64 / 1e6, 0),
            figure(told["pending"].as_f64().unwrap_or(f64::NAN), 0),
            figure(told["feedback"].as_f64().unwrap_or(f64::NAN), 0),
            figure(slowest, 2),
            figure(cpu_s, 2),
            figure(told["open_s"][0].as_f64().unwrap_or(f64::NAN), 2),
        ]);
    }
    let (mut notes, met) = judged(&aims);
    notes.insert(0, format!("A view computes a mean for each key; one key in a hundred and those pushed last have an event that waits, and 1,000 errors are reported. The process is killed with SIGKILL while it pushes one event after the other, each flushed to the disk. Then it is started {STARTS} times, and killed each time once it answers; the slowest counts, from the start of the process. The file is in the page cache, as it is after a crash of a process."));
    notes.insert(1, others);
    Document {
        title: "Features: a start after kill -9",
        notes,
        tables: vec![Table {
            heading: "Starts".into(),
            columns: vec![
                "keys",
                "file, MB",
                "keys that wait",
                "errors taken up",
                "start, s",
                "its CPU, s",
                "of it the file, s",
            ],
            rows,
        }],
    }
    .publish("features-recovery")?;
    Ok(met)
}
