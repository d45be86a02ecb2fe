//! What the credential chain may do outside this process: read small files, run a `credential_process`, and ask the
//! metadata and token services. Each with a limit on size and time.

use crate::http::{HttpClient, RequestBody, collect, describe};
use bytes::Bytes;
use reqsign_core::{CommandExecute, CommandOutput, Error, FileRead, HttpSend, Result};
use skyfresh_sky::{Clock, timeout};
use std::sync::Arc;
use std::time::Duration;

const FILE_LIMIT_BYTES: u64 = 1 << 20;
const ANSWER_LIMIT_BYTES: usize = 1 << 20;
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Away from a cloud nothing answers at the link-local metadata addresses: give up soon.
const METADATA_LIMIT: Duration = Duration::from_secs(2);
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// Reads the shared credential and configuration files.
#[derive(Debug)]
pub(crate) struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> Result<Vec<u8>> {
        use tokio::io::AsyncReadExt;
        let failed = |error: std::io::Error| {
            Error::config_invalid(format!("cannot read {path}")).with_source(error)
        };
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        let mut content = Vec::new();
        file.take(FILE_LIMIT_BYTES)
            .read_to_end(&mut content)
            .await
            .map_err(failed)?;
        Ok(content)
    }
}

/// Talks to metadata and token services over the store's own client.
#[derive(Debug)]
pub(crate) struct Http {
    client: HttpClient,
    clock: Arc<dyn Clock>,
}

impl Http {
    pub(crate) fn new(client: HttpClient, clock: Arc<dyn Clock>) -> Self {
        Http { client, clock }
    }
}

impl HttpSend for Http {
    async fn http_send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let limit = if host.starts_with("169.254.") {
            METADATA_LIMIT
        } else {
            ANSWER_LIMIT
        };
        let failed = |why: String| Error::unexpected(format!("{host} gave no credentials: {why}"));
        let (parts, body) = request.into_parts();
        let body = if body.is_empty() {
            RequestBody::Empty
        } else {
            RequestBody::Whole(Some(body))
        };
        let exchange = async {
            let response = self
                .client
                .send(http::Request::from_parts(parts, body), None, limit)
                .await
                .map_err(|failure| failed(failure.to_string()))?;
            let (head, body) = response.into_parts();
            let body = collect(
                body,
                ANSWER_LIMIT_BYTES,
                &*self.clock,
                limit,
                "read credentials",
                &host,
            )
            .await;
            Ok(http::Response::from_parts(
                head,
                body.map_err(|error| failed(describe(&error)))?,
            ))
        };
        timeout(&*self.clock, limit, exchange)
            .await
            .unwrap_or_else(|| Err(failed(format!("no answer within {} s", limit.as_secs()))))
    }
}

/// Runs the `credential_process` of a profile.
#[derive(Debug)]
pub(crate) struct Commands {
    clock: Arc<dyn Clock>,
}

impl Commands {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Commands { clock }
    }
}

impl CommandExecute for Commands {
    async fn command_execute<'a>(
        &'a self,
        program: &'a str,
        args: &'a [&'a str],
    ) -> Result<CommandOutput> {
        let mut command = tokio::process::Command::new(program);
        command
            .args(args)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        let output = timeout(&*self.clock, COMMAND_LIMIT, command.output())
            .await
            .ok_or_else(|| {
                Error::unexpected(format!(
                    "{program} gave no credentials within {} s",
                    COMMAND_LIMIT.as_secs()
                ))
            })?
            .map_err(|error| {
                Error::config_invalid(format!("{program} could not be run")).with_source(error)
            })?;
        Ok(CommandOutput {
            status: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}
