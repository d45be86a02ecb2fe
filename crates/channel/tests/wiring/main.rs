//! Wiring: the exact requests to each cloud's control plane, and what they do on servers that nobody here wrote.

mod aws_servers;
mod azure;
mod google;
mod script;
