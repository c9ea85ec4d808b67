//! Takes the values of secrets out of what user code logs.

use std::{borrow::Cow, collections::BTreeMap};

use wakeful_core::name::SecretName;

/// Shorter values would blacken ordinary words, bytes.
const SHORTEST: usize = 4;
/// A line of a value of several lines (such as a private key) is looked for by itself if it has
/// at least this many bytes.
const SHORTEST_LINE: usize = 16;

/// Knows the values of all secrets.
#[derive(Default)]
pub(super) struct Redactor {
    /// What is looked for and what takes its place; the longest first, so that a value that
    /// contains another is replaced whole.
    needles: Vec<(String, String)>,
}

impl Redactor {
    pub(super) fn new(secrets: &BTreeMap<SecretName, String>) -> Self {
        let mut needles = Vec::new();
        for (name, value) in secrets {
            let shown = format!("[secret {name}]");
            for form in forms(value) {
                needles.push((form, shown.clone()));
            }
        }
        needles.sort_by_key(|(needle, _)| std::cmp::Reverse(needle.len()));
        Self { needles }
    }

    pub(super) fn redact<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let mut line = Cow::Borrowed(line);
        for (needle, shown) in &self.needles {
            if line.contains(needle) {
                line = Cow::Owned(line.replace(needle, shown));
            }
        }
        line
    }
}

/// How a value may show up in a line: as it is, inside a JSON string, or line by line.
fn forms(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    if value.len() >= SHORTEST {
        forms.push(value.to_owned());
        let quoted = serde_json::Value::from(value).to_string();
        let inner = &quoted[1..quoted.len() - 1];
        if inner != value {
            forms.push(inner.to_owned());
        }
    }
    if value.contains('\n') {
        let lines = value.lines().map(str::trim);
        let long = lines.filter(|line| line.len() >= SHORTEST_LINE);
        forms.extend(long.map(str::to_owned));
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[(&str, &str)]) -> Redactor {
        let parse = |(name, value): &(&str, &str)| (name.parse().unwrap(), (*value).to_owned());
        Redactor::new(&secrets.iter().map(parse).collect())
    }

    #[test]
    fn values_go_and_the_rest_stays() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nab\n-----END PRIVATE KEY-----";
        let redactor = redactor(&[
            ("SHORT", "abc"),
            ("TOKEN", "s3cr3t-token"),
            ("LONGER", "s3cr3t-token-and-more"),
            ("QUOTED", "pa\"ss\\word"),
            ("PEM", key),
        ]);
        for (line, expected) in [
            ("nothing here, abc", "nothing here, abc"),
            ("s3cr3t-token!", "[secret TOKEN]!"),
            ("x s3cr3t-token-and-more x", "x [secret LONGER] x"),
            ("s3cr3t-token s3cr3t-token", "[secret TOKEN] [secret TOKEN]"),
            (r#"pa"ss\word"#, "[secret QUOTED]"),
            (r#"{"p":"pa\"ss\\word"}"#, r#"{"p":"[secret QUOTED]"}"#),
            ("MIIEvQIBADANBgkqhkiG9w0BAQ", "[secret PEM]"),
            ("ab", "ab"),
        ] {
            assert_eq!(redactor.redact(line), expected, "{line}");
        }
    }

    #[test]
    fn a_line_without_secrets_is_not_copied() {
        let redactor = redactor(&[("TOKEN", "s3cr3t-token")]);
        assert!(matches!(redactor.redact("hello"), Cow::Borrowed("hello")));
    }
}
