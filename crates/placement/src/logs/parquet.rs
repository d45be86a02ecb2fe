//! Logs in Parquet: the columns that [`super::csv`] has, read a batch of rows at a time.
//!
//! Of a file, the footer and the pages at hand are in memory.

use super::csv::{BYTES, KEY, NAMES, OBJECT_BYTES, OPERATION, REGION, Row, TIME, time_ms};
use super::fields::number_or_dash;
use super::reader::{LogReader, MAX_RECORD_BYTES};
use super::{Access, Record};
use ::parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::{ByteArray, DataType, Int96};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::schema::types::ColumnDescriptor;
use skyfresh_sky::Invalid;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Rows read at once.
const BATCH_ROWS: usize = 4_096;

/// A log in Parquet.
pub struct ParquetLog {
    name: String,
    file: SerializedFileReader<File>,
    /// Which column of the file each of [`NAMES`] is.
    places: [Option<usize>; NAMES.len()],
    /// Row groups that were begun.
    groups: usize,
    /// The row group at hand: what is left of it, and its columns.
    rows_left: u64,
    columns: Vec<Option<Column>>,
    /// Rows that were read.
    rows: u64,
}

impl std::fmt::Debug for ParquetLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetLog")
            .field("name", &self.name)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl ParquetLog {
    /// Looks at a file's footer; `name` is for errors.
    ///
    /// # Errors
    /// It is no Parquet file, or damaged, or has not the columns `time`, `operation` and `key`, or one of the known columns is not of a
    /// type for it.
    pub fn open(file: File, name: &str) -> Result<Self, Invalid> {
        let file =
            guarded(|| SerializedFileReader::new(file)).map_err(|why| damaged(name, &why))?;
        let schema = file.metadata().file_metadata().schema_descr();
        let mut places = [None; NAMES.len()];
        for (column, wanted) in NAMES.iter().enumerate() {
            let found = |told: &&std::sync::Arc<ColumnDescriptor>| {
                told.path().parts()[0].eq_ignore_ascii_case(wanted)
            };
            let place = schema.columns().iter().position(|told| found(&told));
            if let Some(place) = place {
                fits(column, &schema.column(place))
                    .map_err(|why| Invalid::new("log", name, why))?;
            } else if [TIME, OPERATION, KEY].contains(&column) {
                let why = format!(
                    "it has no column {wanted}; a log in Parquet has {}, the last three of which may be left out",
                    NAMES.join(", ")
                );
                return Err(Invalid::new("log", name, why));
            }
            places[column] = place;
        }
        Ok(ParquetLog {
            name: name.to_owned(),
            file,
            places,
            groups: 0,
            rows_left: 0,
            columns: Vec::new(),
            rows: 0,
        })
    }

    /// Reads the next rows, some thousands, and counts them in `reader`; `take` is called with each access. False at the end.
    ///
    /// # Errors
    /// The file cannot be read any further: it is damaged, or packed in a way that is not known here.
    pub fn read(
        &mut self,
        reader: &mut LogReader,
        take: &mut dyn FnMut(Access<'_>),
    ) -> Result<bool, Invalid> {
        let read = guarded(|| self.batch());
        let Some(columns) = read.map_err(|why| {
            let place = format!("{}, after row {}", self.name, self.rows);
            damaged(&place, &why)
        })?
        else {
            return Ok(false);
        };
        let rows = columns.iter().flatten().map(Vec::len).max().unwrap_or(0);
        for row in 0..rows {
            let cell = |column: usize| {
                columns[column]
                    .as_ref()
                    .and_then(|cells| cells.get(row))
                    .unwrap_or(&Cell::Null)
            };
            self.rows += 1;
            let shown = cell(KEY).text().unwrap_or_default();
            reader.row(self.rows, record(cell), shown, take);
        }
        Ok(true)
    }

    /// The next rows of each column; `None` at the end.
    fn batch(&mut self) -> Result<Option<Vec<Option<Vec<Cell>>>>, ParquetError> {
        while self.rows_left == 0 {
            if self.groups == self.file.num_row_groups() {
                return Ok(None);
            }
            let group = self.file.get_row_group(self.groups)?;
            self.groups += 1;
            self.rows_left = u64::try_from(group.metadata().num_rows())?;
            self.columns.clear();
            for place in self.places {
                let column = |place| {
                    let descriptor = group.metadata().schema_descr().column(place);
                    Ok::<_, ParquetError>(Column {
                        reader: group.get_column_reader(place)?,
                        nullable: descriptor.max_def_level() > 0,
                        unit: unit(&descriptor),
                        unsigned: is_unsigned(&descriptor),
                    })
                };
                self.columns.push(place.map(column).transpose()?);
            }
        }
        let rows = self.rows_left.min(BATCH_ROWS as u64) as usize;
        let cells = self.columns.iter_mut().map(|column| {
            let column = column.as_mut();
            column.map(|column| column.cells(rows)).transpose()
        });
        let cells = cells.collect::<Result<Vec<_>, _>>()?;
        self.rows_left -= rows as u64;
        Ok(Some(cells))
    }
}

fn damaged(name: &str, why: &str) -> Invalid {
    let why = format!(
        "{why}: it is damaged, or no Parquet file that can be read here (uncompressed, Snappy, gzip or Zstandard)"
    );
    Invalid::new("log", name, why)
}

/// Reads with a library that panics at some files that are damaged or made up: for us these are errors like others.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(told) => told.map_err(|error| error.to_string()),
        Err(_) => Err("its parts do not fit together".into()),
    }
}

/// Whether a column of a file can be one of [`NAMES`].
fn fits(column: usize, told: &ColumnDescriptor) -> Result<(), String> {
    let wrong = |expected: &str| {
        let logical = told
            .logical_type_ref()
            .map_or(String::new(), |logical| format!(" ({logical:?})"));
        format!(
            "column {} is {}{logical}; expected {expected}",
            told.name(),
            told.physical_type()
        )
    };
    if told.max_rep_level() > 0 || told.path().parts().len() > 1 {
        return Err(format!(
            "column {} is a list, a map or a structure",
            told.path().parts()[0]
        ));
    }
    let physical = told.physical_type();
    let is_whole = matches!(physical, Physical::INT32 | Physical::INT64) && unit(told).is_none();
    match column {
        TIME => match physical {
            Physical::INT64 | Physical::INT96 | Physical::BYTE_ARRAY => Ok(()),
            Physical::INT32 if is_whole => Ok(()),
            _ => Err(wrong(
                "a timestamp, seconds since 1970 as whole numbers, or RFC 3339 as text",
            )),
        },
        // pandas makes floating numbers of whole ones where some are missing.
        BYTES | OBJECT_BYTES => match physical {
            Physical::FLOAT | Physical::DOUBLE | Physical::BYTE_ARRAY => Ok(()),
            _ if is_whole => Ok(()),
            _ => Err(wrong("whole numbers")),
        },
        _ => match physical {
            Physical::BYTE_ARRAY => Ok(()),
            _ => Err(wrong("text")),
        },
    }
}

/// The unit of a column of times.
fn unit(told: &ColumnDescriptor) -> Option<TimeUnit> {
    match (told.logical_type_ref(), told.converted_type()) {
        (Some(LogicalType::Timestamp(time)), _) => Some(time.unit),
        (_, ConvertedType::TIMESTAMP_MILLIS) => Some(TimeUnit::MILLIS),
        (_, ConvertedType::TIMESTAMP_MICROS) => Some(TimeUnit::MICROS),
        _ => None,
    }
}

fn is_unsigned(told: &ColumnDescriptor) -> bool {
    matches!(
        told.converted_type(),
        ConvertedType::UINT_32 | ConvertedType::UINT_64
    )
}

/// A column of the row group at hand.
struct Column {
    reader: ColumnReader,
    nullable: bool,
    unit: Option<TimeUnit>,
    unsigned: bool,
}

/// A value.
#[derive(Clone, Debug)]
enum Cell {
    Null,
    Text(ByteArray),
    Number(u64),
    /// Milliseconds since 1970.
    Time(u64),
    /// A number below 0, or not whole.
    Odd,
}

impl Cell {
    fn text(&self) -> Option<&str> {
        match self {
            Cell::Null => Some(""),
            Cell::Text(bytes) => std::str::from_utf8(bytes.data()).ok(),
            _ => None,
        }
    }

    /// `Some(None)`: there is none.
    fn number(&self) -> Option<Option<u64>> {
        match self {
            Cell::Null => Some(None),
            Cell::Number(number) => Some(Some(*number)),
            Cell::Text(bytes) => number_or_dash(bytes.data()),
            Cell::Time(_) | Cell::Odd => None,
        }
    }

    fn time_ms(&self) -> Option<u64> {
        match self {
            Cell::Time(at_ms) => Some(*at_ms),
            Cell::Number(seconds) => seconds.checked_mul(1_000),
            Cell::Text(_) => time_ms(self.text()?.trim()),
            Cell::Null | Cell::Odd => None,
        }
    }
}

fn record<'c>(cell: impl Fn(usize) -> &'c Cell) -> Result<Record<'c>, &'static str> {
    let text = |column: usize| {
        let text = cell(column).text().ok_or("not UTF-8")?;
        match text.len() > MAX_RECORD_BYTES {
            true => Err("longer than 1 MiB"),
            false => Ok(text.trim()),
        }
    };
    Row {
        time_ms: cell(TIME).time_ms(),
        operation: text(OPERATION)?,
        key: text(KEY)?,
        bytes: cell(BYTES).number(),
        object_bytes: cell(OBJECT_BYTES).number(),
        region: text(REGION)?,
    }
    .record()
}

impl Column {
    fn cells(&mut self, rows: usize) -> Result<Vec<Cell>, ParquetError> {
        let (unit, unsigned) = (self.unit, self.unsigned);
        let whole = |value: i64| match unit {
            None => u64::try_from(value).map_or(Cell::Odd, Cell::Number),
            Some(unit) => {
                let in_a_ms = match unit {
                    TimeUnit::MILLIS => 1,
                    TimeUnit::MICROS => 1_000,
                    TimeUnit::NANOS => 1_000_000,
                };
                u64::try_from(value.div_euclid(in_a_ms)).map_or(Cell::Odd, Cell::Time)
            }
        };
        let floating = |value: f64| match value.fract() == 0.0 && (0.0..9.0e15).contains(&value) {
            true => Cell::Number(value as u64),
            // A missing number of pandas.
            false if value.is_nan() => Cell::Null,
            false => Cell::Odd,
        };
        let nullable = self.nullable;
        match &mut self.reader {
            ColumnReader::Int32ColumnReader(reader) => {
                cells(reader, rows, nullable, |value| match unsigned {
                    true => Cell::Number(u64::from(value as u32)),
                    false => whole(i64::from(value)),
                })
            }
            ColumnReader::Int64ColumnReader(reader) => {
                cells(reader, rows, nullable, |value| match unsigned {
                    true => Cell::Number(value as u64),
                    false => whole(value),
                })
            }
            ColumnReader::Int96ColumnReader(reader) => {
                cells(reader, rows, nullable, |value: Int96| {
                    u64::try_from(value.to_millis()).map_or(Cell::Odd, Cell::Time)
                })
            }
            ColumnReader::FloatColumnReader(reader) => {
                cells(reader, rows, nullable, |value| floating(f64::from(value)))
            }
            ColumnReader::DoubleColumnReader(reader) => cells(reader, rows, nullable, floating),
            ColumnReader::ByteArrayColumnReader(reader) => {
                cells(reader, rows, nullable, Cell::Text)
            }
            ColumnReader::BoolColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
                Err(ParquetError::General(
                    "a column of a type that does not fit".into(),
                ))
            }
        }
    }
}

/// The next rows of a column that is not nested.
fn cells<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    nullable: bool,
    cell: impl Fn(T::T) -> Cell,
) -> Result<Vec<Cell>, ParquetError> {
    let (mut defined, mut values) = (Vec::new(), Vec::new());
    let (read, _, _) = reader.read_records(rows, Some(&mut defined), None, &mut values)?;
    if read < rows {
        return Err(ParquetError::EOF("a column ends before its rows".into()));
    }
    let mut values = values.into_iter().map(cell);
    let next = |defined: i16| match defined {
        0 => Cell::Null,
        _ => values.next().unwrap_or(Cell::Odd),
    };
    Ok(match nullable {
        true => defined.into_iter().map(next).collect(),
        false => values.collect(),
    })
}
