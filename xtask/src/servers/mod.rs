//! What tests run against and nobody here wrote: object stores, document stores, a database, a broker, boto3, a browser.
//!
//! **In:** the pinned lists of packages in `xtask/test-servers`, and the system's PostgreSQL and Redis.
//! **Out:** running servers on free ports of 127.0.0.1, and the environment variables that tell tests where things are.
//! **Never:** keeps data after the run, installs outside `target/test-servers`, reaches a real cloud.

pub(crate) mod install;
mod kafka;
mod node;
mod postgres;
mod python;
mod redis;
mod server;

use crate::workspace;
use anyhow::Result;
use postgres::Postgres;
use redis::Redis;
use server::{Kind, Server, http};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where moto listens: `http://127.0.0.1:<port>`. It speaks S3 and DynamoDB.
const MOTO_VARIABLE: &str = "SKYFRESH_TEST_MOTO";

/// Where MiniStack listens: `http://127.0.0.1:<port>`. It speaks S3 and DynamoDB.
const MINISTACK_VARIABLE: &str = "SKYFRESH_TEST_MINISTACK";

/// Where gcplocal listens: `http://127.0.0.1:<port>`. It speaks Compute Engine.
const GCPLOCAL_VARIABLE: &str = "SKYFRESH_TEST_GCPLOCAL";

/// Where Azurite's Blob storage is: `http://127.0.0.1:<port>/devstoreaccount1`.
const AZURITE_VARIABLE: &str = "SKYFRESH_TEST_AZURITE";

/// Where its Queue storage is: `http://127.0.0.1:<port>/devstoreaccount1`.
const AZURITE_QUEUE_VARIABLE: &str = "SKYFRESH_TEST_AZURITE_QUEUE";

/// Where the Cosmos DB server listens: `http://127.0.0.1:<port>`.
const COSMOS_VARIABLE: &str = "SKYFRESH_TEST_COSMOS";

/// A PostgreSQL database: `postgres://…`.
const POSTGRES_VARIABLE: &str = "SKYFRESH_TEST_POSTGRES";

/// A Redis or Valkey server: `redis://…`.
const REDIS_VARIABLE: &str = "SKYFRESH_TEST_REDIS";

/// A Python interpreter that can import boto3 and google.cloud.storage.
const PYTHON_VARIABLE: &str = "SKYFRESH_TEST_PYTHON";

/// A Python interpreter that can import feast.
const FEAST_VARIABLE: &str = "SKYFRESH_TEST_FEAST";

/// Where a broker listens that speaks Kafka's protocol: `127.0.0.1:<port>`.
const KAFKA_VARIABLE: &str = "SKYFRESH_TEST_KAFKA";

/// A Chromium, for the pages.
const CHROMIUM_VARIABLE: &str = "SKYFRESH_TEST_CHROMIUM";

/// Something that could not be installed or started here.
pub(crate) struct Missing {
    /// What the tests lack.
    pub(crate) what: &'static str,
    /// What happened.
    pub(crate) why: String,
    /// The line that a person types to get it.
    pub(crate) install_line: String,
}

/// The servers of one test run; they stop when this is dropped.
pub(crate) struct TestServers {
    running: Vec<Server>,
    /// What to set in the tests' environment.
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// What tests have to skip.
    pub(crate) missing: Vec<Missing>,
    // Its directory goes after the server that uses it.
    _database: Option<Postgres>,
    directory: PathBuf,
}

impl TestServers {
    /// Installs what is not installed yet and starts everything, waiting until each server answers.
    pub(crate) fn start() -> Result<TestServers> {
        let directory = workspace::target().join("test-servers");
        let (python, node) = install(&directory)?;
        let mut servers = TestServers {
            running: Vec::new(),
            variables: Vec::new(),
            missing: Vec::new(),
            _database: None,
            directory,
        };
        if let Some(chromium) = servers.found(install::chromium()) {
            servers.set(CHROMIUM_VARIABLE, chromium);
        }
        // Started one after the other on purpose: together they fight for the two cores of a small machine.
        if let Some(python) = servers.found(python) {
            servers.set(PYTHON_VARIABLE, python.interpreter());
            for (kind, variable) in [
                (python.moto(), MOTO_VARIABLE),
                (python.ministack(), MINISTACK_VARIABLE),
                (python.gcplocal(), GCPLOCAL_VARIABLE),
            ] {
                if let Some(ports) = servers.run(&kind, || python.install_line()) {
                    servers.set(variable, http(ports[0]));
                }
            }
        }
        if let Some(interpreter) = servers.found(install::feast(&servers.directory)?) {
            servers.set(FEAST_VARIABLE, interpreter);
        }
        let tansu = kafka::tansu(&servers.directory)?;
        if let Some(tansu) = servers.found(tansu)
            && let Some(ports) = servers.run(&tansu.kind(), kafka::Tansu::install_line)
        {
            servers.set(KAFKA_VARIABLE, format!("127.0.0.1:{}", ports[0]));
        }
        if let Some(node) = servers.found(node) {
            if let Some(ports) = servers.run(&node.azurite(), || node.install_line()) {
                let account = |port| format!("{}/devstoreaccount1", http(port));
                servers.set(AZURITE_VARIABLE, account(ports[0]));
                servers.set(AZURITE_QUEUE_VARIABLE, account(ports[1]));
            }
            if let Some(ports) = servers.run(&node.cosmos(), || node.install_line()) {
                servers.set(COSMOS_VARIABLE, http(ports[0]));
            }
        }
        let database = postgres::postgres(&servers.directory)?;
        if let Some(database) = servers.found(database) {
            if let Some(ports) = servers.run(&database.kind(), Postgres::install_line) {
                servers.set(POSTGRES_VARIABLE, Postgres::url(ports[0]));
            }
            servers._database = Some(database);
        }
        if let Some(redis) = servers.found(redis::redis())
            && let Some(ports) = servers.run(&redis.kind(), Redis::install_line)
        {
            servers.set(REDIS_VARIABLE, Redis::url(ports[0]));
        }
        Ok(servers)
    }

    /// Starts a server. The ports it listens on; none where it could not be started, which is put on record.
    fn run(&mut self, kind: &Kind<'_>, install_line: impl Fn() -> String) -> Option<Vec<u16>> {
        match Server::start(kind, &self.directory) {
            Ok(server) => {
                let ports = server.ports().to_vec();
                println!("test servers: {} at 127.0.0.1, ports {ports:?}", kind.name);
                self.running.push(server);
                Some(ports)
            }
            Err(error) => {
                self.missing.push(Missing {
                    what: kind.name,
                    why: format!("{error:#}"),
                    install_line: install_line(),
                });
                None
            }
        }
    }

    fn found<T>(&mut self, outcome: Result<T, Missing>) -> Option<T> {
        outcome.map_err(|missing| self.missing.push(missing)).ok()
    }

    fn set(&mut self, variable: &'static str, value: impl Into<OsString>) {
        self.variables.push((variable, value.into()));
    }
}

type Installed = (
    Result<install::Python, Missing>,
    Result<node::Node, Missing>,
);

/// Both at once: they wait for the network most of the time.
fn install(directory: &Path) -> Result<Installed> {
    std::thread::scope(|scope| {
        let node = scope.spawn(|| node::node(directory));
        let python = install::python(directory)?;
        let node = node
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((python, node))
    })
}
