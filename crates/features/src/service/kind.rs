//! Types of features and keys, named and converted as in Feast.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Number, Value};

/// A type of Feast's (`feast.types`), as its Python names it: `Int64`, `Array(Float32)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureType {
    /// One value.
    One(Scalar),
    /// A list of values.
    Array(Scalar),
}

/// A type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// 32-bit whole numbers.
    Int32,
    /// 64-bit whole numbers.
    Int64,
    /// Numbers of single precision: what is written is rounded to it.
    Float32,
    /// Numbers of double precision.
    Float64,
    /// Text.
    String,
    /// True or false.
    Bool,
}

const SCALARS: [(&str, Scalar); 6] = [
    ("Int32", Scalar::Int32),
    ("Int64", Scalar::Int64),
    ("Float32", Scalar::Float32),
    ("Float64", Scalar::Float64),
    ("String", Scalar::String),
    ("Bool", Scalar::Bool),
];

impl Scalar {
    /// The value in this type; `None` where it has none. Null stays null.
    fn cast(self, value: &Value) -> Option<Value> {
        let float = |value: f64| Number::from_f64(value).map(Value::Number);
        Some(match (self, value) {
            (_, Value::Null) => Value::Null,
            (Scalar::Int32 | Scalar::Int64, Value::Number(number)) => {
                let whole = number.as_i64().or_else(|| {
                    let float = number.as_f64()?;
                    // Columns with nulls reach Feast as floats.
                    (float.fract() == 0.0 && float.abs() < 9.0e15).then_some(float as i64)
                })?;
                if self == Scalar::Int32 {
                    i32::try_from(whole).ok()?;
                }
                whole.into()
            }
            (Scalar::Float32, Value::Number(number)) => float(f64::from(number.as_f64()? as f32))?,
            (Scalar::Float64, Value::Number(number)) => float(number.as_f64()?)?,
            (Scalar::String, Value::String(_)) | (Scalar::Bool, Value::Bool(_)) => value.clone(),
            _ => return None,
        })
    }
}

impl FeatureType {
    /// The value in this type; `None` where it has none. Null stays null.
    pub fn cast(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (_, Value::Null) => Some(Value::Null),
            (FeatureType::One(scalar), value) => scalar.cast(value),
            (FeatureType::Array(scalar), Value::Array(items)) => {
                let items = items.iter().map(|item| match item {
                    Value::Null => None,
                    item => scalar.cast(item),
                });
                items.collect::<Option<Vec<Value>>>().map(Value::Array)
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for FeatureType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |scalar: Scalar| {
            let found = SCALARS.iter().find(|(_, known)| *known == scalar);
            found.map_or("", |(name, _)| *name)
        };
        match self {
            FeatureType::One(scalar) => f.write_str(name(*scalar)),
            FeatureType::Array(scalar) => write!(f, "Array({})", name(*scalar)),
        }
    }
}

impl std::str::FromStr for FeatureType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scalar = |name: &str| {
            let found = SCALARS.iter().find(|(known, _)| *known == name);
            found.map(|(_, scalar)| *scalar).ok_or_else(|| {
                let known = SCALARS.map(|(name, _)| name).join(", ");
                format!("{text} is no type; there are {known}, and Array(…) of them")
            })
        };
        match text
            .strip_prefix("Array(")
            .and_then(|rest| rest.strip_suffix(')'))
        {
            Some(name) => scalar(name).map(FeatureType::Array),
            None => scalar(text).map(FeatureType::One),
        }
    }
}

impl Serialize for FeatureType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FeatureType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_are_read_as_they_are_written_and_convert() {
        for text in [
            "Int32",
            "Int64",
            "Float32",
            "Float64",
            "String",
            "Bool",
            "Array(Float32)",
        ] {
            let kind: FeatureType = text.parse().unwrap();
            assert_eq!(kind.to_string(), text);
            assert_eq!(kind.cast(&Value::Null), Some(Value::Null));
        }
        assert!(
            "Array(Odd)"
                .parse::<FeatureType>()
                .unwrap_err()
                .contains("Float32")
        );
        let cast = |kind: &str, value: Value| kind.parse::<FeatureType>().unwrap().cast(&value);
        assert_eq!(cast("Int64", json!(3.0)), Some(json!(3)));
        assert_eq!(cast("Int64", json!(3.5)), None);
        assert_eq!(cast("Int32", json!(1i64 << 40)), None);
        assert_eq!(cast("Float64", json!(3)), Some(json!(3.0)));
        assert_eq!(cast("Float32", json!(0.1)), Some(json!(f64::from(0.1f32))));
        assert_eq!(cast("String", json!(3)), None);
        assert_eq!(cast("Array(Int64)", json!([1, 2.0])), Some(json!([1, 2])));
        assert_eq!(cast("Array(Int64)", json!([1, null])), None);
    }
}
