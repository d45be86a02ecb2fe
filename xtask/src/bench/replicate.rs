//! `cargo xtask bench replicate`: from PUT at the source to readable at the destination, through a whole daemon.
//!
//! Three processes on loopback: `skyfresh localsky` without shaping (source, destination, notifications), `skyfresh
//! serve` with one rule, and this one, which writes and watches. Each workload gets fresh processes.

use super::child::Measured;
use super::load::{self, Load, Outcome, WATCH_PERIOD};
use super::quantile::Sorted;
use super::s3::{Bucket, Keys};
use crate::cargo::release_build;
use crate::report::Report;
use crate::workspace;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const SOURCE_REGION: &str = "us-east-1";
const DESTINATION_REGION: &str = "eu-west-1";
const BUCKET: &str = "bench";

/// Between this machine's own processes, for the length of a run.
const NOTIFICATION_TOKEN: &str = "bench-notifications";

/// How long the daemon is left alone to see what it uses when nothing happens.
const IDLE: Duration = Duration::from_secs(10);

/// The daemon sweeps once at start; this lets it finish before anything is measured.
const SETTLE: Duration = Duration::from_secs(2);

/// What has not arrived this long after the last write is absent.
const DRAIN: Duration = Duration::from_secs(60);

/// Writes of small objects in flight, at most.
const WRITERS: usize = 16;

/// Measure the delay from PUT to readable, CPU and memory of `skyfresh serve`.
#[derive(clap::Args)]
pub(super) struct Replicate {
    /// Small objects written each second; one measurement for each
    #[arg(long, value_delimiter = ',', default_value = "50,200,500", value_parser = clap::value_parser!(u32).range(1..))]
    rates: Vec<u32>,
    /// For how many seconds each
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..))]
    seconds: u64,
    /// Bytes in a small object
    #[arg(long, default_value_t = 10_000)]
    small_bytes: u64,
    /// How many large objects, one after the other; 0 leaves them out
    #[arg(long, default_value_t = 3)]
    large_objects: u64,
    /// Bytes in a large object
    #[arg(long, default_value_t = 1 << 30)]
    large_bytes: u64,
    /// Measure this program instead of a release build of this tree
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Name of the file below docs/results/
    #[arg(long, default_value = "replicate")]
    name: String,
}

impl Replicate {
    /// Runs every workload; true where all objects arrived unchanged.
    pub(super) fn run(self) -> Result<bool> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => release_build()?,
        };
        let mut rows = Vec::new();
        let mut complete = true;
        for load in self.loads() {
            let large = load.writers == 1;
            println!("{} objects of {} bytes", load.objects, load.object_bytes);
            let measured = measure(&program, &load, large)?;
            complete &= measured.outcome.absent == 0 && measured.outcome.different == 0;
            rows.push(measured.row(&load));
        }
        let path = report(rows).publish(&self.name)?;
        println!("written to {}", path.display());
        Ok(complete)
    }

    fn loads(&self) -> Vec<Load> {
        let small = self.rates.iter().map(|rate| Load {
            objects: u64::from(*rate) * self.seconds,
            interval: Duration::from_secs(1) / *rate,
            object_bytes: self.small_bytes,
            writers: WRITERS,
            drain: DRAIN,
            warm_up_objects: u64::from(*rate),
        });
        let large = (self.large_objects > 0).then_some(Load {
            objects: self.large_objects,
            interval: Duration::ZERO,
            object_bytes: self.large_bytes,
            writers: 1,
            drain: DRAIN,
            warm_up_objects: 0,
        });
        small.chain(large).collect()
    }
}

/// One workload's figures.
struct Measurement {
    outcome: Outcome,
    idle_cpu_share: f64,
    serve_cpu_s: f64,
    serve_peak_bytes: u64,
    sky_cpu_s: f64,
}

impl Measurement {
    fn row(&self, load: &Load) -> Vec<String> {
        let sorted = Sorted::new(self.outcome.delays.clone());
        let quantile = |share| {
            let value = sorted.quantile(share);
            value.map_or_else(
                || "–".into(),
                |delay: Duration| format!("{:.0}", delay.as_secs_f64() * 1e3),
            )
        };
        let asked = match load.interval.as_secs_f64() {
            0.0 => "one at a time".into(),
            interval => format!("{:.0}", 1.0 / interval),
        };
        vec![
            load.object_bytes.to_string(),
            asked,
            format!(
                "{:.1}",
                load.objects as f64 / self.outcome.wrote_for.as_secs_f64()
            ),
            load.objects.to_string(),
            quantile(0.5),
            quantile(0.99),
            quantile(1.0),
            format!("{:.1}", self.serve_cpu_s),
            format!("{:.1}", self.serve_peak_bytes as f64 / 1e6),
            format!("{:.2}", self.idle_cpu_share * 100.0),
            format!("{:.1}", self.sky_cpu_s),
            self.outcome.absent.to_string(),
            self.outcome.different.to_string(),
        ]
    }
}

fn report(rows: Vec<Vec<String>>) -> Report {
    Report {
        title: "From PUT to readable",
        notes: vec![
            "`skyfresh localsky` (unshaped), `skyfresh serve` with one rule and one destination, and the load run on \
             this one machine and share its processors."
                .into(),
            format!(
                "Delay: from the answer to the PUT at the source until a listing of the destination has the object; \
                 listings begin {} ms after one another, so delays are up to that much too long. The first second of \
                 each paced workload is not counted.",
                WATCH_PERIOD.as_millis()
            ),
            "CPU seconds are those of the whole workload; peak memory is the largest resident set since the process \
             began. Idle CPU: share of one processor before the first write."
                .into(),
            "Absent: not there 60 s after the last write. Different: another size, or another ETag.".into(),
        ],
        columns: vec![
            "object, bytes",
            "asked, objects/s",
            "written, objects/s",
            "objects",
            "p50, ms",
            "p99, ms",
            "max, ms",
            "serve CPU, s",
            "serve peak, MB",
            "serve idle CPU, %",
            "localsky CPU, s",
            "absent",
            "different",
        ],
        rows,
    }
}

fn measure(program: &Path, load: &Load, on_disk: bool) -> Result<Measurement> {
    let parent = workspace::target().join("bench");
    fs::create_dir_all(&parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let directory = tempfile::tempdir_in(&parent).context("cannot make a directory")?;
    let logs = |name: &str| parent.join(format!("{name}.log"));
    let port = free_port()?;

    let sky = start_sky(
        program,
        port,
        on_disk.then(|| directory.path().join("sky")),
        &logs("localsky"),
    )?;
    let bucket = |region: &str| bucket_of(&sky.ready, region);
    let (source, destination) = (bucket(SOURCE_REGION)?, bucket(DESTINATION_REGION)?);
    let serve = start_serve(
        program,
        port,
        directory.path(),
        &source,
        &destination,
        &logs("serve"),
    )?;

    std::thread::sleep(SETTLE);
    let before_idle = serve.usage()?;
    std::thread::sleep(IDLE);
    let (before, sky_before) = (serve.usage()?, sky.usage()?);
    let outcome = load::run(load, &source, &destination)?;
    let (after, sky_after) = (serve.usage()?, sky.usage()?);
    Ok(Measurement {
        outcome,
        idle_cpu_share: (before.cpu_s - before_idle.cpu_s) / IDLE.as_secs_f64(),
        serve_cpu_s: after.cpu_s - before.cpu_s,
        serve_peak_bytes: after.peak_resident_bytes,
        sky_cpu_s: sky_after.cpu_s - sky_before.cpu_s,
    })
}

fn start_sky(program: &Path, port: u16, root: Option<PathBuf>, log: &Path) -> Result<Measured> {
    let mut command = Command::new(program);
    command
        .args(["localsky", "--json", "--bucket", BUCKET])
        .args([
            "--regions",
            &format!("aws:{SOURCE_REGION},aws:{DESTINATION_REGION}"),
        ])
        .args([
            "--notify",
            &format!("http://127.0.0.1:{port}/v1/notifications"),
        ])
        .env("SKYFRESH_NOTIFY_TOKEN", NOTIFICATION_TOKEN);
    if let Some(root) = root {
        command.arg("--root").arg(root);
    }
    Measured::start(&mut command, log).context("skyfresh localsky")
}

fn start_serve(
    program: &Path,
    port: u16,
    directory: &Path,
    source: &Bucket,
    destination: &Bucket,
    log: &Path,
) -> Result<Measured> {
    let path = directory.join("skyfresh.toml");
    fs::write(&path, configuration(port, source, destination))
        .context("cannot write the configuration")?;
    let mut command = Command::new(program);
    command.args(["serve", "--json", "--config"]).arg(&path);
    Measured::start(&mut command, log).context("skyfresh serve")
}

fn configuration(port: u16, source: &Bucket, destination: &Bucket) -> String {
    let endpoint = |name: &str, bucket: &Bucket| {
        format!(
            "[endpoint.{name}]\nurl = {:?}\nregion = {:?}\naccess_key_id = {:?}\nsecret_access_key = {:?}\n\n",
            bucket.endpoint, bucket.region, bucket.keys.access, bucket.keys.secret
        )
    };
    format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\nwebhook_secret = \"{NOTIFICATION_TOKEN}\"\n\n\
         [ledger]\npath = \"bench.ledger\"\n\n{}{}\
         [[rule]]\nname = \"bench\"\nsource = \"s3://{BUCKET}/?endpoint=source\"\nslo = \"1s@p99\"\n\n\
         [[rule.destination]]\nname = \"copy\"\nlocation = \"s3://{BUCKET}/?endpoint=destination\"\n",
        endpoint("source", source),
        endpoint("destination", destination),
    )
}

/// The bucket in a region, out of what `localsky --json` said when it was ready.
fn bucket_of(ready: &Value, region: &str) -> Result<Bucket> {
    let endpoints = ready["endpoints"]
        .as_array()
        .context("localsky named no endpoints")?;
    let named = |endpoint: &&Value| {
        endpoint["to"]
            .as_str()
            .is_some_and(|to| to.ends_with(&format!(":{region}")))
    };
    let url = endpoints
        .iter()
        .find(named)
        .and_then(|endpoint| endpoint["url"].as_str());
    let text = |name: &str| {
        ready[name]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("localsky gave no {name}"))
    };
    Ok(Bucket {
        endpoint: url
            .with_context(|| format!("localsky has no endpoint in {region}"))?
            .to_owned(),
        name: BUCKET.into(),
        region: region.into(),
        keys: Keys {
            access: text("access_key_id")?,
            secret: text("secret_access_key")?,
        },
    })
}

fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot find a free port")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_of_a_region_is_found() {
        let ready = serde_json::json!({
            "endpoints": [
                { "from": null, "to": "aws:us-east-1", "url": "http://127.0.0.1:1" },
                { "from": null, "to": "aws:eu-west-1", "url": "http://127.0.0.1:2" },
            ],
            "access_key_id": "id",
            "secret_access_key": "secret",
        });
        assert_eq!(
            bucket_of(&ready, "eu-west-1")
                .expect("it is there")
                .endpoint,
            "http://127.0.0.1:2"
        );
        assert!(bucket_of(&ready, "ap-south-1").is_err());
    }
}
