//! How a node in another process is started: its start goes in on standard input, one line of JSON; where it listens comes out
//! on standard output, one line of JSON. Nothing secret is ever in arguments or environment. When standard input ends, so does
//! the node: whoever started it is gone.

use super::NodeHandle;
use crate::chunk::Edges;
use crate::node::{Boot, End, PROTOCOL, Relay};
use crate::{Error, Result};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Clock, Kind, timeout};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Most bytes of the first line, in and out.
const MAX_LINE_BYTES: u64 = 64 << 10;
/// A process, or a login on a host, takes no longer to begin.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What a started node says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listening {
    address: String,
}

/// Serves as a node on standard input and output: what `skyfresh relay` does. Returns when the node ends.
///
/// # Errors
/// `Invalid` where the first line is no node's start; otherwise as [`Relay::bind`].
pub async fn serve_stdio(
    input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    edges: Arc<dyn Edges>,
    clock: Arc<dyn Clock>,
) -> Result<End> {
    let mut input = BufReader::new(input);
    let line = read_line(&mut input, "standard input").await?;
    // The error is not quoted: it could show a piece of the key.
    let boot: Boot = serde_json::from_slice(&line).map_err(|_| {
        Error::invalid(
            "start relay",
            "standard input is not a node's start: this command is run by a job's owner",
        )
    })?;
    drop(line);
    if boot.protocol != PROTOCOL {
        let why = format!(
            "the job's owner speaks protocol {}, this relay {PROTOCOL}: install the same version of skyfresh on every host",
            boot.protocol
        );
        return Err(Error::invalid("start relay", why));
    }
    let relay = Relay::bind(boot, edges, clock).await?;
    let listening = Listening {
        address: relay.address().to_string(),
    };
    let failed = |error| Error::io("start relay", "standard output", error);
    let mut line = serde_json::to_vec(&listening)
        .map_err(|error| Error::new(Kind::Internal, "start relay", error.to_string()))?;
    line.push(b'\n');
    output.write_all(&line).await.map_err(failed)?;
    output.flush().await.map_err(failed)?;
    let stop = CancellationToken::new();
    let abandoned = async {
        let mut ignored = [0; 256];
        while matches!(input.read(&mut ignored).await, Ok(read) if read > 0) {}
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        end = relay.run(stop.clone()) => Ok(end),
        () = abandoned => Ok(End::Told),
    }
}

async fn read_line(input: &mut (impl AsyncBufReadExt + Unpin), from: &str) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    input
        .take(MAX_LINE_BYTES)
        .read_until(b'\n', &mut line)
        .await
        .map_err(|error| Error::io("start relay", from, error))?;
    if line.pop() != Some(b'\n') {
        return Err(Error::new(
            Kind::RetryAfter,
            "start relay",
            format!("{from} ended, or went on too long, before the first line was over"),
        ));
    }
    Ok(line)
}

/// A node in a child process.
pub(super) struct Process {
    address: String,
    child: Mutex<Child>,
    /// Held open: its end is the node's.
    _input: ChildStdin,
}

/// Runs `command` as a node. `host`: where it is reached, if not where it says that it listens.
pub(super) async fn launch(
    mut command: Command,
    name: &str,
    boot: &Boot,
    host: Option<&str>,
    clock: &dyn Clock,
) -> Result<Process> {
    let failed = |error| Error::io("start relay", name, error);
    let program = command.as_std().get_program().to_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| not_begun(&program, name, error))?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::new(
            Kind::Internal,
            "start relay",
            format!("{name}: no pipes"),
        ));
    };
    let mut line = serde_json::to_vec(boot)
        .map_err(|error| Error::new(Kind::Internal, "start relay", error.to_string()))?;
    line.push(b'\n');
    let answer = timeout(clock, START_LIMIT, async {
        input.write_all(&line).await.map_err(failed)?;
        input.flush().await.map_err(failed)?;
        read_line(&mut BufReader::new(output), name).await
    });
    let answer = answer.await.ok_or_else(|| {
        Error::new(
            Kind::RetryAfter,
            "start relay",
            format!("{name} did not say where it listens in {START_LIMIT:?}"),
        )
    })??;
    let listening: Listening = serde_json::from_slice(&answer).map_err(|error| {
        Error::invalid(
            "start relay",
            format!("{name} says something else than where it listens: {error}"),
        )
    })?;
    let address = match (host, listening.address.rsplit_once(':')) {
        (Some(host), Some((_, port))) => format!("{host}:{port}"),
        _ => listening.address,
    };
    Ok(Process {
        address,
        child: Mutex::new(child),
        _input: input,
    })
}

/// A program that could not be run. One that is not there, or may not be run, will not be a moment later either.
fn not_begun(program: &std::ffi::OsStr, name: &str, error: std::io::Error) -> Error {
    use std::io::ErrorKind;
    let lacks = matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::PermissionDenied
    );
    if !lacks {
        return Error::io("start relay", name, error);
    }
    let hint = match program.to_str() {
        Some("ssh") => ": install an SSH client (openssh-client), and have it in the PATH",
        _ => "",
    };
    let why = format!("{name}: cannot run {}: {error}{hint}", program.display());
    Error::invalid("start relay", why).with_source(error)
}

#[async_trait]
impl NodeHandle for Process {
    fn address(&self) -> &str {
        &self.address
    }

    async fn alive(&self) -> bool {
        matches!(self.child.lock().await.try_wait(), Ok(None))
    }

    async fn stop(&self) {
        // Kills and waits, so that no zombie stays. One that has ended already cannot be killed, which is as good.
        let _ = self.child.lock().await.kill().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn a_program_that_is_not_there_is_not_tried_again_and_one_that_is_may_be() {
        let error = |program: &str, kind: ErrorKind| {
            not_begun(std::ffi::OsStr::new(program), "n-1", kind.into())
        };
        let lacks = error("ssh", ErrorKind::NotFound);
        assert_eq!(lacks.kind, Kind::Invalid);
        assert!(lacks.context.contains("openssh-client"), "{lacks}");
        let other = error("/opt/relay", ErrorKind::PermissionDenied);
        assert_eq!(other.kind, Kind::Invalid);
        assert!(!other.context.contains("openssh"), "{other}");
        let busy = error("ssh", ErrorKind::WouldBlock);
        assert_eq!(busy.kind, Kind::RetryAfter);
    }
}
