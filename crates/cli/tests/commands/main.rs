//! The built binary, as people run it: exit codes, output, errors with their hints. One module for each command.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for other processes in real time"
)]

mod api;
mod cat;
mod catalog;
mod channels;
mod clouds;
mod completions;
mod copy;
mod demo;
mod doctor;
mod du;
mod features;
mod head;
mod help;
mod localsky;
mod ls;
mod place;
#[cfg(feature = "parquet")]
mod place_parquet;
mod plan;
mod plan_terms;
mod profile;
mod relay_machines;
mod relays;
mod replicate;
mod rm;
mod secrets;
mod serve;
mod sim;
mod support;
mod verify;
mod wire;
