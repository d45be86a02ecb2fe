//! The works: what is copied or compared, and over which way.

use clap::ValueEnum;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A long way to the destination, as `skyfresh localsky --link` takes it.
const LONG_WAY: &str = "80ms,50MB,400MB";

/// What a tool is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Work {
    /// One object of 1 GiB
    #[value(name = "a")]
    OneLarge,
    /// 64 objects of 16 MiB
    #[value(name = "b")]
    Medium,
    /// 10,000 objects of 10 KiB
    #[value(name = "c")]
    Small,
    /// Sync of 100,000 keys with nothing to do
    #[value(name = "d")]
    Nothing,
    /// Sync of 1,000,000 keys with nothing to do
    #[value(name = "d1m")]
    NothingOfMillion,
    /// Sync of 100,000 keys with nothing to do, over a long way
    #[value(name = "df")]
    NothingFar,
    /// One object of 1 GiB over a long way
    #[value(name = "e")]
    OneLargeFar,
    /// 10,000 objects of 10 KiB over a long way
    #[value(name = "f")]
    SmallFar,
}

/// What a bucket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub(super) struct Contents {
    /// How many objects.
    pub(super) objects: u64,
    /// Their bytes together.
    pub(super) bytes: u64,
}

impl Work {
    /// In the order of the tables.
    pub(super) const ALL: [Work; 8] = [
        Work::OneLarge,
        Work::Medium,
        Work::Small,
        Work::Nothing,
        Work::NothingOfMillion,
        Work::NothingFar,
        Work::OneLargeFar,
        Work::SmallFar,
    ];

    /// What `--work` calls it.
    pub(super) fn letter(self) -> &'static str {
        match self {
            Work::OneLarge => "a",
            Work::Medium => "b",
            Work::Small => "c",
            Work::Nothing => "d",
            Work::NothingOfMillion => "d1m",
            Work::NothingFar => "df",
            Work::OneLargeFar => "e",
            Work::SmallFar => "f",
        }
    }

    /// For a heading.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Work::OneLarge => "one object of 1 GiB",
            Work::Medium => "64 objects of 16 MiB",
            Work::Small => "10,000 objects of 10 KiB",
            Work::Nothing => "sync of 100,000 keys, nothing to do",
            Work::NothingOfMillion => "sync of 1,000,000 keys, nothing to do",
            Work::NothingFar => "sync of 100,000 keys at 80 ms, nothing to do",
            Work::OneLargeFar => {
                "one object of 1 GiB at 80 ms, 50 MB/s a connection, 400 MB/s in all"
            }
            Work::SmallFar => {
                "10,000 objects of 10 KiB at 80 ms, 50 MB/s a connection, 400 MB/s in all"
            }
        }
    }

    /// How many objects of how many bytes the source has.
    pub(super) fn objects(self) -> (u64, u64) {
        match self {
            Work::OneLarge | Work::OneLargeFar => (1, GIB),
            Work::Medium => (64, 16 * MIB),
            Work::Small | Work::SmallFar => (10_000, 10 * KIB),
            Work::Nothing | Work::NothingFar => (100_000, 16),
            Work::NothingOfMillion => (1_000_000, 16),
        }
    }

    /// What the destination must hold afterwards.
    pub(super) fn contents(self) -> Contents {
        let (objects, each) = self.objects();
        Contents {
            objects,
            bytes: objects * each,
        }
    }

    /// Whether anything is copied: if not, the destination is filled before.
    pub(super) fn copies(self) -> bool {
        !matches!(
            self,
            Work::Nothing | Work::NothingOfMillion | Work::NothingFar
        )
    }

    /// The way to the destination; `None`: loopback as it is.
    pub(super) fn link(self) -> Option<&'static str> {
        matches!(self, Work::NothingFar | Work::OneLargeFar | Work::SmallFar).then_some(LONG_WAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_have_the_names_that_the_command_line_takes() {
        for work in Work::ALL {
            let name = work.to_possible_value().expect("none is hidden");
            assert_eq!(name.get_name(), work.letter());
        }
        assert_eq!(Work::value_variants().len(), Work::ALL.len());
    }

    #[test]
    fn contents_are_objects_times_size() {
        assert_eq!(
            Work::Medium.contents(),
            Contents {
                objects: 64,
                bytes: GIB
            }
        );
    }
}
