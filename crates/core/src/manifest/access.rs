//! `access` of a function: what of the project's resources it may touch.

use std::{collections::BTreeMap, str::FromStr};

use super::{
    document::quoted,
    problem::Problem,
    project::{Declared, Scene},
    reader::{Item, Words},
    sections::{self, ACCESS},
};
use crate::{
    name::InvalidName,
    project::{Access, Level},
};

const LEVELS: Words<'static, Level> = Words {
    known: &[("read", Level::Read), ("write", Level::Write)],
    meanings: &[
        ("readonly", "read"),
        ("r", "read"),
        ("select", "read"),
        ("get", "read"),
        ("rw", "write"),
        ("readwrite", "write"),
        ("read-write", "write"),
        ("all", "write"),
        ("full", "write"),
        ("admin", "write"),
    ],
    later: &[],
};

/// Reads `access` of the function called `function`.
pub(super) fn read(item: Item<'_>, function: &str, scene: &Scene<'_>) -> Access {
    let resources = &scene.resources;
    debug_assert_eq!(LEVELS.known.len(), sections::LEVELS.len());
    let what = format!("`access` of function `{function}`");
    let Some(fields) = item.fields(&ACCESS, what) else {
        return Access::default();
    };
    if let Some(net) = fields.get("net") {
        read_net(net);
    }
    Access {
        topics: (fields.get("topic"))
            .map(|item| each(item, TOPICS, |item| resources.topics.pattern(item)))
            .unwrap_or_default(),
        functions: (fields.get("function"))
            .map(|item| each(item, FUNCTIONS, |item| scene.function(item)))
            .unwrap_or_default(),
        buckets: (fields.get("bucket"))
            .map(|item| levels(item, &resources.buckets))
            .unwrap_or_default(),
        databases: (fields.get("database"))
            .map(|item| levels(item, &resources.databases))
            .unwrap_or_default(),
    }
}

const TOPICS: &str = "an array of topics, such as [\"orders.*\"]";
const FUNCTIONS: &str = "an array of functions, such as [\"report\"]";

/// Reads an array of names in which none may stand twice.
fn each<T: PartialEq>(
    item: Item<'_>,
    expected: &str,
    read: impl Fn(Item<'_>) -> Option<T>,
) -> Vec<T> {
    let mut all = Vec::new();
    for entry in item.array(expected).into_iter().flatten() {
        match read(entry) {
            Some(found) if all.contains(&found) => {
                let message = format!("{} says this twice", entry.title());
                entry.refuse(message, "leave one of them out");
            }
            found => all.extend(found),
        }
    }
    all
}

fn levels<N>(item: Item<'_>, declared: &Declared) -> BTreeMap<N, Level>
where
    N: FromStr<Err = InvalidName> + Ord,
{
    let kind = declared.kind;
    let expected = format!(
        "a table of {kind}s, such as {{ {} = \"read\" }}",
        declared.example()
    );
    let mut all = BTreeMap::new();
    for (key, value) in item.entries(&expected).into_iter().flatten() {
        let level = value.word(&LEVELS);
        if let Some(name) = declared.resolve(&key.name, &key.span, item.report)
            && let Some(level) = level
        {
            all.insert(name, level);
        }
    }
    all
}

/// Checks the form of `net`, which nothing enforces yet.
fn read_net(item: Item<'_>) {
    let expected = "an array of hosts and ports, such as [\"api.example.com:443\"]";
    let Some(entries) = item.array(expected) else {
        return;
    };
    for entry in entries {
        let Some(text) = entry.text("a host and a port, such as \"api.example.com:443\"") else {
            continue;
        };
        if !is_host_and_port(text) {
            entry.refuse(
                format!("`net` cannot hold {}", quoted(text)),
                "expected a host and a port, such as \"api.example.com:443\"",
            );
        }
    }
    item.report.warning(
        Problem::at(item.key_span(), "`net` is not enforced yet by this version").help(
            "the function can reach any host; keep the list for the version that walls it in",
        ),
    );
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*');
    let bracketed = |inner: &str| inner.parse::<std::net::Ipv6Addr>().is_ok();
    let host_fits = match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inner) => bracketed(inner),
        None => !host.is_empty() && host.len() <= 253 && host.chars().all(plain),
    };
    host_fits && (port == "*" || port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_need_ports() {
        for good in [
            "a:1",
            "api.example.com:443",
            "*.example.com:443",
            "[::1]:5432",
            "db:*",
        ] {
            assert!(is_host_and_port(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "a:",
            ":1",
            "a:0",
            "a:65536",
            "http://a:80",
            "::1:80",
            "[x]:1",
        ] {
            assert!(!is_host_and_port(bad), "{bad}");
        }
    }
}
