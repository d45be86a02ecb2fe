//! A node over directories, as `skyfresh relay` is over object stores: `LocalProcess` and `Ssh` run it.
//!
//! Its start comes on standard input; where it listens goes to standard output.

use skyfresh_relay::edges::Directories;
use skyfresh_relay::executor::serve_stdio;
use skyfresh_sky::SystemClock;
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Arc::new(SystemClock);
    serve_stdio(
        tokio::io::stdin(),
        tokio::io::stdout(),
        Arc::new(Directories),
        clock,
    )
    .await?;
    // The thread that reads standard input cannot be interrupted, and nothing is left to do.
    std::process::exit(0);
}
