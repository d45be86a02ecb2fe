//! `--bwlimit`: one rate, or a rate for each time of the day.

use skyfresh_engine::Bandwidth;
use std::str::FromStr;

/// Rates through the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timetable {
    /// Minute of the day, and the rate from then on (`None`: no limit); in order, at least one.
    entries: Vec<(u32, Option<Bandwidth>)>,
}

impl Timetable {
    /// The rate at a minute of the day. Before the day's first entry, yesterday's last one holds.
    pub(crate) fn at(&self, minute: u32) -> Option<Bandwidth> {
        let now = self.entries.iter().rev().find(|(from, _)| *from <= minute);
        now.or(self.entries.last()).and_then(|(_, rate)| *rate)
    }

    /// Whether the rate ever changes.
    pub(crate) fn changes(&self) -> bool {
        self.entries.len() > 1
    }
}

fn rate(text: &str) -> Result<Option<Bandwidth>, String> {
    match text {
        "off" => Ok(None),
        text => Bandwidth::try_from(text.to_owned())
            .map(Some)
            .map_err(|error| error.to_string()),
    }
}

fn minute(text: &str) -> Result<u32, String> {
    let bad = || format!("{text:?} is no time of the day: expected HH:MM");
    let (hours, minutes) = text.split_once(':').ok_or_else(bad)?;
    let (hours, minutes): (u32, u32) = (
        hours.parse().map_err(|_| bad())?,
        minutes.parse().map_err(|_| bad())?,
    );
    match hours < 24 && minutes < 60 {
        true => Ok(hours * 60 + minutes),
        false => Err(bad()),
    }
}

impl FromStr for Timetable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains(',') {
            let entries = vec![(0, rate(text.trim())?)];
            return Ok(Timetable { entries });
        }
        let mut entries = Vec::new();
        for entry in text.split_whitespace() {
            let (from, limit) = entry
                .split_once(',')
                .ok_or_else(|| format!("{entry:?}: expected HH:MM,RATE or HH:MM,off"))?;
            entries.push((minute(from)?, rate(limit)?));
        }
        entries.sort_by_key(|(from, _)| *from);
        if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("two entries have the same time".to_owned());
        }
        Ok(Timetable { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mb(count: u64) -> Option<Bandwidth> {
        Some(Bandwidth {
            bytes_per_second: count * 1_000_000,
        })
    }

    #[test]
    fn a_rate_holds_all_day() {
        let all_day: Timetable = "50MB".parse().unwrap();
        assert_eq!((all_day.at(0), all_day.at(1439)), (mb(50), mb(50)));
        assert!(!all_day.changes());
        assert_eq!("off".parse::<Timetable>().unwrap().at(7), None);
    }

    #[test]
    fn the_last_entry_holds_until_the_next_morning() {
        let table: Timetable = "19:00,off 08:00,10MB 12:00,20MB".parse().unwrap();
        assert_eq!(table.at(8 * 60 - 1), None);
        assert_eq!(table.at(8 * 60), mb(10));
        assert_eq!(table.at(13 * 60), mb(20));
        assert_eq!(table.at(23 * 60), None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, why) in [
            ("fast", "fast"),
            ("25:00,1MB", "25:00"),
            ("08:00,1MB 08:00,2MB", "same time"),
            ("08:00,1MB 9", "expected HH:MM,RATE"),
            ("0", "above zero"),
        ] {
            let error = text.parse::<Timetable>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
