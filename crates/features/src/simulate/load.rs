//! Logs from files.

use super::Ratings;
use crate::{Error, Result};
use skyfresh_sky::Kind;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// Files larger than this are not read.
const MAX_FILE_BYTES: u64 = 4 << 30;
/// Points of one series, gaps filled.
const MAX_POINTS: usize = 20_000_000;

/// Reads series at equal intervals: a CSV file with a heading, or every `.csv` file below a directory. Columns are time and value,
/// or key, time and value. Times are seconds since 1970 or dates (in UTC unless they say otherwise). Values within one interval are
/// averaged; an interval without any takes that before it.
///
/// # Errors
/// A file that cannot be read, or a line that is not of that form; it is named.
pub fn load_series(path: &Path, interval_s: u32) -> Result<Vec<(String, Vec<f64>)>> {
    let mut series = Vec::new();
    for file in files(path)? {
        let text = read(&file)?;
        let mut keys: BTreeMap<String, BTreeMap<i64, (f64, f64)>> = BTreeMap::new();
        for (number, line) in text.lines().enumerate().skip(1) {
            if line.trim().is_empty() {
                continue;
            }
            let bad = |why: &str| bad_line(&file, number, why);
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            let (key, time, value) = match cells[..] {
                [time, value] => ("", time, value),
                [key, time, value] => (key, time, value),
                _ => return Err(bad("expected time,value or key,time,value")),
            };
            let at_s = seconds(time).ok_or_else(|| bad("the time is no date and no number"))?;
            let value: f64 = value.parse().map_err(|_| bad("the value is no number"))?;
            if value.is_finite() {
                let place = (at_s.floor() as i64).div_euclid(i64::from(interval_s.max(1)));
                let (sum, count) = keys
                    .entry(key.to_owned())
                    .or_default()
                    .entry(place)
                    .or_default();
                *sum += value;
                *count += 1.0;
            }
        }
        let stem = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for (key, intervals) in keys {
            let name = if key.is_empty() { stem.clone() } else { key };
            series.push((name, filled(&file, &intervals)?));
        }
    }
    Ok(series)
}

fn filled(file: &Path, intervals: &BTreeMap<i64, (f64, f64)>) -> Result<Vec<f64>> {
    let (Some((first, _)), Some((last, _))) =
        (intervals.first_key_value(), intervals.last_key_value())
    else {
        return Ok(Vec::new());
    };
    let points = usize::try_from(last - first).unwrap_or(usize::MAX);
    if points > MAX_POINTS {
        let why = format!("its times span {points} intervals, more than {MAX_POINTS}");
        return Err(Error::invalid(
            "read series",
            file.display().to_string(),
            why,
        ));
    }
    let mut value = f64::NAN;
    let all = (*first..=*last).map(|place| {
        if let Some((sum, count)) = intervals.get(&place) {
            value = sum / count;
        }
        value
    });
    Ok(all.collect())
}

/// Reads a log of ratings: MovieLens' `ratings.dat` (`user::item::stars::seconds`) or `ratings.csv`
/// (`userId,movieId,rating,timestamp`).
///
/// # Errors
/// The file cannot be read, a line is not of that form, or there are too few.
pub fn load_ratings(path: &Path, steps: usize) -> Result<Ratings> {
    let text = read(path)?;
    let separator = if text.contains("::") { "::" } else { "," };
    let (mut users, mut items) = (HashMap::new(), HashMap::new());
    let mut log = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.trim().split(separator).collect();
        let heading = number == 0
            && cells
                .first()
                .is_some_and(|cell| cell.parse::<u64>().is_err());
        if heading || line.trim().is_empty() {
            continue;
        }
        let bad = |why: &str| bad_line(path, number, why);
        let [user, item, stars, at] = cells[..] else {
            return Err(bad("expected user, item, rating and time"));
        };
        let next = users.len() as u32;
        let user = *users.entry(user.to_owned()).or_insert(next);
        let next = items.len() as u32;
        let item = *items.entry(item.to_owned()).or_insert(next);
        let stars: f64 = stars.parse().map_err(|_| bad("the rating is no number"))?;
        let at: f64 = at.parse().map_err(|_| bad("the time is no number"))?;
        log.push((user, item, stars, at));
    }
    log.sort_by(|a, b| a.3.total_cmp(&b.3));
    Ratings::from_log(&path.display().to_string(), &log, steps)
}

fn bad_line(file: &Path, number: usize, why: &str) -> Error {
    Error::invalid(
        "read log",
        format!("{}, line {}", file.display(), number + 1),
        why,
    )
}

fn read(file: &Path) -> Result<String> {
    let cannot = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => Kind::Missing,
            std::io::ErrorKind::PermissionDenied => Kind::Denied,
            _ => Kind::Invalid,
        };
        let target = file.display().to_string();
        Error::new(kind, "read log", target, error.to_string()).with_source(error)
    };
    let size = fs::metadata(file).map_err(cannot)?.len();
    if size > MAX_FILE_BYTES {
        let why = format!("{size} bytes are more than {MAX_FILE_BYTES}: split it");
        return Err(Error::invalid("read log", file.display().to_string(), why));
    }
    fs::read_to_string(file).map_err(cannot)
}

/// The file itself, or all `.csv` files below the directory, in order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| {
            Error::new(
                Kind::Denied,
                "read directory",
                folder.display().to_string(),
                error.to_string(),
            )
        })?;
        for entry in entries.flatten() {
            let path = entry.path();
            // Links are not followed: they could lead round in circles.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() && path.extension().is_some_and(|e| e == "csv") => {
                    found.push(path);
                }
                _ => {}
            }
        }
    }
    found.sort();
    match found.is_empty() {
        true => Err(Error::invalid(
            "read series",
            path.display().to_string(),
            "it has no .csv file",
        )),
        false => Ok(found),
    }
}

fn seconds(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(number);
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_second() as f64);
    }
    let at: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_second() as f64)
}
