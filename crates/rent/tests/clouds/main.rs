//! Google's and Azure's machines: their REST calls as the references describe them, answered by tables; and a server of Google's that
//! somebody else wrote.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests learn from the environment where the server is, and tell people what they skip"
)]

mod azure;
mod gce;
mod gcplocal;
mod several;
mod support;
