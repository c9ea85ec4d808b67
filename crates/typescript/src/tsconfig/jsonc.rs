//! JSON with comments and commas at the end of lists, as `tsconfig.json` is.

use serde_json::Value;

use crate::compile::SyntaxError;

/// Reads a text.
pub(super) fn parse(text: &str) -> Result<Value, SyntaxError> {
    let plain = to_json(text.trim_start_matches('\u{feff}'));
    if plain.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_str(&plain).map_err(|error| {
        let message = error.to_string();
        // The place is told apart from the message.
        let message = message
            .rsplit_once(" at line ")
            .map_or(&*message, |it| it.0);
        SyntaxError {
            message: message.to_owned(),
            line: error.line().max(1),
            column: error.column().max(1),
        }
    })
}

/// The same with spaces for what JSON does not know, so that all places stay.
fn to_json(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    // Where the last comma stands, while only blanks came after it.
    let mut comma = None;
    while let Some(first) = rest.chars().next() {
        let length = token(rest, first);
        let (token, after) = rest.split_at(length);
        rest = after;
        let is_comment = token.starts_with("//") || token.starts_with("/*");
        if is_comment {
            plain.extend(token.chars().map(|it| if it == '\n' { it } else { ' ' }));
            continue;
        }
        if matches!(first, '}' | ']')
            && let Some(at) = comma
        {
            plain.replace_range(at..=at, " ");
        }
        if first == ',' {
            comma = Some(plain.len());
        } else if !first.is_whitespace() {
            comma = None;
        }
        plain.push_str(token);
    }
    plain
}

/// The length of a text or comment, or of one character.
fn token(rest: &str, first: char) -> usize {
    if first == '"' {
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|(_, it)| {
            let ends = *it == '"' && !escaped;
            escaped = *it == '\\' && !escaped;
            ends
        });
        return end.map_or(rest.len(), |(at, _)| at + 1);
    }
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |at| at + 2);
    }
    first.len_utf8()
}
