//! What `cp` and `sync` both take.

use super::relays::RelayArgs;
use super::timetable::Timetable;
use crate::commands::Filters;
use crate::exit::{Exit, Told};
use skyfresh_engine::bulk::{BulkOptions, Compare, DeleteLimits, MetadataChoice};
use skyfresh_sky::{Attributes, ObjectVersion, parse_bytes};
use std::path::PathBuf;

/// What a copy carries beside the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Metadata {
    /// What the source's object has, tags included, as far as the destination can keep it.
    Keep,
    /// The content type only.
    None,
    /// What --set gives.
    Set,
}

/// Flags of a bulk job.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// Leave alone what is newer at the destination
    #[arg(long)]
    newer: bool,
    /// Tell equality by the checksums that both sides state (one request more a side for each object that is at both); copy
    /// what has none in common
    #[arg(long, conflicts_with = "size_only")]
    checksum: bool,
    /// Tell equality by size alone: objects overwritten at equal size are NOT copied
    #[arg(long)]
    size_only: bool,
    /// Leave alone whatever is at the destination
    #[arg(long, conflicts_with = "newer")]
    no_clobber: bool,
    /// Most bytes read in a second, e.g. 50MB; or a timetable in local time: '08:00,10MB 19:00,off'
    #[arg(long, value_name = "SIZE|TIMETABLE")]
    pub(crate) bwlimit: Option<Timetable>,
    /// Exactly so many transfers at once [default: found while copying]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    transfers: Option<u32>,
    /// Bytes in a part of large objects [default: chosen by size and link]
    #[arg(long, value_name = "SIZE", value_parser = part_size)]
    part_size: Option<u64>,
    /// What copies carry beside the bytes
    #[arg(long, value_enum, value_name = "WHAT", default_value = "keep")]
    metadata: Metadata,
    /// With --metadata set: content-type, content-encoding, content-language, content-disposition, cache-control, expires, or
    /// the name of user metadata (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    set: Vec<(String, String)>,
    /// Storage class of the copies, by the destination's own name
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<String>,
    /// Say what would be done, what it would cost and how long it would take; do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Never let a store copy by itself: all bytes pass through this machine
    #[arg(long)]
    pub(crate) no_server_copy: bool,
    /// Also write one JSON line for each object to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Ask nothing
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Where to remember objects that are copied in parts [default: a file named by a hash of SRC and DST below
    /// $XDG_STATE_HOME/skyfresh or ~/.local/state/skyfresh, so that the same command goes on where it stopped]
    #[arg(long, value_name = "PATH")]
    pub(crate) ledger: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) relays: RelayArgs,
    /// Configuration to take [endpoint.NAME] sections and the catalogue's file from
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

fn part_size(text: &str) -> Result<u64, String> {
    match parse_bytes(text) {
        Ok(bytes) if bytes >= 1 << 20 => Ok(bytes),
        Ok(_) => Err("parts smaller than 1 MiB spend their time waiting".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    match name.is_empty() {
        true => Err("the name is empty".to_owned()),
        false => Ok((name.to_ascii_lowercase(), value.to_owned())),
    }
}

impl CopyArgs {
    /// What the job is told; `never_equal` copies everything, `if_match` replaces only that version.
    ///
    /// # Errors
    /// Flags that contradict each other.
    pub(crate) fn options(
        &self,
        never_equal: bool,
        if_match: Option<&str>,
        delete: Option<DeleteLimits>,
    ) -> Result<BulkOptions, Told> {
        let compare = match (never_equal, self.checksum, self.size_only) {
            (true, ..) => Compare::Never,
            (_, true, _) => Compare::Checksum,
            (.., true) => Compare::SizeOnly,
            _ => Compare::Listing,
        };
        let metadata = match self.metadata {
            Metadata::Keep => MetadataChoice::Keep,
            Metadata::None => MetadataChoice::Nothing,
            Metadata::Set => MetadataChoice::Set(Box::new(self.attributes())),
        };
        if self.metadata != Metadata::Set && !self.set.is_empty() {
            return Err(Told::new(Exit::Usage, "--set needs --metadata set")
                .hint("metadata of the source is then replaced by what --set gives"));
        }
        Ok(BulkOptions {
            compare,
            update_only: self.newer,
            no_clobber: self.no_clobber,
            if_match: if_match.map(|etag| ObjectVersion::from_etag(etag.trim_matches('"'))),
            metadata,
            storage_class: self.storage_class.clone(),
            delete,
            transfers: self.transfers.map(|transfers| transfers as usize),
            part_bytes: self.part_size,
            dry_run: self.dry_run,
        })
    }

    /// Whether equality is told by size alone.
    pub(crate) fn by_size_only(&self) -> bool {
        self.size_only
    }

    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::default();
        for (name, value) in &self.set {
            let field = match name.as_str() {
                "content-type" => &mut attributes.content_type,
                "content-encoding" => &mut attributes.content_encoding,
                "content-language" => &mut attributes.content_language,
                "content-disposition" => &mut attributes.content_disposition,
                "cache-control" => &mut attributes.cache_control,
                "expires" => &mut attributes.expires,
                _ => {
                    attributes.user.insert(name.clone(), value.clone());
                    continue;
                }
            };
            *field = Some(value.clone());
        }
        attributes
    }
}
