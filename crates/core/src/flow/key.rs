//! Key expressions: where in an event a rule finds its key.
//!
//! Events are named as CloudEvents show them: attributes by name, and paths into `data`. The key
//! that several paths make is their values with `|` between them, in which `|` and `\` of the
//! values are escaped, so that different values never make the same key.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::path::Path;
use crate::{
    filter::{EventView, Seen},
    limits,
};

/// Paths into an event whose values, together, are a key: `data.order.id`, `subject`,
/// `["data.tenant", "data.order.id"]`.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyExpression {
    /// At least one.
    paths: Box<[Path]>,
}

/// Why a text is no key expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct KeyMistake {
    /// What is wrong.
    pub message: String,
    /// What would help.
    pub help: String,
}

impl KeyExpression {
    /// Reads the paths.
    ///
    /// # Errors
    /// When there is none, or too many, or one of them is wrong: the first mistake, and what would
    /// mend it.
    pub fn parse(paths: &[&str]) -> Result<Self, KeyMistake> {
        let most = limits::MAX_KEY_PATHS;
        if paths.is_empty() || paths.len() > most {
            return Err(KeyMistake {
                message: format!("the key expression has {} paths", paths.len()),
                help: format!("expected 1 to {most} paths into the event"),
            });
        }
        let parsed: Vec<Path> = (paths.iter())
            .map(|path| Path::parse(path))
            .collect::<Result<_, _>>()?;
        for (place, path) in parsed.iter().enumerate() {
            if parsed[..place].contains(path) {
                return Err(KeyMistake {
                    message: format!("the key expression names `{}` twice", path.text),
                    help: "leave one of them out: it changes no key".to_owned(),
                });
            }
        }
        Ok(Self {
            paths: parsed.into(),
        })
    }

    /// The key of an event: a text as it is, a number or boolean as JSON writes it, an object (such
    /// as the key of a row) as JSON with its names sorted. `None` when one of the paths leads to
    /// nothing, to null, to an empty object or to an array. A key longer than [`limits::MAX_KEY`]
    /// is cut and ends in a hash of the whole.
    pub fn key_of(&self, event: &EventView<'_>) -> Option<String> {
        let mut key = String::new();
        match &*self.paths {
            [path] => write_plain(path.find(event), &mut key)?,
            paths => {
                for (place, path) in paths.iter().enumerate() {
                    if place > 0 {
                        key.push(SEPARATOR);
                    }
                    write_escaped(path.find(event), &mut key)?;
                }
            }
        }
        Some(bounded(key))
    }

    /// The number that the first path leads to, also one that is written as a text (as attributes
    /// in HTTP header fields always are); `None` when there is none or it is not finite.
    pub fn number_of(&self, event: &EventView<'_>) -> Option<f64> {
        let number: f64 = match self.paths.first()?.find(event) {
            Seen::Integer(number) => number.into(),
            Seen::Json(Value::Number(number)) => number.as_f64()?,
            other => other.as_text()?.trim().parse().ok()?,
        };
        number.is_finite().then_some(number)
    }

    /// The paths as they were written.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &str> {
        self.paths.iter().map(|path| &*path.text)
    }

    /// What the paths look for in the data: each path as it is written, the name of the field, and
    /// the name in that, if it goes on with one.
    pub(crate) fn fields_of_data(&self) -> impl Iterator<Item = (&str, &str, Option<&str>)> {
        let fields = self
            .paths
            .iter()
            .map(|path| (&*path.text, path.field_of_data()));
        fields.filter_map(|(text, field)| field.map(|(name, inner)| (text, name, inner)))
    }

    /// The names that only extension attributes can have.
    pub(crate) fn extensions(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().filter_map(Path::extension)
    }
}

const SEPARATOR: char = '|';

fn write_plain(seen: Seen<'_>, out: &mut String) -> Option<()> {
    match seen {
        Seen::Text(text) => out.push_str(text),
        Seen::Json(Value::String(text)) => out.push_str(text),
        Seen::Boolean(value) | Seen::Json(&Value::Bool(value)) => {
            out.push_str(if value { "true" } else { "false" });
        }
        Seen::Integer(number) => write!(out, "{number}").ok()?,
        Seen::Json(Value::Number(number)) => write!(out, "{number}").ok()?,
        Seen::Json(Value::Object(fields)) if !fields.is_empty() => write_object(fields, out)?,
        Seen::Json(Value::Null | Value::Array(_) | Value::Object(_))
        | Seen::Nothing
        | Seen::Event(_) => return None,
    }
    Some(())
}

/// JSON in which the order of the names does not depend on who wrote the event.
fn write_object(fields: &Map<String, Value>, out: &mut String) -> Option<()> {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    for (place, (name, value)) in fields.into_iter().enumerate() {
        out.push(if place == 0 { '{' } else { ',' });
        out.push_str(&serde_json::to_string(name).ok()?);
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => write_object(inner, out)?,
            other => write!(out, "{other}").ok()?,
        }
    }
    out.push('}');
    Some(())
}

fn write_escaped(seen: Seen<'_>, out: &mut String) -> Option<()> {
    let whole;
    let text = match (seen.as_text(), seen) {
        (Some(text), _) => text,
        (None, Seen::Json(Value::Object(_))) => {
            let mut object = String::new();
            write_plain(seen, &mut object)?;
            whole = object;
            &whole
        }
        // Neither numbers nor booleans contain what would be escaped.
        (None, _) => return write_plain(seen, out),
    };
    for part in text.split_inclusive([SEPARATOR, '\\']) {
        match part.strip_suffix([SEPARATOR, '\\']) {
            None => out.push_str(part),
            Some(plain) => {
                out.push_str(plain);
                out.push('\\');
                out.push_str(&part[plain.len()..]);
            }
        }
    }
    Some(())
}

/// Bytes of the hash that ends a cut key, as hexadecimal digits; 128 bits of it, so that nobody
/// finds two that are alike.
const HASH: usize = 32;
const MARK: char = '~';

/// The key, cut when it is too long. One that only looks as though it had been cut is treated in
/// the same way, so that no event can take the key of another.
fn bounded(key: String) -> String {
    if key.len() <= limits::MAX_KEY && !looks_cut(&key) {
        return key;
    }
    let kept = key.floor_char_boundary(limits::MAX_KEY - HASH - MARK.len_utf8());
    let digest = Sha256::digest(key.as_bytes());
    let mut cut = String::with_capacity(limits::MAX_KEY);
    cut.push_str(&key[..kept]);
    cut.push(MARK);
    for byte in &digest[..HASH / 2] {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        cut.push(digit(byte >> 4));
        cut.push(digit(byte & 15));
    }
    cut
}

/// Whether a key ends as those do that were cut.
fn looks_cut(key: &str) -> bool {
    // The last character before the cut may have been up to 3 bytes over.
    let least = limits::MAX_KEY - 3;
    let hash = key.len().checked_sub(HASH).filter(|_| key.len() >= least);
    hash.and_then(|at| key.split_at_checked(at))
        .is_some_and(|(head, hash)| {
            head.ends_with(MARK) && hash.bytes().all(|b| b.is_ascii_hexdigit())
        })
}

impl fmt::Debug for KeyExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
