//! The built binary, as people run it: exit codes, output, errors with their hints. One module for each command.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for other processes in real time"
)]

mod api;
mod catalog;
mod channels;
mod completions;
mod copy;
mod demo;
mod doctor;
mod help;
mod localsky;
mod plan;
mod profile;
mod replicate;
mod secrets;
mod serve;
mod sim;
mod support;
mod verify;
mod wire;
