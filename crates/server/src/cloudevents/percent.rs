//! Attribute values as header values (HTTP binding, section 3.1.3.2).

use std::borrow::Cow;

/// A value as a header carries it: what is not printable ASCII, and space, `"` and `%`, escaped.
pub(super) fn encode(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| matches!(byte, 0x21..=0x7e) && byte != b'"' && byte != b'%';
    if text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Cow::Owned(out)
}

/// What a header value means: quoted strings are unquoted, then one round of percent-decoding.
/// `None` when the result is no UTF-8. A `%` without two digits behind it stands for itself:
/// widely used senders do not encode at all, and nothing else can be meant.
pub(super) fn decode(value: &[u8]) -> Option<String> {
    let unquoted = unquote(value);
    let mut out = Vec::with_capacity(unquoted.len());
    let mut rest = &*unquoted;
    while let [first, tail @ ..] = rest {
        match (first, escaped(tail)) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(out).ok()
}

fn escaped(tail: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low, ..] = tail else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// Quoted strings as RFC 7230 §3.2.6 has them; a quote that does not end stands for itself.
fn unquote(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'"') {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, quoted(tail)) {
            (b'"', Some((inner, after))) => {
                out.extend_from_slice(&inner);
                rest = after;
            }
            _ => out.push(*first),
        }
    }
    Cow::Owned(out)
}

/// The rest of a quoted string, and what stands behind its end.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut inner = Vec::new();
    let mut rest = text;
    loop {
        match rest {
            [b'"', after @ ..] => return Some((inner, after)),
            [b'\\', byte, after @ ..] => {
                inner.push(*byte);
                rest = after;
            }
            [byte, after @ ..] => {
                inner.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_binding() {
        let text = "Euro € 😀";
        assert_eq!(encode(text), "Euro%20%E2%82%AC%20%F0%9F%98%80");
        for (value, expected) in [
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", Some(text)),
            ("Euro%20%e2%82%ac%20%f0%9f%98%80", Some(text)),
            ("%41nnecessarily", Some("Annecessarily")),
            ("%C0%A0", None),
            ("\"quoted \\\"text\\\" %41\"", Some("quoted \"text\" A")),
            ("a \"b c\" d", Some("a b c d")),
            ("no \"end", Some("no \"end")),
            ("100% cotton", Some("100% cotton")),
            ("100%", Some("100%")),
            ("%2", Some("%2")),
            ("%2541", Some("%41")),
            ("", Some("")),
        ] {
            assert_eq!(decode(value.as_bytes()).as_deref(), expected, "{value}");
        }
        assert_eq!(decode("ü".as_bytes()).as_deref(), Some("ü"));
        assert_eq!(decode(b"\xfc"), None);
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read(text in "\\PC*") {
            let written = encode(&text);
            prop_assert!(written.bytes().all(|byte| matches!(byte, 0x21..=0x7e)));
            prop_assert_eq!(decode(written.as_bytes()), Some(text));
        }

        #[test]
        fn anything_can_be_looked_at(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&value);
        }
    }
}
