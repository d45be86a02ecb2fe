//! What tests run against and nobody here wrote: object-store servers, boto3, a browser.
//!
//! **In:** the pinned list of Python packages in `xtask/test-servers/requirements.txt`.
//! **Out:** running servers on free ports of 127.0.0.1, and the environment variables that tell tests where things are.
//! **Never:** keeps data on disk, installs outside `target/test-servers`, reaches a real cloud.

mod install;
mod server;

use crate::workspace;
use anyhow::Result;
use server::{MINISTACK, MOTO, Server};
use std::ffi::OsString;

/// Where moto listens: `http://127.0.0.1:<port>`.
const MOTO_VARIABLE: &str = "SKYFRESH_TEST_MOTO";

/// Where MiniStack listens: `http://127.0.0.1:<port>`.
const MINISTACK_VARIABLE: &str = "SKYFRESH_TEST_MINISTACK";

/// A Python interpreter that can import boto3 and google.cloud.storage.
const PYTHON_VARIABLE: &str = "SKYFRESH_TEST_PYTHON";

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
    _running: Vec<Server>,
    /// What to set in the tests' environment.
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// What tests have to skip.
    pub(crate) missing: Vec<Missing>,
}

impl TestServers {
    /// Installs what is not installed yet and starts everything, waiting until each server answers.
    pub(crate) fn start() -> Result<TestServers> {
        let mut servers = TestServers {
            _running: Vec::new(),
            variables: Vec::new(),
            missing: Vec::new(),
        };
        match install::chromium() {
            Ok(path) => servers.variables.push((CHROMIUM_VARIABLE, path.into())),
            Err(missing) => servers.missing.push(missing),
        }
        let directory = workspace::target().join("test-servers");
        let python = match install::python(&directory)? {
            Ok(python) => python,
            Err(missing) => {
                servers.missing.push(missing);
                return Ok(servers);
            }
        };
        servers
            .variables
            .push((PYTHON_VARIABLE, python.interpreter().into()));
        for (kind, variable) in [(&MOTO, MOTO_VARIABLE), (&MINISTACK, MINISTACK_VARIABLE)] {
            // Started one after the other on purpose: together they fight for the two cores of a small machine.
            match Server::start(kind, &python, &directory) {
                Ok(server) => {
                    println!("test servers: {} at {}", kind.name, server.address());
                    servers.variables.push((variable, server.address().into()));
                    servers._running.push(server);
                }
                Err(error) => servers.missing.push(Missing {
                    what: kind.name,
                    why: format!("{error:#}"),
                    install_line: python.install_line(),
                }),
            }
        }
        Ok(servers)
    }
}
