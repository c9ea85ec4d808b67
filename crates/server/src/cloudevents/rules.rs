//! What attributes may be: CloudEvents 1.0.2, "Naming Conventions" and "Type System".

use wakeful_core::time::Timestamp;

/// Why a value breaks the rule of its type; reads on after "must be".
pub(crate) type Rule = &'static str;

pub(crate) const NAME: Rule = "named with lower-case letters a-z and digits only";
const TEXT: Rule = "without control characters and Unicode noncharacters";
const REFERENCE: Rule = "a URI reference (RFC 3986, section 4.1), such as `/shop/orders`";
const ABSOLUTE: Rule = "an absolute URI (RFC 3986, section 4.3), such as `https://example.com/s`";
const TIME: Rule = "a time of RFC 3339, such as `2026-11-20T12:00:00Z`";
const MEDIA: Rule = "a media type of RFC 2046, such as `application/json`";

/// The name of an attribute.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !name.is_empty() && name != "data" && name.bytes().all(fits)
}

/// The type `String`.
pub(crate) fn text(value: &str) -> Result<(), Rule> {
    let disallowed = |c: char| {
        let code = u32::from(c);
        c.is_control() || (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
    };
    match value.chars().any(disallowed) {
        true => Err(TEXT),
        false => Ok(()),
    }
}

/// The type `Timestamp`, to the millisecond.
pub(crate) fn time(value: &str) -> Result<Timestamp, Rule> {
    if !looks_like_time(value.as_bytes()) {
        return Err(TIME);
    }
    let at: jiff::Timestamp = value.parse().map_err(|_| TIME)?;
    Ok(Timestamp::from_millis(at.as_millisecond()))
}

/// RFC 3339 §5.6. What reads the time would take more than that: `2026-11-20 12:00[Europe/Berlin]`.
fn looks_like_time(text: &[u8]) -> bool {
    let shape = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't'),
                b'+' => matches!(byte, b'+' | b'-'),
                other => byte == other,
            })
    };
    let Some((moment, rest)) = text.split_at_checked(19) else {
        return false;
    };
    let digits = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            1 + digits
        }
        _ => 0,
    };
    let zone = &rest[digits..];
    shape(moment, b"0000-00-00T00:00:00") && (matches!(zone, b"Z" | b"z") || shape(zone, b"+00:00"))
}

/// The type `URI-reference`.
pub(crate) fn uri_reference(value: &str) -> Result<(), Rule> {
    let fits = match scheme(value) {
        Some(rest) => is_hierarchy(rest),
        // Without a scheme the first segment has no colon: it would look like one.
        None => {
            let first = value.split(['/', '?', '#']).next().unwrap_or_default();
            !first.contains(':') && is_hierarchy(value)
        }
    };
    fits.then_some(()).ok_or(REFERENCE)
}

/// The type `URI`: with a scheme and without a fragment.
pub(crate) fn uri(value: &str) -> Result<(), Rule> {
    let fits = scheme(value).is_some_and(|rest| !rest.contains('#') && is_hierarchy(rest));
    fits.then_some(()).ok_or(ABSOLUTE)
}

/// What stands behind the scheme; `None` when there is none.
fn scheme(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_once(':')?;
    let mut bytes = scheme.bytes();
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (bytes.next()?.is_ascii_alphabetic() && bytes.all(inner)).then_some(rest)
}

/// Authority, path, query and fragment of RFC 3986.
fn is_hierarchy(text: &str) -> bool {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    is_authority(authority)
        && is_made_of(path, b":@/")
        && is_made_of(query, b":@/?")
        && is_made_of(fragment, b":@/?")
}

fn is_authority(text: &str) -> bool {
    let host = text.rsplit_once('@').map_or(text, |(user, host)| {
        if is_made_of(user, b":") {
            host
        } else {
            "\u{0}"
        }
    });
    match host.strip_prefix('[') {
        None => is_made_of(host, b":"),
        Some(literal) => literal.split_once(']').is_some_and(|(address, port)| {
            address
                .bytes()
                .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
                && !address.is_empty()
                && (port.is_empty() || port.starts_with(':'))
                && port.bytes().skip(1).all(|b| b.is_ascii_digit())
        }),
    }
}

/// Unreserved characters, escapes, sub-delimiters, and these.
fn is_made_of(text: &str, more: &[u8]) -> bool {
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match first {
            b'%' => match tail {
                [a, b, after @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => after,
                _ => return false,
            },
            byte if byte.is_ascii_alphanumeric()
                || b"-._~!$&'()*+,;=".contains(byte)
                || more.contains(byte) =>
            {
                tail
            }
            _ => return false,
        };
    }
    true
}

/// A media type with parameters.
pub(crate) fn media_type(value: &str) -> Result<(), Rule> {
    is_media_type(value).then_some(()).ok_or(MEDIA)
}

fn is_media_type(value: &str) -> bool {
    let (essence, mut rest) = value.split_at(value.find(';').unwrap_or(value.len()));
    let known = essence.trim_end().split_once('/');
    if !known.is_some_and(|(kind, sub)| is_token(kind) && is_token(sub)) {
        return false;
    }
    while let Some(parameter) = rest.strip_prefix(';') {
        let parameter = parameter.trim_start();
        let Some((name, value)) = parameter.split_once('=') else {
            // RFC 9110 §5.6.6 lets a list of parameters end in a semicolon.
            return parameter.is_empty();
        };
        let Some(end) = value_end(value) else {
            return false;
        };
        if !is_token(name) {
            return false;
        }
        rest = value[end..].trim_start();
    }
    rest.is_empty()
}

/// Where the value of a parameter ends: a token, or a quoted string.
fn value_end(value: &str) -> Option<usize> {
    if !value.starts_with('"') {
        let end = value.find([';', ' ', '\t']).unwrap_or(value.len());
        return is_token(&value[..end]).then_some(end);
    }
    let mut escaped = false;
    for (at, c) in value.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(inner)
}

/// Whether a media type declares JSON: `*/json` or `*/*+json` (JSON format, section 3.1.1).
pub(crate) fn declares_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let sub = essence.split_once('/').map_or("", |(_, sub)| sub);
    let sub = sub.to_ascii_lowercase();
    sub == "json" || sub.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T>(rule: fn(&str) -> Result<T, Rule>, good: &[&str], bad: &[&str]) {
        for value in good {
            assert!(rule(value).is_ok(), "{value} should be valid");
        }
        for value in bad {
            assert!(rule(value).is_err(), "{value} should be refused");
        }
    }

    #[test]
    fn names_are_lower_case_letters_and_digits() {
        for (name, expected) in [
            ("comexampleextension1", true),
            ("1a", true),
            ("", false),
            ("data", false),
            ("Upper", false),
            ("a_b", false),
            ("a-b", false),
            ("ä", false),
        ] {
            assert_eq!(is_name(name), expected, "{name}");
        }
    }

    #[test]
    fn values_keep_the_rules_of_their_types() {
        check(
            text,
            &["", "Größe 😀", "\u{e000}"],
            &["a\nb", "\u{7f}", "\u{85}", "\u{fdd0}", "\u{1ffff}"],
        );
        check(
            time,
            &[
                "2018-04-05T17:31:00Z",
                "2018-04-05t17:31:00.123456789z",
                "2018-04-05T17:31:00+02:00",
                "1937-01-01T12:00:27.87+00:20",
            ],
            &[
                "",
                "2018-04-05",
                "2018-04-05 17:31:00Z",
                "2018-04-05T17:31:00",
                "2018-04-05T17:31Z",
                "2018-04-05T17:31:00.Z",
                "2018-13-05T17:31:00Z",
                "2018-02-30T17:31:00Z",
                "2018-04-05T17:31:00+02",
                "2018-04-05T17:31:00Z[UTC]",
                "1522949460",
                "20180405T173100Zxxxx",
            ],
        );
        check(
            uri_reference,
            &[
                "https://github.com/cloudevents",
                "mailto:cncf-wg-serverless@lists.cncf.io",
                "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
                "/cloudevents/spec/pull/123",
                "/sensors/tn-1234567/alerts",
                "1-555-123-4567",
                "#fragment",
                "?q=1",
                "//host:80/x",
                "http://[::1]:8080/x?a=b#c",
                "a/b:c",
                "%C3%BC",
            ],
            &[
                "with space",
                "ü",
                "1:2",
                "a^b",
                "%zz",
                "x#a#b",
                "http://a b/",
                "http://[::1",
                "<x>",
                "http://a\\b",
            ],
        );
        check(
            uri,
            &["https://example.com/schema?x=1", "urn:a:b"],
            &[
                "/schema",
                "schema.json",
                "https://example.com/s#frag",
                "://x",
            ],
        );
        check(
            media_type,
            &[
                "application/json",
                "text/xml; charset=utf-8",
                "text/plain;charset=\"a ; b\"; x=y",
                "application/x+json;",
            ],
            &[
                "",
                "json",
                "a/",
                "/b",
                "a b/c",
                "text/plain; charset",
                "text/plain; charset=",
                "a/b; x=\"y",
                "a/b c",
            ],
        );
    }

    #[test]
    fn times_are_read_to_the_millisecond() {
        let at = time("1970-01-01T02:00:01.2345+02:00").unwrap();
        assert_eq!(at, Timestamp::from_millis(1234));
    }

    #[test]
    fn json_is_declared_by_the_subtype() {
        for (media_type, expected) in [
            ("application/json", true),
            ("Text/JSON; charset=utf-8", true),
            ("application/vnd.x+json", true),
            ("application/jsonl", false),
            ("text/plain", false),
            ("json", false),
        ] {
            assert_eq!(declares_json(media_type), expected, "{media_type}");
        }
    }
}
