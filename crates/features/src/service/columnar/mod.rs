//! Parquet files: read as rows, and written as segments of the history or as training sets.
//!
//! **In:** files from anywhere; rows of ours. **Out:** rows, a row group at a time; files that other tools read. **Never:** believes
//! what a damaged file says of itself: a part that is wrong is an error that names the file.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::{history, rows};
pub(super) use write::segment;
pub use write::write_rows;
