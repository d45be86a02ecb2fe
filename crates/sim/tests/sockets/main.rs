//! What surprised the simulator, on real sockets: the real engine with the real clock and the real S3 adapter, over HTTP to a
//! `localsky` whose stores, notifications and faults speak the real protocol.
//!
//! | file | fault | what must hold |
//! |---|---|---|
//! | `lost_answers` | a publish takes effect, its answer is lost | found out: each version is published once, the receipt names it |
//! | `overwritten` | the source is overwritten while its parts are read | nothing but whole versions is readable, the newest arrives |
//! | `restart` | the process dies, or stops, with an upload begun | the object arrives, no upload is left, what can be is resumed |
//! | `throttled` | the destination refuses everything while events come and one is lost | no false receipt, all arrives, at full speed |
//! | `changelog` | none | what the destination has is copied by its own store |
//! | `server_copy` | none | a store fills one bucket from another by itself |
//! | `stalled` | a process stands still beyond its lease, its publish on the wire | the destination never goes back |

mod changelog;
mod content;
mod lost_answers;
mod overwritten;
mod process;
mod restart;
mod scene;
mod server_copy;
mod stalled;
mod throttled;
mod webhook;
