//! Values of databases as JSON, in the encoding of the worker protocol: `{"$int": "…"}` for
//! integers that a JavaScript number cannot hold, `{"$bytes": base64}` for bytes, and, where a
//! value was left out because of its size, `{"$omitted": length}`.

use base64::prelude::{BASE64_STANDARD, Engine};

/// The greatest integer of which every smaller one is a JavaScript number too: 2^53 - 1.
const MAX_SAFE: u64 = (1 << 53) - 1;

/// A value as an engine gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
    /// Left out: it is this long (bytes, or characters of text).
    Omitted(u64),
}

/// Appends `value` as JSON. Text that is not UTF-8 is written as bytes, so that nothing is lost.
pub(crate) fn write_value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Integer(number) if number.unsigned_abs() <= MAX_SAFE => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Integer(number) => tagged(out, "$int", &number.to_string()),
        Value::Real(number) => write_real(out, number),
        Value::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => write_text(out, text),
            Err(_) => tagged(out, "$bytes", &BASE64_STANDARD.encode(bytes)),
        },
        Value::Blob(bytes) => tagged(out, "$bytes", &BASE64_STANDARD.encode(bytes)),
        Value::Omitted(length) => {
            out.extend_from_slice(b"{\"$omitted\":");
            out.extend_from_slice(length.to_string().as_bytes());
            out.push(b'}');
        }
    }
}

/// Appends a JSON string.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn write_real(out: &mut Vec<u8>, number: f64) {
    if number.is_finite() {
        let _ = serde_json::to_writer(out, &number);
    } else {
        let word = match number {
            f64::INFINITY => "Infinity",
            f64::NEG_INFINITY => "-Infinity",
            _ => "NaN",
        };
        tagged(out, "$real", word);
    }
}

fn tagged(out: &mut Vec<u8>, tag: &str, text: &str) {
    out.push(b'{');
    write_text(out, tag);
    out.push(b':');
    write_text(out, text);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_what_they_are() {
        let check = |value, expected: &str| {
            let mut out = Vec::new();
            write_value(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(Value::Null, "null");
        check(Value::Integer(-42), "-42");
        check(Value::Integer((1 << 53) - 1), "9007199254740991");
        check(Value::Integer(1 << 53), r#"{"$int":"9007199254740992"}"#);
        check(
            Value::Integer(i64::MIN),
            r#"{"$int":"-9223372036854775808"}"#,
        );
        check(Value::Real(1.0), "1.0");
        check(Value::Real(0.1), "0.1");
        check(Value::Real(-0.0), "-0.0");
        check(Value::Real(1e300), "1e+300");
        check(Value::Real(f64::INFINITY), r#"{"$real":"Infinity"}"#);
        check(Value::Text("a\"\n\0ü".as_bytes()), r#""a\"\n\u0000ü""#);
        check(Value::Text(b"a\xff"), r#"{"$bytes":"Yf8="}"#);
        check(Value::Blob(b""), r#"{"$bytes":""}"#);
        check(Value::Blob(b"\x00\xff"), r#"{"$bytes":"AP8="}"#);
        check(Value::Omitted(7), r#"{"$omitted":7}"#);
    }
}
