//! What a copy between two S3 endpoints costs at least, and the hands of `cargo xtask bench copy`: a client of hyper and
//! nothing else, so that nothing under test measures itself.
//!
//! `pipe`, `parts` and `list` are the bare works a tool is compared with; `fill`, `empty` and `count` prepare and check a
//! bucket; `measure` runs a program and writes down what it used. It is a process of its own so that its processor time and
//! memory are its own.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring tool: it talks to its caller and measures in real time"
)]

mod bucket;
mod connection;
mod fill;
mod list;
mod measure;
mod parts;
mod pipe;
mod sign;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use connection::Endpoint;
use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Two servers and the bucket that both have.
#[derive(Args)]
struct Both {
    /// `http://127.0.0.1:port` of the source
    #[arg(long)]
    from: String,
    /// `http://127.0.0.1:port` of the destination
    #[arg(long)]
    to: String,
    #[arg(long)]
    bucket: String,
}

/// One server and a bucket of it.
#[derive(Args)]
struct One {
    /// `http://127.0.0.1:port`
    #[arg(long)]
    at: String,
    #[arg(long)]
    bucket: String,
}

#[derive(Subcommand)]
enum Command {
    /// Copies every object, or the one named, each by one GET into one PUT
    Pipe {
        #[command(flatten)]
        both: Both,
        #[arg(long)]
        key: Option<String>,
        #[arg(long, default_value_t = 1)]
        connections: usize,
    },
    /// Copies one object by ranged GETs into the parts of a multipart upload
    Parts {
        #[command(flatten)]
        both: Both,
        #[arg(long)]
        key: String,
        #[arg(long, default_value_t = 8 << 20)]
        part_bytes: u64,
        #[arg(long, default_value_t = 8)]
        connections: usize,
    },
    /// Lists both sides and compares them
    List {
        #[command(flatten)]
        both: Both,
    },
    /// Writes `object-0000000000` and so on
    Fill {
        #[command(flatten)]
        one: One,
        #[arg(long)]
        objects: u64,
        #[arg(long)]
        bytes: u64,
        #[arg(long, default_value_t = 16)]
        connections: usize,
    },
    /// Deletes every object
    Empty {
        #[command(flatten)]
        one: One,
    },
    /// Prints how many objects there are, and their bytes
    Count {
        #[command(flatten)]
        one: One,
    },
    /// Runs a program and writes its exit, wall time, processor time and peak memory to a file, as JSON
    Measure {
        #[arg(long)]
        report: PathBuf,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Measure { report, command } => measure::run(&report, &command),
        command => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(run(command)),
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Pipe {
            both,
            key,
            connections,
        } => {
            let (from, to) = both.endpoints()?;
            pipe::run(from, to, both.bucket, key, connections).await
        }
        Command::Parts {
            both,
            key,
            part_bytes,
            connections,
        } => {
            let (from, to) = both.endpoints()?;
            let object = format!("/{}/{key}", both.bucket);
            parts::run(from, to, object, part_bytes, connections).await
        }
        Command::List { both } => {
            let (from, to) = both.endpoints()?;
            list::compare(from, to, &both.bucket).await
        }
        Command::Fill {
            one,
            objects,
            bytes,
            connections,
        } => fill::run(one.endpoint()?, one.bucket, objects, bytes, connections).await,
        Command::Empty { one } => bucket::empty(one.endpoint()?, &one.bucket).await,
        Command::Count { one } => bucket::count(one.endpoint()?, &one.bucket).await,
        Command::Measure { .. } => Ok(()),
    }
}

impl Both {
    fn endpoints(&self) -> Result<(Endpoint, Endpoint)> {
        Ok((Endpoint::new(&self.from)?, Endpoint::new(&self.to)?))
    }
}

impl One {
    fn endpoint(&self) -> Result<Endpoint> {
        Endpoint::new(&self.at)
    }
}
