//! Every operation of the seam, once: what it checks, what it changes, what it answers. Pure: rows in, rows out, the
//! caller's time given.

pub(crate) mod audit;
pub(crate) mod claims;
pub(crate) mod cursors;
pub(crate) mod history;
pub(crate) mod marks;
pub(crate) mod parts;
pub(crate) mod signals;
pub(crate) mod tasks;
pub(crate) mod uploads;

#[cfg(test)]
mod tests;
