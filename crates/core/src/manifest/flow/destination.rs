//! `on_success` and `on_failure`: where outcomes go.

use super::super::{
    document::quoted,
    problem::Problem,
    project::Scene,
    reader::{Fields, Item, Words},
    sections::flow::DESTINATION,
    trigger::HANDLER,
};
use crate::{flow::Destination, limits};

const EXPECTED: &str = "{ topic = \"…\" }, { function = \"…\" } or { http = \"https://…\" }";

/// Whether all of a CloudEvent is sent as one document.
const MODES: Words<'static, bool> = Words {
    known: &[("binary", false), ("structured", true)],
    meanings: &[
        ("headers", "binary"),
        ("json", "structured"),
        ("batch", "structured"),
    ],
    later: &[],
};

/// Reads a destination.
pub(super) fn read(item: Item<'_>, scene: &Scene<'_>) -> Option<Destination> {
    if !item.is_table() {
        item.wrong_kind(EXPECTED);
        return None;
    }
    let fields = item.fields(&DESTINATION, item.title())?;
    let kind = fields.only_one(
        "where to",
        "destinations",
        "an outcome goes to one place; for several publish it under a topic that they listen to",
    )?;
    let fits = refuse_strangers(&fields, kind.name);
    let destination = match kind.name {
        "topic" => scene.resources.topics.name(kind).map(Destination::Topic),
        "function" => function(&fields, kind, scene),
        _ => http(&fields, kind),
    };
    destination.filter(|_| fits)
}

/// Keys that only go with one kind of destination.
const KEYS_OF_KINDS: [(&str, &str); 2] = [("handler", "function"), ("mode", "http")];

fn refuse_strangers(fields: &Fields<'_>, kind: &str) -> bool {
    let mut fits = true;
    for (key, owner) in KEYS_OF_KINDS {
        if let Some(item) = fields.get(key)
            && owner != kind
        {
            fields.report.problem(
                Problem::at(
                    item.key_span(),
                    format!("`{key}` means nothing to a destination of the kind `{kind}`"),
                )
                .help(format!("it goes with `{owner}`")),
            );
            fits = false;
        }
    }
    fits
}

fn function(fields: &Fields<'_>, item: Item<'_>, scene: &Scene<'_>) -> Option<Destination> {
    let handler = match fields.get("handler") {
        None => Some(None),
        Some(item) => item.name_of(HANDLER).map(Some),
    };
    let name = scene.function(item)?;
    Some(Destination::Function(name, handler?))
}

fn http(fields: &Fields<'_>, item: Item<'_>) -> Option<Destination> {
    let structured = match fields.get("mode") {
        None => Some(false),
        Some(item) => item.word(&MODES),
    };
    let url = item.text("an address, such as \"https://example.com/hook\"")?;
    match address(url) {
        Ok(Plain::No) => {}
        Ok(Plain::Yes) => item.report.warning(
            Problem::at(
                item.span(),
                "outcomes are sent to this address without encryption",
            )
            .help("write https:// if the other side has it"),
        ),
        Err((fault, help)) => {
            item.refuse(format!("the address {} {fault}", quoted(url)), help);
            return None;
        }
    }
    Some(Destination::Http {
        url: url.to_owned(),
        structured: structured?,
    })
}

/// Whether others can read what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    No,
    Yes,
}

/// Checks a URL (RFC 3986) as far as a request needs it; the error finishes the sentence "the
/// address …" and says what to write.
fn address(url: &str) -> Result<Plain, (&'static str, String)> {
    let example = || "expected an address such as \"https://example.com/hook\"".to_owned();
    let (scheme, rest) = url
        .split_once("://")
        .ok_or(("has no `https://`", example()))?;
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return Err(("begins with neither `https://` nor `http://`", example())),
    };
    if url.len() > limits::MAX_URL {
        return Err(("is too long", format!("at most {} bytes", limits::MAX_URL)));
    }
    if !url
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b))
    {
        let help = "write other characters as %XX, and the host in Punycode".to_owned();
        return Err(("holds a character that no URL has", help));
    }
    if rest.contains('#') {
        return Err((
            "has a fragment",
            "leave out `#` and what follows: it is never sent".to_owned(),
        ));
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        let help = "leave the name and the password out: the manifest is no place for secrets";
        return Err(("holds a password", help.to_owned()));
    }
    let (host, port) = split_port(authority);
    if !is_host(host) {
        return Err(("names no host", example()));
    }
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Err((
            "has no valid port",
            "expected a number from 1 to 65535".to_owned(),
        ));
    }
    Ok(if secure || is_loopback(host) {
        Plain::No
    } else {
        Plain::Yes
    })
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    let behind_address = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[behind_address..].split_once(':') {
        Some((inner, port)) => (&authority[..behind_address + inner.len()], Some(port)),
        None => (authority, None),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    host.len() <= 253 && host.split('.').all(label)
}

fn is_loopback(host: &str) -> bool {
    let inner = host.trim_start_matches('[').trim_end_matches(']');
    inner.eq_ignore_ascii_case("localhost")
        || (inner.parse::<std::net::IpAddr>()).is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_can_be_reached_pass() {
        for (url, plain) in [
            ("https://example.com", Plain::No),
            ("HTTPS://example.com/a?b=c%20d&e=[1]", Plain::No),
            ("https://example.com:8443/hook", Plain::No),
            ("https://example.com?x=/@y", Plain::No),
            ("https://[::1]:8443/", Plain::No),
            ("http://localhost:9000/x", Plain::No),
            ("http://127.0.0.1:1", Plain::No),
            ("http://[::1]/", Plain::No),
            ("http://example.com./hook", Plain::Yes),
            ("http://10.0.0.1/hook", Plain::Yes),
        ] {
            assert_eq!(address(url), Ok(plain), "{url}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_reached_say_why() {
        let check = |url: &str, expected: &str| {
            let (fault, help) = address(url).expect_err(url);
            assert!(fault.contains(expected), "{url}: {fault} | {help}");
        };
        check("", "no `https://`");
        check("example.com/hook", "no `https://`");
        check("mailto:a@example.com", "no `https://`");
        check("ftp://example.com", "neither");
        check("https://", "no host");
        check("https:///hook", "no host");
        check("https://:80/", "no host");
        check("https://a..b/", "no host");
        check("https://[::g]/", "no host");
        check("https://a:/", "port");
        check("https://a:0/", "port");
        check("https://a:65536/", "port");
        check("https://[::1]x:80/", "no host");
        check("https://a b/", "character");
        check("https://ü.example/", "character");
        check("https://a/{id}", "character");
        check("https://a/b#c", "fragment");
        check("https://user:pass@a/", "password");
        check(
            &format!("https://a/{}", "x".repeat(limits::MAX_URL)),
            "too long",
        );
    }
}
