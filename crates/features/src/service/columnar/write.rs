//! Rows → Parquet: columns get the narrowest type that all their values have.

use crate::service::history::Written;
use ::parquet::basic::{
    Compression, ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel,
};
use ::parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type,
};
use ::parquet::errors::Result;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::{Type, TypePtr};
use serde_json::{Map, Value};
use std::io::Write;
use std::sync::Arc;

/// Rows of a row group at most: what a reader must decode at once.
const GROUP_ROWS: usize = 65_536;

/// Writes a segment of the history: the columns of [`Written`], times as times, features as a text of JSON. Returns what was written to.
pub(in crate::service) fn segment<W: Write + Send>(to: W, rows: &[&Written]) -> Result<W> {
    let texts = |name, json| column(name, Repetition::REQUIRED, Kind::Text { json });
    let time = |name| column(name, Repetition::REQUIRED, Kind::Time);
    let fields = vec![
        texts("view", false)?,
        texts("key", false)?,
        time("event_ms")?,
        time("created_ms")?,
        column("version", Repetition::REQUIRED, Kind::Version)?,
        texts("features", true)?,
    ];
    let mut file = writer(to, fields)?;
    for rows in rows.chunks(GROUP_ROWS) {
        let mut group = file.next_row_group()?;
        let text = |get: fn(&Written) -> Vec<u8>| -> Vec<ByteArray> {
            rows.iter().map(|row| get(row).into()).collect()
        };
        required::<ByteArrayType>(&mut group, &text(|row| row.view.clone().into_bytes()))?;
        required::<ByteArrayType>(&mut group, &text(|row| row.key.clone().into_bytes()))?;
        let times: Vec<i64> = rows.iter().map(|row| row.event_ms).collect();
        required::<Int64Type>(&mut group, &times)?;
        let times: Vec<i64> = rows.iter().map(|row| row.created_ms as i64).collect();
        required::<Int64Type>(&mut group, &times)?;
        // Unsigned numbers have the same bits.
        let versions: Vec<i32> = rows.iter().map(|row| row.version as i32).collect();
        required::<Int32Type>(&mut group, &versions)?;
        // Maps with text keys and plain values always become JSON.
        let features = text(|row| serde_json::to_vec(&row.features).unwrap_or_default());
        required::<ByteArrayType>(&mut group, &features)?;
        group.close()?;
    }
    file.into_inner()
}

/// Writes rows of JSON. A column's type is that of its values: true and false, whole numbers, numbers, texts, lists of numbers; columns
/// with anything else are texts of JSON. All may be null. Returns what was written to.
///
/// # Errors
/// It cannot be written to.
pub fn write_rows<W: Write + Send>(to: W, rows: &[Map<String, Value>]) -> std::io::Result<W> {
    let failed = |error: ::parquet::errors::ParquetError| std::io::Error::other(error);
    write(to, rows).map_err(failed)
}

fn write<W: Write + Send>(to: W, rows: &[Map<String, Value>]) -> Result<W> {
    let mut kinds: Vec<(&str, Option<Kind>)> = Vec::new();
    for row in rows {
        for (name, value) in row {
            let place = kinds.iter().position(|(known, _)| known == name);
            let place = place.unwrap_or_else(|| {
                kinds.push((name, None));
                kinds.len() - 1
            });
            kinds[place].1 = Kind::with(kinds[place].1, value);
        }
    }
    let kinds: Vec<(&str, Kind)> = kinds
        .into_iter()
        .map(|(name, kind)| (name, kind.unwrap_or(Kind::Text { json: false })))
        .collect();
    let fields = kinds
        .iter()
        .map(|(name, kind)| column(name, Repetition::OPTIONAL, *kind))
        .collect::<Result<_>>()?;
    let mut file = writer(to, fields)?;
    for rows in rows.chunks(GROUP_ROWS) {
        let mut group = file.next_row_group()?;
        for (name, kind) in &kinds {
            let values = rows
                .iter()
                .map(|row| row.get(*name).filter(|value| !value.is_null()));
            match kind {
                Kind::Bool => {
                    optional::<BoolType>(&mut group, values.map(|value| value?.as_bool()))?
                }
                Kind::Whole => {
                    optional::<Int64Type>(&mut group, values.map(|value| value?.as_i64()))?
                }
                Kind::Number => {
                    optional::<DoubleType>(&mut group, values.map(|value| value?.as_f64()))?
                }
                Kind::Text { json } => {
                    let text = |value: &Value| match (value, json) {
                        (Value::String(text), false) => text.clone(),
                        (value, _) => value.to_string(),
                    };
                    let texts = values.map(|value| Some(text(value?).into_bytes().into()));
                    optional::<ByteArrayType>(&mut group, texts)?;
                }
                Kind::Numbers => lists(&mut group, values)?,
                // Of the history alone.
                Kind::Time | Kind::Version => {}
            }
        }
        group.close()?;
    }
    file.into_inner()
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    /// 64 bits with a sign.
    Whole,
    Number,
    Text {
        json: bool,
    },
    /// Lists of numbers, which may be null.
    Numbers,
    /// Milliseconds since 1970.
    Time,
    /// 32 bits without a sign.
    Version,
}

impl Kind {
    /// The narrowest kind for what a column held so far and one more value; `None`: all were null.
    fn with(so_far: Option<Kind>, value: &Value) -> Option<Kind> {
        let one = match value {
            Value::Null => return so_far,
            Value::Bool(_) => Kind::Bool,
            Value::Number(number) if number.is_i64() => Kind::Whole,
            Value::Number(_) => Kind::Number,
            Value::String(_) => Kind::Text { json: false },
            Value::Array(items) if items.iter().all(|item| item.is_number() || item.is_null()) => {
                Kind::Numbers
            }
            Value::Array(_) | Value::Object(_) => Kind::Text { json: true },
        };
        Some(match (so_far, one) {
            (None, one) => one,
            (Some(known), one) if known == one => one,
            (Some(Kind::Whole | Kind::Number), Kind::Whole | Kind::Number) => Kind::Number,
            _ => Kind::Text { json: true },
        })
    }
}

fn column(name: &str, repetition: Repetition, kind: Kind) -> Result<TypePtr> {
    let (physical, logical) = match kind {
        Kind::Bool => (Physical::BOOLEAN, None),
        Kind::Whole => (Physical::INT64, None),
        Kind::Number => (Physical::DOUBLE, None),
        Kind::Text { json: false } => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Text { json: true } => (Physical::BYTE_ARRAY, Some(LogicalType::Json)),
        Kind::Time => (
            Physical::INT64,
            Some(LogicalType::timestamp(true, TimeUnit::MILLIS)),
        ),
        Kind::Version => (Physical::INT32, Some(LogicalType::integer(32, false))),
        Kind::Numbers => {
            // The three levels that the format asks for: the list, each place in it, what is there.
            let item = Type::primitive_type_builder("element", Physical::DOUBLE)
                .with_repetition(Repetition::OPTIONAL)
                .build()?;
            let places = Type::group_type_builder("list")
                .with_repetition(Repetition::REPEATED)
                .with_fields(vec![Arc::new(item)])
                .build()?;
            let list = Type::group_type_builder(name)
                .with_repetition(repetition)
                .with_converted_type(ConvertedType::LIST)
                .with_logical_type(Some(LogicalType::List))
                .with_fields(vec![Arc::new(places)])
                .build()?;
            return Ok(Arc::new(list));
        }
    };
    let built = Type::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .with_logical_type(logical)
        .build()?;
    Ok(Arc::new(built))
}

fn writer<W: Write + Send>(to: W, fields: Vec<TypePtr>) -> Result<SerializedFileWriter<W>> {
    let schema = Type::group_type_builder("schema")
        .with_fields(fields)
        .build()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    SerializedFileWriter::new(to, Arc::new(schema), Arc::new(properties))
}

fn required<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[T::T],
) -> Result<()> {
    levels::<T>(group, values, None, None)
}

/// A column of values that may be null: a definition level of 1 is a value, one of 0 null.
fn optional<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<()> {
    let (mut present, mut defined) = (Vec::new(), Vec::new());
    for value in values {
        defined.push(i16::from(value.is_some()));
        present.extend(value);
    }
    levels::<T>(group, &present, Some(&defined), None)
}

/// A column of lists of numbers. Definition levels: 0 no list, 1 an empty one, 2 null in it, 3 a number; a repetition level of 1 goes on
/// with the list before.
fn lists<'a>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: impl Iterator<Item = Option<&'a Value>>,
) -> Result<()> {
    let (mut numbers, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
    for value in values {
        let items = value.and_then(Value::as_array);
        if items.is_none_or(Vec::is_empty) {
            defined.push(i16::from(items.is_some()));
            repeated.push(0);
        }
        for (place, item) in items.into_iter().flatten().enumerate() {
            let number = item.as_f64();
            defined.push(if number.is_some() { 3 } else { 2 });
            repeated.push(i16::from(place > 0));
            numbers.extend(number);
        }
    }
    levels::<DoubleType>(group, &numbers, Some(&defined), Some(&repeated))
}

fn levels<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[T::T],
    defined: Option<&[i16]>,
    repeated: Option<&[i16]>,
) -> Result<()> {
    // Columns are written in the order of the schema, each once.
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(values, defined, repeated)?;
        column.close()?;
    }
    Ok(())
}
