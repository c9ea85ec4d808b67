//! Names, parsed once; inner code never sees a raw string.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {what}: {rule}")]
pub struct InvalidName {
    text: String,
    what: &'static str,
    rule: &'static str,
}

impl InvalidName {
    /// What the text was to name, such as `bucket name`.
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// What the text would have to look like.
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

fn is_plain(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=63).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphabetic()
        && text.bytes().all(inner)
}
const PLAIN_RULE: &str = "1 to 63 letters, digits, `-` and `_`, the first of them a letter";

/// The rules of Amazon S3 for general purpose buckets, without its reserved prefixes.
fn is_bucket(text: &str) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (3..=63).contains(&text.len())
        && text.bytes().all(|b| edge(b) || b == b'-' || b == b'.')
        && text.bytes().next().is_some_and(edge)
        && text.bytes().last().is_some_and(edge)
        && !text.contains("..")
        && text.parse::<std::net::Ipv4Addr>().is_err()
}
const BUCKET_RULE: &str = "3 to 63 lower-case letters, digits, `-` and `.`, \
    a letter or digit first and last (the rules of Amazon S3)";

/// A table may be called whatever its database allows; only emptiness and NUL are refused.
fn is_table(text: &str) -> bool {
    (1..=255).contains(&text.len()) && !text.contains('\0')
}
const TABLE_RULE: &str = "1 to 255 bytes without NUL";

fn is_handler(text: &str) -> bool {
    let mut chars = text.chars();
    text.len() <= 127
        && chars
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_' || c == '$')
        && chars.all(|c| c.is_alphanumeric() || c == '_' || c == '$')
}
const HANDLER_RULE: &str = "the name of an export: a JavaScript identifier";

/// Tokens separated by dots; `*` and `>` are kept for patterns. What CloudEvents allow as a type,
/// without white space.
fn is_topic(text: &str) -> bool {
    let inner = |c: char| !c.is_whitespace() && !c.is_control() && c != '*' && c != '>';
    (1..=255).contains(&text.len())
        && text
            .split('.')
            .all(|token| !token.is_empty() && token.chars().all(inner))
}
const TOPIC_RULE: &str =
    "1 to 255 bytes: words separated by dots, without white space, `*` and `>`";

/// As a topic; a token may be `*` (any one token), and the last one `>` (one or more tokens).
fn is_topic_pattern(text: &str) -> bool {
    let mut tokens = text.split('.').peekable();
    let mut plain = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            "*" => plain.push("x"),
            ">" if tokens.peek().is_none() => plain.push("x"),
            other => plain.push(other),
        }
    }
    text.len() <= 255 && is_topic(&plain.join("."))
}
const TOPIC_PATTERN_RULE: &str =
    "words separated by dots; `*` stands for any one word, and `>` at the end for one or more";

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:ident, $rule:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if $check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName {
                        text: text.chars().take(80).collect(),
                        what: $what,
                        rule: $rule,
                    })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(/** The name of a project: what one manifest describes. */ ProjectName, "project name", is_plain, PLAIN_RULE);
name!(/** An environment: `dev`, `production`, … */ EnvironmentName, "environment name", is_plain, PLAIN_RULE);
name!(/** The name of a function. */ FunctionName, "function name", is_plain, PLAIN_RULE);
name!(/** The name of a database that the manifest declares. */ DatabaseName, "database name", is_plain, PLAIN_RULE);
name!(/** The name of a bucket. */ BucketName, "bucket name", is_bucket, BUCKET_RULE);
name!(/** The name of a table in a database. */ TableName, "table name", is_table, TABLE_RULE);
name!(/** The name of a secret. */ SecretName, "secret name", is_plain, PLAIN_RULE);
name!(/** The name of an admin or function key. */ KeyName, "key name", is_plain, PLAIN_RULE);
name!(/** The name a user gave a trigger. */ TriggerName, "trigger name", is_plain, PLAIN_RULE);
name!(/** The export that a trigger calls. */ HandlerName, "handler", is_handler, HANDLER_RULE);

name!(/** A topic: the type of events that people and functions publish, such as `orders.paid`. */ TopicName, "topic", is_topic, TOPIC_RULE);
name!(/** Which topics a trigger or a declaration means: `orders.*`, `orders.>`. */ TopicPattern, "topic pattern", is_topic_pattern, TOPIC_PATTERN_RULE);

impl TopicPattern {
    /// Whether it means this topic.
    pub fn matches(&self, topic: &TopicName) -> bool {
        let mut wanted = self.as_str().split('.');
        let mut found = topic.as_str().split('.');
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return true,
                (Some(">"), Some(_)) => return true,
                (Some("*"), Some(_)) => {}
                (Some(word), Some(other)) if word == other => {}
                _ => return false,
            }
        }
    }

    /// Whether there is a topic that both mean.
    pub fn overlaps(&self, other: &Self) -> bool {
        let mut ours = self.as_str().split('.');
        let mut theirs = other.as_str().split('.');
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
                (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
                (Some(word), Some(other)) if word == other => {}
                _ => return false,
            }
        }
    }

    /// The one topic that it means, when it has no wildcard.
    pub fn exact(&self) -> Option<TopicName> {
        self.as_str().parse().ok()
    }
}

/// The stable identity of a trigger within a project and environment: `function/name`, where the
/// name is the user's or is made of source, resource and handler; never its place in a list.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TriggerId(Arc<str>);

impl TriggerId {
    /// The identity of the trigger of `function` that is called `name`.
    pub fn new(function: &FunctionName, name: &str) -> Self {
        Self(format!("{function}/{name}").into())
    }

    /// From the text that the store keeps.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TriggerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TriggerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Where an identity lives: every resource, trigger and delivery belongs to one scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The project.
    pub project: ProjectName,
    /// Its environment.
    pub environment: EnvironmentName,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rules() {
        fn check<N: FromStr>(good: &[&str], bad: &[&str]) {
            for text in good {
                assert!(text.parse::<N>().is_ok(), "{text} should be valid");
            }
            for text in bad {
                assert!(text.parse::<N>().is_err(), "{text} should be refused");
            }
        }
        check::<FunctionName>(&["a", "a-b_9"], &["", "9a", "a b", "ä", &"a".repeat(64)]);
        check::<BucketName>(
            &["abc", "a.b-c9"],
            &["ab", "Abc", "-abc", "a..b", "1.2.3.4", "abc."],
        );
        check::<HandlerName>(&["handler", "$x", "getBook"], &["", "a.b", "1a", "a-b"]);
        check::<TopicName>(
            &["orders", "orders.paid", "com.github.pull_request", "a/b"],
            &["", ".", "a.", "a..b", "a b", "a.*", ">"],
        );
        check::<TopicPattern>(
            &["orders", "orders.*", "*.paid", "orders.>", ">"],
            &["", "orders.>.x", "a b", "or*", "a."],
        );
        check::<TableName>(&["photos", "my table", "ü"], &["", "a\0b"]);
    }

    #[test]
    fn patterns_mean_topics() {
        let check = |pattern: &str, topic: &str, expected| {
            let (pattern, name): (TopicPattern, TopicName) =
                (pattern.parse().unwrap(), topic.parse().unwrap());
            assert_eq!(pattern.matches(&name), expected, "{pattern} {topic}");
        };
        check("orders", "orders", true);
        check("orders", "orders.paid", false);
        check("orders.*", "orders.paid", true);
        check("orders.*", "orders", false);
        check("orders.*", "orders.paid.late", false);
        check("orders.>", "orders.paid.late", true);
        check("orders.>", "orders", false);
        check("*.paid", "orders.paid", true);
        check(">", "anything.at.all", true);
    }

    #[test]
    fn patterns_overlap_when_one_topic_fits_both() {
        let check = |one: &str, other: &str, expected| {
            let (a, b): (TopicPattern, TopicPattern) =
                (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(a.overlaps(&b), expected, "{one} {other}");
            assert_eq!(b.overlaps(&a), expected, "{other} {one}");
        };
        check("orders", "orders", true);
        check("orders", "bills", false);
        check("orders", "orders.*", false);
        check("orders.*", "*.paid", true);
        check("orders.*", "*.paid.late", false);
        check("orders.>", "*.paid.late", true);
        check("orders.>", "orders", false);
        check("orders.>", "orders.*", true);
        check("*", ">", true);
        check("a.*.c", "a.b.>", true);
        check("a.*.c", "b.>", false);
    }
}
