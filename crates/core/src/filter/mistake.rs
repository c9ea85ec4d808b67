//! What is wrong with a pattern, and where in it.

use std::fmt;

/// One step from a value of a pattern to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Under a key of an object.
    Key(String),
    /// At a place of an array, from 0.
    Index(usize),
}

/// The way from a pattern's root to a value in it. Shown as `data.after.total[0].numeric`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(pub(super) Vec<Step>);

impl Path {
    /// The steps, from the root on.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if place == 0 { "" } else { "." };
                    if is_plain(key) {
                        write!(f, "{dot}{key}")?;
                    } else {
                        write!(f, "{dot}{}", shown(key))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether a key can stand in a path without quotes.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.len() <= LONGEST && {
        key.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$'))
    }
}

/// Characters of a text that a message shows.
const LONGEST: usize = 60;

/// A text in quotes, cut when it is long, with nothing that would break a line or a terminal.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => format!("{text:?}"),
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
    }
}

/// Which part of what stands at a path a mistake is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The key under which it stands.
    Key,
    /// The value.
    Value,
}

/// One mistake in a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Mistake {
    /// Where it is; empty for the pattern as a whole.
    pub path: Path,
    /// What at that place is wrong.
    pub part: Part,
    /// What is wrong: one sentence without a full stop.
    pub message: String,
    /// What was expected, or what to do.
    pub help: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_they_are_written() {
        let key = |key: &str| Step::Key(key.to_owned());
        let path = Path(vec![key("$or"), Step::Index(1), key("data"), key("a.b")]);
        assert_eq!(path.to_string(), "$or[1].data.\"a.b\"");
        assert_eq!(Path::default().to_string(), "");
        let long = Path(vec![key(&"ä".repeat(100))]);
        assert_eq!(long.to_string(), format!("\"{}\"…", "ä".repeat(60)));
    }
}
