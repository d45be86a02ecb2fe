//! What a rule's destinations pay where they share relays, and where they do not: whole commands over a local sky.
//!
//! **In:** `skyfresh` built in release, eight objects, one source and three destinations. **Out:** what `replicate` spent, beside the least
//! that a plan's trees cost. **Never:** a run whose destinations were not proved equal.

use super::{figure, judged};
use crate::bench::child::Measured;
use crate::cargo::release_build;
use crate::report::{Document, Table};
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

const SOURCE: &str = "aws:us-east-1";
const DESTINATIONS: [&str; 3] = ["gcp:us-central1", "gcp:us-east1", "gcp:us-west1"];
const OBJECTS: u64 = 8;
const OBJECT_BYTES: u64 = 48 << 20;
/// What requests may add to the least egress, and what waiting in vain may.
const MOST_ABOVE: f64 = 0.05;

pub(super) fn run() -> Result<bool> {
    let program = release_build()?;
    let parent = workspace::target().join("eval").join("overlay");
    let directory = tempfile::tempdir_in(&parent).context("cannot make a directory")?;
    let place = Place {
        program: &program,
        directory: directory.path(),
    };
    place.write()?;
    let gb = (OBJECTS * OBJECT_BYTES) as f64 / 1e9;
    let (least, direct) = (place.planned("best", gb)?, place.planned("direct", gb)?);
    let (mut aims, mut rows) = (Vec::new(), Vec::new());
    for slo in ["500ms", "2s", "60s"] {
        let apart = place.replicated(slo, &[])?;
        let together = place.replicated(slo, &["--relays", "local"])?;
        let above = together.usd / least - 1.0;
        aims.push((
            format!(
                "SLO {slo}, relays: {:+.1}% of the least egress, of +5% with requests",
                above * 100.0
            ),
            above <= MOST_ABOVE,
        ));
        for (way, told) in [("without", apart), ("relays", together)] {
            rows.push(vec![
                slo.to_owned(),
                way.to_owned(),
                figure(told.usd, 4),
                figure(told.usd / least, 2),
                told.requests.to_string(),
                figure(told.s, 1),
            ]);
        }
    }
    let (mut notes, met) = judged(&aims);
    notes.insert(0, format!(
        "{OBJECTS} objects of {} MiB from {SOURCE} to {}, S3 in every region of one local sky, without shaping: `skyfresh replicate --once` with `--relays local` (for cost), and without. Dollars are what the command says it spent, by the catalogue. Every run was compared byte for byte.",
        OBJECT_BYTES >> 20,
        DESTINATIONS.join(", "),
    ));
    notes.insert(1, format!(
        "The least egress, by the trees of `skyfresh plan`: ${least:.4}. Each destination direct: ${direct:.4}. Without relays, a rule whose SLO leaves time copies to one destination and from there to the others; objects that are late go direct, with relays too: these start with the first part, and half a second leaves no time to wait for them."
    ));
    notes.insert(2, "Seconds are of this machine's processors, which all stores and relays share: what relays gain over real distances is in [predicted against achieved](overlay-achieved.md).".into());
    Document {
        title: "Relays of a rule",
        notes,
        tables: vec![Table {
            heading: "Three destinations".into(),
            columns: vec![
                "SLO",
                "relays",
                "spent, $",
                "÷ least egress",
                "requests",
                "s",
            ],
            rows,
        }],
    }
    .publish("overlay-rules")?;
    Ok(met)
}

/// Where a run's files are.
struct Place<'a> {
    program: &'a Path,
    directory: &'a Path,
}

/// What a rule said of itself.
struct Told {
    usd: f64,
    requests: u64,
    s: f64,
}

impl Place<'_> {
    /// Objects that differ everywhere.
    fn write(&self) -> Result<()> {
        let folder = self.directory.join("objects");
        fs::create_dir(&folder).context("cannot make a folder")?;
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        for number in 0..OBJECTS {
            let mut bytes = Vec::with_capacity(OBJECT_BYTES as usize);
            while (bytes.len() as u64) < OBJECT_BYTES {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                bytes.extend(state.to_le_bytes());
            }
            fs::write(folder.join(format!("model-{number}.bin")), bytes)
                .context("cannot write an object")?;
        }
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(arguments)
            .current_dir(self.directory)
            .env("HOME", self.directory)
            .env("XDG_STATE_HOME", self.directory.join("state"));
        command
    }

    fn ran(&self, arguments: &[&str], keys: &[(&str, &str)]) -> Result<Output> {
        let output = self.command(arguments).envs(keys.iter().copied()).output();
        let output = output.with_context(|| format!("cannot run {arguments:?}"))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            bail!("skyfresh {} failed: {told}", arguments.join(" "));
        }
        Ok(output)
    }

    /// Egress of a plan for so many GB, in dollars.
    fn planned(&self, engine: &str, gb: f64) -> Result<f64> {
        let size = format!("{gb}GB");
        let ends = [SOURCE].into_iter().chain(DESTINATIONS);
        let mut arguments = vec!["plan"];
        arguments.extend(ends);
        arguments.extend(["--size", &size, "--engine", engine, "--json"]);
        let plan: Value = serde_json::from_slice(&self.ran(&arguments, &[])?.stdout)
            .context("skyfresh plan printed no JSON")?;
        plan["egress_usd"].as_f64().context("a plan without egress")
    }

    /// One rule, run to its end on a fresh sky, and proved.
    fn replicated(&self, slo: &str, relays: &[&str]) -> Result<Told> {
        println!("replicating: SLO {slo} {}", relays.join(" "));
        let _ = fs::remove_dir_all(self.directory.join("state"));
        let regions = [SOURCE].into_iter().chain(DESTINATIONS);
        let regions = regions.collect::<Vec<_>>().join(",");
        let sky = [
            "localsky",
            "--json",
            "--s3-everywhere",
            "--bucket",
            "data",
            "--regions",
            &regions,
        ];
        let log = self.directory.join("localsky.log");
        let sky = Measured::start(&mut self.command(&sky), &log).context("skyfresh localsky")?;
        let said = |name: &str| {
            let text = sky.ready[name].as_str().map(str::to_owned);
            text.with_context(|| format!("localsky gave no {name}"))
        };
        let (id, secret) = (said("access_key_id")?, said("secret_access_key")?);
        let keys = [
            ("AWS_ACCESS_KEY_ID", id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
        ];
        let location = |region: &str| {
            let endpoints = sky.ready["endpoints"].as_array().into_iter().flatten();
            let mut here = endpoints.filter(|it| it["to"].as_str() == Some(region));
            let url = here.next().and_then(|it| it["url"].as_str());
            let url = url.with_context(|| format!("localsky has no endpoint in {region}"))?;
            anyhow::Ok(format!("s3://data/?endpoint={url}&region={region}"))
        };
        let source = location(SOURCE)?;
        let targets = DESTINATIONS.iter().map(|region| location(region));
        let targets: Vec<String> = targets.collect::<Result<_>>()?;
        self.ran(&["cp", "-r", "objects", &source], &keys)?;
        let mut arguments = vec!["replicate", &source];
        arguments.extend(targets.iter().map(String::as_str));
        arguments.extend(["--once", "--json", "--slo", slo]);
        arguments.extend(relays);
        let began = Instant::now();
        let output = self.ran(&arguments, &keys)?;
        let s = began.elapsed().as_secs_f64();
        for target in &targets {
            self.ran(&["verify", &source, target, "--deep"], &keys)?;
        }
        let text = String::from_utf8(output.stdout).context("replicate printed no text")?;
        let last = text.lines().last().context("replicate said nothing")?;
        let told: Value = serde_json::from_str(last).context("replicate printed no JSON")?;
        let destinations = told["destinations"].as_array().context("no destinations")?;
        let totals = || destinations.iter().map(|it| &it["totals"]);
        Ok(Told {
            usd: totals().filter_map(|it| it["spend"].as_f64()).sum(),
            requests: totals().filter_map(|it| it["requests"].as_u64()).sum(),
            s,
        })
    }
}
