//! Parameters of queries: from JSON to what SQLite binds.

use base64::prelude::{BASE64_STANDARD, Engine};
use rusqlite::{Statement, types::Value};
use serde_json::{Map, Value as Json, value::RawValue};

use crate::query::{ErrorCode, QueryError};

/// The parameters of one query.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Params {
    /// In the order of the `?`; also none at all.
    Positional(Vec<Value>),
    /// By the names of `:name`, `@name` and `$name`.
    Named(Map<String, Json>),
}

impl Params {
    /// From JSON: a list, an object, or nothing.
    pub(super) fn parse(params: Option<&RawValue>) -> Result<Self, QueryError> {
        let json = match params {
            None => Json::Null,
            Some(raw) => serde_json::from_str(raw.get())
                .map_err(|error| invalid(format!("the parameters are not valid JSON: {error}")))?,
        };
        match json {
            Json::Null => Ok(Self::Positional(Vec::new())),
            Json::Array(values) => {
                let values = values.into_iter().enumerate();
                values
                    .map(|(at, value)| to_value(value, &format!("number {}", at + 1)))
                    .collect::<Result<_, _>>()
                    .map(Self::Positional)
            }
            Json::Object(named) => Ok(Self::Named(named)),
            _ => Err(invalid(
                "the parameters must be a list, or an object of names".to_owned(),
            )),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Positional(values) => values.is_empty(),
            Self::Named(values) => values.is_empty(),
        }
    }

    /// Binds them; every parameter of the statement needs one, and none may be left over.
    pub(super) fn bind(&self, statement: &mut Statement<'_>) -> Result<(), QueryError> {
        let count = statement.parameter_count();
        match self {
            Self::Positional(values) => {
                if values.len() != count {
                    return Err(invalid(format!(
                        "the statement has {count} parameters, but {} values were given",
                        values.len()
                    )));
                }
                for (at, value) in values.iter().enumerate() {
                    bind(statement, at + 1, value)?;
                }
                Ok(())
            }
            Self::Named(values) => bind_named(statement, count, values),
        }
    }
}

fn bind_named(
    statement: &mut Statement<'_>,
    count: usize,
    values: &Map<String, Json>,
) -> Result<(), QueryError> {
    let mut used = Vec::with_capacity(count);
    for at in 1..=count {
        let Some(name) = statement.parameter_name(at).map(str::to_owned) else {
            return Err(invalid(
                "the statement has `?` parameters: give their values as a list".to_owned(),
            ));
        };
        let bare = name.trim_start_matches([':', '@', '$', '?']);
        let Some((key, value)) = values
            .get_key_value(bare)
            .or_else(|| values.get_key_value(&name))
        else {
            return Err(invalid(format!(
                "there is no value for the parameter `{name}`"
            )));
        };
        used.push(key.as_str());
        bind(
            statement,
            at,
            &to_value(value.clone(), &format!("`{name}`"))?,
        )?;
    }
    match values.keys().find(|key| !used.contains(&key.as_str())) {
        Some(unused) => Err(invalid(format!(
            "there is a value for `{unused}`, but the statement has no such parameter"
        ))),
        None => Ok(()),
    }
}

fn bind(statement: &mut Statement<'_>, at: usize, value: &Value) -> Result<(), QueryError> {
    statement
        .raw_bind_parameter(at, value)
        .map_err(|error| super::failure::plain_failure(&error))
}

fn to_value(json: Json, which: &str) -> Result<Value, QueryError> {
    match json {
        Json::Null => Ok(Value::Null),
        Json::Bool(is) => Ok(Value::Integer(i64::from(is))),
        Json::String(text) => Ok(Value::Text(text)),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Ok(Value::Integer(integer)),
            (None, Some(real)) if !number.is_u64() => Ok(Value::Real(real)),
            _ => Err(invalid(format!(
                "the parameter {which} is {number}, beyond the integers of SQLite (64 bits)"
            ))),
        },
        Json::Object(tagged) => tagged_value(&tagged).ok_or_else(|| refused(which)),
        Json::Array(_) => Err(refused(which)),
    }
}

fn tagged_value(tagged: &Map<String, Json>) -> Option<Value> {
    let (tag, value) = tagged.iter().next().filter(|_| tagged.len() == 1)?;
    let text = value.as_str()?;
    match tag.as_str() {
        "$int" => text.parse().ok().map(Value::Integer),
        "$bytes" => BASE64_STANDARD.decode(text).ok().map(Value::Blob),
        "$real" => match text {
            "Infinity" => Some(Value::Real(f64::INFINITY)),
            "-Infinity" => Some(Value::Real(f64::NEG_INFINITY)),
            _ => None,
        },
        _ => None,
    }
}

fn refused(which: &str) -> QueryError {
    invalid(format!(
        "the parameter {which} is no SQL value: expected a string, a number, a boolean, null, \
         {{\"$int\": \"…\"}} or {{\"$bytes\": base64}}; store objects as JSON text"
    ))
}

fn invalid(message: String) -> QueryError {
    QueryError::new(ErrorCode::Invalid, message)
}
