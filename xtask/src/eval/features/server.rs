//! The servers that are measured: ours, built in release, and Feast's.

use crate::cargo::cargo;
use crate::process::{self, Group};
use crate::{servers, workspace};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a server may take to answer.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// A running server; it ends when this is dropped.
pub(super) struct Server {
    pub(super) group: Group,
    pub(super) address: String,
    /// What it said when it was ready, where it says anything.
    pub(super) ready: Value,
}

impl Server {
    /// Posts JSON; an answer but 200 is an error.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<()> {
        let url = format!("http://{}{path}", self.address);
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let request = agent.post(&url).header("content-type", "application/json");
        request
            .send(body.to_string())
            .with_context(|| format!("cannot post to {url}"))?;
        Ok(())
    }
}

/// A view of numbers that come ready.
pub(super) fn features_config(features: usize) -> String {
    let names: Vec<String> = (0..features).map(|index| format!("\"f{index}\"")).collect();
    let mut text = format!(
        "[[view]]\nname = \"measured\"\nkey = \"user_id\"\nfeatures = [{}]\n[view.types]\nuser_id = \"Int64\"\n",
        names.join(", ")
    );
    for index in 0..features {
        let _ = writeln!(text, "f{index} = \"Float64\"");
    }
    text
}

/// The program that serves, built in release.
pub(super) fn program() -> Result<PathBuf> {
    let mut build = cargo([
        "build",
        "--release",
        "--quiet",
        "--package",
        "skyfresh-features",
        "--example",
        "served",
    ]);
    if !process::run(&mut build)? {
        bail!("the server could not be built; cargo's message is above");
    }
    Ok(workspace::target().join("release/examples/served"))
}

/// Starts ours over a store in the folder.
pub(super) fn ours(program: &Path, folder: &Path, config: &str, store: &str) -> Result<Server> {
    let path = folder.join("features.toml");
    fs::write(&path, config)?;
    let mut command = Command::new(program);
    command.arg("serve").arg(&path).arg(folder.join(store));
    let (group, ready) = started(&mut command)?;
    let address = ready["address"]
        .as_str()
        .context("it told no address")?
        .to_owned();
    Ok(Server {
        group,
        address,
        ready,
    })
}

/// Starts a program, and gives the JSON of its first line.
pub(super) fn started(command: &mut Command) -> Result<(Group, Value)> {
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let group = Group::spawn(command.stdout(writer))?;
    // The command holds the writing end; without this the reader never sees the end of a program that fails.
    command.stdout(std::process::Stdio::null());
    let mut line = String::new();
    BufReader::new(reader)
        .read_line(&mut line)
        .context("it told nothing")?;
    let told = serde_json::from_str(&line).with_context(|| format!("it said {line:?}"))?;
    Ok((group, told))
}

/// Feast's, with the same view; why there is none, otherwise.
pub(super) fn feast(folder: &Path, features: usize) -> Result<Result<Server, String>> {
    let environment = workspace::target().join("test-servers");
    let interpreter = match servers::install::feast(&environment)? {
        Ok(interpreter) => interpreter,
        Err(missing) => return Ok(Err(missing.why)),
    };
    let repository = folder.join("feast");
    fs::create_dir_all(repository.join("data"))?;
    let yaml = fs::read_to_string(
        workspace::root().join("tests-python/feast_repository/feature_store.yaml"),
    )?;
    fs::write(repository.join("feature_store.yaml"), yaml)?;
    fs::write(repository.join("definitions.py"), definitions(features))?;
    let program = interpreter.with_file_name("feast");
    let mut apply = Command::new(&program);
    apply
        .args(["apply", "--skip-source-validation"])
        .current_dir(&repository)
        .env("FEAST_USAGE", "False");
    if !process::succeeds(&mut apply) {
        return Ok(Err("`feast apply` failed".into()));
    }
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let log = fs::File::create(folder.join("feast.log"))?;
    let mut serve = Command::new(&program);
    serve
        .args([
            "serve",
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--workers",
            "2",
            "--no-access-log",
            // Its workers otherwise restart after a thousand requests, in the middle of connections.
            "--max-requests",
            "0",
        ])
        .current_dir(&repository)
        .env("FEAST_USAGE", "False")
        .stdout(log.try_clone()?)
        .stderr(log);
    let group = Group::spawn(&mut serve)?;
    let deadline = Instant::now() + READY_TIMEOUT;
    while ureq::get(format!("http://{address}/health"))
        .call()
        .is_err()
    {
        if Instant::now() > deadline {
            return Ok(Err("its server did not answer".into()));
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    Ok(Ok(Server {
        group,
        address,
        ready: Value::Null,
    }))
}

/// The view for Feast.
fn definitions(features: usize) -> String {
    format!(
        r#"from datetime import timedelta
from feast import Entity, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Float64, Int64

user = Entity(name="user_id", join_keys=["user_id"], value_type=ValueType.INT64)
batch = FileSource(name="batch", path="data/batch.parquet", timestamp_field="event_timestamp")
measured = FeatureView(
    name="measured",
    entities=[user],
    ttl=timedelta(0),
    schema=[Field(name="user_id", dtype=Int64)] + [Field(name=f"f{{index}}", dtype=Float64) for index in range({features})],
    source=PushSource(name="push", batch_source=batch),
)
"#
    )
}
