//! Parquet → rows, as lines of JSON would have them.

use crate::service::history::Written;
use crate::{Error, Result};
use ::parquet::basic::{LogicalType, TimeUnit};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::reader::{ReaderIter, TreeBuilder};
use ::parquet::record::{Field, Row as Record};
use serde_json::{Map, Number, Value};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

type Row = Map<String, Value>;
type Rows = Box<dyn Iterator<Item = Result<Row>> + Send>;

/// Rows are decoded this many at a time, column by column.
const BATCH: usize = 1_024;

/// The rows of a file, a row group at a time.
///
/// # Errors
/// It is no Parquet file, or its footer is damaged.
pub(in crate::service) fn rows(file: File, name: String) -> Result<Rows> {
    let mut rows = RowGroups::open(file, name)?;
    Ok(Box::new(std::iter::from_fn(move || rows.next())))
}

/// Every row of a segment of the history.
///
/// # Errors
/// It is no segment, or damaged.
pub(in crate::service) fn history(
    file: File,
    name: String,
    mut row: impl FnMut(Written),
) -> Result<()> {
    let mut rows = RowGroups::open(file, name)?;
    while let Some(read) = rows.next() {
        let mut read = read?;
        let is_none = || {
            let why = "this is no segment of the history";
            Error::invalid("read history", &rows.name, why)
        };
        // Features stand in their column as JSON.
        let features = read.remove("features");
        let features = features.as_ref().and_then(Value::as_str);
        let features = features.and_then(|text| serde_json::from_str(text).ok());
        read.insert("features".into(), features.ok_or_else(is_none)?);
        for column in ["event_ms", "created_ms"] {
            let at_ms = read.get(column).and_then(crate::service::table::time_ms);
            read.insert(column.into(), at_ms.ok_or_else(is_none)?.into());
        }
        row(serde_json::from_value(Value::Object(read)).map_err(|_| is_none())?);
    }
    Ok(())
}

/// A file, and where in it the reader is.
struct RowGroups {
    name: String,
    file: SerializedFileReader<File>,
    /// Columns at the top whose whole numbers are times in nanoseconds: the library's rows do not tell.
    nanoseconds: Vec<bool>,
    group: usize,
    row: u64,
    records: Option<ReaderIter>,
    failed: bool,
}

impl RowGroups {
    fn open(file: File, name: String) -> Result<Self> {
        let file = guarded(|| SerializedFileReader::new(file)).map_err(|why| bad(&name, why))?;
        let schema = file.metadata().file_metadata().schema_descr();
        let in_nanoseconds = |field: &::parquet::schema::types::TypePtr| {
            let logical = field.get_basic_info().logical_type_ref();
            matches!(logical, Some(LogicalType::Timestamp(time)) if time.unit == TimeUnit::NANOS)
        };
        let fields = schema.root_schema().get_fields();
        let nanoseconds = fields.iter().map(in_nanoseconds).collect();
        Ok(RowGroups {
            name,
            nanoseconds,
            file,
            group: 0,
            row: 0,
            records: None,
            failed: false,
        })
    }

    fn next(&mut self) -> Option<Result<Row>> {
        if self.failed {
            return None;
        }
        let read = guarded(|| self.record()).transpose()?;
        self.row += 1;
        let row = read.and_then(|record| {
            let fields = record.into_columns().into_iter().zip(&self.nanoseconds);
            let cells = fields.map(|((column, field), nanoseconds)| {
                let cell = match (field, nanoseconds) {
                    (Field::Long(ns), true) => time_text(ns.div_euclid(1_000_000)),
                    (field, _) => cell(&field),
                };
                let cell = cell.map_err(|why| format!("column {column}: {why}"))?;
                Ok((column, cell))
            });
            cells.collect()
        });
        let target = || format!("{}, row {}", self.name, self.row);
        Some(row.map_err(|why| {
            self.failed = true;
            bad(target(), why)
        }))
    }

    fn record(&mut self) -> Result<Option<Record>, ParquetError> {
        loop {
            if let Some(record) = self.records.as_mut().and_then(Iterator::next) {
                return record.map(Some);
            }
            if self.group == self.file.num_row_groups() {
                return Ok(None);
            }
            let group = self.file.get_row_group(self.group)?;
            let schema = self.file.metadata().file_metadata().schema_descr_ptr();
            let builder = TreeBuilder::new().with_batch_size(BATCH);
            self.records = Some(builder.as_iter(schema, &*group)?);
            self.group += 1;
        }
    }
}

/// Reads with a library that panics at some files that are damaged or made up: for us these are errors like others.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(told) => told.map_err(|error| error.to_string()),
        Err(_) => Err("its parts do not fit together".into()),
    }
}

fn bad(name: impl Into<String>, why: String) -> Error {
    let hint = "it is damaged, or no Parquet file that can be read here (uncompressed, Snappy, gzip or Zstandard)";
    Error::invalid("read Parquet", name, format!("{why}: {hint}"))
}

/// Milliseconds since 1970 as RFC 3339.
fn time_text(at_ms: i64) -> Result<Value, String> {
    let at = jiff::Timestamp::from_millisecond(at_ms);
    let at = at.map_err(|_| format!("{at_ms} ms since 1970 is no time"))?;
    Ok(at.to_string().into())
}

/// A number that JSON has, or null.
fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn cell(field: &Field) -> Result<Value, String> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => (*value).into(),
        Field::Byte(value) => (*value).into(),
        Field::Short(value) => (*value).into(),
        Field::Int(value) => (*value).into(),
        Field::Long(value) => (*value).into(),
        Field::UByte(value) => (*value).into(),
        Field::UShort(value) => (*value).into(),
        Field::UInt(value) => (*value).into(),
        Field::ULong(value) => (*value).into(),
        Field::Float16(value) => float(value.to_f64()),
        Field::Float(value) => float(f64::from(*value)),
        Field::Double(value) => float(*value),
        Field::Decimal(_) => field.to_string().parse().map_or(Value::Null, float),
        Field::Str(text) => text.as_str().into(),
        // Some writers do not say that what they write is text.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => text.into(),
            Err(_) => return Err("bytes that are no text".into()),
        },
        Field::TimestampMillis(at_ms) => time_text(*at_ms)?,
        Field::TimestampMicros(at_us) => time_text(at_us.div_euclid(1_000))?,
        Field::Date(days) => {
            let midnight = time_text(i64::from(*days) * 86_400_000)?;
            let date = midnight.as_str().and_then(|text| text.split('T').next());
            date.unwrap_or_default().into()
        }
        Field::TimeMillis(_) | Field::TimeMicros(_) => field.to_string().into(),
        Field::Group(row) => {
            let fields = row.get_column_iter();
            let fields = fields.map(|(name, field)| Ok((name.clone(), cell(field)?)));
            Value::Object(fields.collect::<Result<_, String>>()?)
        }
        Field::ListInternal(list) => {
            let items = list.elements().iter().map(cell);
            Value::Array(items.collect::<Result<_, String>>()?)
        }
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(key, value)| {
                let key = match cell(key)? {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                Ok((key, cell(value)?))
            });
            Value::Object(entries.collect::<Result<_, String>>()?)
        }
    })
}
