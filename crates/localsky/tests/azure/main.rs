//! An Azure region as its clients meet it: over HTTP with a client of the test's own, and with Azure's Python clients.

#![allow(unreachable_pub, reason = "shared between the modules of one binary")]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod blobs;
mod client;
mod copies;
mod events;
mod management;
mod sdk;
